"""Good configs, each with the snapshot it compiles to.

`good/NAME.yaml` is the config and `good/NAME.json` what its snapshot holds besides the defaults, which test_snapshot.py
pins. FASTGATE_UPDATE_GOLDEN=1 writes the .json anew: read the difference before committing it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fastgate import config
from fastgate.runtime import validate

FOLDER = Path(__file__).parent / "good"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
ENVIRON = {"MAX_CONNS": "10", "PUBLISH_KEY": "a key of the tests", "REDIS_PASSWORD": "hunter2"}
ROUTE = {"match": {"prefix": "/"}, "to": "http://127.0.0.1:9000"}


def compiled(loaded: config.Loaded) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(config.compile(loaded).data)
    return plain


EMPTY = compiled(config.from_mapping({}))
MINIMAL = compiled(config.from_mapping({"routes": {"app": ROUTE}}))
DEFAULTS = {
    **EMPTY,
    "listeners": EMPTY["listeners"][0],
    "services": MINIMAL["services"][0],
    "routes": MINIMAL["routes"][0],
    "matches": MINIMAL["routes"][0]["matches"][0],
}
# Named in every entry, so that a reader knows what it is.
NAMES = ("name", "path", "action", "bind", "targets")


def told(value: Any, default: Any) -> Any:
    """What differs from the defaults."""
    if not isinstance(value, dict):
        return value
    plain: dict[str, Any] = {}
    for name, item in value.items():
        usual = default.get(name) if isinstance(default, dict) else None
        if name != "internal" and name in DEFAULTS and isinstance(item, list) and item and isinstance(item[0], dict):
            plain[name] = [told(one, DEFAULTS[name]) for one in item]
        elif name in NAMES or item != usual:
            plain[name] = told(item, usual)
    return plain


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_snapshot(path: Path) -> None:
    loaded = config.load(path, environ=ENVIRON)
    validate(config.compile(loaded))
    found = json.dumps(told(compiled(loaded), DEFAULTS), indent=1, ensure_ascii=False) + "\n"
    expected = path.with_suffix(".json")
    if os.environ.get("FASTGATE_UPDATE_GOLDEN") == "1":
        expected.write_text(found)
    assert found == expected.read_text()


def test_there_are_enough() -> None:
    assert len(CONFIGS) >= 10
    assert {p.stem for p in FOLDER.glob("*.json")} == {p.stem for p in CONFIGS}


def test_the_whole_sample_warns_of_later_keys_only() -> None:
    loaded = config.load(FOLDER / "whole.yaml", environ={})
    assert list(loaded.config.routes) == ["projects", "one-user", "admin-area", "old"]
    for warning in loaded.warnings:
        assert "not in this version" in warning.message
        assert warning.line
        assert warning.column


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
@pytest.mark.parametrize("kind", ["explain_defaults", "print_merged"])
def test_what_check_prints_is_the_same_config(path: Path, kind: str, tmp_path: Path) -> None:
    loaded = config.load(path, environ=ENVIRON)
    settings = getattr(config, kind)(loaded)
    printed = tmp_path / "printed.yaml"
    # A printed `$` is one that was meant.
    printed.write_text(config.to_yaml(settings).replace("${", "$${"))
    again = config.load(printed, environ=ENVIRON)
    assert compiled(again) == compiled(loaded)
    assert len({one.path for one in settings}) == len(settings)
    assert all(one.origin == "file" and one.line for one in settings) or kind == "explain_defaults"


def test_every_value_says_where_it_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("include: more.yaml\nworkers: 1\nlimits:\n  uri: 4KiB\n")
    Path("more.yaml").write_text(f"routes: {json.dumps({'a': ROUTE})}\nstore:\n  url: redis://x\n  password: hunter2\n")
    Path("top.yaml").write_text("workers: ${WORKERS}\n")
    loaded = config.load(
        "base.yaml",
        "top.yaml",
        environ={"WORKERS": "3"},
        overrides=[{"limits": {"header_count": 50}}],
        allow_literal_secrets=True,
    )
    where = {one.key: (one.value, one.where) for one in config.explain_defaults(loaded)}
    assert where["workers"] == (3, "top.yaml:1, from $WORKERS")
    assert where["limits.uri"] == ("4KiB", "base.yaml:4")
    assert where["limits.header_count"] == (50, "command line")
    assert where["limits.headers"] == ("32KiB", "default")
    assert where["limits.max_connections"][0] is None
    assert where["routes.a.to"] == ("http://127.0.0.1:9000", "more.yaml:1")
    assert where["routes.a.timeouts.connect"] == (None, "default: the service's, else 5s")
    assert where["store.password"] == ("(literal, not shown)", "more.yaml:4")
    assert "hunter2" not in config.to_yaml(config.print_merged(loaded))

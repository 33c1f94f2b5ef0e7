"""Reference page, JSON Schema and starter file: made from the models, current, and true."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from fastgate import config
from fastgate.config import describe
from fastgate.config.describe import Keys, ListOf, MapOf, OneOf, Scalar, Shape
from fastgate.config.models import Config, Listener
from fastgate.errors import ConfigError
from fastgate.runtime import validate

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import gen_config_docs  # noqa: E402

KEYS = [(model, key) for model in describe.models() for key in describe.keys(model)]
VALIDATOR = Draft202012Validator(config.schema())


def test_the_reference_is_current() -> None:
    assert gen_config_docs.main(["--check"]) == 0, "run tools/gen_config_docs.py"


def test_a_stale_reference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gen_config_docs, "PAGE", tmp_path / "page.md")
    assert gen_config_docs.main(["--check"]) == 1
    assert gen_config_docs.main([]) == 0
    assert gen_config_docs.main(["--check"]) == 0


def test_the_reference_has_every_key_and_one_heading_a_model() -> None:
    text = gen_config_docs.page()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert len(headings) == len(set(headings)) == len(describe.models())
    assert len(re.findall(r"^\| `\w+` \|", text, re.MULTILINE)) == len(KEYS)


def test_every_key_is_documented_once_and_its_default_and_example_are_values_of_it() -> None:
    for model, key in KEYS:
        assert re.match(r"[A-Za-z`].*\.$", key.doc), f"{model.__name__}.{key.name}: one sentence"
        assert describe.doc(model), model
        for value in (key.example, describe.written(key.shape, key.default)):
            if value is not None:
                read_as(key.shape, value)


def read_as(shape: Shape, value: Any) -> None:
    """Reads a written value with the field's own readers; a default that is refused raises."""
    match describe.choose(shape, value):
        case Scalar(kind) if isinstance(kind, config.models.base.scalars.Kind):
            kind.read(value)
        case ListOf(item):
            for one in value:
                read_as(item, one)
        case MapOf(_, inner):
            for one in value.values():
                read_as(inner, one)
        case Keys(model) if value:
            model.model_validate(value)
        case OneOf():
            pytest.fail("choose() left a choice")


def test_a_scalar_written_and_read_again_is_the_same() -> None:
    for _, key in KEYS:
        shape = key.shape
        if (
            isinstance(shape, Scalar)
            and isinstance(shape.kind, config.models.base.scalars.Kind)
            and key.default is not None
        ):
            assert shape.kind.read(shape.kind.write(key.default)) == key.default, key.name


def test_the_schema_is_a_schema() -> None:
    schema = config.schema()
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
    for name, definition in {**schema["$defs"], "": schema}.items():
        if name != "variable":
            assert definition["additionalProperties"] is False
            assert all(part["description"] for part in definition["properties"].values())
    assert schema["$defs"]["Service"]["properties"]["breaker"]["x-later"] == "plain"
    assert schema["$defs"]["Timeouts"]["properties"]["connect"]["examples"] == ["5s"]
    assert schema["$defs"]["Limits"]["properties"]["headers"]["default"] == "32KiB"


GOOD = [*sorted((ROOT / "examples").glob("*.yaml")), *sorted(Path(__file__).parent.glob("good/*.yaml"))]


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_the_schema_takes_good_configs(path: Path) -> None:
    errors = [
        f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))
    ]
    assert errors == []


SEEN_BY_THE_READER_ONLY = {"key_twice", "key_route_twice"}


def test_the_schema_refuses_most_mistakes() -> None:
    """Most of those that one value shows: what several say together, or only the engine judges, no schema sees."""
    refused, taken = [], []
    for path in sorted((Path(__file__).parent / "errors").glob("*.yaml")):
        try:
            value = yaml.safe_load(path.read_text())
        except (yaml.YAMLError, ValueError):
            continue
        if not VALIDATOR.is_valid(value):
            refused.append(path.stem)
        elif "found " in path.with_suffix(".txt").read_text():
            taken.append(path.stem)
    assert len(refused) > len(taken), taken
    assert [name for name in taken if name.startswith("key_") and name not in SEEN_BY_THE_READER_ONLY] == []


def test_the_starter_file_loads_and_the_engine_takes_it(tmp_path: Path) -> None:
    text = config.starter()
    loaded = written(tmp_path, text)
    assert loaded.warnings == ()
    assert list(loaded.config.routes) == ["app", "ping"]
    assert VALIDATOR.is_valid(yaml.safe_load(text))


def test_everything_the_starter_file_offers_loads_once_it_is_switched_on(tmp_path: Path) -> None:
    text = config.starter()
    on = re.sub(r"^( *)# ", r"\1", text.split("\n\n", 1)[1], flags=re.MULTILINE)
    assert not re.search(r"^ *# ", on, re.MULTILINE)
    loaded = written(tmp_path, on)
    assert loaded.warnings == ()
    assert loaded.config.routes["app"].max_body == 1 << 20
    assert loaded.config.routes["app"].policies is not None


def test_every_comment_of_the_starter_file_is_the_models_word() -> None:
    said = {key.doc for _, key in KEYS}
    comments = re.findall(r"^[ #]*## (.*?)(?: Absent: .*)?$", config.starter(), re.MULTILINE)
    assert len(comments) > 20
    assert set(comments) <= said


def written(folder: Path, text: str) -> config.Loaded:
    path = folder / "fastgate.yaml"
    path.write_text(text, encoding="utf-8")
    loaded = config.load(path, environ={})
    validate(config.compile(loaded))
    return loaded


def test_aliases_are_the_keys_that_are_written() -> None:
    (listener,) = [key for key in describe.keys(Config) if key.name == "listeners"]
    assert isinstance(listener.shape, MapOf)
    assert listener.shape.value == Keys(Listener)
    proxy = next(model for model in describe.models() if model.__name__ == "ProxyProtocol")
    assert [key.name for key in describe.keys(proxy)] == ["from"]
    with pytest.raises(ConfigError, match="from"):
        config.from_mapping({"listeners": {"a": {"bind": "127.0.0.1:0", "proxy_protocol": {}}}})

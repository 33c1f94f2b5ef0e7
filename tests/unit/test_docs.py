"""The documentation builds without a warning, its links lead somewhere, and what it says of keys and defaults is so."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import render_readme  # noqa: E402
import render_tables  # noqa: E402

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("tests/**/README.md"), *ROOT.glob("tools/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            marked = page.read_text(encoding="utf-8")[: match.start()].rstrip("\n").rsplit("\n", 1)[-1]
            if match[1] == language and not marked.startswith("<!-- copy: "):
                line = page.read_text(encoding="utf-8").count("\n", 0, match.start()) + 1
                found.append((f"{page.relative_to(ROOT)}:{line}", match[2]))
    return found


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None:
        assert os.environ.get("CI") != "true", "mkdocs must be there in CI"
        pytest.skip("mkdocs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "user" / "matching" / "index.html").is_file()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Python-Markdown and code hosts make them for plain headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


def broken_links(page: Path) -> list[str]:
    broken = []
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        to = (page.parent / name).resolve() if name else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a](#one) [b](#two) [c](gone.md) [d](page.md#one) [e](https://example.org/x)\n", encoding="utf-8"
    )
    assert broken_links(page) == ["#two", "gone.md"]


def test_the_tables_of_refusals_are_the_engines() -> None:
    text = render_tables.PAGE.read_text(encoding="utf-8")
    assert render_tables.render(text) == text, "run tools/render_tables.py"
    variants = re.search(r"pub enum Reason \{(.*?)\n\}", render_tables.REASONS.read_text(encoding="utf-8"), re.DOTALL)
    assert variants is not None
    for variant in re.findall(r"^    (\w+),$", variants[1], re.MULTILINE):
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", variant).lower()
        assert f"| `{name}` |" in text, f"{variant} is missing"


def test_the_measured_table_of_the_readme_is_the_recorded_one() -> None:
    text = render_readme.README.read_text(encoding="utf-8")
    assert render_readme.render(text) == text, "run tools/render_readme.py"


def test_a_recorded_run_becomes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(cpu: float, errors: int = 0, rounds: int = 5) -> dict[str, object]:
        return {"rounds": rounds, "errors": errors, "cpu_us": cpu}

    machine = {"date": "2026-12-31 12:00 UTC", "processor": "AMD EPYC", "cores": "2", "kernel": "6.18"}
    results = {
        "machine": machine,
        "versions": {"floor": "-", "fastgate": "0.1.0", "nginx": "1.22.1"},
        "rounds": 5,
        "seconds": 3.0,
        "cases": {
            "a": {
                "title": "one",
                "kind": "cpu",
                "gateways": {"floor": found(10), "fastgate": found(11), "nginx": found(14, 3)},
            },
            "b": {
                "title": "two",
                "kind": "cpu",
                "gateways": {"floor": found(10), "fastgate": {"rounds": 0, "errors": 0}},
            },
            "c": {"title": "latency", "kind": "latency", "gateways": {}},
        },
    }
    monkeypatch.setattr(render_readme, "RESULTS", tmp_path / "load.json")
    (tmp_path / "load.json").write_text(json.dumps(results), encoding="utf-8")
    rendered = render_readme.render(render_readme.README.read_text(encoding="utf-8"))
    assert "2026-12-31 12:00 UTC: AMD EPYC, 2 cores, Linux 6.18" in rendered
    assert "| case | fastgate | nginx |\n|---|---|---|\n| one | 1.10 | 1.40 (!) |\n| two | failed | - |\n" in rendered
    assert "latency |" not in rendered
    assert render_readme.render(rendered) == rendered


def test_the_life_of_a_request_names_files_that_exist() -> None:
    page = (DOCS / "developer" / "life_of_a_request.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+(?:\.rs|/))`", page))
    assert len(named) > 10
    engine = ROOT / "rust_ext" / "engine" / "src"
    for name in named:
        assert (engine / name).exists() or (ROOT / "rust_ext" / name).exists(), f"{name} is not in the engine"
    code = (engine / "lifecycle.rs").read_text(encoding="utf-8")
    phases = re.findall(r"^## (\d+) (\w+)", page, re.MULTILINE)
    assert phases
    order = [code.index(f"// {number} {name.lower()}") for number, name in phases if number not in ("1", "4")]
    assert order == sorted(order), "the phases stand in another order in lifecycle.rs"


# RFC 7515 A.3.
PUBLIC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


@pytest.mark.parametrize(
    ("form", "place", "text"),
    [(form, *found) for form in ("yaml", "toml") for found in blocks(form)],
    ids=lambda value: value.split("\n")[0][:60],
)
def test_configs_load_without_a_warning_and_the_engine_takes_them(
    form: str, place: str, text: str, tmp_path: Path
) -> None:
    config = importlib.import_module("fastgate.config")
    file = tmp_path / f"fastgate.{form}"
    (tmp_path / "www").mkdir()  # the folder of files that an example serves
    (tmp_path / "none").touch()  # a file of keys or users that an example has made before
    text = re.sub(r"\b(keys_file|users_file): [^\s},]+", rf"\1: {tmp_path}/none", text)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [PUBLIC_KEY]}))  # keys that an example has fetched before
    text = re.sub(r"\bjwks: keys.json", f"jwks: {tmp_path}/keys.json", text)
    file.write_text(re.sub(r"\broot: \S+", f"root: {tmp_path}/www", text), encoding="utf-8")
    loaded = config.load(file)
    assert not loaded.warnings, (place, loaded.warnings)
    importlib.import_module("fastgate.runtime.running").validate(config.compile(loaded))


def documented(page: str, section: str) -> set[str]:
    """The keys in the first column of the tables of a section."""
    text = (DOCS / "user" / page).read_text(encoding="utf-8")
    part = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert part is not None, section
    cells = re.findall(r"^\| (`.*?) \|", part[1], re.MULTILINE)
    return {key.split(".")[0] for cell in cells for key in re.findall(r"`([\w.]+)`", cell)}


@pytest.mark.parametrize(
    ("page", "section", "name", "elsewhere"),
    [
        ("configuration.md", "Listeners", "Listener", set()),
        ("configuration.md", "Services", "Service", {"policies", "allow_link_local"}),
        ("configuration.md", "Routes", "Route", {"match"}),
        ("matching.md", "Matching", "Match", set()),
    ],
)
def test_every_key_is_documented_and_every_documented_key_exists(
    page: str, section: str, name: str, elsewhere: set[str]
) -> None:
    models = importlib.import_module("fastgate.config.models")
    fields = getattr(models, name).model_fields
    extras = {key: info.json_schema_extra for key, info in fields.items()}
    later = {key for key, extra in extras.items() if isinstance(extra, dict) and "x-later" in extra}
    if section == "Matching":
        text = (DOCS / "user" / page).read_text(encoding="utf-8").split("\n## ")[0]
        found = {
            key for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for key in re.findall(r"`(\w+)`", cell)
        }
    else:
        found = documented(page, section)
    assert found - set(fields) == set(), "documented, but not in the model"
    assert set(fields) - later - found - elsewhere == set(), "in the model, but not documented"


def test_the_documented_limits_are_the_defaults(tmp_path: Path) -> None:
    config = importlib.import_module("fastgate.config")
    text = next(text for place, text in blocks("yaml") if place.startswith("docs/user/limits.md"))
    file = tmp_path / "fastgate.yaml"
    file.write_text(text, encoding="utf-8")
    shown = config.load(file).config.limits
    from fastgate.config.models import Limits

    assert shown.model_dump() == Limits().model_dump()
    assert set(re.findall(r"^  (\w+):", text.partition("limits:")[2], re.MULTILINE)) == set(Limits.model_fields) - {
        "accept_rate",
        "max_connections",
    }

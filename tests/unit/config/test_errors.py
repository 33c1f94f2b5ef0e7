"""Real mistakes, each with the exact error it gets.

`errors/NAME.yaml` (or .json, .toml) is the mistake and `errors/NAME.txt` what is printed. A folder is a mistake in
several files: `fastgate.yaml` with what it includes, or `base.yaml` with `top.yaml` over it; `expected.txt` is printed.
FASTGATE_UPDATE_GOLDEN=1 writes what is printed anew: read the difference before committing it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fastgate import config
from fastgate.errors import ConfigError
from fastgate.runtime import validate

FOLDER = Path(__file__).parent / "errors"
MISTAKES = sorted(path for path in FOLDER.iterdir() if path.suffix != ".txt")
# More than one fault stands in these on purpose.
SEVERAL = {"several_at_once": 7, "include_errors_of_all_files": 4}
# Said of the whole file: no key has a part in it.
WITHOUT_KEY = re.compile(r"(yaml_|json_trailing|.*_flow|host_star_unquoted|path_flow_braces)")


def printed(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ConfigError]:
    """Checks as `fastgate check` does: the config itself, then what only the engine judges."""
    monkeypatch.chdir(path if path.is_dir() else path.parent)
    names = [path.name]
    if path.is_dir():
        names = ["base.yaml", "top.yaml"] if (path / "top.yaml").exists() else ["fastgate.yaml"]
    with pytest.raises(ConfigError) as caught:
        validate(config.compile(config.load(*names, environ={"MAX_CONNS": "10"})))
    return f"{caught.value}\n", caught.value


@pytest.mark.parametrize("path", MISTAKES, ids=lambda p: p.stem)
def test_mistake(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, error = printed(path, monkeypatch)
    expected = path / "expected.txt" if path.is_dir() else path.with_suffix(".txt")
    if os.environ.get("FASTGATE_UPDATE_GOLDEN") == "1":
        expected.write_text(text)
    assert text == expected.read_text()
    assert len(error.findings) == SEVERAL.get(path.stem, 1), "one fault gives exactly one error"
    for finding in error.findings:
        assert Path(finding.file).is_file()
        assert finding.line is not None
        # The standard library's reader of TOML tells no columns.
        assert finding.column is not None or path.suffix == ".toml"
        assert finding.path or WITHOUT_KEY.match(path.stem)


def test_there_are_enough() -> None:
    assert len(MISTAKES) >= 120
    assert {p.stem for p in FOLDER.glob("*.txt")} == {p.stem for p in MISTAKES if p.is_file()}

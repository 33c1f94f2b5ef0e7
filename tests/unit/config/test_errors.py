"""Real mistakes, each with the exact error it gets.

`errors/NAME.yaml` is the mistake and `errors/NAME.txt` what is printed. FASTGATE_UPDATE_GOLDEN=1 writes the .txt anew:
read the difference before committing it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fastgate import config
from fastgate.errors import ConfigError

FOLDER = Path(__file__).parent / "errors"
MISTAKES = sorted(FOLDER.glob("*.yaml"))
# More than one fault stands in these files on purpose.
SEVERAL = {"several_at_once": 7}
# Said of the whole file: no key has a part in it.
WITHOUT_KEY = re.compile(r"(yaml_|.*_flow|host_star_unquoted|path_flow_braces)")


def printed(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ConfigError]:
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError) as caught:
        config.load(path.name, environ={"MAX_CONNS": "10"})
    return f"{caught.value}\n", caught.value


@pytest.mark.parametrize("path", MISTAKES, ids=lambda p: p.stem)
def test_mistake(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, error = printed(path, monkeypatch)
    expected = path.with_suffix(".txt")
    if os.environ.get("FASTGATE_UPDATE_GOLDEN") == "1":
        expected.write_text(text)
    assert text == expected.read_text()
    assert len(error.findings) == SEVERAL.get(path.stem, 1), "one fault gives exactly one error"
    for finding in error.findings:
        assert finding.file == path.name
        assert finding.line is not None
        assert finding.column is not None
        assert finding.path or WITHOUT_KEY.match(path.stem)


def test_there_are_enough() -> None:
    assert len(MISTAKES) >= 60
    assert {p.stem for p in FOLDER.glob("*.txt")} == {p.stem for p in MISTAKES}

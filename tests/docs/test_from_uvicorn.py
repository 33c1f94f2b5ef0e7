"""The page on uvicorn: the flags it names are uvicorn's."""

from __future__ import annotations

import re
import subprocess
import sys

from pages import ROOT


def test_every_flag_is_one_of_uvicorns() -> None:
    page = (ROOT / "docs" / "user" / "from-uvicorn.md").read_text(encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "uvicorn", "--help"], capture_output=True, text=True, check=True
    ).stdout
    flags = set(re.findall(r"(--[a-z][a-z0-9-]*[a-z0-9])(?=[\s,/])", told))
    named = set(re.findall(r"`(--[a-z][a-z0-9-]*[a-z0-9])[ `]", page))
    assert len(named) > 20
    assert named - flags == set()
    assert re.search(r"--timeout-keep-alive INTEGER.*?\[default:\s*5\]", told, re.DOTALL), "the page says 5 s"

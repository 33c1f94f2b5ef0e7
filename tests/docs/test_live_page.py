"""The tutorial of the live page, looked at with a real browser: numbers, the button, a restart of the gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.browser import needed
from pages import ROOT
from test_commands import environment, isolated


def test_the_live_page_in_a_browser(tmp_path: Path) -> None:
    needed()
    folder = tmp_path / "reader"
    folder.mkdir()
    # What the page looked like stays with the test's other files, or where the environment says.
    artefacts = Path(os.environ.get("FASTGATE_TEST_ARTEFACTS", tmp_path / "artefacts")).resolve()
    program = [sys.executable, str(Path(__file__).with_name("browse.py")), str(ROOT / "docs/user/live-page.md")]
    run = subprocess.run(
        [*isolated(), *program, str(folder), str(artefacts)],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout}{run.stderr}"
    for name in ("live.png", "waiting.png", "again.png"):
        assert (artefacts / name).read_bytes().startswith(b"\x89PNG")

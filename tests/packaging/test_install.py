"""The wheel in a fresh environment: its commands, its modules, a gateway that answers, and the fixture for tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from harness.product import PING
from shipped import ROOT, Built, run

pytestmark = pytest.mark.timeout(1800)
CLEAN = {"PYTHONPATH": "", "FASTGATE_CONFIG": ""}
TEST = """
from fastgate import Gateway, Request


def test_it(fastgate_serve):
    import urllib.request

    gateway = Gateway().listener("public", bind="127.0.0.1:80")
    gateway.route("ping", match={"path": "/ping"}, respond={"status": 200, "body": "pong"})
    served = fastgate_serve(gateway)
    with urllib.request.urlopen(served.url + "/ping") as answer:
        assert answer.read() == b"pong"
"""


def test_the_commands_are_there(installed: Path, tmp_path: Path) -> None:
    for words in (["fastgate"], ["python", "-m", "fastgate"]):
        said = run(installed / words[0], *words[1:], "--version", cwd=tmp_path, env=CLEAN)
        assert re.fullmatch(r"fastgate \d+\.\d+\.\d+\n", said)
    assert "demo" in run(installed / "fastgate", "--help", cwd=tmp_path, env=CLEAN)


def test_the_modules_are_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = "import fastgate, fastgate._core, fastgate._engine, fastgate.primitives as p; print(p.__file__)"
    said = run(installed / "python", "-c", code, cwd=tmp_path, env=CLEAN)
    assert Path(said.strip()).is_relative_to(installed.parent)


@pytest.mark.skipif(sys.platform != "linux", reason="the programs are shipped on Linux")
def test_the_programs_start(installed: Path, built: Built) -> None:
    code = "from fastgate._bin import NAMES, find; print(*(f'{name}={find(name)}' for name in NAMES), sep='\\n')"
    found = run(installed / "python", "-c", code, cwd=built.folder, env=CLEAN | {"CARGO_TARGET_DIR": ""})
    places = dict(line.split("=", 1) for line in found.splitlines())
    assert set(places) == {"fastgate-engine", "fastgate-floor", "fastgate-load", "fastgate-origin"}
    for name, place in places.items():
        assert Path(place).is_relative_to(installed.parent)
        words = [] if name == "fastgate-engine" else ["--help"]
        assert f"usage: {name}" in run(place, *words, cwd=built.folder, check=False)


def test_a_newcomer_gets_a_file_that_is_good(installed: Path, tmp_path: Path) -> None:
    run(installed / "fastgate", "init", cwd=tmp_path, env=CLEAN)
    assert "ok" in run(installed / "fastgate", "check", cwd=tmp_path, env=CLEAN)


def test_a_gateway_runs_and_answers(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(PING, encoding="utf-8")
    with subprocess.Popen(
        [installed / "fastgate", "run"], cwd=tmp_path, env={**os.environ, **CLEAN}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)))[0]
            with urllib.request.urlopen(f"{url}/ping", timeout=20) as answer:
                assert (answer.status, answer.read()) == (200, b"pong")
        finally:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_the_newcomers_path_is_the_one_that_is_timed(installed: Path, built: Built, tmp_path: Path) -> None:
    """With `installed`, so that what pip needs is known to be there; its own environment is fresh all the same."""
    if installed.parent.name != "newest":
        pytest.skip("a newcomer gets the newest of everything")
    said = run(sys.executable, ROOT / "bench" / "newcomer.py", built.wheel, cwd=tmp_path, env=CLEAN)
    steps = re.findall(r"^ *(\d+\.\d\d) s  (.+?)(?: \([\d.]+ MB\))?$", said, re.MULTILINE)
    assert [name for _, name in steps] == [
        *("python -m venv", "pip install", "fastgate --version", "fastgate init", "fastgate check"),
        *("fastgate run, to the first answer", "altogether"),
    ]
    assert sum(float(seconds) for seconds, _ in steps[:-1]) == pytest.approx(float(steps[-1][0]), abs=0.05)


def test_pytest_finds_the_fixture_by_itself(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_gate.py").write_text(TEST, encoding="utf-8")
    said = run(installed / "python", "-m", "pytest", "-q", "test_gate.py", cwd=tmp_path, env=CLEAN)
    assert "1 passed" in said

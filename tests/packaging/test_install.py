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
from shipped import Built, run

pytestmark = pytest.mark.timeout(1800)
CLEAN = {"PYTHONPATH": "", "FASTGATE_CONFIG": ""}
CONFIG = """
listeners:
  public:
    bind: 127.0.0.1:0
routes:
  ping:
    match:
      path: /ping
    respond:
      status: 200
      body: pong
"""
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
    (tmp_path / "fastgate.yaml").write_text(CONFIG, encoding="utf-8")
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


def test_pytest_finds_the_fixture_by_itself(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_gate.py").write_text(TEST, encoding="utf-8")
    said = run(installed / "python", "-m", "pytest", "-q", "test_gate.py", cwd=tmp_path, env=CLEAN)
    assert "1 passed" in said

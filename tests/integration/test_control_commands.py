"""A real gateway and the commands that speak to it: status, reload, drain, top; two gateways; the config's path."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 60.0
CONFIG = """
listeners:
  public:
    bind: 127.0.0.1:0
admin: false
metrics: false
routes:
  ping:
    match: {path: /ping}
    respond: {status: 200, body: pong}
"""


class Gateway:
    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTGATE_")}
        self.env = clean | {"XDG_RUNTIME_DIR": str(folder)} | env
        self.folder = folder
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastgate", "run", *words],
            cwd=folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        assert self.process.stdout is not None
        self.url = ""
        for line in self.process.stdout:
            if found := re.search(r"http://\S+", line):
                self.url = found[0]
            if "stop: " in line:
                return
        self.close()
        raise AssertionError(self.errors)

    def _collect(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self.errors.extend(line.rstrip("\n") for line in stream)

    def tell(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fastgate", *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def status(self, *words: str) -> dict[str, Any]:
        done = self.tell("status", "--format", "json", *words)
        assert done.returncode == 0, done.stderr
        plain: dict[str, Any] = json.loads(done.stdout)
        return plain

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE) as answer:
            body: bytes = answer.read()
            return body.decode()

    def ended(self) -> int:
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    started: list[Gateway] = []

    def start(*words: str, **env: str) -> Gateway:
        started.append(Gateway(tmp_path, *words, **env))
        return started[-1]

    (tmp_path / "fastgate.yaml").write_text(CONFIG)
    yield start
    for one in started:
        one.close()


def test_a_life(start: Callable[..., Gateway], tmp_path: Path) -> None:
    """Asked, reloaded for better and for worse, drained: by commands alone."""
    gateway = start()
    assert gateway.get("/ping") == "pong"
    first = gateway.status()
    assert (first["state"], first["pid"], first["config"]["generation"]) == ("ready", gateway.process.pid, 1)
    assert first["listeners"] == {"public": gateway.url.removeprefix("http://")}
    assert first["stats"]["answers"]["2xx"] == 1

    (tmp_path / "fastgate.yaml").write_text(CONFIG.replace("body: pong", "body: again"))
    done = gateway.tell("reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"reloaded in \d+ ms\n", done.stdout)
    assert gateway.get("/ping") == "again"

    (tmp_path / "fastgate.yaml").write_text(CONFIG.replace("body: pong", "bodi: pong"))
    done = gateway.tell("reload")
    assert done.returncode == 1
    assert done.stdout.startswith("fastgate.yaml:10:")
    assert 'routes.ping.respond.bodi: unknown key; did you mean "body"?' in done.stdout
    assert done.stdout.endswith("1 error: not reloaded, the old config goes on\n")
    assert gateway.get("/ping") == "again"
    shown = gateway.tell("status").stdout
    assert re.search(r"^last reload  FAILED .* ago: 1 error, the old config goes on$", shown, re.MULTILINE)
    assert "routes.ping.respond.bodi: unknown key" in shown

    looks = gateway.tell("top", "--count", "2", "--interval", "0.1").stdout
    assert looks.count(f"pid {gateway.process.pid}") == 2
    assert "requests     3 answered (0/s)" in looks

    assert gateway.tell("drain").stdout == "draining\n"
    assert gateway.ended() == 0
    assert list((tmp_path / "fastgate").iterdir()) == []
    assert gateway.tell("status").returncode == 1


def test_two_gateways_in_one_place(start: Callable[..., Gateway], tmp_path: Path) -> None:
    first, second = start(), start()
    own = tmp_path / "fastgate" / f"control-{second.process.pid}.sock"
    assert own.is_socket()
    assert first.status()["pid"] == first.process.pid
    assert first.status("--socket", str(own))["pid"] == second.process.pid
    first.process.send_signal(signal.SIGTERM)
    assert first.ended() == 0
    # The only one left is found without a word.
    assert second.status()["pid"] == second.process.pid
    third = start()
    assert third.status()["pid"] == third.process.pid
    third.process.send_signal(signal.SIGKILL)
    third.process.wait()
    # The file that was left behind is not taken for a gateway, and the next one has it.
    assert second.status("--socket", str(own))["pid"] == second.process.pid
    fourth = start()
    assert fourth.status()["pid"] == fourth.process.pid
    assert any("belongs to another gateway" in line for line in second.errors)


def test_the_path_of_the_config(start: Callable[..., Gateway], tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(CONFIG + "control:\n  socket: here.sock\n")
    gateway = start()
    assert gateway.status("--socket", "here.sock")["state"] == "ready"
    other = start("--socket", "there.sock")
    assert other.status("--socket", "there.sock")["pid"] == other.process.pid


def test_a_written_path_that_cannot_be_is_1(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(CONFIG)
    with pytest.raises(AssertionError) as failed:
        Gateway(tmp_path, "--socket", "none/control.sock")
    (line,) = failed.value.args[0]
    assert line == "fastgate: the control socket none/control.sock cannot be made: No such file or directory"


def test_dev_watches_the_config(start: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = start("--dev")
    assert gateway.get("/ping") == "pong"
    (tmp_path / "fastgate.yaml").write_text(CONFIG.replace("body: pong", "body: changed"))
    for _ in range(600):
        if gateway.status()["config"]["generation"] == 2:
            break
    assert gateway.get("/ping") == "changed"


def test_dev_starts_again_when_code_changes(start: Callable[..., Gateway], tmp_path: Path) -> None:
    code = """
from fastgate import Gateway, Response
gateway = Gateway.from_file("fastgate.yaml")
@gateway.on_request(routes=["ping"])
def answer(request):
    return Response(200, b"WORD")
"""
    (tmp_path / "gate.py").write_text(code.replace("WORD", "one"))
    gateway = start("--dev", "gate:gateway")
    born = gateway.status()["uptime_seconds"]
    (tmp_path / "gate.py").write_text("def broken(:\n")
    while not any("not started again, the old code goes on: gate.py" in line for line in gateway.errors):
        assert gateway.status()["uptime_seconds"] >= born
    (tmp_path / "gate.py").write_text(code.replace("WORD", "three"))
    while not any("gate.py changed: starting again" in line for line in gateway.errors):
        assert gateway.process.poll() is None
    # The same process with another life: its clock has begun anew.
    for _ in range(600):
        done = gateway.tell("status", "--format", "json")
        if done.returncode == 0:
            told = json.loads(done.stdout)
            if told["uptime_seconds"] < born + 5 and told["config"]["generation"] == 1:
                break
    else:
        pytest.fail("it never started again")
    assert told["pid"] == gateway.process.pid

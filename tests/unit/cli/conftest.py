"""What the tests of the command line share: a shell, a pty, and a control socket with a scripted gateway behind it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastgate.runtime.control import Control

DEADLINE = 30.0
Shell = Callable[..., subprocess.CompletedProcess[str]]


def clean_environment(**more: str) -> dict[str, str]:
    """This environment without anything that speaks to fastgate or about terminals."""
    gone = ("FASTGATE_", "NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TERM", "_TYPER")
    return {name: value for name, value in os.environ.items() if not name.startswith(gone)} | more


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs one command in an empty folder, with a runtime folder of its own."""

    def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fastgate", *words],
            cwd=tmp_path,
            env=clean_environment(XDG_RUNTIME_DIR=str(tmp_path)) | (env or {}),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    return run


class Terminal:
    """A command in a pty of 80x24, its output as it comes."""

    def __init__(self, words: tuple[str, ...], env: dict[str, str], cwd: Path) -> None:
        self.output = ""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(sys.executable, [sys.executable, *words], env)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._code: int | None = None

    def read(self) -> bool:
        """What has come; False at the end."""
        if not select.select([self._master], [], [], DEADLINE)[0]:
            raise AssertionError(f"nothing more comes behind {self.output!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            return False
        self.output += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Reads until the pattern stands there."""
        limit = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.output)):
            assert time.monotonic() < limit, f"no {pattern!r} in {self.output!r}"
            assert self.read(), f"ended without {pattern!r}: {self.output!r}"
        return found

    def type(self, text: str) -> None:
        """Keys."""
        os.write(self._master, text.encode())

    def settings(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self._master)

    def end(self) -> int:
        """Reads to the end; the exit code."""
        while self.read():
            pass
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def close(self) -> None:
        """Ends what still runs."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts commands in a pty."""
    started: list[Terminal] = []

    def start(*words: str, env: dict[str, str] | None = None) -> Terminal:
        whole = clean_environment(XDG_RUNTIME_DIR=str(tmp_path), TERM="xterm-256color") | (env or {})
        started.append(Terminal(("-m", "fastgate", *words), whole, tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Scripted:
    """A gateway that says what it is told to say."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: dict[str, Any] = {}
        self.result: Any = None
        self.drained = False

    def status(self) -> dict[str, Any]:
        self.asked += 1
        answer = dict(self.answer)
        stats = dict(answer.get("stats", {}))
        if "answers" in stats:
            stats["answers"] = stats["answers"] | {"2xx": stats["answers"]["2xx"] + 100 * self.asked}
        return answer | {"stats": stats, "uptime_seconds": answer.get("uptime_seconds", 0) + self.asked}

    def stats(self) -> dict[str, Any]:
        return dict(self.answer.get("stats", {}))

    def reload(self) -> Any:
        return self.result

    def drain(self) -> None:
        self.drained = True

    def rotate_logs(self) -> None:
        """Nothing to rotate."""


STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4242,
    "state": "ready",
    "uptime_seconds": 11520.0,
    "config": {"files": ["fastgate.yaml"], "loaded_at": 0.0, "generation": 4, "last_reload": None},
    "listeners": {"public": "127.0.0.1:8000", "admin": "127.0.0.1:8002"},
    "workers": 2,
    "health": {"status": "degraded", "reasons": ["targets: 10.0.0.6:9000 of service projects: refused"]},
    "stats": {
        "accepted": 1204311,
        "connections": 120,
        "turned_away": 3,
        "tunnels": 9,
        "bytes": {"received": 1536, "sent": 5 << 30},
        "answers": {"1xx": 0, "2xx": 12000000, "3xx": 0, "4xx": 34000, "5xx": 112},
        "faults": {"connect_refused": 7},
        "refused": {},
        "services": {
            "projects": {
                "count": 1203333,
                "total": {"p50_us": 820.0, "p95_us": 4100.0, "p99_us": 1_250_000.0},
                "upstream": {"p50_us": 800.0, "p95_us": 4000.0, "p99_us": 1_240_000.0},
                "own": {"p50_us": 13.0, "p95_us": 22.0, "p99_us": 60.0},
                "targets": [
                    {"address": "10.0.0.5:9000", "connections": 12, "idle": 8, "waiting": 0, "failures": 0},
                    {"address": "10.0.0.6:9000", "connections": 2, "idle": 0, "waiting": 5, "failures": 1042},
                ],
            },
            "empty": {"count": 0, "targets": []},
        },
    },
}


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """A scripted gateway at the default control socket of `shell` and `terminal`."""
    monkeypatch.delenv("FASTGATE_CONTROL", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    scripted = Scripted()
    scripted.answer = STATUS
    control = Control(scripted)
    control.start()
    assert control.path is not None
    yield scripted
    control.stop()

"""The processes of `fastgate bench`: pinned, accounted for by the scheduler, and all ended however the command ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastgate.errors import StartError

START_SECONDS = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A running program that listens."""

    process: subprocess.Popen[str]
    address: str

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid


class Started:
    """Programs that run; leaving the block ends them all."""

    def __init__(self) -> None:
        self._programs: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in list(self._programs):
            self.end(program)

    def listening(self, command: Sequence[str], core: int | None) -> Program:
        """Starts a program that says `listening … ADDRESS`; raises StartError where it does not."""
        process = _spawn(command, core)
        assert process.stdout is not None
        try:
            spoke = select.select([process.stdout], [], [], START_SECONDS)[0]
            words = process.stdout.readline().split() if spoke else []
        except BaseException:
            _kill(process)
            raise
        if words[:1] != ["listening"]:
            _kill(process)
            raise StartError(f"bench: {Path(command[0]).name} does not start")
        program = Program(process, words[-1])
        self._programs.append(program)
        return program

    def end(self, program: Program) -> None:
        """Ends one."""
        self._programs.remove(program)
        _kill(program.process)


class Gated:
    """A load client that has its connections and waits for the word."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def go(self) -> dict[str, Any]:
        """Measures; its report."""
        out, err = self._process.communicate("go\n", timeout=180)
        lines = out.strip().splitlines()
        if not lines:
            raise StartError(f"bench: the load client failed: {err[-300:].strip()}")
        report: dict[str, Any] = json.loads(lines[-1])
        return report


@contextmanager
def load(client: str, to: str, args: Sequence[str], core: int | None) -> Iterator[Gated]:
    """A load client, connected and warmed up."""
    process = _spawn([client, "--to", to, "--gated", "--timeout", "90", *args], core)
    assert process.stdout is not None
    try:
        ready = select.select([process.stdout], [], [], START_SECONDS)[0]
        said = process.stdout.readline().strip() if ready else ""
        if said != "ready":
            raise StartError(f"bench: the load client does not get ready: {said[:300] or 'it says nothing'}")
        yield Gated(process)
    finally:
        _kill(process)


def _spawn(command: Sequence[str], core: int | None) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE

    def prepare() -> None:
        # Ctrl-C is for the command, which then ends them; if it is killed, they go with it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})

    # Until the child has come to that, Ctrl-C would be its own, as a traceback.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=prepare)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its threads, from the scheduler's own nanoseconds; 0 where the system does not tell."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except OSError:
            continue
    return total / 1e9

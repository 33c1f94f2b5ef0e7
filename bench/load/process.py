"""Processes of a measurement: pinned, ended with their parent, and their own accounting of CPU and memory."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import resource
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bench.binaries import find

Json = dict[str, Any]
START_LIMIT = 20.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """A process did not start, or did not do what it was asked; the message holds its last words."""


def spawn(command: Sequence[str], core: int | None = None, **options: Any) -> subprocess.Popen[str]:
    """Starts a process on one core that dies with this one and may use as many descriptors as the hard limit allows."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if core is not None:
            os.sched_setaffinity(0, {core})

    return subprocess.Popen(command, text=True, preexec_fn=prepare, **options)


def first_line(process: subprocess.Popen[str], stream: IO[str], *, kill: bool = True) -> str:
    """The first line a process prints; raises Failed when it ends or stays silent, and by default kills it then."""
    spoke = bool(select.select([stream], [], [], START_LIMIT)[0])
    line = stream.readline().strip() if spoke else ""
    if not line:
        if kill:
            process.kill()
            process.wait()
        raise Failed(f"{_name(process)} {'ended' if spoke else 'stayed silent'} instead of saying where it listens")
    return line


def _name(process: subprocess.Popen[str]) -> str:
    """The program's name: results are published, and say nothing of the machine's folders."""
    return Path(process.args[0]).name


def free_port() -> int:
    """A port that was free a moment ago, for programs that cannot say which one they got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(port: int, process: subprocess.Popen[str], status: int = 200) -> None:
    """Returns once a request passes (some listen before they have routes); raises Failed when none does.

    A gateway that speaks TLS has another status for a request without it.
    """
    limit = time.monotonic() + START_LIMIT
    while time.monotonic() < limit and process.poll() is None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            client.request("GET", "/", headers={"Host": "bench.example"})
            if client.getresponse().status == status:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            client.close()
        select.select([], [], [], 0.02)  # no event tells when a foreign program is ready
    process.kill()
    process.communicate()
    raise Failed(f"{_name(process)} does not answer within {START_LIMIT:g} s")


class Origin:
    """A running fastgate-origin."""

    def __init__(self, core: int | None = None) -> None:
        self._core = core

    def __enter__(self) -> Self:
        command = [str(find("fastgate-origin")), "--port", "0", "--stop-with-stdin"]
        self._process = spawn(command, self._core, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.address = first_line(self._process, self._process.stdout).removeprefix("listening ")
        return self

    def stop(self) -> Json:
        """Ends it and returns its counters."""
        out, _ = self._process.communicate(timeout=10)
        counters: Json = json.loads(out)
        return counters

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def run_load(to: str, *args: str, timeout: float = 30, core: int | None = None) -> Json:
    """One run of fastgate-load; its report."""
    with Load(to, *args, timeout=timeout, core=core) as load:
        return load.finish()


class Load:
    """A running fastgate-load; with `--gated` or `--idle` it says `ready` first."""

    def __init__(self, to: str, *args: str, timeout: float = 30, core: int | None = None) -> None:
        command = [str(find("fastgate-load")), "--to", to, "--timeout", str(timeout), *args]
        pipe = subprocess.PIPE
        self._process = spawn(command, core, stdin=pipe, stdout=pipe, stderr=pipe)
        self._timeout = timeout
        self._said: str | None = None

    def __enter__(self) -> Self:
        return self

    def ready(self) -> bool:
        """Waits for the gate; False when the run failed before it."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], self._timeout + 10)[0]:
            raise Failed("the load client does not get ready")
        line = self._process.stdout.readline()
        if line.strip() == "ready":
            return True
        self._said = line
        return False

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def start(self) -> None:
        """Opens the gate."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def go(self) -> Json:
        """Opens the gate and waits for the report."""
        self.start()
        return self.finish()

    def finish(self) -> Json:
        """Waits for the report (an idle run ends with its stdin)."""
        try:
            out, err = self._process.communicate(timeout=2 * self._timeout + 10)
        except subprocess.TimeoutExpired:
            raise Failed("the load client does not end") from None
        lines = ((self._said or "") + out).strip().splitlines()
        if not lines:
            raise Failed(f"the load client failed: {err[-1000:]}")
        report: Json = json.loads(lines[-1])
        return report

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    pids = [pid]
    for one in pids:
        for task in Path(f"/proc/{one}/task").glob("*"):
            try:
                pids.extend(int(child) for child in (task / "children").read_text().split())
            except OSError:
                continue
    return pids


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants, threads included, from the scheduler's own nanoseconds."""
    total = 0
    for one in family(pid):
        for task in Path(f"/proc/{one}/task").glob("*"):
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def rss_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants."""
    total = 0
    for one in family(pid):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * resource.getpagesize()
        except OSError:
            continue
    return total

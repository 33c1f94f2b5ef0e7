"""Counts what a request costs a proxy: system calls (strace) and user instructions (callgrind).

Both are the difference of two runs that differ in nothing but the number of requests, so that start, warm-up and end
cancel. Unlike time they are the same on a busy machine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.binaries import Missing, find
from bench.load.process import Failed, family, first_line, run_load, spawn

DATA_CALLS = frozenset(
    [
        "read",
        "write",
        "readv",
        "writev",
        "recv",
        "send",
        "recvfrom",
        "sendto",
        "recvmsg",
        "sendmsg",
        "recvmmsg",
        "sendmmsg",
        "splice",
        "sendfile",
    ]
)
READS = frozenset(["read", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg"])
WAITS = frozenset(["epoll_wait", "epoll_pwait", "epoll_pwait2"])
_BEGUN = re.compile(r"^\d+ +(\w+)\(")
_END = re.compile(r"^\d+ +(?:<\.\.\. )?(read|readv|recv|recvfrom|recvmsg)(?:\(| resumed).*\) += 0$")
_AGAIN = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed).*= -1 EAGAIN\b")


@dataclass(frozen=True)
class Calls:
    """System calls of one request; a read that finds the end of a connection belongs to none and is left out."""

    by_name: dict[str, float]
    again: float

    @property
    def data(self) -> float:
        """Calls that move data."""
        return sum(count for name, count in self.by_name.items() if name in DATA_CALLS)

    @property
    def waits(self) -> float:
        """Waits for readiness."""
        return sum(count for name, count in self.by_name.items() if name in WAITS)

    @property
    def others(self) -> dict[str, float]:
        """Calls that neither move data nor wait.

        Fewer than one in ten requests are left out: the two runs may differ by a few connections to the origin.
        """
        known = DATA_CALLS | WAITS
        return {name: count for name, count in self.by_name.items() if name not in known and abs(count) >= 0.1}


@dataclass(frozen=True)
class Load:
    """What is asked of the proxy: connections, two run lengths, and further arguments of fastgate-load."""

    connections: int
    short: int
    long: int
    args: tuple[str, ...] = ()

    @property
    def difference(self) -> int:
        """Requests in which the two runs differ."""
        return self.long - self.short


def calls(command: Sequence[str], load: Load) -> Calls:
    """System calls a request of the proxy that `command` starts: it prints `listening … ADDRESS`, ends at SIGTERM."""
    _need("strace")
    counts: list[Counter[str]] = []
    with tempfile.TemporaryDirectory(prefix="fastgate-cost-") as directory:
        for requests in (load.short, load.long):
            trace = Path(directory) / f"trace-{requests}"
            with _proxy(["strace", "-f", "-qq", "-s", "0", "-o", str(trace), *command]) as address:
                _drive(address, load, requests)
            counts.append(_count(trace))
    short, long = counts
    each = {name: (long[name] - short[name]) / load.difference for name in sorted({*long, *short})}
    again = sum(each.pop(name) for name in list(each) if name.endswith(" EAGAIN") and name.split()[0] in READS)
    return Calls({name: count for name, count in each.items() if not name.endswith(" EAGAIN")}, again)


def instructions(command: Sequence[str], load: Load) -> float:
    """User instructions a request of the proxy that `command` starts (as `calls`)."""
    _need("valgrind")
    totals: list[int] = []
    with tempfile.TemporaryDirectory(prefix="fastgate-cost-") as directory:
        for requests in (load.short, load.long):
            out = Path(directory) / f"callgrind-{requests}"
            with _proxy(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", *command]) as address:
                _drive(address, load, requests)
            # One part a thread that ended early, and one for the rest: all of them count.
            found = [
                int(n)
                for part in Path(directory).glob(f"{out.name}*")
                for n in re.findall(r"^totals: (\d+)", part.read_text(), re.M)
            ]
            if not found:
                raise RuntimeError(f"callgrind left no totals for {command[0]}")
            totals.append(sum(found))
    return (totals[1] - totals[0]) / load.difference


def _need(tool: str) -> None:
    if not shutil.which(tool):
        raise Missing(f"{tool} is not installed")


def _drive(address: str, load: Load, requests: int) -> None:
    report = run_load(
        address, "--connections", str(load.connections), "--requests", str(requests), *load.args, timeout=60
    )
    if report["errors"] or report["requests"] != requests:
        raise RuntimeError(f"the load did not pass: {report}")


@contextmanager
def _proxy(command: Sequence[str]) -> Iterator[str]:
    """Runs a wrapped proxy; the wrapper ends when the proxy under it has ended at SIGTERM."""
    with tempfile.TemporaryFile("w+") as err:
        process = spawn(command, stdout=subprocess.PIPE, stderr=err)
        try:
            assert process.stdout is not None
            try:
                address = first_line(process, process.stdout, kill=False).split()[-1]
            except Failed as failed:
                err.seek(0)
                raise RuntimeError(f"{failed} {err.read()[-2000:]}") from None
            yield address
            os.kill(family(process.pid)[-1], signal.SIGTERM)  # the traced one; valgrind runs the program in its own
            process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                for pid in reversed(family(process.pid)):  # a traced process would outlive its tracer
                    os.kill(pid, signal.SIGKILL)
                process.communicate()


def _count(trace: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    with trace.open(errors="replace") as lines:
        for line in lines:
            if begun := _BEGUN.match(line):
                counts[begun[1]] += 1
            if end := _END.match(line):
                counts[end[1]] -= 1
            if again := _AGAIN.match(line):
                counts[f"{again[1]} EAGAIN"] += 1
    return counts


def floor(origin_address: str) -> list[str]:
    """The command of the floor proxy."""
    return [str(find("fastgate-floor")), "--to", origin_address]

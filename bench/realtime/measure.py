"""What the machine tells of a server: its CPU, split into user and system, its memory, and the kernel's of sockets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from bench.load.process import cpu_seconds, family, rss_bytes

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cpu:
    """CPU time so far, in seconds. The sum is the scheduler's, the share of user code that of the clock's ticks."""

    total: float
    user: float
    system: float

    def since(self, before: Cpu) -> Cpu:
        """What came after an earlier reading."""
        return Cpu(self.total - before.total, self.user - before.user, self.system - before.system)

    @property
    def user_share(self) -> float:
        """The part of user code; 0 where nothing ran."""
        ticks = self.user + self.system
        return self.user / ticks if ticks else 0.0


def cpu(pid: int) -> Cpu:
    """Of a process and its descendants."""
    user = system = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        user += int(fields[11])
        system += int(fields[12])
    return Cpu(cpu_seconds(pid), user / TICKS, system / TICKS)


def kernel_bytes() -> int:
    """Memory of the kernel that grows with sockets: its slabs and the pages of TCP buffers.

    Sockets in TIME_WAIT are left out where that can be told (by root): they are those of the measurement before.
    """
    slab = re.search(r"^Slab:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    pages = re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    return (int(slab[1]) * 1024 if slab else 0) + (int(pages[1]) * PAGE if pages else 0) - _time_wait_bytes()


def _time_wait_bytes() -> int:
    try:
        slabs = Path("/proc/slabinfo").read_text()
    except OSError:
        return 0
    found = re.search(r"^tw_sock_TCP\s+\d+\s+(\d+)\s+(\d+)", slabs, re.MULTILINE)
    return int(found[1]) * int(found[2]) if found else 0


__all__ = ["Cpu", "cpu", "kernel_bytes", "rss_bytes"]

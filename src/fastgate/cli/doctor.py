"""`fastgate doctor`: what this machine allows a gateway, what connections cost here, and what to change."""

from __future__ import annotations

import json
import os
import platform
import resource
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fastgate.cli.paint import GREEN, RED, YELLOW, bytes_, colours, count, paint

State = Literal["ok", "note", "bad"]
# What one connection costs beside its descriptor (bench/results): an idle HTTP connection of the gateway, and the two
# socket buffers the kernel keeps for it while nothing is in them.
CONNECTION_BYTES, KERNEL_BYTES = 1300, 3000
_MARKS = {"ok": ("ok  ", GREEN), "note": ("note", YELLOW), "bad": ("BAD ", RED)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the machine: what it is, whether it is good, and what to do where it is not."""

    name: str
    state: State
    value: str
    advice: str = ""


def doctor(*, form: str, root: Path = Path("/")) -> int:
    """Prints what it finds; returns 1 where something keeps a gateway from running well. `root` holds proc and sys."""
    findings = list(examine(root))
    bad = any(one.state == "bad" for one in findings)
    if form == "json":
        print(json.dumps({"ok": not bad, "findings": [asdict(one) for one in findings]}, indent=2, ensure_ascii=False))
        return int(bad)
    on = colours()
    width = max(len(one.name) for one in findings)
    for one in findings:
        mark, colour = _MARKS[one.state]
        print(f"{paint(mark, colour, on)}  {one.name:<{width}}  {one.value}")
        if one.advice:
            print(f"{'':{width + 8}}{one.advice}")
    return int(bad)


def examine(root: Path = Path("/")) -> Iterator[Finding]:
    """Everything there is to say, the machine first."""
    yield Finding(
        "system",
        "ok",
        f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}",
    )
    yield _engine()
    cpus = _cpus(root)
    yield cpus
    memory, available = _memory(root)
    yield memory
    descriptors, hard = _descriptors(root)
    yield descriptors
    yield _connections(hard, available)
    if sys.platform == "linux":
        from fastgate.cli import doctor_cost, doctor_network

        if root == Path("/"):
            yield doctor_cost.websocket(available)
        yield doctor_network.tables(hard)
        yield doctor_network.buffers(root)
        yield doctor_network.memory(root)
        yield doctor_network.tracked(root)
        yield _backlog(root)
        yield _ports(root)
        yield _huge_pages(root)
        yield _overcommit(root)
    yield _reuse_port()
    yield _control()


def text_of(path: Path) -> str | None:
    """The content of a file of the kernel's; None where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _engine() -> Finding:
    try:
        from fastgate import __version__
        from fastgate.primitives import parse_request

        parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    except Exception as error:
        return Finding(
            "engine",
            "bad",
            f"{type(error).__name__}: {error}",
            "install a wheel built for this Python, or build it anew",
        )
    return Finding("engine", "ok", f"fastgate {__version__}")


def _cpus(root: Path) -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    value = f"{usable} for this process" + (f" of {total}" if (total := os.cpu_count() or usable) != usable else "")
    quota = cpu_quota(root)
    if quota is None:
        return Finding("CPUs", "ok", f"{value}; as many workers, unless the config says otherwise")
    value += f", the cgroup allows {quota:g}"
    if quota < usable:
        workers = max(1, round(quota))
        return Finding(
            "CPUs",
            "note",
            value,
            f"more workers than CPU time are throttled together, which shows as pauses: set `workers: {workers}`",
        )
    return Finding("CPUs", "ok", value)


def cpu_quota(root: Path) -> float | None:
    """CPUs that the cgroup allows (v2, then v1); None: no limit."""
    two = text_of(root / "sys/fs/cgroup/cpu.max")
    if two is not None:
        quota, _, period = two.partition(" ")
        return None if quota == "max" else int(quota) / int(period or 100_000)
    quota_one = text_of(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period_one = text_of(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota_one is None or period_one is None or int(quota_one) <= 0:
        return None
    return int(quota_one) / int(period_one)


def _memory(root: Path) -> tuple[Finding, int]:
    """What there is, and the bytes a gateway may count on."""
    lines = (text_of(root / "proc/meminfo") or "").splitlines()
    known = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest.split()
    }
    total, free = known.get("MemTotal", 0), known.get("MemAvailable", 0)
    limit = next(
        (
            int(text)
            for place in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
            if (text := text_of(root / place)) is not None and text.isdecimal() and int(text) < 1 << 60
        ),
        None,
    )
    if not total:
        return Finding("memory", "note", "unknown on this system"), 0
    value = f"{bytes_(free)} available of {bytes_(total)}"
    room = free if limit is None else min(free, limit)
    if limit is not None:
        value += f", the cgroup allows {bytes_(limit)}"
    if room < 128 << 20:
        return Finding(
            "memory", "bad", value, "a gateway needs about 60 MiB at rest and as much again for a reload"
        ), room
    return Finding("memory", "ok", value), room


def _descriptors(root: Path) -> tuple[Finding, int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = int(text_of(root / "proc/sys/fs/nr_open") or 1 << 20)
    limit = most if hard == resource.RLIM_INFINITY else hard
    shown = "no" if soft == resource.RLIM_INFINITY else count(soft)
    value = f"{count(limit)} at most ({shown} limit at start; the gateway raises it by itself)"
    if limit < 1024:
        return Finding(
            "descriptors", "bad", value, "raise the hard limit: LimitNOFILE= in a unit, --ulimit nofile= in a container"
        ), limit
    if limit < 65_536:
        advice = (
            "a proxied connection takes two; each worker gets a table of its own where one is too small for "
            "`max_connections`, or raise the hard limit (LimitNOFILE=, --ulimit nofile=)"
        )
        return Finding("descriptors", "note", value, advice), limit
    return Finding("descriptors", "ok", value), limit


def _connections(hard: int, available: int) -> Finding:
    """How many connections fit, and which bound comes first."""
    each = CONNECTION_BYTES + KERNEL_BYTES
    by_table = max(0, (hard - 64) // 2)
    value = f"about {bytes_(each)} each at rest ({bytes_(CONNECTION_BYTES)} in the gateway, the rest in the kernel)"
    value += ", 2 descriptors while proxied"
    if available:
        by_memory = available // 2 // each
        bound = "memory" if by_memory < by_table else "descriptors"
        value += f"; {count(min(by_table, by_memory))} fit at once with one table, bounded by {bound}"
    return Finding("a connection", "ok", value)


def _backlog(root: Path) -> Finding:
    value = int(text_of(root / "proc/sys/net/core/somaxconn") or 0)
    if value < 1024:
        return Finding(
            "accept queue",
            "note",
            f"net.core.somaxconn = {value}",
            "bursts of new connections are dropped: sysctl net.core.somaxconn=4096",
        )
    return Finding("accept queue", "ok", f"net.core.somaxconn = {value}")


def _ports(root: Path) -> Finding:
    text = text_of(root / "proc/sys/net/ipv4/ip_local_port_range")
    if text is None:
        return Finding("ports to targets", "note", "unknown")
    low, high = (int(part) for part in text.split())
    number = high - low + 1
    value = f"{count(number)} ({low} to {high}): connections to one address at once"
    if number < 10_000:
        return Finding(
            "ports to targets",
            "note",
            value,
            "sysctl net.ipv4.ip_local_port_range='1024 65535', or several target addresses",
        )
    return Finding("ports to targets", "ok", value)


def _huge_pages(root: Path) -> Finding:
    text = text_of(root / "sys/kernel/mm/transparent_hugepage/enabled")
    if text is None:
        return Finding("huge pages", "ok", "no transparent ones")
    chosen = text.partition("[")[2].partition("]")[0] or text
    if chosen == "always":
        return Finding(
            "huge pages",
            "note",
            "transparent: always",
            "resident memory may be up to 2 MiB larger a mapping; `madvise` keeps it smaller",
        )
    return Finding("huge pages", "ok", f"transparent: {chosen}")


def _overcommit(root: Path) -> Finding:
    if text_of(root / "proc/sys/vm/overcommit_memory") == "2":
        return Finding(
            "overcommit",
            "note",
            "vm.overcommit_memory = 2",
            "a reload starts a second process: leave room for it in the commit limit",
        )
    return Finding("overcommit", "ok", "allowed")


def _reuse_port() -> Finding:
    """Tried, not guessed: two listeners on one port, which is how workers share it."""
    first, second = socket.socket(), socket.socket()
    try:
        for one in (first, second):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.bind(("127.0.0.1", 0))
        second.bind(first.getsockname())
        return Finding("SO_REUSEPORT", "ok", "works: each worker has a listener of its own")
    except (OSError, AttributeError) as error:
        return Finding("SO_REUSEPORT", "bad", f"does not work: {error}", "the workers cannot share a port here")
    finally:
        first.close()
        second.close()


def _control() -> Finding:
    from fastgate.runtime.control_path import default_path

    path = default_path()
    folder = next(one for one in path.parents if one.exists())
    if not os.access(folder, os.W_OK):
        return Finding(
            "control socket",
            "note",
            f"{path} cannot be made",
            "set XDG_RUNTIME_DIR or FASTGATE_CONTROL to a folder of your own",
        )
    return Finding("control socket", "ok", str(path))

"""What the kernel's tables and buffers allow many connections: a part of `fastgate doctor`."""

from __future__ import annotations

from pathlib import Path

from fastgate.cli.doctor import Finding, text_of
from fastgate.cli.paint import bytes_, count

MANY = 100_000
"""The connections that are reckoned with."""
RESERVE = 512
"""Descriptors of a table that the engine keeps for everything but connections."""
PAGE = 4096
SEND_BUFFER_CAP = 1 << 20
"""A send buffer beyond it is noted: what a client does not read would fill it before its queue fills."""
SOCKET_BYTES = 4_096
"""What the kernel keeps for an idle socket, measured: 3.7 to 4.9 KB."""


def workers_for(connections: int, limit: int) -> int:
    """Workers with tables of their own that so many connections take, 0 where one table holds them."""
    room = max(limit - RESERVE, limit // 2, 1)
    each = max(room // 8 * 7, 1)
    return 0 if connections <= room else -(-connections // each)


def tables(limit: int) -> Finding:
    """How many workers with descriptor tables of their own many WebSockets would take."""
    workers = workers_for(MANY, limit)
    if not workers:
        return Finding("descriptor tables", "ok", f"one holds {count(MANY)} WebSockets")
    value = f"{count(MANY)} WebSockets take {workers} workers, each with a table of its own of {count(limit)}"
    if workers > 64:
        advice = "raise the hard limit of descriptors: so many workers cost more than they serve"
        return Finding("descriptor tables", "note", value, advice)
    return Finding("descriptor tables", "ok", f"{value}: `limits.max_connections` says so, the gateway does the rest")


def _numbers(root: Path, name: str) -> list[int]:
    return [int(part) for part in (text_of(root / "proc/sys" / name) or "").split() if part.isdecimal()]


def buffers(root: Path) -> Finding:
    """What the kernel holds for a client that does not read, before the gateway's own queue begins to fill."""
    send, receive = _numbers(root, "net/ipv4/tcp_wmem"), _numbers(root, "net/ipv4/tcp_rmem")
    if len(send) != 3 or len(receive) != 3:
        return Finding("socket buffers", "note", "unknown")
    value = f"up to {bytes_(send[2])} to send and {bytes_(receive[2])} received for each connection"
    if send[2] > SEND_BUFFER_CAP:
        return Finding(
            "socket buffers",
            "note",
            value,
            f"a client that does not read may hold {bytes_(send[2])} in the kernel before it counts as slow: "
            "sysctl net.ipv4.tcp_wmem='4096 16384 262144' where there are many",
        )
    return Finding("socket buffers", "ok", value)


def memory(root: Path) -> Finding:
    """The memory of all sockets together, and how many clients that do not read fill it."""
    pages, send = _numbers(root, "net/ipv4/tcp_mem"), _numbers(root, "net/ipv4/tcp_wmem")
    if len(pages) != 3 or len(send) != 3:
        return Finding("socket memory", "note", "unknown")
    most = pages[2] * PAGE
    stalled = most // max(send[2], 1)
    value = f"{bytes_(most)} for all sockets; {count(stalled)} clients that do not read can fill it"
    if most < MANY * SOCKET_BYTES:
        advice = f"too little for {count(MANY)} connections: raise net.ipv4.tcp_mem (pages of {PAGE})"
        return Finding("socket memory", "note", value, advice)
    if stalled < 1_000:
        advice = "beyond it the kernel drops what arrives: lower the last figure of net.ipv4.tcp_wmem, or raise tcp_mem"
        return Finding("socket memory", "note", value, advice)
    return Finding("socket memory", "ok", value)


def tracked(root: Path) -> Finding:
    """Whether the firewall remembers connections, and how many."""
    most = _numbers(root, "net/netfilter/nf_conntrack_max")
    if not most:
        return Finding("connection tracking", "ok", "off")
    used = _numbers(root, "net/netfilter/nf_conntrack_count") or [0]
    value = f"{count(used[0])} of {count(most[0])} entries in use"
    if most[0] < 2 * MANY:
        return Finding(
            "connection tracking",
            "note",
            value,
            f"new connections are dropped where it is full: sysctl net.netfilter.nf_conntrack_max={2 * MANY}",
        )
    return Finding("connection tracking", "ok", value)

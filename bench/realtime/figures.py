"""The figures of the page: where each stands in a result, how it is written, and what it must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
ORDER = ("floor", "fastgate", "uwebsockets", "nchan", "redis")
Hubs = dict[str, Json]
"""The medians of one case by hub."""


@dataclass(frozen=True)
class Figure:
    """One row: `key` of `case`, times `scale`; `reached` judges fastgate by all that ran, None: it cannot be told."""

    title: str
    case: str
    key: str
    unit: str
    goal: str = ""
    reached: Callable[[Hubs], bool | None] = lambda _: None
    scale: float = 1.0

    def verdict(self, hubs: Hubs) -> bool | None:
        """Whether fastgate reached the goal; never with publications lost, doubled or wrong."""
        said = self.reached(hubs)
        return False if said and hubs["fastgate"]["errors"] else said

    def value(self, hubs: Hubs, name: str) -> float | None:
        """The figure of one hub."""
        found = hubs.get(name, {}).get(self.key)
        return None if found is None else found * self.scale


def _at_most(key: str, limit: float) -> Callable[[Hubs], bool | None]:
    def judge(hubs: Hubs) -> bool | None:
        found = hubs.get("fastgate", {}).get(key)
        return None if found is None else bool(found <= limit)

    return judge


def _ratio(key: str, peer: str, limit: float) -> Callable[[Hubs], bool | None]:
    def judge(hubs: Hubs) -> bool | None:
        found, other = hubs.get("fastgate", {}).get(key), hubs.get(peer, {}).get(key)
        return None if found is None or not other else bool(found <= limit * other)

    return judge


def _over(key: str, peer: str, more: float) -> Callable[[Hubs], bool | None]:
    def judge(hubs: Hubs) -> bool | None:
        found, other = hubs.get("fastgate", {}).get(key), hubs.get(peer, {}).get(key)
        return None if found is None or other is None else bool(found <= other + more)

    return judge


def _all(*judges: Callable[[Hubs], bool | None]) -> Callable[[Hubs], bool | None]:
    def judge(hubs: Hubs) -> bool | None:
        said = [one(hubs) for one in judges]
        return False if False in said else None if None in said else True

    return judge


def _told(hubs: Hubs) -> bool | None:
    found = hubs.get("fastgate", {})
    return None if "silent" not in found else found["silent"] == 0 and found["grown_mb"] <= 20 * 1.05 + 2


UWS = "uwebsockets"
FIGURES = (
    Figure("held for ten minutes: lost", "hold", "lost", "connections", "0", _at_most("lost", 0)),
    Figure("held for ten minutes: CPU", "hold", "cores", "cores", "<= 0.3", _at_most("cores", 0.3)),
    Figure(
        "held for ten minutes: memory each", "hold", "memory_bytes", "B", "<= 1,024", _at_most("memory_bytes", 1024)
    ),
    Figure("idle memory each", "room", "memory_bytes", "B", "<= 1,024", _at_most("memory_bytes", 1024)),
    Figure("idle memory each, in the kernel, a side", "room", "kernel_bytes", "B"),
    Figure("idle memory each, all 100,000", "many", "memory_bytes", "B", "<= 1,024", _at_most("memory_bytes", 1024)),
    Figure("handshake, CPU", "room", "handshake_cpu_us", "µs", "<= 26", _at_most("handshake_cpu_us", 26)),
    Figure("handshake, p99 of 256 at once", "room", "handshake_p99_us", "ms", scale=1e-3),
    Figure(
        "fan-out to 10,000, CPU a delivery",
        "room",
        "fanout_cpu_us",
        "µs",
        "<= 0.95 x uWebSockets",
        _ratio("fanout_cpu_us", UWS, 0.95),
    ),
    Figure("fan-out to 10,000, complete after", "room", "fanout_complete_us", "ms", scale=1e-3),
    Figure(
        "bursts of 10, CPU a delivery",
        "room",
        "burst_cpu_us",
        "µs",
        "<= 1.0 x uWebSockets",
        _ratio("burst_cpu_us", UWS, 1.0),
    ),
    Figure(
        "rooms of 100, half load, p99",
        "rooms100",
        "p99_us",
        "ms",
        "<= 1.0 x uWebSockets",
        _ratio("p99_us", UWS, 1.0),
        1e-3,
    ),
    Figure("rooms of 100, half load, load of the core", "rooms100", "cores", "cores"),
    Figure(
        "rooms of 1,000, half load, p99",
        "rooms1000",
        "p99_us",
        "ms",
        "<= 1.0 x uWebSockets",
        _ratio("p99_us", UWS, 1.0),
        1e-3,
    ),
    Figure("rooms of 1,000, half load, load of the core", "rooms1000", "cores", "cores"),
    Figure(
        "one broadcast to 100,000, complete after",
        "many",
        "broadcast_seconds",
        "s",
        "<= 1.05 x floor",
        _ratio("broadcast_seconds", "floor", 1.05),
    ),
    Figure(
        "HTTP p99 on the same workers meanwhile",
        "many",
        "http_p99_us",
        "ms",
        "<= 5",
        _at_most("http_p99_us", 5_000),
        1e-3,
    ),
    Figure("HTTP p99 without a broadcast", "many", "quiet_http_p99_us", "ms", scale=1e-3),
    Figure(
        "through Redis at 20,000 a second, p99",
        "redis",
        "p99_us",
        "ms",
        "<= Redis itself + 0.4",
        _over("p99_us", "redis", 400),
        1e-3,
    ),
    Figure("through Redis, highest rate without loss", "redis-rate", "rate", "messages/s"),
    Figure(
        "20 of 200 stop reading: p99 of the others to that before",
        "slow",
        "p99_ratio",
        "x",
        "<= 1.2",
        _at_most("p99_ratio", 1.2),
    ),
    Figure("20 of 200 stop reading: memory grown", "slow", "grown_mb", "MB", "20 queues of 1 MiB, none silent", _told),
    Figure("20 of 200 stop reading: closed", "slow", "closed", "of 20"),
    Figure("20 of 200 stop reading: told what they lost", "slow", "told", "of 20"),
    Figure("20 of 200 stop reading: lost without a word", "slow", "silent", "of 20", "0", _at_most("silent", 0)),
    Figure(
        "all 100,000 come back, CPU each", "many", "reconnect_cpu_us", "µs", "<= 45", _at_most("reconnect_cpu_us", 45)
    ),
    Figure(
        "all 100,000 come back, after",
        "many",
        "reconnect_seconds",
        "s",
        "<= 1.5 x floor",
        _ratio("reconnect_seconds", "floor", 1.5),
    ),
)


def cell(value: float | None, hub: Json | None, unit: str) -> str:
    """A figure as it stands in a table; (!) where publications were lost, doubled or wrong."""
    if value is None:
        return "failed" if hub and hub["failed"] else ""
    wrong = " (!)" if hub and hub["errors"] else ""
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 20 else 2
    return f"{value:,.{digits}f} {unit}{wrong}"

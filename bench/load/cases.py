"""The cases: what is asked of every gateway, and what counts as the unit of its cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One row of the table. `kind`: `cpu` (closed loop), `latency` (open loop) or `idle` (memory)."""

    name: str
    title: str
    connections: int
    args: tuple[str, ...] = ()
    kind: str = "cpu"
    routes: int = 0
    unit: str = "request"
    tls: bool = False

    def load_args(self, seconds: float) -> list[str]:
        """Arguments of fastgate-load for one measurement of so many seconds."""
        base = ["--connections", str(self.connections), *self.args]
        return base if self.kind == "idle" else [*base, "--seconds", str(seconds), "--gated"]


def _routes(name: str, title: str, routes: int, paths: int) -> Case:
    return Case(name, title, 64, ("--path-pattern", "/r{i}/x", "--count", str(paths)), routes=routes)


CASES = {
    case.name: case
    for case in (
        Case("plain1", "128 B, 1 connection", 1),
        Case("plain64", "128 B, 64 connections", 64),
        Case("plain512", "128 B, 512 connections", 512),
        Case("16k", "16 KB, 64 connections", 64, ("--path", "/b/16384")),
        Case("64k", "64 KB, 64 connections", 64, ("--path", "/b/65536")),
        Case("10m", "10 MB, 8 connections", 8, ("--path", "/b/10485760")),
        Case("post1k", "POST 1 KB, 64 connections", 64, ("--path", "/b/128", "--body", "1024")),
        Case("chunked", "chunked answers of 1 KB, 64 connections", 64, ("--path", "/c/1024")),
        _routes("routes1", "one route, the paths of 10,000", 0, 10_000),
        _routes("routes600", "600 routes", 600, 600),
        _routes("routes10000", "10,000 routes", 10_000, 10_000),
        Case("tunnels", "WebSocket echo of 128 B, 64 connections", 64, ("--tunnel", "128"), unit="echo"),
        Case("latency", "128 B, 64 connections, 5,000 requests a second", 64, ("--rate", "5000"), kind="latency"),
        Case(
            "canary",
            "mixed sizes, every answer tagged",
            64,
            ("--tag", "--path", "/b/128", "--path", "/c/1000", "--path", "/b/16000"),
        ),
        Case("tls64", "TLS 1.3, 128 B, 64 connections", 64, tls=True),
        Case(
            "handshakes",
            "TLS 1.3, a handshake a request (ECDSA P-256), 16 connections",
            16,
            ("--header", "Connection: close"),
            unit="handshake",
            tls=True,
        ),
        Case("idle10000tls", "memory of 10,000 idle connections with TLS", 10_000, ("--idle",), kind="idle", tls=True),
        Case("idle10000", "memory of 10,000 idle connections", 10_000, ("--idle",), kind="idle"),
    )
}

"""`fastgate bench`: the gateway beside a proxy that only copies bytes, on this machine, as ratios with their spread."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import timeit
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastgate import _bin, config
from fastgate.cli.paint import BOLD, DIM, YELLOW, colours, micros, paint, table
from fastgate.cli.programs import Program, Started, cpu_seconds, load
from fastgate.errors import StartError

NOISY = 0.15
"""Ratios that lie further apart than this share of their median are said to be noisy."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load."""

    title: str
    routes: int
    args: tuple[str, ...]


CASES = (
    Case("128 B answers, 64 connections", 1, ("--connections", "64")),
    Case("600 routes, 64 connections", 600, ("--connections", "64", "--path-pattern", "/r{i}/x", "--count", "600")),
    Case("64 KiB answers, 64 connections", 1, ("--connections", "64", "--path", "/b/65536")),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    cpu_us: float
    rate: float
    p50_us: float
    p99_us: float
    errors: int


@dataclass(frozen=True, slots=True)
class Row:
    """A case with all rounds of both."""

    title: str
    floor: Sequence[Sample]
    gateway: Sequence[Sample]

    def ratios(self, of: str) -> list[float]:
        """The gateway's figure over the floor's, round by round: what changes on the machine meets both."""
        pairs = zip(self.gateway, self.floor, strict=True)
        return [getattr(one, of) / getattr(floor, of) for one, floor in pairs if getattr(floor, of)]

    @property
    def errors(self) -> int:
        """Answers that were wrong or missing, both together."""
        return sum(sample.errors for sample in (*self.floor, *self.gateway))


def bench(*, rounds: int, seconds: float, form: str) -> int:
    """Measures and prints; returns 1 where an answer was wrong. Raises StartError where a program is missing."""
    programs = {name: _program(name) for name in _bin.NAMES}
    core, other = _cores()
    say = _Progress(len(CASES) * rounds * 2)
    rows = []
    with tempfile.TemporaryDirectory(prefix="fastgate-bench-") as folder, Started() as started:
        origin = started.listening([programs["fastgate-origin"], "--port", "0"], other)
        for number, case in enumerate(CASES):
            file = Path(folder) / f"snapshot{number}.json"
            file.write_bytes(_snapshot(case.routes, origin.address))
            floor = started.listening([programs["fastgate-floor"], "--to", origin.address], core)
            gateway = started.listening([programs["fastgate-engine"], str(file)], core)
            both: tuple[list[Sample], list[Sample]] = ([], [])
            for turn in range(rounds):
                # The order turns, so that nobody always comes second.
                for which in (turn % 2, 1 - turn % 2):
                    say(f"{case.title}, round {turn + 1} of {rounds}: {('floor', 'fastgate')[which]}")
                    both[which].append(
                        _sample((floor, gateway)[which], programs["fastgate-load"], case, seconds, other)
                    )
            rows.append(Row(case.title, *both))
            for one in (floor, gateway):
                started.end(one)
    say.done()
    small = list(_parts())
    if form == "json":
        print(json.dumps(_json(rows, small, rounds, seconds, core == other), indent=2))
    else:
        print("\n".join(_text(rows, small, rounds, seconds, core == other)))
    return int(any(row.errors for row in rows))


def _program(name: str) -> str:
    found = _bin.find(name)
    if found is None:
        raise StartError(
            f"{name} is not part of this installation: wheels bring it, a checkout builds it with `make bins` "
            "(FASTGATE_BIN_DIR names another folder)"
        )
    return str(found)


def _cores() -> tuple[int | None, int | None]:
    """A core for what is measured, and one for load and origin; None where processes cannot be pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


def _snapshot(routes: int, origin: str) -> bytes:
    """What `fastgate run` would run: one worker, so many routes to the origin."""
    named: dict[str, Any] = {f"r{i}": {"match": {"prefix": f"/r{i}"}, "service": "origin"} for i in range(routes - 1)}
    whole = {
        "workers": 1,
        "listeners": {"bench": {"bind": "127.0.0.1:0"}},
        "services": {"origin": {"targets": [f"http://{origin}"], "pool": {"max_per_target": 4096}}},
        "routes": named | {"all": {"match": {"prefix": "/"}, "service": "origin"}},
        "admin": False,
        "metrics": False,
    }
    loaded = config.from_mapping(whole, "bench")
    return config.compile(loaded).data


def _sample(running: Program, client: str, case: Case, seconds: float, core: int | None) -> Sample:
    with load(client, running.address, [*case.args, "--seconds", str(seconds)], core) as gated:
        before = cpu_seconds(running.pid)
        report = gated.go()
        used = cpu_seconds(running.pid) - before
    done = report["requests"]
    if not done:
        raise StartError(f"bench: {case.title}: not one answer passed: {report['faults']}")
    latency = report["latency_us"]
    return Sample(used * 1e6 / done, report["rate"], latency["p50"], latency["p99"], report["errors"])


def _parts() -> Iterator[tuple[str, float]]:
    """Parts alone, in microseconds a call from Python: the best of five, as noise only ever adds."""
    from fastgate.primitives import Router, parse_request

    head = b"GET /api/projects/7?page=2 HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"
    router = Router([(f"/api/r{i}/{{id}}", i) for i in range(1000)])
    for title, call in (
        ("parse a request head", lambda: parse_request(head)),
        ("find one of 1,000 routes", lambda: router.match("GET", "/api/r777/42")),
    ):
        number = 20_000
        yield title, min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6


class _Progress:
    """One line that is written over, on a terminal only."""

    def __init__(self, steps: int) -> None:
        self._on = sys.stderr.isatty()
        self._steps, self._step = steps, 0

    def __call__(self, text: str) -> None:
        self._step += 1
        if self._on:
            print(f"\r\x1b[K[{self._step}/{self._steps}] {text}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Takes the line away."""
        if self._on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _median(row: Sequence[Sample], of: str) -> float:
    return float(statistics.median(getattr(sample, of) for sample in row))


def _measure(rows: Sequence[Row]) -> str:
    """CPU time where the system tells it by process, else the rate."""
    return "cpu_us" if all(sample.cpu_us for row in rows for sample in row.floor) else "rate"


def _text(
    rows: Sequence[Row], small: Sequence[tuple[str, float]], rounds: int, seconds: float, shared: bool
) -> Iterator[str]:
    on = colours()
    of = _measure(rows)
    shown = [["", "CPU/REQUEST", "FLOOR", "RATIO", "RANGE", "RATE", "P50", "P99"]]
    for row in rows:
        ratios = row.ratios(of)
        shown.append(
            [
                row.title,
                micros2(_median(row.gateway, "cpu_us")),
                micros2(_median(row.floor, "cpu_us")),
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f}-{max(ratios):.2f}",
                f"{_median(row.gateway, 'rate'):,.0f}/s",
                micros(_median(row.gateway, "p50_us")),
                micros(_median(row.gateway, "p99_us")),
            ]
        )
    head, *lines = table(shown, right=frozenset(range(1, 8)))
    yield paint(head, BOLD, on)
    yield from lines
    yield ""
    yield from table([[title, f"{value:.2f} µs from Python"] for title, value in small])
    yield ""
    what = "CPU time a request" if of == "cpu_us" else "requests a second"
    yield "The floor is a proxy that copies bytes and understands nothing."
    yield f"Ratios compare {what}: the median of {rounds}"
    yield f"rounds of {seconds:g} s in turn, one worker on one core, load and origin on another."
    for line in notes(rows, of, shared):
        yield paint(line, YELLOW, on)
    if not _release():
        yield paint("The programs are debug builds: these figures say nothing about a release.", DIM, on)


def notes(rows: Sequence[Row], of: str, shared: bool) -> Iterator[str]:
    """What makes the figures worth less."""
    for row in rows:
        ratios = row.ratios(of)
        middle = statistics.median(ratios)
        if (max(ratios) - min(ratios)) / middle > NOISY:
            yield f"Noisy: {row.title}: the ratios lie {100 * (max(ratios) - min(ratios)) / middle:.0f} % apart."
        if row.errors:
            yield f"WRONG ANSWERS: {row.title}: {row.errors}"
    if shared:
        yield "Only one core: load, origin and gateway share it, so rates and latency are too bad; the ratio holds."
    busy, cpus = os.getloadavg()[0], os.cpu_count() or 1
    if busy > cpus + 1:
        yield f"This machine is busy: load average {busy:.1f} on {cpus} CPUs."


def micros2(value: float) -> str:
    """Microseconds with two places, as ratios of them matter."""
    return f"{value:.2f} µs" if value else "-"


def _release() -> bool:
    found = _bin.find("fastgate-engine")
    return found is None or found.parent.name != "debug"


def _json(
    rows: Sequence[Row], small: Sequence[tuple[str, float]], rounds: int, seconds: float, shared: bool
) -> dict[str, Any]:
    of = _measure(rows)
    return {
        "rounds": rounds,
        "seconds": seconds,
        "measure": of,
        "release": _release(),
        "notes": list(notes(rows, of, shared)),
        "cases": [
            {
                "title": row.title,
                "ratio": statistics.median(row.ratios(of)),
                "ratios": row.ratios(of),
                "errors": row.errors,
                "floor": [asdict(sample) for sample in row.floor],
                "fastgate": [asdict(sample) for sample in row.gateway],
            }
            for row in rows
        ],
        "parts_us": dict(small),
    }

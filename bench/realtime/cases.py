"""The cases: what each hub is put through, and the figures (floats) that come of it."""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load.gateways import Running
from bench.load.process import Failed, Load
from bench.realtime.client import Subscribers
from bench.realtime.measure import cpu, kernel_bytes, rss_bytes
from bench.realtime.servers import DROPPING, HUBS, Hub, Redis, Setup, tables_of

Json = dict[str, Any]
ROOM = "/r/{room}"


@dataclass(frozen=True)
class Options:
    """How a run goes. Sizes are those of the published figures; tests take smaller ones."""

    server_core: int | None
    load_core: int | None
    members: int = 10_000
    many: int = 100_000
    half: int = 25_000
    """Deliveries a second that are half of what one core of the best hub can do."""
    seconds: float = 3.0
    """Length of one measurement at a fixed rate."""
    hold: float = 600.0
    repeats: int = 5
    """Of what is repeated on the same 100,000 connections."""
    at_once: int = 256
    storm: int = 1_000
    """Handshakes at once when all come back."""


@dataclass(frozen=True)
class Standing:
    """A hub that runs and its subscribers."""

    hub: Running
    them: Subscribers
    options: Options

    @property
    def pid(self) -> int:
        """The hub's process."""
        return self.hub.process.pid

    def open(self, count: int, *, at_once: int | None = None, anew: bool = False) -> Json:
        """Connects so many and counts what that cost the hub."""
        before = cpu(self.pid)
        answer = self.them.ask(
            "reopen" if anew else "open", count=count, at_once=at_once or self.options.at_once, seconds=240, limit=300
        )
        used = cpu(self.pid).since(before)
        opened = max(1, answer["opened"])
        return {
            "cpu_us": used.total * 1e6 / opened,
            "user_share": used.user_share,
            "p99_us": float(answer["handshake_us"]["p99"]),
            "seconds": float(answer["seconds"]),
        }

    def publish(self, messages: int, **fields: float) -> tuple[Json, Json]:
        """Publishes; the client's answer, and what a delivery cost the hub."""
        before, mine = cpu(self.pid), cpu(self.them.pid)
        answer = self.them.ask("publish", messages=messages, **fields)
        used, mine = cpu(self.pid).since(before), cpu(self.them.pid).since(mine)
        if not answer["delivered"]:
            raise Failed(f"not one publication arrived: {answer['faults']}")
        return answer, {
            "cpu_us": used.total * 1e6 / max(1, answer["delivered"]),
            "user_share": used.user_share,
            "cores": used.total / max(answer["delivery_seconds"], 1e-6),
            "client_cores": mine.total / max(answer["delivery_seconds"], 1e-6),
            "p50_us": float(answer["latency_us"]["p50"]),
            "p99_us": float(answer["latency_us"]["p99"]),
        }

    def failures(self) -> Json:
        """What every sample ends with."""
        return {"errors": self.them.errors, "faults": self.them.faults}


@contextlib.contextmanager
def standing(
    hub: Hub,
    options: Options,
    *args: str,
    connections: int,
    rooms: int = 1,
    publish: tuple[str, ...] | None = None,
    redis: int | None = None,
) -> Iterator[Standing]:
    """Starts a hub and a client for so many subscribers; ends both."""
    with tempfile.TemporaryDirectory(prefix="fastgate-bench-") as directory:
        Path(directory).chmod(0o755)  # workers of nginx may run as another user
        setup = Setup(Path(directory), options.server_core, connections, rooms, redis)
        running = hub.start(setup)
        try:
            given = ["--path", ROOM, "--rooms", str(rooms), "--threads", str(tables_of(connections)), *args]
            given += hub.publish if publish is None else publish
            with Subscribers(running.address, *given, core=options.load_core) as them:
                yield Standing(running, them, options)
        finally:
            running.stop()


def _prefixed(prefix: str, figures: Json) -> Json:
    return {f"{prefix}_{key}": value for key, value in figures.items()}


def _idle_rss(hub: Hub, options: Options) -> int | None:
    """Resident memory of our own build started for a hundred connections: no table may be sized in advance."""
    if hub.name != "fastgate":
        return None
    with tempfile.TemporaryDirectory(prefix="fastgate-bench-") as directory:
        running = hub.start(Setup(Path(directory), options.server_core, small=True))
        try:
            return rss_bytes(running.process.pid)
        finally:
            running.stop()


def _connect(hub: Hub, one: Standing, count: int) -> Json:
    """Opens all, counting CPU and memory."""
    base = _idle_rss(hub, one.options) or rss_bytes(one.pid)
    kernel = kernel_bytes()
    handshake = one.open(count)
    return _prefixed("handshake", handshake) | {
        "memory_bytes": (rss_bytes(one.pid) - base) / count,
        "kernel_bytes": (kernel_bytes() - kernel) / count / 2,
    }


def noticed(options: Options) -> tuple[int, int]:
    """Publications that a server left out, one of 1,000, and how many of them the client says are lost."""
    with standing(DROPPING, options, connections=1_001) as one:
        one.open(1_001)
        one.them.ask("publishers")
        answer = one.them.ask("publish", messages=20, rate=40, settle=0.5)
        return answer["expected"] - answer["delivered"], one.them.faults.get("lost", 0)


def room(hub: Hub, options: Options) -> Json:
    """One room: handshakes, memory, one message at a time, bursts of ten."""
    count = options.members
    with standing(hub, options, connections=count) as one:
        figures = _connect(hub, one, count)
        one.them.ask("publishers")
        one.publish(2)
        answer, single = one.publish(20)
        figures |= _prefixed("fanout", single) | {"fanout_complete_us": float(answer["complete_us"]["p50"])}
        figures |= _prefixed("burst", one.publish(100, burst=10)[1])
        return figures | one.failures()


def _latency(members: int) -> Callable[[Hub, Options], Json]:
    def measure(hub: Hub, options: Options) -> Json:
        rooms = max(1, options.members // members)
        rate = options.half / members
        with standing(hub, options, connections=options.members, rooms=rooms) as one:
            one.open(options.members)
            one.them.ask("publishers")
            one.publish(2 * rooms, rate=rate)
            answer, figures = one.publish(int(rate * options.seconds), rate=rate)
            figures["late_us"] = float(answer["late_us"])
            return figures | one.failures()

    measure.__doc__ = f"Rooms of {members} at half load: publish to receive."
    return measure


def slow(hub: Hub, options: Options) -> Json:
    """20 of 200 subscribers stop reading: how the others fare, what the hub keeps, what becomes of the 20."""
    size, rate, count = 12_000, 100, 200
    with standing(hub, options, "--size", str(size), connections=count) as one:
        one.open(count)
        one.them.ask("publishers")
        before = one.publish(200, rate=rate)[1]
        rss, kernel = rss_bytes(one.pid), kernel_bytes()
        one.them.ask("stall", count=20)
        during = one.publish(600, rate=rate)[1]
        grown, kernel = rss_bytes(one.pid) - rss, kernel_bytes() - kernel
        errors, faults = one.them.errors, dict(one.them.faults)
        fates = one.them.ask("resume")["slow"]
        figures = {
            "before_p99_us": before["p99_us"],
            "p99_us": during["p99_us"],
            "p99_ratio": during["p99_us"] / max(before["p99_us"], 1e-3),
            "grown_mb": grown / 1e6,
            "kernel_mb": kernel / 1e6,
        }
        return figures | {name: float(number) for name, number in fates.items()} | {"errors": errors, "faults": faults}


def many(hub: Hub, options: Options) -> Json:
    """100,000 in one room: one broadcast, HTTP beside it, and all of them coming back at once."""
    count = options.many
    with standing(hub, options, connections=count) as one:
        figures = _connect(hub, one, count)
        one.them.ask("publishers")
        one.publish(1, settle=30)
        figures |= {f"quiet_{key}": value for key, value in _beside(one, hub, 0).items()}
        figures |= _beside(one, hub, options.repeats)
        storms = [one.open(count, at_once=options.storm, anew=True) for _ in range(options.repeats)]
        for key in ("cpu_us", "seconds", "p99_us"):
            figures[f"reconnect_{key}"] = sorted(storm[key] for storm in storms)[len(storms) // 2]
        return figures | one.failures()


def _beside(one: Standing, hub: Hub, messages: int) -> Json:
    """Broadcasts, one at a time, while an HTTP client asks the same workers; without messages only the client."""
    if hub.name != "fastgate":  # the floor speaks no HTTP
        return _broadcast(*one.publish(messages, settle=30)) if messages else {}
    seconds = max(1.0, 0.5 * messages)  # a broadcast takes longer, so that none of it is quiet
    asked = ["--path", "/", "--expect-bytes", "any", "--connections", "8", "--rate", "200", "--gated"]
    with Load(one.hub.address, *asked, "--seconds", str(seconds), timeout=60, core=one.options.load_core) as load:
        _first(load)
        if not load.ready():
            return {}
        load.start()
        figures = _broadcast(*one.publish(messages, settle=30)) if messages else {}
        report = load.finish()
    return figures | {"http_p99_us": float(report["latency_us"]["p99"]), "http_errors": float(report["errors"])}


def _broadcast(answer: Json, figures: Json) -> Json:
    return _prefixed("broadcast", figures) | {
        "broadcast_seconds": answer["complete_us"]["p50"] / 1e6,
        "broadcast_p50_us": float(answer["latency_us"]["p50"]),
    }


def _first(load: Load) -> None:
    """Its answers are timed when they come, not when the subscribers on the same core leave it a turn."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(load.pid, os.SCHED_FIFO, os.sched_param(1))


def hold(hub: Hub, options: Options) -> Json:
    """100,000 held with heartbeats on; at the end each gets a message."""
    with standing(hub, options, connections=options.many) as one:
        figures = _connect(hub, one, options.many)
        before = cpu(one.pid)
        select.select([], [], [], options.hold)
        used = cpu(one.pid).since(before)
        answer = one.them.ask("count")
        one.them.ask("publishers")
        last = one.them.ask("publish", messages=1, settle=30)
        return {
            **figures,
            "cores": used.total / options.hold,
            "lost": float(options.many - answer["open"]),
            "pings": float(answer["pings"]),
            "reached": float(last["received"]),
            **one.failures(),
        }


REDIS_ROOMS = 200
REDIS_RATE = 20_000


def _redis_standing(hub: Hub | None, options: Options, redis: Redis) -> contextlib.AbstractContextManager[Standing]:
    """Subscribers of a hub that Redis feeds, or (no hub) one client of Redis in every room."""
    publish = ("--publish-redis", "room:{room}", "--publish-to", f"127.0.0.1:{redis.port}")
    if hub is not None:
        return standing(hub, options, connections=REDIS_ROOMS, rooms=REDIS_ROOMS, publish=publish, redis=redis.port)
    return _redis_alone(options, redis, publish)


@contextlib.contextmanager
def _redis_alone(options: Options, redis: Redis, publish: tuple[str, ...]) -> Iterator[Standing]:
    args = ["--rooms", str(REDIS_ROOMS), "--subscribe-redis", "room:{room}", *publish]
    address = f"127.0.0.1:{redis.port}"
    with Subscribers(address, *args, core=options.load_core) as them:
        yield Standing(Running(redis.process, address), them, options)


@contextlib.contextmanager
def _fed(hub: Hub, options: Options) -> Iterator[Standing]:
    redis = Redis(options.load_core)
    try:
        alone = hub.name == "redis"
        with _redis_standing(None if alone else hub, options, redis) as one:
            one.open(1 if alone else REDIS_ROOMS)
            one.them.ask("publishers")
            _until_subscribed(one)
            yield one
    finally:
        redis.stop()


def _until_subscribed(one: Standing) -> None:
    """Publishes until every room's message comes through: a hub subscribes to Redis when it has members, not before."""
    for _ in range(50):
        errors, faults = one.them.errors, dict(one.them.faults)
        if one.them.ask("publish", messages=REDIS_ROOMS, rate=5_000, settle=0.2)["whole"]:
            return
        one.them.errors, one.them.faults = errors, faults


def redis(hub: Hub, options: Options) -> Json:
    """Through Redis at 20,000 messages a second, 200 rooms of one member."""
    with _fed(hub, options) as one:
        one.publish(REDIS_RATE // 2, rate=REDIS_RATE)
        answer, figures = one.publish(int(REDIS_RATE * options.seconds), rate=REDIS_RATE)
        figures["rate"] = answer["published"] / max(answer["publish_seconds"], 1e-6)
        return figures | one.failures()


def redis_rate(hub: Hub, options: Options) -> Json:
    """The highest rate through Redis without loss: each step a quarter more, p99 within 100 ms, the rate kept."""
    with _fed(hub, options) as one:
        rate, best = float(REDIS_RATE), 0.0
        while rate < 2_000_000:
            answer = one.them.ask("publish", messages=int(rate), rate=rate, settle=2)
            kept = answer["published"] / max(answer["publish_seconds"], 1e-6)
            if answer["errors"] or not answer["whole"] or kept < 0.95 * rate or answer["latency_us"]["p99"] > 100_000:
                break
            best, rate = kept, rate * 1.25
        # What ended the search is no failure of the run.
        return {"rate": best, "errors": 0, "faults": {}}


@dataclass(frozen=True)
class Case:
    """One case: who takes part, and how often it is done (None: as asked)."""

    name: str
    title: str
    measure: Callable[[Hub, Options], Json]
    hubs: tuple[str, ...] = tuple(HUBS)
    rounds: int | None = None
    apart: bool = False
    """Only when it is asked for by name."""


CASES = {
    case.name: case
    for case in (
        Case("room", "one room of 10,000", room),
        Case("rooms100", "rooms of 100 at half load", _latency(100)),
        Case("rooms1000", "rooms of 1,000 at half load", _latency(1_000)),
        Case("slow", "20 of 200 stop reading", slow),
        Case("redis", "through Redis at 20,000 messages a second", redis, ("redis", "fastgate", "uwebsockets")),
        Case("redis-rate", "the highest rate through Redis", redis_rate, ("redis", "fastgate", "uwebsockets"), 1),
        Case("many", "100,000 in one room", many, ("floor", "fastgate"), 1),
        Case("hold", "100,000 held for ten minutes", hold, ("fastgate",), 1, apart=True),
    )
}

"""10,000 WebSockets on one gateway: every publication reaches every subscriber, at a cost near that of a C send loop.

The published figures come from `make bench-realtime`; limits here are loose, because anything may run beside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import Gateway

from bench.binaries import Missing, find
from bench.load.process import cpu_seconds, rss_bytes
from bench.realtime.client import Subscribers
from bench.realtime.servers import HUBS, Setup, hub_snapshot

Json = dict[str, Any]
MEMBERS = 10_000
PING_MS = 1_000
MESSAGES = 10
ROOMS = ("--path", "/r/{room}", "--publish-ws", "/r/{room}")


@pytest.fixture(scope="module", autouse=True)
def _built(engine: Path) -> None:
    try:
        find("fastgate-realtime")
        find("fastgate-hub-floor")
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    snap = hub_snapshot(MEMBERS, 2, ping_ms=PING_MS)
    with Gateway(snap) as running:
        yield running


def _delivery(pid: int, them: Subscribers, messages: int) -> float:
    """CPU seconds of a server for one delivery, one message at a time."""
    before = cpu_seconds(pid)
    answer = them.ask("publish", messages=messages, settle=30)
    assert (answer["received"], answer["errors"]) == (messages * MEMBERS, 0), answer
    return (cpu_seconds(pid) - before) / (messages * MEMBERS)


def _floor(directory: Path) -> float:
    floor = HUBS["floor"].start(Setup(directory, None))
    try:
        with Subscribers(floor.address, *ROOMS) as them:
            assert them.ask("open", count=MEMBERS)["opened"] == MEMBERS
            them.ask("publishers")
            return _delivery(floor.process.pid, them, MESSAGES)
    finally:
        floor.stop()


def test_10000_connections_hold_and_get_everything(gateway: Gateway, tmp_path: Path) -> None:
    pid = gateway.process.pid
    empty = rss_bytes(pid)
    with Subscribers(gateway.address, *ROOMS) as them:
        opened = them.ask("open", count=MEMBERS)
        assert (opened["opened"], opened["errors"]) == (MEMBERS, 0), opened
        assert (rss_bytes(pid) - empty) / MEMBERS < 4_096
        them.ask("publishers")
        one = _delivery(pid, them, MESSAGES)
        burst = them.ask("publish", messages=100, burst=10, settle=30)
        assert (burst["received"], burst["errors"]) == (100 * MEMBERS, 0), burst
        pings = burst["pings"]
        while pings < MEMBERS:  # heartbeats go on, and nobody is lost meanwhile
            answer = them.ask("publish", messages=2, rate=2, settle=30)
            assert (answer["received"], answer["errors"]) == (2 * MEMBERS, 0), answer
            pings += answer["pings"]
        again = them.ask("reopen", count=MEMBERS)
        assert (again["opened"], again["open"], again["errors"]) == (MEMBERS, MEMBERS, 0), again
        after = them.ask("publish", messages=3, settle=30)
        assert (after["received"], after["errors"]) == (3 * MEMBERS, 0), after
    assert one < 3 * _floor(tmp_path), "a delivery costs three times that of a C send loop"


def test_those_that_do_not_read_are_closed_and_harm_nobody(gateway: Gateway) -> None:
    with Subscribers(gateway.address, *ROOMS, "--size", "60000") as them:
        them.ask("open", count=50)
        them.ask("publishers")
        them.ask("stall", count=5)
        answer = them.ask("publish", messages=400, settle=30)
        assert (answer["received"], answer["errors"]) == (400 * 45, 0), answer
        slow = them.ask("resume")["slow"]
        assert slow == {"closed": 5, "complete": 0, "told": 0, "silent": 0}


def test_many_rooms_keep_their_order_apart(gateway: Gateway) -> None:
    with Subscribers(gateway.address, *ROOMS, "--rooms", "50") as them:
        them.ask("open", count=1_000)
        them.ask("publishers")
        answer = them.ask("publish", messages=5_000, rate=2_000, settle=30)
        assert (answer["received"], answer["errors"]) == (5_000 * 20, 0), answer

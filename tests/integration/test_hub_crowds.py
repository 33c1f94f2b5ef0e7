"""Many at once: order under concurrent publishers, storms of connections, coming and going, leaks, bad clients."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest
from harness import Gateway
from harness.client import Client, wait_for
from harness.crowd import Crowd, Member, publisher
from harness.requests import get, websocket
from harness.scrape import closes, measured, realtime, samples, value
from harness.websocket import CLOSE, PING, TEXT, WebSocket, endpoint, everything, masked, publishing

pytestmark = pytest.mark.usefixtures("engine")
Json = dict[str, Any]

ROOM = endpoint("rooms", "/r/{room}", "room:{room}")
PUB = endpoint("pub", "/pub/{room}", "room:{room}", publish=publishing(echo=False))
LEAK_CONNECTS = int(os.environ.get("FASTGATE_LEAK_CONNECTS", "3000"))


@pytest.mark.parametrize("private", [False, True], ids=["shared", "private"])
def test_one_order_for_all_under_concurrent_publishers(private: bool) -> None:
    """Whoever is there sees the same order; who comes later sees the rest of it; each publisher's own order holds."""
    publishers, each = 4, 150
    snap = measured(ROOM, PUB, workers=3, private_descriptors=private)
    with Gateway(snap) as gateway, Crowd(gateway.address, "/r/a", 20) as crowd, ExitStack() as stack:
        first = list(crowd.members)
        senders = [stack.enter_context(publisher(gateway.address, "/pub/a")) for _ in range(publishers)]
        late: list[Member] = []
        for half in range(2):
            for who, sender in enumerate(senders):
                frames = [masked(TEXT, b"[%d,%d]" % (who, half * each + n)) for n in range(each)]
                sender.client.send(b"".join(frames))
            if half == 0:
                late = crowd.join("/r/a", 10)
                crowd.read_joined(late)
        total = publishers * each * 2
        crowd.read(total, first)
        (order, *others) = (member.values for member in first)
        assert all(other == order for other in others)
        for who in range(publishers):
            assert [n for sender, n in order if sender == who] == list(range(each * 2))
        crowd.read_until(lambda: all(one.values[-1:] == order[-1:] for one in late), "the last one")
        for member in late:
            values = member.values
            assert values == order[len(order) - len(values) :], "the rest of the one order, without a gap"
        found = samples(gateway)
        assert realtime(found, "deliveries_total") >= total * len(first)
        assert sum(n for (name, _), n in found.items() if name == "fastgate_realtime_drops_total") == 0


def test_a_storm_of_connections_does_not_hold_up_those_who_are_there() -> None:
    storm = 400
    with Gateway(measured(ROOM, PUB)) as gateway, Crowd(gateway.address, "/r/a", 50) as crowd:
        there = list(crowd.members)
        with publisher(gateway.address, "/pub/a") as sender:
            fresh: list[Member] = []
            # Handshakes are under way, and none of their answers is read, while publications are delivered.
            for n in range(10):
                fresh += crowd.join("/r/b", storm // 10)
                sender.text(json.dumps({"n": n}))
                crowd.read(n + 1, there)
                with gateway.client() as client:
                    assert client.exchange(get(b"/")).status == 204
            crowd.read_joined(fresh)
        assert all(member.values == [{"n": n} for n in range(10)] for member in there)
        with publisher(gateway.address, "/pub/b") as sender:
            sender.text('"all"')
            crowd.read(1, fresh)
        assert all(member.values == ["all"] for member in fresh)
        found = samples(gateway)
        assert realtime(found, "connections_total", transport="websocket") == 50 + storm + 2


def test_beyond_the_most_connections_a_client_is_turned_away_and_those_who_are_there_stay() -> None:
    snap = measured(ROOM, PUB, process={"max_connections": 60})
    with Gateway(snap) as gateway, Crowd(gateway.address, "/r/a", 40) as crowd:
        there = list(crowd.members)
        fresh = crowd.join("/r/b", 60)
        crowd.read_until(lambda: all(member.status or member.ended for member in fresh), "answers")
        taken = Counter(member.status for member in fresh)
        assert taken[101] == 20
        assert set(taken) <= {101, 503, 0}
        for member in [*(one for one in fresh if one.status == 101)][:5]:
            crowd.leave(member)
        for member in [one for one in fresh if one.status != 101]:
            crowd.leave(member)

        def enters() -> bool:
            try:
                sender = publisher(gateway.address, "/pub/a")
            except AssertionError:
                return False
            with sender:
                sender.text('"still"')
                crowd.read(1, there)
            return True

        wait_for(enters, "a place")
        assert all(not member.ended for member in there)


@pytest.mark.parametrize("seed", [1, 2])
def test_coming_and_going_leaves_nothing_behind(seed: int) -> None:
    """Random joins, closes and resets over some rooms: who is in a room gets its publications, and nobody else."""
    dice = random.Random(seed)
    names = "abcdefgh"
    inside: dict[Member, set[str]] = {}
    both = endpoint("both", "/both/{x}/{y}", "room:{x}", "room:{y}")
    snap = measured(ROOM, PUB, both, workers=3)
    with Gateway(snap) as gateway, Crowd(gateway.address) as crowd, ExitStack() as stack:
        senders = {name: stack.enter_context(publisher(gateway.address, f"/pub/{name}")) for name in names}
        for step in range(60):
            for _ in range(10):
                if dice.random() < 0.6:
                    x, y = dice.choices(names, k=2)
                    several = dice.random() < 0.3
                    (member,) = crowd.join(f"/both/{x}/{y}" if several else f"/r/{x}", 1)
                    crowd.read_joined([member])
                    inside[member] = {x, y} if several else {x}
                elif inside:
                    member = dice.choice(list(inside))
                    del inside[member]
                    crowd.leave(member, reset=dice.random() < 0.5)
            name = dice.choice(names)
            expected = [(member, len(member.messages)) for member, rooms in inside.items() if name in rooms]
            others = [(member, len(member.messages)) for member, rooms in inside.items() if name not in rooms]
            wanted = {"room": name, "step": step}
            senders[name].text(json.dumps(wanted))

            def all_have_it(of: Any = expected, wanted: Json = wanted) -> bool:
                return all(member.values[n:] == [wanted] for member, n in of)

            crowd.read_until(all_have_it, f"step {step} in room {name}")
            assert all(len(member.messages) == n for member, n in others)
        here = len(inside)
        assert here > 30
        assert not any(member.ended for member in crowd.members)

        def counted() -> bool:
            return realtime(samples(gateway), "connections", transport="websocket") == here + len(senders)

        wait_for(counted, "those who left to be counted")
        for member in list(crowd.members):
            crowd.leave(member, reset=dice.random() < 0.5)
        stack.close()
        wait_for(lambda: realtime(samples(gateway), "connections", transport="websocket") == 0, "nobody to be there")
        found = samples(gateway)
        assert realtime(found, "channels") == realtime(found, "subscriptions") == realtime(found, "queued_bytes") == 0
        closes = sum(n for (name, _), n in found.items() if name == "fastgate_realtime_closes_total")
        assert closes == realtime(found, "connections_total", transport="websocket")


def test_connects_and_failed_upgrades_leave_no_memory_and_no_descriptor() -> None:
    """FASTGATE_LEAK_CONNECTS says how many; low points are compared, as in the leak test of requests."""
    listed = endpoint("listed", "/listed", "listed", origins="same")
    small = endpoint("small", "/small", "small", max_members=1)
    failing = [
        get(b"/r/a"),
        websocket(b"/listed", b"Origin: http://evil.example"),
        websocket(b"/r/a").replace(b"Version: 13", b"Version: 7"),
        websocket(b"/small"),
        websocket(b"/r/" + b"x" * 300),
        websocket(b"/r/a")[:60],
    ]
    with Gateway(measured(ROOM, listed, small)) as gateway, WebSocket(gateway.address, "/small"):

        def round_(count: int) -> None:
            for i in range(count):
                with Client(gateway.address) as client:
                    if i % 2:
                        client.send(failing[i // 2 % len(failing)])
                        if i // 2 % len(failing) != 5:
                            assert client.read().status in (400, 403, 426, 503)
                    else:
                        client.send(websocket(b"/r/%d" % (i % 300)))
                        assert client.read().status == 101
                        # Ends in turn: a close, half a frame, a reset, the end alone.
                        client.send((masked(CLOSE, b"\x03\xe8"), masked(TEXT, b"abc")[:5], b"", b"")[i // 2 % 4])
                        if i // 2 % 4 == 2:
                            client.reset()
            wait_for(lambda: gateway.stats()["connections"] == 1, "the connections to end")

        def low() -> int:
            points = []
            for _ in range(3):
                round_(LEAK_CONNECTS // 10)
                points.append(gateway.rss())
            return min(points)

        round_(LEAK_CONNECTS // 5)
        before, descriptors = low(), gateway.descriptors()
        round_(LEAK_CONNECTS // 5)
        after = low()
        assert after - before < 2 << 20, f"{(after - before) / LEAK_CONNECTS:.0f} bytes a connection stay"
        assert gateway.descriptors() <= descriptors + 2
        found = samples(gateway)
        assert realtime(found, "connections", transport="websocket") == realtime(found, "channels") == 1


def test_each_violation_is_counted_by_its_code() -> None:
    talk = endpoint("talk", "/t/{room}", "talk:{room}", publish=publishing(), max_message=1000)
    bad = {
        1002: [
            b"\x81\x01a",
            masked(3),
            masked(PING, b"x" * 126),
            masked(TEXT, b"1", reserved=2),
            masked(CLOSE, b"\x03"),
        ],
        1003: [masked(2, b"1")],
        1007: [masked(TEXT, b"\xff"), masked(TEXT, b"{")],
        1008: [],
        1009: [masked(TEXT, b"1" * 1001), b"\x81\xff" + (1 << 62).to_bytes(8) + b"mask"],
    }
    with Gateway(measured(talk, ROOM)) as gateway:
        for code, faults in bad.items():
            for fault in faults:
                with WebSocket(gateway.address, "/t/a") as one:
                    one.client.send(fault)
                    assert one.closing().code == code, fault[:20]
                    assert one.ended()
        with WebSocket(gateway.address, "/r/a") as one:
            assert one.text("1").closing().code == 1008

        def counted() -> bool:
            found = samples(gateway)
            return {code: closes(found, code) for code in bad} == {
                code: max(1, len(faults)) for code, faults in bad.items()
            }

        wait_for(counted, "every close in the metrics")


def test_a_claim_of_a_large_message_reserves_no_memory() -> None:
    """Heads that speak of the largest message there may be, and a few bytes of it, from many clients."""
    talk = endpoint("talk", "/t/{room}", "talk:{room}", publish=publishing(), max_message=16 << 20)
    with Gateway(measured(talk)) as gateway, Crowd(gateway.address, "/t/a", 200) as crowd:
        before = gateway.rss()
        for member in crowd.members:
            member.client.sock.sendall(b"\x81\xff" + (16 << 20).to_bytes(8) + b"mask" + b"x" * 100)
        with publisher(gateway.address, "/t/a") as one:
            one.text('"through"')
            crowd.read(1)
        assert gateway.rss() - before < 32 << 20, "claimed were 3.2 GB"


def test_half_a_handshake_has_its_time() -> None:
    with Gateway(measured(ROOM, PUB, process={"header_timeout_ms": 500})) as gateway, ExitStack() as stack:
        half = [stack.enter_context(Client(gateway.address)) for _ in range(50)]
        for client in half:
            client.send(websocket(b"/r/a")[:-10])
        with WebSocket(gateway.address, "/pub/a") as one, WebSocket(gateway.address, "/r/a") as other:
            one.text("1")
            assert other.message() == b"1"
            assert [client.final().status for client in half] == [408] * 50
            assert all(client.closed() for client in half)
            one.text("2")
            assert other.message() == b"2"
        found = samples(gateway)
        assert value(found, "fastgate_errors_total", reason="header_timeout", source="client") == 50


def test_who_never_answers_a_ping_is_ended_and_who_does_stays() -> None:
    snap = measured(ROOM, PUB, realtime={"ping_ms": 1_000, "pong_ms": 1_000})
    with Gateway(snap) as gateway, Crowd(gateway.address, "/r/a", 10) as crowd:
        dead = crowd.members[:5]
        # Who is not read does not answer; the others answer while the crowd is read.
        crowd.stop_reading(dead)
        crowd.read_until(lambda: closes(samples(gateway), 3012) == 5, "the dead to be found")
        crowd.read_again(dead)
        crowd.read_ends(dead)
        for member in dead:
            assert member.closing is not None
            assert (member.closing.code, member.closing.reason) == (3012, "no pong")
        assert not any(member.ended for member in crowd.members[5:])


def test_a_storm_is_slowed_by_the_accept_rate() -> None:
    """Beyond the rate connections wait where the kernel keeps them; nobody is refused."""
    snap = measured(ROOM, process={"accept_rate": 100}, listeners=[everything()])
    with Gateway(snap) as gateway, Crowd(gateway.address) as crowd:
        fresh = crowd.join("/r/a", 150)
        crowd.read_joined(fresh)
        assert realtime(samples(gateway), "connections", transport="websocket") == 150

"""The hub over time: slow subscribers, silent ones, event streams, the drain, reloads, and what is counted of it."""

from __future__ import annotations

import re
import signal

import pytest
from harness import Gateway
from harness.client import wait_for
from harness.requests import get
from harness.scrape import closes, measured, realtime, samples
from harness.websocket import CLOSE, PING, PONG, TEXT, WebSocket, endpoint, join, publishing

pytestmark = pytest.mark.usefixtures("engine")

BIG = '"' + "x" * 60_000 + '"'


def metric(gateway: Gateway, name: str, **labels: str) -> float:
    return realtime(samples(gateway), name, **labels)


def fill(sender: WebSocket, reader: WebSocket, rounds: int) -> None:
    """Messages that somebody who reads gets; in step, so that nothing waits for the reader."""
    for _ in range(rounds):
        sender.text(BIG)
        assert reader.message() == BIG.encode()


def test_a_slow_subscriber_is_disconnected_and_nobody_else_notices() -> None:
    slow = endpoint("slow", "/s", "s", publish=publishing(echo=False), queue={"bytes": 256 * 1024})
    with Gateway(measured(slow)) as gateway:
        sender, reader = join(gateway, "/s"), join(gateway, "/s")
        stuck = join(gateway, "/s", receive_buffer=4096)
        wait_for(lambda: metric(gateway, "subscriptions") == 3, "three members")
        for _ in range(400):
            fill(sender, reader, 10)
            if metric(gateway, "subscriptions") == 2:
                break
        assert metric(gateway, "subscriptions") == 2
        assert metric(gateway, "drops_total", reason="slow") > 0
        wait_for(lambda: metric(gateway, "connections", transport="websocket") == 2, "the end of the slow one")
        assert closes(samples(gateway), 3008) == 1
        assert metric(gateway, "queued_bytes") == 0
        fill(sender, reader, 1)
        stuck.client.close()


@pytest.mark.parametrize(("policy", "reason"), [("drop_oldest", "drop_oldest"), ("latest_only", "latest_only")])
def test_a_slow_subscriber_misses_whole_messages_and_is_told(policy: str, reason: str) -> None:
    lossy = endpoint(
        "lossy", "/l", "l", wrap=True, publish=publishing(echo=False), queue={"bytes": 128 * 1024, "when_full": policy}
    )
    with Gateway(measured(lossy)) as gateway:
        sender, reader = join(gateway, "/l"), join(gateway, "/l")
        stuck = join(gateway, "/l", receive_buffer=4096)
        number = 0
        while metric(gateway, "drops_total", reason=reason) < 5:
            for _ in range(20):
                sender.text(f'{{"n": {number}, "pad": {BIG}}}')
                assert reader.json()["data"]["n"] == number
                number += 1
            assert number < 2_000, "nothing was dropped"
        assert metric(gateway, "queued_bytes") <= 128 * 1024 + 70_000
        numbers, told = [], 0
        while not numbers or numbers[-1] != number - 1:
            message = stuck.json()
            if "dropped" in message:
                told += message["dropped"]
            else:
                numbers.append(message["data"]["n"])
        assert numbers == sorted(set(numbers)), "in order, none twice"
        assert told == metric(gateway, "drops_total", reason=reason) == number - len(numbers)
        wait_for(lambda: metric(gateway, "queued_bytes") == 0, "an empty queue")


def test_control_frames_do_not_wait_behind_data() -> None:
    room = endpoint(
        "lossy", "/l", "l", publish=publishing(echo=False), queue={"bytes": 8 << 20, "when_full": "drop_oldest"}
    )
    with Gateway(measured(room)) as gateway:
        sender, reader = join(gateway, "/l"), join(gateway, "/l")
        stuck = join(gateway, "/l", receive_buffer=4096)
        while metric(gateway, "queued_bytes") < 4 << 20:
            fill(sender, reader, 20)
        stuck.send(PING, b"jump")
        fill(sender, reader, 1)
        before = 0
        while (frame := stuck.frame()).opcode == TEXT:
            before += 1
        assert (frame.opcode, frame.payload) == (PONG, b"jump")
        behind = 0
        while behind < 50:
            assert stuck.frame().opcode == TEXT
            behind += 1


def test_who_makes_no_progress_is_ended() -> None:
    room = endpoint(
        "lossy", "/l", "l", publish=publishing(echo=False), queue={"bytes": 1 << 20, "when_full": "drop_oldest"}
    )
    with Gateway(measured(room, process={"write_stall_ms": 1_000})) as gateway:
        sender, reader = join(gateway, "/l"), join(gateway, "/l")
        join(gateway, "/l", receive_buffer=4096)
        while metric(gateway, "queued_bytes") == 0:
            fill(sender, reader, 20)
        wait_for(lambda: closes(samples(gateway), 3008) == 1, "the end of who does not read")
        assert metric(gateway, "queued_bytes") == 0


def test_who_is_silent_is_pinged_and_ended_without_a_pong() -> None:
    with Gateway(measured(endpoint("a", "/a", "a"), realtime={"ping_ms": 500, "pong_ms": 500})) as gateway:
        silent, alive = join(gateway, "/a"), join(gateway, "/a")
        assert silent.frame().opcode == PING
        for _ in range(4):
            assert alive.frame().opcode == PING
            alive.send(PONG)
        closing = silent.closing()
        assert (closing.code, closing.reason) == (3012, "no pong")
        assert alive.frame().opcode == PING
        wait_for(lambda: closes(samples(gateway), 3012) == 1, "the count")


def test_an_event_stream() -> None:
    both = endpoint("both", "/e", "e", sse=True, publish=publishing())
    with Gateway(measured(both, realtime={"ping_ms": 1_000, "pong_ms": 1_000})) as gateway:
        with gateway.client() as stream:
            head = stream.send(get(b"/e", b"Accept: text/event-stream")).read_head()
            assert (head.status, head.get("content-type")) == (200, b"text/event-stream")
            assert head.get("cache-control") == b"no-store"
            assert metric(gateway, "connections", transport="sse") == 1
            sender = join(gateway, "/e")
            sender.text('{\n"a": 1}')
            expected = b'id: 1\ndata: {\ndata: "a": 1}\n\n'
            assert stream.receive(len(expected)) == expected
            assert stream.receive(3) == b":\n\n"
        wait_for(lambda: metric(gateway, "connections", transport="sse") == 0, "the end of the stream")


def test_text_that_is_none_is_not_delivered() -> None:
    raw = endpoint("raw", "/raw", "x", format="binary", publish=publishing())
    text = endpoint("text", "/text", "x", format="text")
    with Gateway(measured(raw, text, workers=1)) as gateway:
        one, two = join(gateway, "/raw"), join(gateway, "/text")
        one.send(2, b"\xff").send(2, b"fine")
        assert [one.message(), one.message()] == [b"\xff", b"fine"]
        assert two.message() == b"fine"
        wait_for(lambda: metric(gateway, "drops_total", reason="encoding") == 1, "the count of the turn")
        wait_for(lambda: metric(gateway, "deliveries_total") == 3, "the count of the turn")
        assert metric(gateway, "publications_total", source="client") == 2
        wait_for(lambda: metric(gateway, "lag_seconds_count") == 2, "the count of the turn")


def test_a_drain_sends_everybody_away_with_a_hint() -> None:
    room = endpoint("a", "/a", "a", sse=True)
    with Gateway(measured(room)) as gateway:
        members = [join(gateway, "/a") for _ in range(100)]
        with gateway.client() as stream:
            stream.send(get(b"/a", b"Accept: text/event-stream")).read_head()
            gateway.process.send_signal(signal.SIGTERM)
            delays = set()
            for member in members:
                closing = member.closing()
                assert closing.code == 3001
                hint = re.fullmatch(r'{"reason":"shutdown","reconnect":true,"delay_ms":(\d+)}', closing.reason)
                assert hint
                delays.add(int(hint[1]))
                member.send(CLOSE, closing.payload).client.close()
            assert len(delays) > 50, "they do not come back at once"
            assert re.fullmatch(rb"retry: \d+\n\n", stream.rest())
        assert gateway.wait_exit() == 0


def test_a_reload_keeps_subscribers_of_routes_that_are_gone() -> None:
    room = endpoint("a", "/a", "a", publish=publishing())
    with Gateway(measured(room)) as gateway:
        one, two = join(gateway, "/a"), join(gateway, "/a")
        gateway.reload(measured())
        with gateway.client() as client:
            assert client.exchange(get(b"/a")).status == 204, "the endpoint is gone"
        one.text("1")
        assert [one.message(), two.message()] == [b"1", b"1"]


def test_nothing_is_left_when_everybody_has_gone() -> None:
    room = endpoint("a", "/a/{x}", "a:{x}", "all", publish=publishing())
    with Gateway(measured(room)) as gateway:
        for i in range(3):
            members = [join(gateway, f"/a/{i}") for _ in range(30)]
            assert metric(gateway, "subscriptions") == 60
            assert metric(gateway, "channels") == 2
            members[0].text("1")
            for member in members:
                assert member.message() == member.message() == b"1"
            for at, member in enumerate(members):
                if at % 2:
                    member.send(CLOSE, b"\x03\xe8")
                    assert member.closing().code == 1000
                member.client.close()
            wait_for(lambda: metric(gateway, "subscriptions") == 0, "everybody has gone")
        assert metric(gateway, "channels") == 0
        assert gateway.stats()["connections"] == 0

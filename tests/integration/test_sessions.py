"""Who is connected, as commands and the control socket say it, and the end of those that are not wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness.client import wait_for
from harness.product import Product
from harness.websocket import WebSocket

CONFIG = """
listeners: {public: {bind: "127.0.0.1:0"}}
admin: false
metrics: false
workers: 2
routes: {rest: {match: {prefix: /}, respond: {status: 204}}}
realtime:
  endpoints:
    rooms: {path: "/r/{room}", channels: ["room:{room}", lobby]}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("sessions")
    (folder / "fastgate.yaml").write_text(CONFIG)
    with Product(folder=folder) as running:
        yield running


@pytest.fixture
def rooms(gateway: Product) -> Iterator[list[WebSocket]]:
    """Three in the blue room, one in the red one."""
    with ExitStack() as stack:
        paths = ["/r/blue", "/r/blue", "/r/blue", "/r/red"]
        yield [stack.enter_context(WebSocket(gateway.address(), path)) for path in paths]
    wait_for(lambda: listed(gateway)["total"] == 0, "everybody's end")


def listed(gateway: Product, *words: str) -> dict[str, Any]:
    done = gateway.tell("sessions", "list", "--json", *words)
    assert done.returncode == 0, done.stderr
    plain: dict[str, Any] = json.loads(done.stdout)
    return plain


def test_sessions_are_listed(gateway: Product, rooms: list[WebSocket]) -> None:
    all_ = listed(gateway)
    assert all_["total"] == 4
    assert len({one["id"] for one in all_["sessions"]}) == 4
    by_room = sorted(one["channels"][0] for one in all_["sessions"])
    assert by_room == ["room:blue"] * 3 + ["room:red"]
    for one in all_["sessions"]:
        assert set(one) == {
            "id", "worker", "endpoint", "transport", "channels", "client", "connected_seconds", "queued_bytes", "drops",
        }  # fmt: skip
        assert (one["endpoint"], one["transport"], one["client"]) == ("rooms", "websocket", "127.0.0.1")
        assert one["channels"][1] == "lobby"
        assert (one["queued_bytes"], one["drops"]) == (0, 0)
        assert one["worker"] in (0, 1)
    red = listed(gateway, "--channel", "room:red")
    assert (red["total"], [one["channels"] for one in red["sessions"]]) == (1, [["room:red", "lobby"]])
    assert listed(gateway, "--channel", "room:none") == {"total": 0, "sessions": []}
    few = listed(gateway, "--limit", "2")
    assert (few["total"], len(few["sessions"])) == (4, 2)
    text = gateway.tell("sessions", "list", "--limit", "2").stdout
    assert " ".join(text.split("\n")[0].split()) == "ID ENDPOINT BY CLIENT CONNECTED QUEUED DROPS CHANNELS"
    assert text.splitlines()[-1] == "2 more: --limit 4 shows all"


def test_one_session_is_disconnected(gateway: Product, rooms: list[WebSocket]) -> None:
    (red,) = listed(gateway, "--channel", "room:red")["sessions"]
    done = gateway.tell("sessions", "disconnect", red["id"])
    assert (done.returncode, done.stdout) == (0, "1 disconnected\n")
    frame = rooms[3].closing()
    assert (frame.code, frame.reason) == (3503, "disconnected")
    assert listed(gateway, "--channel", "room:red")["total"] == 0
    assert listed(gateway, "--channel", "lobby")["total"] == 3
    gone = gateway.tell("sessions", "disconnect", red["id"])
    assert (gone.returncode, gone.stdout) == (1, "0 disconnected\n")
    assert f"not connected: {red['id']}" in gone.stderr


def test_a_channel_is_disconnected(gateway: Product, rooms: list[WebSocket]) -> None:
    words = ("--channel", "room:blue", "--code", "4001", "--reason", "the room is closed", "--json")
    done = gateway.tell("sessions", "disconnect", *words)
    assert json.loads(done.stdout) == {"disconnected": 3}
    for one in rooms[:3]:
        frame = one.closing()
        assert (frame.code, frame.reason) == (4001, "the room is closed")
    left = listed(gateway, "--channel", "lobby")["sessions"]
    assert [one["channels"][0] for one in left] == ["room:red"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("list", "0-0-0"), 2, "list takes no session"),
        (("disconnect",), 2, "say who is disconnected"),
        (("disconnect", "0-0-1", "--channel", "a"), 2, "say who is disconnected"),
        (("disconnect", "nobody"), 1, "no session is called nobody"),
        (("disconnect", "0-0-0"), 1, "not connected: 0-0-0"),
        (("disconnect", "99-0-1"), 1, "not connected: 99-0-1"),
        (("disconnect", "--channel", "a", "--code", "1005"), 1, "1005 is no code to close with"),
        (("disconnect", "--channel", "a", "--reason", "x" * 124), 1, "at most 123 bytes"),
        (("disconnect", "--channel", "a", "--reason", "x\ny"), 1, "control characters"),
        (("throw",), 2, "throw"),
        (("list", "--limit", "0"), 2, "limit"),
    ],
)
def test_what_cannot_be_asked(gateway: Product, words: tuple[str, ...], code: int, said: str) -> None:
    done = gateway.tell("sessions", *words)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert said in done.stderr


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"op": "sessions", "limit": 0}, "limit must be a number from 1 to 100000"),
        ({"op": "sessions", "limit": "7"}, "limit must be"),
        ({"op": "sessions", "limit": True}, "limit must be"),
        ({"op": "sessions", "channel": 7}, "channel must be text"),
        ({"op": "sessions", "chanel": "a"}, 'unknown key "chanel"; allowed: channel, limit, op'),
        ({"op": "disconnect"}, "give one of them"),
        ({"op": "disconnect", "channel": "a", "session": "0-0-0"}, "give one of them"),
        ({"op": "disconnect", "channel": "a", "code": "7"}, "code must be a number"),
        ({"op": "disconnect", "channel": "a", "code": -1}, "no code to close with"),
        ({"op": "disconnect", "channel": "a", "code": 1 << 40}, "no code to close with"),
        ({"op": "disconnect", "session": "x"}, "no session is called x"),
    ],
)
def test_what_the_socket_refuses(gateway: Product, question: dict[str, Any], said: str) -> None:
    answer = gateway.ask(**question)
    assert answer["ok"] is False
    assert said in answer["error"]
    assert gateway.ask("ping")["ok"], "it goes on"


def test_status_shows_the_hub(gateway: Product, rooms: list[WebSocket]) -> None:
    hub = gateway.ask("status")["stats"]["realtime"]
    assert hub["connections"] == {"websocket": 4, "sse": 0}
    assert (hub["subscriptions"], hub["channels"], hub["queued_bytes"]) == (8, 3, 0)
    text = gateway.tell("status").stdout
    assert "realtime     4 subscribers (websocket 4), 8 subscriptions to 3 channels" in text
    assert "delivered 0" in text


def test_an_empty_house(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(CONFIG)
    with Product(folder=tmp_path) as fresh:
        assert fresh.tell("sessions", "list").stdout == "nobody is subscribed\n"
        assert fresh.tell("sessions", "disconnect", "--channel", "a").stdout == "0 disconnected\n"
        assert "realtime" not in fresh.tell("status").stdout

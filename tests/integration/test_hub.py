"""The hub with real sockets: who gets in, what is delivered to whom and in which order, how connections end."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from harness import BadResponse, Gateway
from harness.client import wait_for
from harness.requests import get, request, websocket
from harness.websocket import CLOSE, PING, PONG, TEXT, WebSocket, endpoint, hub, join, masked, publishing

pytestmark = pytest.mark.usefixtures("engine")

Json = dict[str, Any]


ROOM = endpoint("rooms", "/r/{room}", "room:{room}", publish=publishing())


def test_messages_reach_every_member_in_order() -> None:
    with Gateway(hub(ROOM)) as gateway:
        members = [join(gateway, "/r/blue") for _ in range(20)]
        other = join(gateway, "/r/red")
        for i in range(100):
            members[i % 2].text(f'{{"from":{i % 2},"n":{i}}}')
        orders = [[member.json() for _ in range(100)] for member in members]
        assert all(order == orders[0] for order in orders), "one order for all"
        for sender in (0, 1):
            mine = [one["n"] for one in orders[0] if one["from"] == sender]
            assert mine == sorted(mine), "a sender's messages keep their order"
        other.text('"only here"')
        assert other.message() == b'"only here"'


def test_messages_sent_together_arrive_together() -> None:
    with Gateway(hub(ROOM, workers=1)) as gateway:
        one, two = (join(gateway, "/r/a") for _ in range(2))
        one.client.send(b"".join(masked(TEXT, b"%d" % i) for i in range(10)))
        assert [two.message() for _ in range(10)] == [b"%d" % i for i in range(10)]
        assert [one.message() for _ in range(10)] == [b"%d" % i for i in range(10)]


def test_a_sender_without_echo_gets_all_but_its_own() -> None:
    quiet = endpoint("quiet", "/q", "q", publish=publishing(echo=False))
    with Gateway(hub(quiet)) as gateway:
        one, two = (join(gateway, "/q") for _ in range(2))
        one.client.send(b"".join(masked(TEXT, b"%d" % i) for i in range(3)))
        assert [two.message() for _ in range(3)] == [b"0", b"1", b"2"]
        two.text("3")
        assert one.message() == b"3"


def test_a_connection_in_several_channels() -> None:
    both = endpoint("both", "/both/{a}/{b}", "c:{a}", "c:{b}", publish=publishing(), wrap=True)
    with Gateway(hub(both)) as gateway:
        left, right = join(gateway, "/both/1/2"), join(gateway, "/both/2/3")
        twice = join(gateway, "/both/1/1")
        left.text('{"x": 1}')
        got = sorted((left.json() for _ in range(2)), key=lambda one: one["channel"])
        assert got == [{"channel": "c:1", "data": {"x": 1}}, {"channel": "c:2", "data": {"x": 1}}]
        assert right.json() == {"channel": "c:2", "data": {"x": 1}}
        assert twice.json()["channel"] == "c:1"
        right.text("7")
        assert left.json() == {"channel": "c:2", "data": 7}
        twice.text("8")
        assert twice.json() == {"channel": "c:1", "data": 8}


@pytest.mark.parametrize(
    ("lines", "status", "fields"),
    [
        (get(b"/r/a"), 426, {"upgrade": b"websocket"}),
        (request(b"POST", b"/r/a", b"Content-Length: 0"), 426, {"upgrade": b"websocket"}),
        (
            websocket(b"/r/a").replace(b"Version: 13", b"Version: 8"),
            426,
            {"upgrade": b"websocket", "sec-websocket-version": b"13"},
        ),
        (websocket(b"/r/a").replace(b"dGhl", b"dG=l"), 400, {}),
        (websocket(b"/r/" + b"x" * 251), 400, {}),
        (websocket(b"/me"), 401, {}),
        (websocket(b"/own", b"Origin: https://evil.example"), 403, {}),
        (websocket(b"/own", b"Origin: null"), 403, {}),
        (websocket(b"/own", b"Origin: http://example.test", b"Origin: http://example.test"), 403, {}),
        (websocket(b"/own", b"Origin: http://example.test"), 101, {"upgrade": b"websocket"}),
        (websocket(b"/own"), 101, {}),
        (websocket(b"/listed", b"Origin: https://a.b.example.com"), 101, {}),
        (websocket(b"/listed", b"Origin: https://example.com"), 403, {}),
    ],
)
def test_who_gets_in(lines: bytes, status: int, fields: dict[str, bytes]) -> None:
    endpoints = [
        ROOM,
        endpoint("me", "/me", "user_{sub}"),
        endpoint("own", "/own", "own", origins="same"),
        endpoint("listed", "/listed", "listed", origins={"list": ["https://*.example.com"]}),
    ]
    with Gateway(hub(*endpoints)) as gateway, gateway.client() as client:
        answer = client.exchange(lines)
        assert answer.status == status, answer.body
        assert {name: answer.get(name) for name in fields} == fields
        if status != 101:
            assert answer.from_gateway
            assert client.exchange(get(b"/")).status == 204, "a refused client may go on"


def test_a_full_room_has_room_again_when_somebody_leaves() -> None:
    small = endpoint("small", "/s", "s", max_members=2)
    with Gateway(hub(small)) as gateway:
        one, _two = join(gateway, "/s"), join(gateway, "/s")
        with gateway.client() as client:
            answer = client.exchange(websocket(b"/s"))
            assert (answer.status, answer.get("retry-after")) == (503, b"1")
        one.client.close()

        def enters() -> bool:
            try:
                join(gateway, "/s")
            except BadResponse:
                return False
            return True

        wait_for(enters, "a place")


def test_the_routes_header_changes_apply_to_the_handshake() -> None:
    edits = {"set": [["x-served-by", "hub"]], "remove": ["x-request-id"]}
    with Gateway(hub(endpoint("a", "/a", "a", response_headers=edits))) as gateway:
        with WebSocket(gateway.address, "/a", b"X-Request-Id: abc") as one:
            assert one.answer.get("x-served-by") == b"hub"
            assert one.answer.get("x-request-id") is None
        with gateway.client() as client:
            answer = client.exchange(get(b"/a"))
            assert (answer.status, answer.get("x-served-by")) == (426, b"hub")


def test_control_frames_are_answered() -> None:
    with Gateway(hub(ROOM)) as gateway:
        with WebSocket(gateway.address, "/r/a") as one:
            one.client.send(masked(TEXT, b'"be', fin=False) + masked(PING, b"hello") + masked(0, b'gun"'))
            frames = [one.frame() for _ in range(2)]
            assert sorted((frame.opcode, frame.payload) for frame in frames) == [(TEXT, b'"begun"'), (PONG, b"hello")]
            one.send(CLOSE, b"\x03\xe8bye")
            assert (answer := one.closing()).code == 1000
            assert answer.reason == ""
            assert one.ended()
        with WebSocket(gateway.address, "/r/a") as one:
            assert one.send(CLOSE).closing().payload == b""
            assert one.ended()


@pytest.mark.parametrize(
    ("target", "sent", "code"),
    [
        ("/r/a", b"\x81\x01a", 1002),  # not masked
        ("/r/a", masked(TEXT, b"1", reserved=4), 1002),
        ("/r/a", masked(3, b"1"), 1002),
        ("/r/a", masked(PING, b"x" * 126), 1002),
        ("/r/a", masked(0, b"1"), 1002),
        ("/r/a", masked(TEXT, b"\xff"), 1007),
        ("/r/a", masked(TEXT, b"{"), 1007),
        ("/r/a", masked(TEXT, b"[" + b"1," * 40_000 + b"1]"), 1009),
        ("/r/a", masked(2, b"1"), 1003),
        ("/silent", masked(TEXT, b"1"), 1008),
        ("/slow", masked(TEXT, b"1") * 3, 1008),
        ("/binary", masked(TEXT, b"1"), 1003),
    ],
)
def test_what_a_client_must_not_do_closes_with_its_code(target: str, sent: bytes, code: int) -> None:
    endpoints = [
        ROOM,
        endpoint("silent", "/silent", "x"),
        endpoint("slow", "/slow", "y", publish={"rate": 1, "burst": 2, "echo": False}),
        endpoint("binary", "/binary", "z", format="binary", publish=publishing()),
    ]
    with Gateway(hub(*endpoints)) as gateway:
        one, other = (join(gateway, target) for _ in range(2))
        one.client.send(sent)
        assert one.closing().code == code
        assert one.ended()
        # What one client does is nothing to another.
        while (frame := other.send(PING, b"alive").frame()).opcode == TEXT:
            pass
        assert frame.payload == b"alive"


def test_a_broadcast_is_compressed_for_who_agreed_on_it() -> None:
    room = endpoint("d", "/d", "d", deflate=True, publish=publishing())
    with Gateway(hub(room)) as gateway:
        offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        packed, plain = join(gateway, "/d", offer), join(gateway, "/d")
        agreed = packed.answer.get("sec-websocket-extensions")
        assert agreed is not None
        assert agreed.startswith(b"permessage-deflate")
        assert plain.answer.get("sec-websocket-extensions") is None
        text = b'"%s"' % (b"again and " * 500)
        packed.send(TEXT, text)
        assert plain.message() == text
        first, length = packed.client.receive(2)
        assert (first, length < 126) == (0xC1, True), "compressed, and much smaller"
        compressed = packed.client.receive(length)
        assert zlib.decompressobj(-15).decompress(compressed + b"\0\0\xff\xff") == text
        # What the client compresses is read too.
        deflate = zlib.compressobj(wbits=-15)
        data = (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
        packed.send(TEXT, data, reserved=4)
        assert plain.message() == text
        with gateway.client() as client:
            assert client.exchange(websocket(b"/d", b"Sec-WebSocket-Extensions: ;")).status == 400

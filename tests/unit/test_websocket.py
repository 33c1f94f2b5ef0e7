"""The WebSocket codec against wsproto, both ways: the same events or both refuse, however the bytes are cut."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from fastgate.primitives import (
    WebSocketParser,
    WebSocketViolation,
    websocket_deflate,
    websocket_extensions,
    websocket_frame,
)

KINDS = {Opcode.TEXT: "text", Opcode.BINARY: "binary", Opcode.PING: "ping", Opcode.PONG: "pong"}
Events = list[tuple[str, Any]]


def parts(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def ours(pieces: list[bytes], *, server: bool = True, deflate: bool = False) -> tuple[Events, int | None]:
    """What fastgate reads, and the code it refuses with."""
    parser, events = WebSocketParser(server=server, deflate=deflate), []
    for piece in pieces:
        try:
            events += parser.feed(piece)
        except WebSocketViolation as violation:
            code, reason, before = violation.args
            assert reason
            return events + before, code
    return events, None


def theirs(data: bytes, *, server: bool = True, deflate: bool = False) -> tuple[Events, int | None]:
    """What wsproto reads, and the code it refuses with; messages are put together, bytes behind a close ignored."""
    protocol = FrameProtocol(client=not server, extensions=[agreed()] if deflate else [])
    events: Events = []
    whole: Any = None
    protocol.receive_bytes(data)
    try:
        for frame in protocol.received_frames():
            if frame.opcode is Opcode.CLOSE:
                code, reason = frame.payload
                events.append(("close", (None if code == CloseReason.NO_STATUS_RCVD else int(code), reason or "")))
                break
            if frame.opcode.iscontrol():
                events.append((KINDS[frame.opcode], bytes(frame.payload)))
                continue
            payload = frame.payload if isinstance(frame.payload, str) else bytes(frame.payload)
            whole = payload if whole is None else whole + payload
            if frame.message_finished and frame.frame_finished:
                events.append((KINDS[frame.opcode], whole))
                whole = None
    except ParseFailed as failed:
        return events, int(failed.code)
    return events, None


def agreed() -> PerMessageDeflate:
    """What both ends use once the gateway has answered an offer."""
    extension = PerMessageDeflate()
    answer = websocket_extensions([f"permessage-deflate; {extension.offer()}".encode()])
    assert answer is not None
    extension.finalize(answer)
    assert extension.enabled()
    return extension


# Text that is right, text that breaks at each place where it can, and any bytes.
TEXTS = st.one_of(
    st.text(max_size=60).map(str.encode),
    st.sampled_from(
        [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"\x82\xac"]
    ),
    st.binary(max_size=40),
)
CLOSES = st.one_of(
    st.just(b""),
    st.tuples(
        st.one_of(st.sampled_from([999, 1000, 1004, 1005, 1013, 1015, 2999, 3000, 4999, 5000]), st.integers(0, 65535)),
        TEXTS,
    ).map(lambda close: struct.pack("!H", close[0]) + close[1][:123]),
    st.binary(max_size=3),
)
# 1014 came to the registry after RFC 6455; wsproto does not know it.
CLOSES = CLOSES.filter(lambda body: body[:2] != struct.pack("!H", 1014))
PAYLOADS = st.one_of(TEXTS, CLOSES, st.integers(120, 70_000).map(lambda size: b"x" * size))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Frames of a client: most as they should be, some wrong in one way."""
    out, opened = [], False
    for _ in range(draw(st.integers(0, 6))):
        opcode = draw(st.sampled_from([0, 0] if opened else [1, 1, 2]) | st.sampled_from([8, 9, 10]))
        fin = opcode >= 8 or draw(st.booleans())
        payload = draw(CLOSES if opcode == 8 else PAYLOADS if opcode < 8 else st.binary(max_size=125))
        wrong = draw(st.sampled_from([None] * 12 + ["opcode", "fin", "rsv", "unmasked", "length", "long"]))
        first = (fin << 7) | opcode
        if wrong == "opcode":
            first = (first & 0x80) | draw(st.integers(0, 15))
        elif wrong == "fin":
            first ^= 0x80
        elif wrong == "rsv":
            first |= draw(st.sampled_from([0x10, 0x20, 0x40]))
        elif wrong == "long" and opcode >= 8:
            payload = b"p" * 126
        key = b"" if wrong == "unmasked" else draw(st.binary(min_size=4, max_size=4))
        flag = 0x80 if key else 0
        if wrong == "length":
            head = draw(
                st.sampled_from(
                    [struct.pack("!BH", flag | 126, len(payload) % 126), struct.pack("!BQ", flag | 127, len(payload))]
                )
            )
        elif len(payload) < 126:
            head = struct.pack("!B", flag | len(payload))
        elif len(payload) < 1 << 16:
            head = struct.pack("!BH", flag | 126, len(payload))
        else:
            head = struct.pack("!BQ", flag | 127, len(payload))
        body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)) if key else payload
        out.append(bytes([first]) + head + key + body)
        if opcode < 8:
            opened = not fin
    # What is still open is decided: a continuation ends it, or is wrong.
    return b"".join(out) + websocket_frame(0, b"", mask=b"abcd")


@settings(max_examples=250, deadline=None)
@given(frames(), st.lists(st.integers(0, 1 << 20), max_size=6))
def test_a_client_is_read_as_wsproto_reads_it(data: bytes, cuts: list[int]) -> None:
    events, code = ours([data])
    assert ours(parts(data, cuts)) == (events, code)
    others, other = theirs(data)
    if code == 1007 and events == others[: len(events)]:
        # Text is refused at its first bad byte, there when its character or the message ends.
        assert other is not None
    else:
        assert (events, code) == (others, other)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 9, 10]), PAYLOADS), max_size=5),
    st.lists(st.integers(0, 1 << 20), max_size=4),
)
def test_what_fastgate_writes_wsproto_reads_and_the_reverse(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    names = {1: "text", 2: "binary", 9: "ping", 10: "pong"}
    expected: Events = []
    plain, masked, written = [], [], []
    client, server = FrameProtocol(client=True, extensions=[]), FrameProtocol(client=False, extensions=[])
    for opcode, payload in sent:
        if opcode == 1:
            payload = payload.decode("utf-8", "replace").encode()
        payload = payload[:125] if opcode > 8 else payload
        expected.append((names[opcode], payload.decode() if opcode == 1 else payload))
        plain.append(websocket_frame(opcode, payload))
        masked.append(websocket_frame(opcode, payload, mask=b"\x00\xff\x10\x81"))
        written.append(
            (
                server._serialize_frame(Opcode(opcode), payload),
                client._serialize_frame(Opcode(opcode), payload),
            )
        )
    assert theirs(b"".join(plain), server=False) == (expected, None)
    assert theirs(b"".join(masked)) == (expected, None)
    from_server, from_client = (b"".join(side) for side in zip(*written, strict=True)) if written else (b"", b"")
    assert plain == [frame for frame, _ in written]
    assert ours(parts(from_server, cuts), server=False) == (expected, None)
    assert ours(parts(from_client, cuts)) == (expected, None)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("abc ✓", max_size=300), st.integers(1, 20)), min_size=1, max_size=4), st.integers(1, 50)
)
def test_compressed_messages_cross_both_ways(messages: list[tuple[str, int]], fragment: int) -> None:
    texts = [text * count for text, count in messages]
    client = FrameProtocol(client=True, extensions=[agreed()])
    data = b"".join(
        client.send_data(text[at : at + fragment] if text else "", fin=at + fragment >= len(text))
        for text in texts
        for at in range(0, max(len(text), 1), fragment)
    )
    assert ours([data], deflate=True) == ([("text", text) for text in texts], None)
    assert ours([data[i : i + 1] for i in range(len(data))], deflate=True) == ours([data], deflate=True)
    out = []
    for text in texts:
        small = websocket_deflate(text.encode())
        assert small is None or len(small) < len(text.encode())
        out.append(websocket_frame(1, text.encode() if small is None else small, compressed=small is not None))
    assert theirs(b"".join(out), server=False, deflate=True) == ([("text", text) for text in texts], None)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_a_bad_compressed_payload_never_gives_what_wsproto_refuses(payload: bytes) -> None:
    data = websocket_frame(2, payload, mask=b"abcd", compressed=True)
    events, code = ours([data], deflate=True)
    others, other = theirs(data, deflate=True)
    # fastgate refuses more: a payload that ends in the middle of a block decompresses to nothing complete.
    assert (events, code) == (others, other) or code == 1007


def test_a_violation_tells_code_reason_and_the_events_before_it() -> None:
    parser = WebSocketParser()
    good = websocket_frame(1, "é".encode(), mask=b"1234")
    with pytest.raises(WebSocketViolation) as raised:
        parser.feed(good + websocket_frame(1, b"x"))
    assert raised.value.args == (1002, "a client's frame must be masked", [("text", "é")])
    with pytest.raises(WebSocketViolation):
        parser.feed(good)


def test_limits_close_and_memory() -> None:
    parser = WebSocketParser(max_message=4)
    with pytest.raises(WebSocketViolation, match="1009"):
        parser.feed(websocket_frame(2, b"12345", mask=b"1234")[:6])
    parser = WebSocketParser()
    assert parser.feed(websocket_frame(1, b"abc", mask=b"1234", fin=False)) == []
    assert parser.held > 3
    assert parser.feed(websocket_frame(0, b"", mask=b"1234")) == [("text", "abc")]
    assert parser.held == 0
    assert not parser.closed
    close = websocket_frame(8, b"\x03\xe8bye", mask=b"1234")
    assert parser.feed(close + b"whatever follows") == [("close", (1000, "bye"))]
    assert parser.closed
    assert parser.feed(b"\xff") == []


@pytest.mark.parametrize(
    ("opcode", "payload", "more", "message"),
    [
        (3, b"", {}, "opcode is 3"),
        (9, b"x" * 126, {}, "125 bytes"),
        (8, b"", {"fin": False}, "whole"),
        (10, b"", {"compressed": True}, "not compressed"),
        (1, b"", {"mask": b"123"}, "4 bytes"),
    ],
)
def test_a_wrong_frame_is_not_written(opcode: int, payload: bytes, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        websocket_frame(opcode, payload, **more)


def test_offers_of_compression() -> None:
    answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    assert websocket_extensions([b"permessage-deflate; client_max_window_bits"]) == answer
    assert websocket_extensions([b"x, permessage-deflate; server_max_window_bits=9"]) is None
    assert websocket_extensions([]) is None
    with pytest.raises(ValueError, match="RFC 6455"):
        websocket_extensions([b"permessage-deflate;"])

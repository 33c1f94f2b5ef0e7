"""The WebSocket codec beside picows and wsproto: the same frames read and written, each payload handed out.

Reading takes the mask off each frame of a client. picows reads in its protocol object, which is given the bytes as an
event loop would; it neither checks text nor joins fragments, so its listener decodes the text itself. It writes to a
socket only: writing is compared with wsproto.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

primitives = pytest.importorskip("fastgate.primitives", reason="the compiled package is not built: make dev")
frame_protocol = pytest.importorskip("wsproto.frame_protocol")
picows = pytest.importorskip("picows")

# Bytes of a message, and how many are read at once.
SIZES = [(16, 200), (128, 200), (1024, 100), (65536, 8)]
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def texts(size: int) -> bytes:
    """The payload: mostly ASCII, with a character of three bytes."""
    return ("✓" + "abcdefghijklmnop" * (size // 16 + 1)).encode()[:size]


def masked(size: int, count: int) -> bytes:
    """Frames as a client sends them, each with its own key."""
    return b"".join(primitives.websocket_frame(1, texts(size), mask=os.urandom(4)) for _ in range(count))


@pytest.mark.parametrize(("size", "count"), SIZES)
def test_read_fastgate(benchmark: Callable[..., Any], size: int, count: int) -> None:
    data, parser = masked(size, count), primitives.WebSocketParser()
    events = benchmark(parser.feed, data)
    assert events == [("text", texts(size).decode())] * count


@pytest.mark.parametrize(("size", "count"), SIZES)
def test_read_wsproto(benchmark: Callable[..., Any], size: int, count: int) -> None:
    data = masked(size, count)
    protocol = frame_protocol.FrameProtocol(client=False, extensions=[])

    def read() -> list[str]:
        protocol.receive_bytes(data)
        return [frame.payload for frame in protocol.received_frames()]

    assert benchmark(read) == [texts(size).decode()] * count


class Collector(picows.WSListener):  # type: ignore[misc]
    """Keeps the text of each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[str] = []
        self.transport: Any = None

    def on_ws_connected(self, transport: Any) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        self.got.append(frame.get_payload_as_utf8_text())


async def picows_connection(listener: Collector) -> tuple[Any, socket.socket]:
    """The protocol object of an upgraded connection, and the client's end."""
    server = await picows.ws_create_server(lambda _request: listener, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    client.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(client, HANDSHAKE)
    assert b" 101 " in await asyncio.get_running_loop().sock_recv(client, 4096)
    server.close()
    return listener.transport.underlying_transport.get_protocol(), client


@pytest.mark.parametrize(("size", "count"), SIZES)
def test_read_picows(benchmark: Callable[..., Any], size: int, count: int) -> None:
    data, listener, loop = masked(size, count), Collector(), asyncio.new_event_loop()
    try:
        protocol, client = loop.run_until_complete(picows_connection(listener))

        def read() -> list[str]:
            listener.got = []
            at = 0
            while at < len(data):
                room = protocol.get_buffer(-1)
                taken = min(len(room), len(data) - at)
                room[:taken] = data[at : at + taken]
                protocol.buffer_updated(taken)
                at += taken
            return listener.got

        assert benchmark(read) == [texts(size).decode()] * count
        client.close()
    finally:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.mark.parametrize(("size", "count"), SIZES)
@pytest.mark.parametrize("side", ["server", "client"])
def test_write_fastgate(benchmark: Callable[..., Any], side: str, size: int, count: int) -> None:
    payload = texts(size)

    def write() -> list[bytes]:
        if side == "server":
            return [primitives.websocket_frame(1, payload) for _ in range(count)]
        return [primitives.websocket_frame(1, payload, mask=os.urandom(4)) for _ in range(count)]

    check(benchmark(write), side, payload)


@pytest.mark.parametrize(("size", "count"), SIZES)
@pytest.mark.parametrize("side", ["server", "client"])
def test_write_wsproto(benchmark: Callable[..., Any], side: str, size: int, count: int) -> None:
    payload = texts(size)
    protocol = frame_protocol.FrameProtocol(client=side == "client", extensions=[])
    text = payload.decode()

    def write() -> list[bytes]:
        return [protocol.send_data(text) for _ in range(count)]

    check(benchmark(write), side, payload)


def check(frames: list[bytes], side: str, payload: bytes) -> None:
    """Every frame is read back."""
    parser = primitives.WebSocketParser(server=side == "client")
    assert parser.feed(b"".join(frames)) == [("text", payload.decode())] * len(frames)
    assert struct.unpack("!B", frames[0][:1]) == (0x81,)

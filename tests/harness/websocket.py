"""A small strict WebSocket client over the raw-byte one, and the words for endpoints in snapshots.

It sends what it is told, right or wrong, and takes only what a server may send (RFC 6455 §5).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from harness.client import BadResponse, Client, Response
from harness.gateway import Gateway, listener, match, respond, route, snapshot
from harness.requests import WEBSOCKET_ACCEPT, websocket

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


@dataclass
class Frame:
    """One frame of a server; never a fragment."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        return int.from_bytes(self.payload[:2]) if self.opcode == CLOSE and self.payload else None

    @property
    def reason(self) -> str:
        """The reason of a close frame."""
        return self.payload[2:].decode()


def xor(data: bytes, key: bytes) -> bytes:
    """The data XOR the four bytes of a masking key, over and over."""
    keys = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(keys, "big")).to_bytes(len(data), "big")


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """A client's frame."""
    key = os.urandom(4)
    head = bytes([fin << 7 | reserved << 4 | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        head += b"\xfe" + len(payload).to_bytes(2)
    else:
        head += b"\xff" + len(payload).to_bytes(8)
    return head + key + xor(payload, key)


class WebSocket:
    """One subscriber: the handshake is done when it is there."""

    def __init__(self, address: str, target: str = "/ws", *lines: bytes, **options: Any) -> None:
        self.client = Client(address, **options)
        self.answer: Response = self.client.send(websocket(target.encode(), *lines)).read()
        if self.answer.status != 101:
            self.client.close()
            raise BadResponse(f"no WebSocket but {self.answer.head!r} {self.answer.body!r}")
        assert self.answer.get("sec-websocket-accept") == WEBSOCKET_ACCEPT

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def send(self, opcode: int, payload: bytes = b"", **changes: Any) -> WebSocket:
        """Sends one frame."""
        self.client.send(masked(opcode, payload, **changes))
        return self

    def text(self, text: str) -> WebSocket:
        """Sends a text message."""
        return self.send(TEXT, text.encode())

    def frame(self) -> Frame:
        """The next frame, whatever it is."""
        first, length = self.client.receive(2)
        if not first & 0x80 or first & 0x70:
            raise BadResponse(f"a server's frame begins with {first:#x}")
        if length > 125:
            minimal = 126 if length == 126 else 1 << 16
            length = int.from_bytes(self.client.receive(2 if length == 126 else 8))
            if length < minimal:
                raise BadResponse("a frame's length is not minimal")
        return Frame(first & 0x0F, self.client.receive(length))

    def message(self) -> bytes:
        """The next message's payload; pings on the way are answered."""
        while (frame := self.frame()).opcode == PING:
            self.send(PONG, frame.payload)
        if frame.opcode not in (TEXT, BINARY):
            raise BadResponse(f"no message but {frame}")
        return frame.payload

    def json(self) -> Any:
        """The next message, read as JSON."""
        return json.loads(self.message())

    def closing(self) -> Frame:
        """The next close frame; what comes before it is passed over."""
        while (frame := self.frame()).opcode != CLOSE:
            pass
        return frame

    def ended(self) -> bool:
        """Whether the server ends the connection without another byte."""
        return self.client.closed()


def join(gateway: Gateway, target: str = "/ws", *lines: bytes, **options: Any) -> WebSocket:
    """A subscriber of the gateway's first listener, closed before the gateway ends."""
    return gateway.closing.enter_context(WebSocket(gateway.address, target, *lines, **options))


def endpoint(name: str, path: str, *channels: str, **changes: Any) -> dict[str, Any]:
    """The route of an endpoint; `queue` may be given in part."""
    queue = {"bytes": 1 << 20, "when_full": "disconnect"} | changes.pop("queue", {})
    options = {key: changes.pop(key) for key in ("listeners", "response_headers") if key in changes}
    action = {
        "channels": list(channels),
        "source": "local",
        "format": "json",
        "wrap": False,
        "websocket": True,
        "sse": False,
        "publish": None,
        "max_members": 0,
        "max_message": 64 * 1024,
        "queue": queue,
        "origins": "any",
        "deflate": False,
    } | changes
    return route(f"realtime.endpoints.{name}", {"realtime": action}, match(path=path), upgrade=[], **options)


def publishing(**changes: Any) -> dict[str, Any]:
    """What lets clients publish, as fast as they like."""
    return {"rate": 1_000_000, "burst": 1_000_000, "echo": True} | changes


def hub(*endpoints: dict[str, Any], realtime: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A snapshot of endpoints alone; everything else is answered by 204."""
    changes = {"listeners": [everything()]} | changes
    private = changes.pop("private_descriptors", False)
    snap = snapshot(routes=[*endpoints, route("rest", respond(204))], **changes)
    if private:
        snap["private_descriptors"] = True
    return snap | {"realtime": {"ping_ms": 25_000, "pong_ms": 10_000, "keys": [], "redis": None} | (realtime or {})}


def everything(name: str = "public", **changes: Any) -> dict[str, Any]:
    """A listener that serves everything."""
    return listener(name, serves={"http": True, "realtime": True, "publish": True}, **changes)

"""The server's side of one WebSocket connection that sends back what it gets (RFC 6455); for the demo, not for load."""

from __future__ import annotations

import base64
import hashlib
from typing import BinaryIO

LONGEST = 1 << 20
"""Bytes of one message; a longer one is answered with 1009 (section 7.4.1)."""
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_PROTOCOL_ERROR, _NOT_UTF8, _TOO_LONG = 1002, 1007, 1009


def accept(key: str) -> str:
    """The value of Sec-WebSocket-Accept for a client's key (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()).decode()


def valid_key(key: str) -> bool:
    """Whether a client's key is sixteen bytes in base64 (section 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


class _Broken(Exception):
    """The client broke a rule; the code says which one."""

    def __init__(self, code: int) -> None:
        self.code = code


def echo(reader: BinaryIO, writer: BinaryIO, greeting: str) -> None:
    """Greets, then returns every message, answers pings, and ends with the client's close or the connection's end."""
    _send(writer, _TEXT, greeting.encode())
    kind, message = 0, bytearray()
    try:
        while (frame := _frame(reader)) is not None:
            final, code, payload = frame
            if code == _CLOSE:
                _send(writer, _CLOSE, payload[:2])
                return
            if code == _PING:
                _send(writer, _PONG, payload)
            elif code != _PONG:
                # A message begins with its kind and goes on as continuations (section 5.4).
                if (code == _CONTINUATION) != bool(kind):
                    raise _Broken(_PROTOCOL_ERROR)
                kind = kind or code
                message += payload
                if len(message) > LONGEST:
                    raise _Broken(_TOO_LONG)
                if final:
                    _answer(writer, kind, bytes(message))
                    kind, message = 0, bytearray()
    except _Broken as broken:
        _send(writer, _CLOSE, broken.code.to_bytes(2, "big"))


def _answer(writer: BinaryIO, kind: int, message: bytes) -> None:
    if kind == _TEXT:
        try:
            message.decode()
        except UnicodeDecodeError:
            raise _Broken(_NOT_UTF8) from None
    _send(writer, kind, message)


def _frame(reader: BinaryIO) -> tuple[bool, int, bytes] | None:
    """The next frame as (last of its message, kind, content); None where the connection ended."""
    head = reader.read(2)
    if len(head) < 2:
        return None
    final, code, masked, length = bool(head[0] & 0x80), head[0] & 0x0F, head[1] & 0x80, head[1] & 0x7F
    control = code >= _CLOSE
    if head[0] & 0x70 or not masked or code not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
        raise _Broken(_PROTOCOL_ERROR)
    if control and (length > 125 or not final):
        raise _Broken(_PROTOCOL_ERROR)
    if length >= 126:
        length = int.from_bytes(reader.read(2 if length == 126 else 8), "big")
    if length > LONGEST:
        raise _Broken(_TOO_LONG)
    mask = reader.read(4)
    payload = reader.read(length)
    if len(mask) < 4 or len(payload) < length:
        return None
    # One big number each: a loop over bytes would take seconds for a megabyte.
    key = (mask * (length // 4 + 1))[:length]
    return final, code, (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def _send(writer: BinaryIO, code: int, payload: bytes) -> None:
    length = len(payload)
    if length < 126:
        size = bytes((length,))
    elif length < 1 << 16:
        size = b"\x7e" + length.to_bytes(2, "big")
    else:
        size = b"\x7f" + length.to_bytes(8, "big")
    writer.write(bytes((0x80 | code,)) + size + payload)
    writer.flush()

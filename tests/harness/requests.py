"""Request bytes that tests send again and again."""

from __future__ import annotations

HOST = b"Host: example.test\r\n"
WEBSOCKET_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The accept value that belongs to the key in `websocket` (RFC 6455 §1.3)."""
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: " + WEBSOCKET_ACCEPT + b"\r\n\r\n"
)


def request(method: bytes = b"GET", target: bytes = b"/", *lines: bytes, body: bytes = b"", minor: int = 1) -> bytes:
    """A request with a Host line, the lines given and the body bytes as they are."""
    head = [b"%s %s HTTP/1.%d" % (method, target, minor), b"Host: example.test", *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def get(target: bytes = b"/", *lines: bytes, minor: int = 1) -> bytes:
    """A GET."""
    return request(b"GET", target, *lines, minor=minor)


def post(body: bytes, target: bytes = b"/", *lines: bytes) -> bytes:
    """A POST with a Content-Length."""
    return request(b"POST", target, b"Content-Length: %d" % len(body), *lines, body=body)


def chunks(*pieces: bytes, trailers: bytes = b"") -> bytes:
    """A chunked body of these pieces."""
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers + b"\r\n"


def post_chunked(*pieces: bytes, target: bytes = b"/", lines: tuple[bytes, ...] = (), trailers: bytes = b"") -> bytes:
    """A POST in chunks."""
    return request(b"POST", target, b"Transfer-Encoding: chunked", *lines, body=chunks(*pieces, trailers=trailers))


def websocket(target: bytes = b"/ws", *lines: bytes) -> bytes:
    """A valid WebSocket opening handshake (RFC 6455 §4.1)."""
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return get(target, b"Connection: Upgrade", b"Upgrade: websocket", key, b"Sec-WebSocket-Version: 13", *lines)

"""Case tables by class of `security.md`: bytes sent, and what must come of them. Ids start with the class letter."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[bytes, bytes]


@dataclass(frozen=True)
class Refused:
    """Must be answered by the gateway itself; nothing behind these bytes is ever read as a request."""

    id: str
    send: bytes
    status: tuple[int, ...] = (400,)
    closes: bool = True
    """False: the connection may stay open, and then the canary on it must get its own answer."""
    begun: bool = False
    """The head is good and may reach the origin before the fault in the body shows; it must never become complete."""
    listener: str = "public"
    method: str = "GET"


@dataclass(frozen=True)
class Forwarded:
    """One request that the origin must see."""

    target: bytes = b"/"
    method: bytes = b"GET"
    body: bytes = b""
    fields: tuple[Pair, ...] = ()
    """These field lines, byte for byte and in this order (others may stand between)."""
    absent: tuple[str, ...] = ()
    trailers: tuple[Pair, ...] | None = None
    """Exactly these, if given."""


@dataclass(frozen=True)
class Passed:
    """Must reach the origin as exactly these requests."""

    id: str
    send: bytes
    expect: tuple[Forwarded, ...]
    or_refused: tuple[int, ...] = ()
    """Refusing with one of these (and closing) is as safe."""
    listener: str = "public"
    closes: bool = False
    """The client asked for the end of the connection."""


@dataclass(frozen=True)
class Routed:
    """Which of the decisions of the access-list snapshot a request must meet."""

    id: str
    send: bytes
    status: tuple[int, ...]
    """403: the protected route; 200: the origin; anything else: the gateway's refusal."""
    target: bytes | None = None
    """What the origin sees, when it is reached."""
    host: bytes | None = None
    listener: str = "public"


Case = Refused | Passed | Routed


def get(target: bytes = b"/", *lines: bytes, host: bytes = b"example.test", version: bytes = b"HTTP/1.1") -> bytes:
    """A GET with a Host line first."""
    return b"\r\n".join([b"GET " + target + b" " + version, b"Host: " + host, *lines]) + b"\r\n\r\n"


def post(*lines: bytes, body: bytes = b"", target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    """A POST with the framing lines given and then the body bytes."""
    return b"\r\n".join([b"POST " + target + b" " + version, b"Host: example.test", *lines]) + b"\r\n\r\n" + body


def chunked(body: bytes, *lines: bytes) -> bytes:
    """A POST with `Transfer-Encoding: chunked` and these raw bytes as its body."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example.test\r\n\r\n"

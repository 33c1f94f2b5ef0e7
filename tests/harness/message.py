"""A small strict HTTP/1.1 reader, independent of the one under test: heads, fields, bodies by length and in chunks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

Fields = list[tuple[bytes, bytes]]

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)[ \t]*")
_REQUEST_LINE = re.compile(rb"([A-Z0-9_-]+) ([^\x00-\x20\x7f]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")


class Malformed(Exception):
    """The bytes are not HTTP/1.1 as RFC 9112 has it."""


class Ended(Exception):
    """The peer ended the connection in the middle of a message."""


@dataclass
class Message:
    """What requests and responses have in common."""

    head: bytes
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)

    def get(self, name: str) -> bytes | None:
        """The first value of the field, or None."""
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[bytes]:
        """Every value of the field, in order."""
        wanted = name.lower().encode()
        return [value for key, value in self.fields if key.lower() == wanted]

    def tokens(self, name: str) -> list[bytes]:
        """The members of a comma-separated field over all its lines, lower case."""
        return [part.strip().lower() for value in self.get_all(name) for part in value.split(b",") if part.strip()]


def parse_fields(block: bytes) -> Fields:
    """Field lines (each ended by CRLF) to pairs; raises Malformed for anything but RFC 9112 §5."""
    fields: Fields = []
    if not block:
        return fields
    if not block.endswith(b"\r\n"):
        raise Malformed(f"field section does not end in CRLF: {block[-40:]!r}")
    for line in block[:-2].split(b"\r\n"):
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Malformed(f"bad field line: {line[:120]!r}")
        fields.append((match[1], match[2]))
    return fields


def split_head(head: bytes) -> tuple[bytes, Fields]:
    """A whole head (empty line included) to its start line and fields."""
    line, _, rest = head.partition(b"\r\n")
    return line, parse_fields(rest[:-2])


def request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """Method, target and minor version of a request line."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Malformed(f"bad request line: {line[:120]!r}")
    return match[1], match[2], int(match[3])


def status_line(line: bytes) -> tuple[int, int, bytes]:
    """Minor version, status and reason phrase of a status line."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise Malformed(f"bad status line: {line[:120]!r}")
    return int(match[1]), int(match[2]), match[3]


def body_length(message: Message) -> int | None:
    """The body's length, or None for chunked; raises Malformed for framing that two parsers could read in two ways."""
    lengths, codings = message.get_all("content-length"), message.get_all("transfer-encoding")
    if lengths and codings:
        raise Malformed("both Content-Length and Transfer-Encoding")
    if codings:
        if [c.lower() for c in codings] != [b"chunked"]:
            raise Malformed(f"transfer coding {codings!r}")
        return None
    if len(lengths) > 1 or (lengths and not re.fullmatch(rb"[0-9]{1,19}", lengths[0])):
        raise Malformed(f"Content-Length {lengths!r}")
    return int(lengths[0]) if lengths else 0


class Reader:
    """Bytes in, messages out; `fill` returns the next bytes and b"" at the end of the stream."""

    def __init__(self, fill: Callable[[], bytes]) -> None:
        self._fill = fill
        self.buffer = bytearray()
        self.consumed = bytearray()
        self.keep = True
        self.ended = False

    def more(self) -> bool:
        """Reads once; False at the end of the stream."""
        data = b"" if self.ended else self._fill()
        self.ended = not data
        self.buffer += data
        return bool(data)

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        while len(self.buffer) < count:
            if not self.more():
                raise Ended(f"{len(self.buffer)} of {count} bytes")
        return self._cut(count)

    def until(self, mark: bytes, limit: int = 1 << 20) -> bytes:
        """Bytes up to and including `mark`."""
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark) + 1)
            if len(self.buffer) > limit:
                raise Malformed(f"no {mark!r} within {limit} bytes")
            if not self.more():
                raise Ended(f"before {mark!r}: {bytes(self.buffer[:200])!r}")
        return self._cut(at + len(mark))

    def _cut(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        if self.keep:
            self.consumed += data
        return data

    def rest(self) -> bytes:
        """Everything until the end of the stream."""
        while self.more():
            pass
        return self._cut(len(self.buffer))

    def line(self) -> bytes:
        """One line without its CRLF; a bare LF or CR is malformed."""
        line = self.until(b"\n", 1 << 17)
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise Malformed(f"line ended by something else than CRLF: {line[-40:]!r}")
        return line[:-2]

    def chunked(self) -> tuple[bytes, Fields, list[int]]:
        """A chunked body, its trailers and the sizes of its chunks."""
        body, sizes = bytearray(), []
        while True:
            line = self.line()
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise Malformed(f"bad chunk line: {line[:80]!r}")
            size = int(match[1], 16)
            if size == 0:
                break
            sizes.append(size)
            body += self.take(size)
            if (end := self.take(2)) != b"\r\n":
                raise Malformed(f"chunk data not followed by CRLF but {end!r}")
        block = bytearray()
        while line := self.line():
            block += line + b"\r\n"
        return bytes(body), parse_fields(bytes(block)), sizes

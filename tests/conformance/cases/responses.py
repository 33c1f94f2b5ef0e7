"""S15 and the rules for what an origin may answer: 502 or a clean answer, and never the same upstream connection again."""

# ruff: noqa: E501 - a table reads best with one case a line, and some cases are about foreign digits

from __future__ import annotations

from dataclasses import dataclass

_OK = b"HTTP/1.1 200 OK\r\n"
_SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@dataclass(frozen=True)
class Answer:
    """What the origin sends, and what the client may get."""

    id: str
    send: bytes
    status: tuple[int, ...]
    body: bytes | None = None
    """The client's body, where the status is the origin's."""
    method: bytes = b"GET"
    reuse: bool = False
    """Whether the upstream connection may carry the canary."""
    cut: bool = False
    """The answer may also end in a cut connection (its head had already gone out)."""
    then: str = "keep"


def _bad(id_: str, send: bytes, **more: object) -> Answer:
    return Answer(f"S15-{id_}", send, (502,), **more)  # type: ignore[arg-type]


def _cut(id_: str, body: bytes) -> Answer:
    """A chunked body that goes wrong: 502 before the head went out, else a cut that the client can see."""
    return Answer(f"S15-{id_}", _OK + b"Transfer-Encoding: chunked\r\n\r\n" + body, (502, 200), cut=True)


CASES = [
    _bad("cl-te", _OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _bad("te-cl", _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _bad("two-cl", _OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    _bad("two-cl-equal", _OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    _bad("cl-list", _OK + b"Content-Length: 5, 5\r\n\r\nhello"),
    _bad("cl-plus", _OK + b"Content-Length: +5\r\n\r\nhello"),
    _bad("cl-minus", _OK + b"Content-Length: -1\r\n\r\nhello"),
    _bad("cl-empty", _OK + b"Content-Length:\r\n\r\nhello"),
    _bad("cl-hex", _OK + b"Content-Length: 0x5\r\n\r\nhello"),
    _bad("te-10", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _bad("te-xchunked", _OK + b"Transfer-Encoding: xchunked\r\n\r\nhello"),
    _bad("te-gzip", _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    _bad("te-twice", _OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    _bad("te-chunked-chunked", _OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    _bad("te-vertical-tab", _OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    _bad("te-space-colon", _OK + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    _bad("cl-space-colon", _OK + b"Content-Length : 5\r\n\r\nhello"),
    _bad("fold", _OK + b"X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    _bad("lf-head", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    _bad("lf-header", _OK + b"X-A: b\nContent-Length: 5\r\n\r\nhello"),
    _bad("cr-header", _OK + b"X-A: a\rb\r\nContent-Length: 5\r\n\r\nhello"),
    _bad("nul-header", _OK + b"X-A: a\x00b\r\nContent-Length: 5\r\n\r\nhello"),
    _bad("space-first-header", _OK + b" X-A: b\r\nContent-Length: 5\r\n\r\nhello"),
    _bad("no-colon", _OK + b"X-A\r\nContent-Length: 5\r\n\r\nhello"),
    _bad("name-space", _OK + b"X A: b\r\nContent-Length: 5\r\n\r\nhello"),
    _bad("status-two-digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("status-four-digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("status-letters", b"HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("status-000", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("status-099", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("status-plus", b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("version-2", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("version-0.9", b"hello from 0.9\r\n\r\n", then="close"),
    _bad("version-icy", b"ICY 200 OK\r\n\r\n", then="close"),
    _bad("version-lower", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    _bad("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
    _bad("nothing", b"", then="close"),
    _bad("half-head", b"HTTP/1.1 200 OK\r\nContent-Le", then="close"),
    _bad("half-head-reset", b"HTTP/1.1 200 OK\r\nContent-Le", then="reset"),
    _bad("head-64-kib", _OK + b"X-A: " + b"a" * 66_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    _bad("head-no-end", _OK + b"X-A: " + b"a" * 70_000),
    _bad("201-fields", _OK + b"".join(b"X-%d: a\r\n" % i for i in range(200)) + b"Content-Length: 0\r\n\r\n"),
    _bad("reason-lf", b"HTTP/1.1 200 O\nK\r\nContent-Length: 0\r\n\r\n"),
    _bad("reason-nul", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n"),
    _bad("101-unasked", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    _bad("101-unasked-foo", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n" + _SMUGGLED),
    _bad("9-interim", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + _OK + b"Content-Length: 0\r\n\r\n"),
    _bad("interim-flood", b"HTTP/1.1 102 Processing\r\n\r\n" * 1000),
    _bad("204-te-cl", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"),
    # extra bytes: the answer is good, its connection is not
    Answer("S15-204-body", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", (204, 502), b""),
    Answer("S15-204-extra", b"HTTP/1.1 204 No Content\r\n\r\n" + _SMUGGLED, (204, 502), b""),
    Answer("S15-304-body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", (304, 502), b""),
    Answer("S15-304-extra", b"HTTP/1.1 304 Not Modified\r\n\r\n" + _SMUGGLED, (304, 502), b""),
    Answer("S15-head-body", _OK + b"Content-Length: 4\r\n\r\nevil", (200, 502), b"", b"HEAD"),
    Answer("S15-head-extra", _OK + b"Content-Length: 0\r\n\r\n" + _SMUGGLED, (200, 502), b"", b"HEAD"),
    Answer("S15-head-chunked", _OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", (200, 502), b"", b"HEAD"),
    Answer("S15-extra", _OK + b"Content-Length: 5\r\n\r\nhello" + _SMUGGLED, (200, 502), b"hello"),
    Answer("S15-extra-byte", _OK + b"Content-Length: 5\r\n\r\nhello!", (200, 502), b"hello"),
    Answer("S15-extra-crlf", _OK + b"Content-Length: 5\r\n\r\nhello\r\n", (200, 502), b"hello"),
    Answer("S15-extra-cl-0", _OK + b"Content-Length: 0\r\n\r\n" + _SMUGGLED, (200, 502), b""),
    Answer(
        "S15-extra-chunked", _OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + _SMUGGLED, (200, 502), b"hello",
    ),
    Answer("S15-extra-408", _OK + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", (200, 502), b"hello"),
    # bodies that break off
    Answer("S15-short-cl", _OK + b"Content-Length: 50\r\n\r\nhello", (200, 502), cut=True, then="close"),
    Answer("S15-short-cl-reset", _OK + b"Content-Length: 50\r\n\r\nhello", (200, 502), cut=True, then="reset"),
    Answer("S15-short-chunked", _OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", (200, 502), cut=True, then="close"),
    _cut("chunk-hex-prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _cut("chunk-lf", b"5\nhello\r\n0\r\n\r\n"),
    _cut("chunk-spill", b"5\r\nhello world\r\n0\r\n\r\n"),
    _cut("chunk-17-digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
    _cut("chunk-space", b"5 \r\nhello\r\n0\r\n\r\n"),
    _cut("chunk-negative", b"-5\r\nhello\r\n0\r\n\r\n"),
    _cut("chunk-second-bad", b"5\r\nhello\r\nzz\r\n"),
    _cut("chunk-bare-semicolon", b"5;\r\nhello\r\n0\r\n\r\n"),
    # what passes
    Answer("S15-ok-cl", _OK + b"Content-Length: 5\r\n\r\nhello", (200,), b"hello", reuse=True),
    Answer("S15-ok-chunked", _OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", (200,), b"hello", reuse=True),
    Answer("S15-ok-chunked-case", _OK + b"transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", (200,), b"hello", reuse=True),
    Answer("S15-ok-extension", _OK + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", (200,), b"hello", reuse=True),
    Answer("S15-ok-close", _OK + b"\r\nhello", (200,), b"hello", then="close"),
    Answer("S15-ok-connection-close", _OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", (200,), b"hello", then="close"),
    Answer("S15-ok-10", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200,), b"hello", then="close"),
    Answer("S15-ok-10-close", b"HTTP/1.0 200 OK\r\n\r\nhello", (200,), b"hello", then="close"),
    Answer("S15-ok-no-reason", b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", (200,), b"hello", reuse=True),
    Answer("S15-ok-reason", b"HTTP/1.1 200 All \xe9 right\r\nContent-Length: 5\r\n\r\nhello", (200,), b"hello", reuse=True),
    Answer("S15-ok-599", b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", (599,), b"", reuse=True),
    Answer("S15-ok-204", b"HTTP/1.1 204 No Content\r\n\r\n", (204,), b"", reuse=True),
    Answer("S15-ok-304-length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", (304,), b"", reuse=True),
    Answer("S15-ok-head", _OK + b"Content-Length: 500\r\n\r\n", (200,), b"", b"HEAD", reuse=True),
    Answer("S15-ok-8-interim", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 8 + _OK + b"Content-Length: 0\r\n\r\n", (200,), b"", reuse=True),
    Answer("S15-ok-199-fields", _OK + b"".join(b"X-%d: a\r\n" % i for i in range(198)) + b"Content-Length: 0\r\n\r\n", (200,), b"", reuse=True),
    Answer("S15-ok-60-kib", _OK + b"X-A: " + b"a" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n", (200,), b"", reuse=True),
]  # fmt: skip

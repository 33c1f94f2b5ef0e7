"""S6, S7 and the small strictness of start lines: one line end, one space, one version (RFC 9112 §2-3, §5)."""

# ruff: noqa: RUF001 - a table reads best with one case a line, and some cases are about foreign digits

from conformance.cases import Forwarded, Passed, Refused, chunked, get

_H = b"Host: example.test"


def _raw(id_: str, head: bytes, status: tuple[int, ...] = (400,)) -> Refused:
    return Refused(id_, head, status)


S6 = [
    _raw("S6-lf-start-line", b"GET / HTTP/1.1\n" + _H + b"\r\n\r\n"),
    _raw("S6-lf-header", b"GET / HTTP/1.1\r\n" + _H + b"\nX-A: b\r\n\r\n"),
    _raw("S6-lf-last-header", b"GET / HTTP/1.1\r\n" + _H + b"\n\r\n"),
    _raw("S6-lf-empty-line", b"GET / HTTP/1.1\r\n" + _H + b"\r\n\n"),
    _raw("S6-lf-everywhere", b"GET / HTTP/1.1\n" + _H + b"\n\n"),
    _raw("S6-lf-in-value", b"GET / HTTP/1.1\r\n" + _H + b"\r\nX-A: a\nb\r\n\r\n"),
    _raw("S6-cr-in-start-line", b"GET /\r HTTP/1.1\r\n" + _H + b"\r\n\r\n"),
    _raw("S6-cr-start-line-end", b"GET / HTTP/1.1\r" + _H + b"\r\n\r\n"),
    _raw("S6-cr-in-value", b"GET / HTTP/1.1\r\n" + _H + b"\r\nX-A: a\rb\r\n\r\n"),
    _raw("S6-cr-in-name", b"GET / HTTP/1.1\r\n" + _H + b"\r\nX-\rA: a\r\n\r\n"),
    _raw("S6-cr-header-end", b"GET / HTTP/1.1\r\n" + _H + b"\rX-A: b\r\n\r\n"),
    _raw("S6-cr-cr-lf", b"GET / HTTP/1.1\r\n" + _H + b"\r\r\n\r\n"),
    _raw("S6-cr-cr-lf-empty", b"GET / HTTP/1.1\r\n" + _H + b"\r\n\r\r\n"),
    _raw("S6-cr-before-colon", b"GET / HTTP/1.1\r\n" + _H + b"\r\nX-A\r: b\r\n\r\n"),
    *(
        Refused(f"S6-{name}", chunked(body), begun=True, method="POST")
        for name, body in [
            ("lf-chunk-size", b"5\nhello\r\n0\r\n\r\n"),
            ("lf-chunk-data", b"5\r\nhello\n0\r\n\r\n"),
            ("lf-last-chunk", b"5\r\nhello\r\n0\n\r\n"),
            ("lf-last-empty", b"5\r\nhello\r\n0\r\n\n"),
            ("lf-trailer", b"0\r\nX-T: 1\nX-U: 2\r\n\r\n"),
            ("lf-trailer-end", b"0\r\nX-T: 1\r\n\n"),
            ("cr-chunk-size", b"5\rhello\r\n0\r\n\r\n"),
            ("cr-chunk-data", b"5\r\nhello\r0\r\n\r\n"),
            ("cr-cr-lf-chunk", b"5\r\r\nhello\r\n0\r\n\r\n"),
            ("cr-trailer", b"0\r\nX-T: 1\rX-U: 2\r\n\r\n"),
            ("cr-last", b"0\r\n\rX"),
        ]
    ),
    _raw("S6-nul-in-value", b"GET / HTTP/1.1\r\n" + _H + b"\r\nX-A: a\x00b\r\n\r\n"),
    _raw("S6-nul-in-name", b"GET / HTTP/1.1\r\n" + _H + b"\r\nX\x00A: b\r\n\r\n"),
    _raw("S6-nul-in-target", b"GET /a\x00b HTTP/1.1\r\n" + _H + b"\r\n\r\n"),
    _raw("S6-nul-first", b"\x00GET / HTTP/1.1\r\n" + _H + b"\r\n\r\n"),
    *(
        _raw(f"S6-control-{c:02x}-in-value", b"GET / HTTP/1.1\r\n" + _H + b"\r\nX-A: a%cb\r\n\r\n" % c)
        for c in (0x01, 0x07, 0x08, 0x0B, 0x0C, 0x0E, 0x1B, 0x1F, 0x7F)
    ),
]

S7 = [
    _raw("S7-fold", get(b"/", b"X: a\r\n b")),
    _raw("S7-fold-tab", get(b"/", b"X: a\r\n\tb")),
    _raw("S7-fold-empty", get(b"/", b"X: a\r\n ")),
    _raw("S7-fold-host", b"GET / HTTP/1.1\r\nHost:\r\n example.test\r\n\r\n"),
    _raw("S7-space-before-first", b"GET / HTTP/1.1\r\n X: y\r\n" + _H + b"\r\n\r\n"),
    _raw("S7-tab-before-first", b"GET / HTTP/1.1\r\n\tX: y\r\n" + _H + b"\r\n\r\n"),
    _raw("S7-space-line-first", b"GET / HTTP/1.1\r\n \r\n" + _H + b"\r\n\r\n"),
    _raw("S7-space-before-colon", get(b"/", b"X-A : b")),
    _raw("S7-no-colon", get(b"/", b"X-A")),
    _raw("S7-empty-name", get(b"/", b": b")),
    _raw("S7-space-in-name", get(b"/", b"X A: b")),
    _raw("S7-nbsp-in-name", get(b"/", b"X\xa0A: b")),
    *(_raw(f"S7-delimiter-{c:02x}-in-name", get(b"/", b"X%cA: b" % c)) for c in b'"(),/;<=>?@[\\]{}'),
]

_V = (400, 505)
VERSION = [
    *(
        _raw(f"V-version-{name}", b"GET / " + version + b"\r\n" + _H + b"\r\n\r\n", status)
        for name, version, status in [
            ("1.2", b"HTTP/1.2", _V),
            ("2.0", b"HTTP/2.0", _V),
            ("2", b"HTTP/2", _V),
            ("3.0", b"HTTP/3.0", _V),
            ("0.9", b"HTTP/0.9", _V),
            ("lower", b"http/1.1", _V),
            ("one-digit", b"HTTP/1", _V),
            ("two-digits", b"HTTP/1.10", _V),
            ("leading-zero", b"HTTP/01.1", _V),
            ("comma", b"HTTP/1,1", _V),
            ("trailing-space", b"HTTP/1.1 ", _V),
            ("trailing-word", b"HTTP/1.1 x", _V),
            ("no-slash", b"HTTP1.1", _V),
            ("other", b"ICY/1.1", _V),
            ("plus", b"HTTP/+1.1", _V),
            ("arabic", "HTTP/1.١".encode(), _V),
        ]
    ),
    _raw("V-simple-request", b"GET /\r\n" + _H + b"\r\n\r\n", _V),
    _raw("V-simple-request-space", b"GET / \r\n" + _H + b"\r\n\r\n", _V),
    _raw("V-h2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 405, 501, 505)),
    _raw("V-tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n"),
    _raw("V-two-spaces", b"GET  / HTTP/1.1\r\n" + _H + b"\r\n\r\n"),
    _raw("V-two-spaces-version", b"GET /  HTTP/1.1\r\n" + _H + b"\r\n\r\n", _V),
    _raw("V-tab", b"GET\t/ HTTP/1.1\r\n" + _H + b"\r\n\r\n", (400, 405, 501)),
    _raw("V-leading-space", b" GET / HTTP/1.1\r\n" + _H + b"\r\n\r\n", (400, 405, 501)),
    _raw("V-form-feed", b"GET /\x0cHTTP/1.1\r\n" + _H + b"\r\n\r\n"),
    _raw("V-space-in-target", b"GET /a b HTTP/1.1\r\n" + _H + b"\r\n\r\n", _V),
    _raw("V-no-target", b"GET HTTP/1.1\r\n" + _H + b"\r\n\r\n"),
    Passed("V-many-empty-lines", b"\r\n" * 200 + get(), (Forwarded(),), (400,)),
    Passed("V-empty-line-first", b"\r\n" + get(b"/first"), (Forwarded(b"/first"),)),
    Passed("V-http10", get(b"/ten", version=b"HTTP/1.0"), (Forwarded(b"/ten"),), closes=True),
    Passed("V-http10-no-host", b"GET /ten HTTP/1.0\r\n\r\n", (Forwarded(b"/ten"),), closes=True),
]

CASES = [*S6, *S7, *VERSION]

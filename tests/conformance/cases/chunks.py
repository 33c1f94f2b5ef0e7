"""S4, S5, S16 and the limits of a chunked body (RFC 9112 §7.1)."""

from conformance.cases import SMUGGLED, Forwarded, Passed, Refused, chunked

_END = b"0\r\n\r\n"


def _bad(id_: str, body: bytes, status: tuple[int, ...] = (400,)) -> Refused:
    return Refused(id_, chunked(body), status, begun=True, method="POST")


def _good(id_: str, body: bytes, data: bytes = b"hello", or_refused: tuple[int, ...] = ()) -> Passed:
    return Passed(id_, chunked(body), (Forwarded(method=b"POST", body=data),), or_refused)


S4 = [
    _bad("S4-hex-prefix", b"0x5\r\nhello\r\n" + _END),
    _bad("S4-underscore", b"5_0\r\nhello\r\n" + _END),
    _bad("S4-space-before", b" 5\r\nhello\r\n" + _END),
    _bad("S4-tab-before", b"\t5\r\nhello\r\n" + _END),
    _bad("S4-space-after", b"5 \r\nhello\r\n" + _END),
    _bad("S4-17-digits", b"00000000000000005\r\nhello\r\n" + _END),
    _bad("S4-overflow", b"10000000000000005\r\nhello\r\n" + _END),
    _bad("S4-minus", b"-1\r\nhello\r\n" + _END),
    _bad("S4-plus", b"+5\r\nhello\r\n" + _END),
    _bad("S4-empty", b"\r\nhello\r\n" + _END),
    _bad("S4-not-hex", b"g\r\nhello\r\n" + _END),
    _bad("S4-nul", b"5\x00\r\nhello\r\n" + _END),
    _bad("S4-vertical-tab", b"\x0b5\r\nhello\r\n" + _END),
    _bad("S4-decimal-point", b"5.0\r\nhello\r\n" + _END),
    _bad("S4-quoted", b'"5"\r\nhello\r\n' + _END),
    _bad("S4-no-crlf-after-data", b"5\r\nhello0\r\n\r\n"),
    _bad("S4-spill", b"5\r\nhello world\r\n" + _END),
    _bad("S4-spill-request", b"5\r\nhelloGET /smuggled HTTP/1.1\r\n\r\n" + _END),
    _bad("S4-two-bytes-for-crlf", b"5\r\nhelloXX" + _END),
    _bad("S4-too-short", b"6\r\nhello\r\n" + _END),
    _bad("S4-last-not-empty", b"5\r\nhello\r\n0 \r\n\r\n"),
    _bad("S4-last-overlong", b"5\r\nhello\r\n" + b"0" * 17 + b"\r\n\r\n"),
    _bad("S4-second-chunk", b"5\r\nhello\r\nzz\r\nhello\r\n" + _END),
    _good("S4-16-digits", b"0000000000000005\r\nhello\r\n" + _END),
    _good("S4-case", b"a\r\n0123456789\r\nB\r\n0123456789a\r\n" + _END, b"01234567890123456789a"),
    _good("S4-leading-zero", b"05\r\nhello\r\n" + _END),
    _good("S4-last-many-zeros", b"5\r\nhello\r\n000\r\n\r\n"),
    _good("S4-empty-body", _END, b""),
    _good("S4-single-bytes", b"".join(b"1\r\n%c\r\n" % c for c in b"hello") + _END),
    _good("S4-body-like-request", b"%x\r\n%s\r\n" % (len(SMUGGLED), SMUGGLED) + _END, SMUGGLED),
    _good(
        "S4-body-like-chunks", b"e\r\n0\r\n\r\nGET / HT\r\n\r\n" + _END, b"0\r\n\r\nGET / HT\r"[:14], or_refused=(400,)
    ),
]

S5 = [
    _bad("S5-lf-in-extension", b"5;\nx\r\nhello\r\n" + _END),
    _bad("S5-lf-ends-extension", b"5;a=b\nhello\r\n" + _END),
    _bad("S5-cr-in-extension", b"5;a\rb\r\nhello\r\n" + _END),
    _bad("S5-nul", b"5;a=\x00\r\nhello\r\n" + _END),
    _bad("S5-bare-semicolon", b"5;\r\nhello\r\n" + _END),
    _bad("S5-bare-semicolons", b"5;;\r\nhello\r\n" + _END),
    _bad("S5-bad-name", b"5;bad[=x\r\nhello\r\n" + _END),
    _bad("S5-no-value", b"5;a=\r\nhello\r\n" + _END),
    _bad("S5-no-name", b"5;=b\r\nhello\r\n" + _END),
    _bad("S5-unclosed-quote", b'5;a="b\r\nhello\r\n' + _END),
    _bad("S5-after-quote", b'5;a="b"c\r\nhello\r\n' + _END),
    _bad("S5-control-in-quote", b'5;a="\x01"\r\nhello\r\n' + _END),
    _bad("S5-delete", b"5;a=\x7f\r\nhello\r\n" + _END),
    _bad("S5-on-last", b"5\r\nhello\r\n0;[\r\n\r\n"),
    _bad("S5-64-kib", b"5;a=" + b"x" * 65536 + b"\r\nhello\r\n" + _END),
    _bad("S5-endless", b"5;a=" + b"x" * 300),
    _bad("S5-over-256", b"5;a=" + b"x" * 300 + b"\r\nhello\r\n" + _END),
    _bad("S5-over-16-kib-a-body", (b"1;a=" + b"x" * 240 + b"\r\nh\r\n") * 80 + _END),
    _bad("S5-1-kib-each", (b"1;a=" + b"x" * 1021 + b"\r\nh\r\n") * 5 + _END),
    _good("S5-token", b"5;name=value\r\nhello\r\n" + _END),
    _good("S5-name-only", b"5;name\r\nhello\r\n" + _END),
    _good("S5-several", b"5;a;b=c;d=e\r\nhello\r\n" + _END),
    _good("S5-quoted", b'5;a="b c;d"\r\nhello\r\n' + _END),
    _good("S5-quoted-escape", b'5;a="\\""\r\nhello\r\n' + _END),
    _good("S5-on-last-good", b"5\r\nhello\r\n0;a=b\r\n\r\n"),
    _good("S5-240-bytes", b"5;a=" + b"x" * 236 + b"\r\nhello\r\n" + _END),
    _good("S5-15-kib-a-body", (b"1;a=" + b"x" * 196 + b"\r\nh\r\n") * 75 + _END, b"h" * 75),
    _good("S5-space-around", b"5 ; a = b\r\nhello\r\n" + _END, or_refused=(400,)),
    _good("S5-space-around-name", b"5; a\r\nhello\r\n" + _END, or_refused=(400,)),
]


def _trailer(id_: str, line: bytes, absent: str) -> Passed:
    """Dropped or refused, never merged into the head and never passed on."""
    keep = b"X-Checksum: 1\r\n"
    return Passed(
        f"S16-{id_}",
        chunked(b"5\r\nhello\r\n0\r\n" + keep + line + b"\r\n\r\n", b"Trailer: X-Checksum"),
        (
            Forwarded(
                method=b"POST",
                body=b"hello",
                absent=(absent,) if absent != "Host" else (),
                trailers=((b"X-Checksum", b"1"),),
            ),
        ),
        or_refused=(400,),
    )


S16 = [
    _trailer("content-length", b"Content-Length: 50", "Content-Length"),
    _trailer("transfer-encoding", b"Transfer-Encoding: gzip", "X-None"),
    _trailer("host", b"Host: evil.test", "Host"),
    _trailer("authorization", b"Authorization: Basic eDp4", "Authorization"),
    _trailer("cookie", b"Cookie: a=b", "Cookie"),
    _trailer("set-cookie", b"Set-Cookie: a=b", "Set-Cookie"),
    _trailer("connection", b"Connection: close", "X-None"),
    _trailer("forwarded", b"X-Forwarded-For: 192.0.2.9", "X-None"),
    _trailer("expect", b"Expect: 100-continue", "Expect"),
    _trailer("upgrade", b"Upgrade: websocket", "Upgrade"),
    _trailer("te", b"TE: trailers", "TE"),
    _trailer("identity", b"X-User-Id: admin", "X-User-Id"),
    _trailer("identity-alias", b"X_User_Id: admin", "X_User_Id"),
    _trailer("real-ip", b"X-Real-IP: 192.0.2.9", "X-Real-IP"),
    _bad("S16-folded", b"0\r\nX-A: b\r\n c\r\n\r\n"),
    _bad("S16-space-before-colon", b"0\r\nX-A : b\r\n\r\n"),
    _bad("S16-no-colon", b"0\r\nX-A\r\n\r\n"),
    _bad("S16-nul", b"0\r\nX-A: \x00\r\n\r\n"),
    _bad("S16-space-first", b"0\r\n X-A: b\r\n\r\n"),
    _bad("S16-bare-lf", b"0\r\nX-A: b\n\r\n"),
    _bad("S16-over-8-kib", b"0\r\nX-A: " + b"y" * 9000 + b"\r\n\r\n", (400, 431)),
    _bad(
        "S16-over-8-kib-lines",
        b"0\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 90) for i in range(99)) + b"\r\n",
        (400, 431),
    ),
    _bad("S16-1000-lines", b"0\r\n" + b"X:\r\n" * 1000 + b"\r\n", (400, 431)),
    Passed(
        "S16-good-ones",
        chunked(
            b"5\r\nhello\r\n0\r\nX-Checksum: abc\r\nx-second:  two words \r\n\r\n", b"Trailer: X-Checksum, X-Second"
        ),
        (Forwarded(method=b"POST", body=b"hello", trailers=((b"X-Checksum", b"abc"), (b"x-second", b"two words"))),),
    ),
]

CASES = [*S4, *S5, *S16]

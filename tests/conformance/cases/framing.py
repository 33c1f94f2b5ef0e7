"""S1, S2, S3, S8, S14: where a body ends must never be read in two ways (RFC 9112 §6)."""

# ruff: noqa: RUF001 - a table reads best with one case a line, and some cases are about foreign digits

from conformance.cases import SMUGGLED, Forwarded, Passed, Refused, chunked, post

_BODY = b"0\r\n\r\n"


def _te(id_: str, *lines: bytes, status: tuple[int, ...] = (400,)) -> Refused:
    return Refused(f"S2-{id_}", post(*lines, body=b"5\r\nhello\r\n0\r\n\r\n"), status)


def _cl(id_: str, value: bytes, status: tuple[int, ...] = (400,)) -> Refused:
    return Refused(f"S3-{id_}", post(b"Content-Length: " + value, body=b"hello"), status)


S1 = [
    Refused("S1-cl-te", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=_BODY)),
    Refused("S1-te-cl", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=_BODY)),
    Refused("S1-cl-te-apart", post(b"Content-Length: 5", b"X-A: b", b"Transfer-Encoding: chunked", body=_BODY)),
    Refused("S1-te-upper", post(b"Content-Length: 5", b"TRANSFER-ENCODING: CHUNKED", body=_BODY)),
    Refused("S1-te-mixed", post(b"content-length: 5", b"tRANSFER-eNCODING: cHUNKED", body=_BODY)),
    Refused("S1-cl-zero", post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=_BODY)),
    Refused("S1-cl-long", post(b"Content-Length: 48", b"Transfer-Encoding: chunked", body=_BODY + SMUGGLED)),
    Refused("S1-te-identity", post(b"Content-Length: 5", b"Transfer-Encoding: identity", body=b"hello"), (400, 501)),
    Refused("S1-http10", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=_BODY, version=b"HTTP/1.0")),
    Refused("S1-get", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + _BODY),
]

_TE = b"Transfer-Encoding: "
S2 = [
    _te("xchunked", _TE + b"xchunked", status=(400, 501)),
    _te("chunkedx", _TE + b"chunkedx", status=(400, 501)),
    _te("gzip", _TE + b"gzip", status=(501,)),
    _te("gzip-chunked", _TE + b"gzip, chunked", status=(501,)),
    _te("deflate", _TE + b"deflate, chunked", status=(501,)),
    _te("identity", _TE + b"identity", status=(400, 501)),
    _te("identity-chunked", _TE + b"identity, chunked", status=(400, 501)),
    _te("chunked-identity", _TE + b"chunked, identity", status=(400, 501)),
    _te("chunked-gzip", _TE + b"chunked, gzip", status=(400, 501)),
    _te("chunked-chunked", _TE + b"chunked, chunked"),
    _te("two-lines", _TE + b"chunked", _TE + b"chunked"),
    _te("two-lines-identity", _TE + b"chunked", _TE + b"identity", status=(400, 501)),
    _te("two-lines-apart", _TE + b"identity", b"X-A: b", _TE + b"chunked", status=(400, 501)),
    _te("empty", b"Transfer-Encoding:"),
    _te("empty-space", _TE),
    _te("empty-then-chunked", b"Transfer-Encoding:", _TE + b"chunked"),
    _te("comma-first", _TE + b", chunked"),
    _te("comma-last", _TE + b"chunked,"),
    _te("vertical-tab-before", _TE + b"\x0bchunked"),
    _te("vertical-tab-after", _TE + b"chunked\x0b"),
    _te("form-feed", _TE + b"\x0cchunked"),
    _te("nul-before", _TE + b"\x00chunked"),
    _te("nul-after", _TE + b"chunked\x00"),
    _te("nbsp", _TE + b"\xa0chunked", status=(400, 501)),
    _te("space-before-colon", b"Transfer-Encoding : chunked"),
    _te("tab-before-colon", b"Transfer-Encoding\t: chunked"),
    _te("space-before-name", b" Transfer-Encoding: chunked"),
    _te("tab-before-name", b"\tTransfer-Encoding: chunked"),
    _te("folded", b"Transfer-Encoding:\r\n chunked"),
    _te("folded-tab", b"Transfer-Encoding:\r\n\tchunked"),
    _te("folded-after", _TE + b"chunked\r\n , identity"),
    _te("folded-other", b"X-A: b\r\n Transfer-Encoding: chunked"),
    _te("parameter", _TE + b"chunked;p=1", status=(400, 501)),
    _te("parameter-space", _TE + b"chunked ; p=1", status=(400, 501)),
    _te("quoted", _TE + b'"chunked"', status=(400, 501)),
    _te("no-colon", b"Transfer-Encoding chunked"),
    _te("bare-cr-in-value", _TE + b"\rchunked"),
    _te("bare-lf-in-value", _TE + b"\nchunked"),
    _te("nul-in-name", b"Transfer\x00-Encoding: chunked"),
    _te("colon-twice", b"Transfer-Encoding:: chunked", status=(400, 501)),
    Passed(
        "S2-tab-before-value",  # a tab is whitespace here (RFC 9110 §5.6.3): chunked or refused, never ignored
        post(b"Transfer-Encoding:\tchunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        (Forwarded(method=b"POST", body=b"hello"),),
        or_refused=(400,),
    ),
    Passed(
        "S2-underscore-name",  # another name: dropped, and must not change the framing
        post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=b"hello"),
        (Forwarded(method=b"POST", body=b"hello", absent=("Transfer_Encoding",)),),
    ),
    Passed(
        "S2-upper-alone",
        post(b"TRANSFER-ENCODING: CHUNKED", body=b"5\r\nhello\r\n0\r\n\r\n"),
        (Forwarded(method=b"POST", body=b"hello"),),
    ),
]

S3 = [
    _cl("plus", b"+5"),
    _cl("minus-zero", b"-0"),
    _cl("minus", b"-5"),
    _cl("hex", b"0x5"),
    _cl("hex-letter", b"5a"),
    _cl("space-inside", b"5 5"),
    _cl("tab-inside", b"5\t5"),
    _cl("list", b"5,10"),
    _cl("list-equal", b"5, 5"),
    _cl("list-empty-member", b"5,"),
    _cl("underscore", b"5_0"),
    _cl("octal", b"0o5"),
    _cl("exponent", b"5e0"),
    _cl("decimal", b"5.0"),
    _cl("20-digits", b"00000000000000000005"),
    _cl("overflow-64-bit", b"18446744073709551621"),
    _cl("overflow-32-bit-signed", b"99999999999999999999999999999"),
    _cl("empty", b""),
    _cl("quoted", b'"5"'),
    _cl("arabic-digits", "٥".encode()),
    _cl("nul", b"5\x00"),
    _cl("vertical-tab", b"\x0b5"),
    _cl("parameter", b"5;x"),
    Refused("S3-no-value", post(b"Content-Length:", body=b"hello")),
    Refused("S3-two-differing", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello")),
    Refused("S3-two-equal", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    Refused("S3-two-equal-zero", post(b"Content-Length: 0", b"content-length: 0")),
    Refused("S3-two-one-bad", post(b"Content-Length: 5", b"Content-Length: x", body=b"hello")),
    Refused("S3-space-before-colon", post(b"Content-Length : 5", body=b"hello")),
    Refused("S3-folded", post(b"Content-Length:\r\n 5", body=b"hello")),
    Refused("S3-space-before-name", post(b" Content-Length: 5", body=b"hello")),
    Passed(
        "S3-underscore-name",
        post(b"Content_Length: 40", b"Content-Length: 5", body=b"hello"),
        (Forwarded(method=b"POST", body=b"hello", absent=("Content_Length",)),),
    ),
    Passed(
        "S3-leading-zero",
        post(b"Content-Length: 005", body=b"hello"),
        (Forwarded(method=b"POST", body=b"hello"),),
        or_refused=(400,),
    ),
    Passed(
        "S3-spaces-around", post(b"Content-Length:   5  ", body=b"hello"), (Forwarded(method=b"POST", body=b"hello"),)
    ),
]

S8 = [
    Refused("S8-te", post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n", version=b"HTTP/1.0")),
    Refused(
        "S8-te-keep-alive",
        post(b"Connection: keep-alive", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.0"),
    ),
    Refused("S8-te-identity", post(b"Transfer-Encoding: identity", body=b"hello", version=b"HTTP/1.0"), (400, 501)),
    Passed(  # no length and no coding is no body: what follows is never a body that ends with the connection
        "S8-no-cl",
        post(body=SMUGGLED, version=b"HTTP/1.0"),
        (Forwarded(method=b"POST", body=b""),),
        or_refused=(400, 411),
        closes=True,
    ),
]

S14 = [
    Refused("S14-te", chunked(b"0\r\n\r\n", b"Connection: Transfer-Encoding")),
    Refused("S14-te-case", chunked(b"0\r\n\r\n", b"Connection: keep-alive, tRANSFER-ENCODING")),
    Refused("S14-cl", post(b"Content-Length: 5", b"Connection: Content-Length", body=b"hello")),
    Refused(
        "S14-cl-second-line",
        post(b"Content-Length: 5", b"Connection: close", b"Connection: content-length", body=b"hello"),
    ),
    Refused("S14-cl-without-one", post(b"Connection: Content-Length")),
    Refused("S14-host", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n"),
    Refused("S14-host-first", b"GET / HTTP/1.1\r\nConnection: close, host\r\nHost: a\r\n\r\n"),
]

CASES = [*S1, *S2, *S3, *S8, *S14]

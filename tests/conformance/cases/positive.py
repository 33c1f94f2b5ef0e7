"""Positive strictness: unusual but valid requests arrive byte for byte, in order, with every value."""

# ruff: noqa: E501 - a table reads best with one case a line, and some cases are about foreign digits

from conformance.cases import Forwarded, Passed, get, post


def _target(id_: str, target: bytes) -> Passed:
    return Passed(f"OK-target-{id_}", get(target), (Forwarded(target),))


def _fields(id_: str, *pairs: tuple[bytes, bytes]) -> Passed:
    return Passed(f"OK-fields-{id_}", get(b"/", *(n + b": " + v for n, v in pairs)), (Forwarded(fields=pairs),))


_COOKIES = b"; ".join(b"cookie%d=value-%d" % (i, i) for i in range(100))
CASES = [
    _target("percent-lower", b"/caf%c3%a9"),
    _target("percent-upper", b"/caf%C3%A9"),
    _target("percent-mixed", b"/caf%C3%a9"),
    _target("percent-needless", b"/%41%42%7e"),
    _target("percent-emoji", b"/%F0%9F%98%80"),
    _target("percent-space", b"/a%20b%20c"),
    _target("percent-plus", b"/a+b%2Bc"),
    _target("tilde", b"/~user/"),
    _target("sub-delimiters", b"/!$&'()*+,;=:@-._~"),
    _target("brackets-pipe", b"/a[0]|b"),
    _target("empty-query", b"/?"),
    _target("empty-query-path", b"/a/b?"),
    _target("two-questions", b"/a?b?c??"),
    _target("query-slash", b"/a?/b//c/../d"),
    _target("query-url", b"/r?to=http://example.org/a?b=c&d"),
    _target("query-brackets", b"/a?x[]=1&x[]=2&f{g}^h`i|j\\k"),
    _target("query-percent", b"/a?b=%2F%5C%25%0D%0A%2e%2e"),
    _target("query-semicolons", b"/a?b;c;d"),
    _target("query-amp", b"/a?&&=&b=&=c"),
    _target("query-quote", b"/a?b='c'"),
    _target("double-slash", b"//a///b//"),
    _target("parameters", b"/a;v=1/b;w=2;x"),
    _target("trailing-slash", b"/a/b/"),
    _target("dots-in-names", b"/.well-known/a.b..c/...d/e."),
    _target("colon", b"/a:b/urn:isbn:1"),
    _target("at", b"/@user/p@ckage"),
    _target("long-segment", b"/" + b"s" * 4000),
    _target("deep", b"/d" * 1000),
    _target("long-query", b"/?" + b"q=1&" * 1500),
    _target("looks-absolute", b"/http://example.org/"),
    _target("star-inside", b"/*"),
    _fields("order", (b"Zeta", b"1"), (b"Alpha", b"2"), (b"Mid", b"3"), (b"alpha", b"4")),
    _fields("case-of-names", (b"x-lower", b"1"), (b"X-UPPER", b"2"), (b"x-MiXeD", b"3")),
    _fields("repeated", (b"Accept", b"a/b"), (b"X-R", b"1"), (b"X-R", b"2"), (b"X-R", b"1"), (b"Accept", b"c/d")),
    _fields("8-kib-value", (b"X-Long", b"v" * 8192)),
    _fields("8-kib-name", (b"N" * 4096, b"v")),
    _fields("100-cookies", (b"Cookie", _COOKIES)),
    _fields("two-cookie-lines", (b"Cookie", b"a=1"), (b"Cookie", b"b=2")),
    _fields("empty-value", (b"X-Empty", b""), (b"X-After", b"1")),
    _fields("inner-spaces", (b"X-S", b"a  b\tc")),
    _fields("obs-text", (b"X-Latin", b"caf\xe9 \xff"), (b"X-Utf8", "café".encode())),
    _fields("punctuation", (b"X-P", b"\"quoted\", (comment); a=b, <x>, {y}, [z], \\, ^, `, |, ~")),
    _fields("token-names", (b"!#$%&'*+-.^`|~", b"1"), (b"0", b"2")),
    _fields("colon-in-value", (b"X-C", b"a:b: c")),
    _fields("authorization", (b"Authorization", b"Bearer a.b.c"), (b"Proxy-Thing", b"x")),
    _fields("traceparent", (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), (b"tracestate", b"a=b,c=d")),
    _fields("conditional", (b"If-None-Match", b'W/"a", "b"'), (b"If-Modified-Since", b"Sat, 29 Oct 1994 19:43:31 GMT")),
    _fields("range", (b"Range", b"bytes=0-499, -500"), (b"If-Range", b'"x"')),
    _fields("accept", (b"Accept", b"*/*;q=0.8"), (b"Accept-Encoding", b"gzip, br;q=0"), (b"Accept-Language", b"de")),
    _fields("user-agent", (b"User-Agent", b""), (b"Referer", b"http://a/b?c#d"), (b"Origin", b"null")),
    _fields("cache", (b"Cache-Control", b"no-cache"), (b"Pragma", b"no-cache"), (b"Via", b"1.0 fred")),
    Passed("OK-fields-no-space", get(b"/", b"X-A:b", b"X-C:\td\t"), (Forwarded(fields=((b"X-A", b"b"), (b"X-C", b"d"))),)),
    Passed("OK-fields-wide-space", get(b"/", b"X-A:    b    "), (Forwarded(fields=((b"X-A", b"b"),)),)),
    Passed("OK-bare-get", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (Forwarded(fields=((b"Host", b"a"),)),)),
    *(
        Passed(
            f"OK-method-{m.decode().lower()}", m + b" /m HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", (Forwarded(b"/m", m),),
        )
        for m in (
            b"PROPFIND", b"REPORT", b"MKCOL", b"PURGE", b"M-SEARCH", b"LINK", b"QUERY", b"X_Y".upper(), b"A" * 32, b"V2", b"A", b"PATCH",
        )
    ),
    Passed("OK-options-asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", (Forwarded(b"*", b"OPTIONS"),)),
    Passed(
        "OK-pipeline-3", get(b"/1") + post(b"Content-Length: 3", body=b"abc", target=b"/2") + get(b"/3"),
        (Forwarded(b"/1"), Forwarded(b"/2", b"POST", b"abc"), Forwarded(b"/3")),
    ),
    Passed(
        "OK-pipeline-chunked",
        post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n", target=b"/1") + get(b"/2"),
        (Forwarded(b"/1", b"POST", b"abc"), Forwarded(b"/2")),
    ),
    Passed("OK-content-fields", post(
        b"Content-Type: text/plain;charset=utf-8", b"Content-Encoding: gzip", b"Content-Length: 3", body=b"\x00\xff\r"),
        (Forwarded(b"/", b"POST", b"\x00\xff\r", ((b"Content-Type", b"text/plain;charset=utf-8"), (b"Content-Encoding", b"gzip"))),),
    ),
]  # fmt: skip

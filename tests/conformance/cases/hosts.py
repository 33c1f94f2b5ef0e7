"""H6: one host, canonical for matching; the access-list snapshot answers 403 for the host admin.test (RFC 9112 §3.2)."""

# ruff: noqa: E501 - a table reads best with one case a line, and some cases are about foreign digits

from conformance.cases import Forwarded, Passed, Refused, Routed, get


def _bad(id_: str, value: bytes) -> Refused:
    return Refused(f"H6-{id_}", get(host=value))


def _raw(line: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([line, *lines]) + b"\r\n\r\n"


CASES = [
    Refused("H6-missing", b"GET / HTTP/1.1\r\n\r\n"),
    Refused("H6-missing-others", b"GET / HTTP/1.1\r\nX-Host: a\r\nHost2: b\r\n\r\n"),
    Refused("H6-missing-absolute", b"GET http://example.test/ HTTP/1.1\r\n\r\n"),
    Refused("H6-two-equal", get(b"/", b"Host: example.test")),
    Refused("H6-two-different", get(b"/", b"Host: other.test")),
    Refused("H6-two-case", get(b"/", b"hOST: example.test")),
    _bad("empty", b""),
    _bad("userinfo", b"user@example.test"),
    _bad("userinfo-password", b"user:pass@example.test"),
    _bad("path", b"example.test/admin"),
    _bad("query", b"example.test?x"),
    _bad("fragment", b"example.test#x"),
    _bad("backslash", b"example.test\\x"),
    _bad("comma", b"example.test,other.test"),
    _bad("comma-space", b"example.test, other.test"),
    _bad("space", b"example.test other.test"),
    _bad("tab", b"example.test\tother.test"),
    _bad("scheme", b"http://example.test"),
    _bad("port-zero", b"example.test:0"),
    _bad("port-65536", b"example.test:65536"),
    _bad("port-long", b"example.test:000000000000080"),
    _bad("port-letters", b"example.test:http"),
    _bad("port-minus", b"example.test:-1"),
    _bad("port-plus", b"example.test:+80"),
    _bad("port-two", b"example.test:80:80"),
    _bad("port-userinfo", b"example.test:80@other.test"),
    _bad("only-port", b":80"),
    _bad("only-dot", b"."),
    _bad("two-dots", b"example..test"),
    _bad("leading-dot", b".example.test"),
    _bad("idn-raw", "bücher.test".encode()),
    _bad("nul", b"example.test\x00"),
    _bad("encoded", b"example%2etest"),
    _bad("angle", b"<example.test>"),
    _bad("quote", b'"example.test"'),
    _bad("ipv6-open", b"[::1"),
    _bad("ipv6-close", b"::1]"),
    _bad("ipv6-no-brackets", b"::1"),
    _bad("ipv6-garbage", b"[zz::1]"),
    _bad("ipv6-zone", b"[fe80::1%25eth0]"),
    _bad("ipv6-after", b"[::1]x"),
    _bad("label-too-long", b"a" * 300 + b".test"),
    Refused("H6-absolute-userinfo", _raw(b"GET http://user@example.test/ HTTP/1.1", b"Host: example.test")),
    Refused("H6-absolute-no-host", _raw(b"GET http:///x HTTP/1.1", b"Host: example.test")),
    Refused("H6-absolute-ftp", _raw(b"GET ftp://example.test/ HTTP/1.1", b"Host: example.test")),
    Refused("H6-absolute-bad-port", _raw(b"GET http://example.test:99999/ HTTP/1.1", b"Host: example.test")),
    Refused("H6-absolute-fragment", _raw(b"GET http://example.test/#x HTTP/1.1", b"Host: example.test")),
    Refused("H6-absolute-two-hosts", _raw(b"GET http://example.test/ HTTP/1.1", b"Host: a", b"Host: b")),
    Refused("H6-absolute-bad-host-line", _raw(b"GET http://example.test/ HTTP/1.1", b"Host: a/b")),
    Refused("H6-authority-form", _raw(b"GET example.test:80 HTTP/1.1", b"Host: example.test")),
    Refused("H6-asterisk-get", _raw(b"GET * HTTP/1.1", b"Host: example.test")),
    Refused("H6-no-slash", _raw(b"GET x HTTP/1.1", b"Host: example.test")),
    Refused("H6-question-first", _raw(b"GET ?x HTTP/1.1", b"Host: example.test")),
    # what passes
    Passed(
        "H6-kept-as-sent", get(b"/", host=b"Example.TEST:8080"), (Forwarded(fields=((b"Host", b"Example.TEST:8080"),)),),
    ),
    Passed("H6-ipv4", get(b"/", host=b"127.0.0.1:80"), (Forwarded(fields=((b"Host", b"127.0.0.1:80"),)),)),
    Passed("H6-ipv6", get(b"/", host=b"[::1]:8080"), (Forwarded(fields=((b"Host", b"[::1]:8080"),)),)),
    Passed("H6-punycode", get(b"/", host=b"xn--bcher-kva.test"), (Forwarded(fields=((b"Host", b"xn--bcher-kva.test"),)),)),
    Passed("H6-underscore", get(b"/", host=b"my_host.test"), (Forwarded(fields=((b"Host", b"my_host.test"),)),)),
    Passed("H6-not-first", _raw(b"GET / HTTP/1.1", b"X-A: b", b"Host: late.test"), (Forwarded(fields=((b"Host", b"late.test"),)),)),
    Passed("H6-port-empty", get(b"/", host=b"example.test:"), (Forwarded(),), (400,)),
    Passed(
        "H6-absolute-wins", _raw(b"GET http://first.test/a?b HTTP/1.1", b"Host: second.test"),
        (Forwarded(b"/a?b", fields=((b"Host", b"first.test"),)),),
    ),
    Passed(
        "H6-absolute-port", _raw(b"GET http://first.test:81/ HTTP/1.1", b"Host: first.test"),
        (Forwarded(b"/", fields=((b"Host", b"first.test:81"),)),),
    ),
    Passed(
        "H6-absolute-no-path", _raw(b"GET http://first.test HTTP/1.1", b"Host: first.test"),
        (Forwarded(b"/", fields=((b"Host", b"first.test"),)),),
    ),
    Passed(
        "H6-absolute-query-only", _raw(b"GET http://first.test?a=b HTTP/1.1", b"Host: first.test"),
        (Forwarded(b"/?a=b", fields=((b"Host", b"first.test"),)),),
    ),
    Passed(
        "H6-absolute-scheme-case", _raw(b"GET HTTP://first.test/ HTTP/1.1", b"Host: first.test"),
        (Forwarded(b"/", fields=((b"Host", b"first.test"),)),),
    ),
    # what the host decides
    Routed("H6-exact", get(host=b"admin.test"), (403,)),
    Routed("H6-case", get(host=b"ADMIN.Test"), (403,)),
    Routed("H6-port", get(host=b"admin.test:8080"), (403,)),
    Routed("H6-trailing-dot", get(host=b"admin.test."), (403, 400)),
    Routed("H6-trailing-dot-port", get(host=b"admin.test.:80"), (403, 400)),
    Routed("H6-absolute-admin", _raw(b"GET http://admin.test/ HTTP/1.1", b"Host: public.test"), (403,)),
    Routed("H6-absolute-admin-case", _raw(b"GET http://ADMIN.test/ HTTP/1.1", b"Host: public.test"), (403,)),
    Routed("H6-host-admin-absolute-public", _raw(b"GET http://public.test/ HTTP/1.1", b"Host: admin.test"), (200,), b"/", b"public.test"),
    Routed("H6-evil-prefix", get(host=b"eviladmin.test:3000"), (200,), b"/", b"eviladmin.test:3000"),
    Routed("H6-evil-suffix", get(host=b"admin.test.evil.test"), (200,), b"/", b"admin.test.evil.test"),
    Routed("H6-wildcard", get(host=b"a.protected.test"), (403,)),
    Routed("H6-wildcard-deep", get(host=b"a.b.PROTECTED.test"), (403,)),
    Routed("H6-wildcard-bare", get(host=b"protected.test"), (200,), b"/", b"protected.test"),
    Routed("H6-wildcard-evil", get(host=b"xprotected.test"), (200,), b"/", b"xprotected.test"),
]  # fmt: skip

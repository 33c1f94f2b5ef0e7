"""P1, P2: one canonical path for every decision; the access-list snapshot answers 403 under /admin."""

# ruff: noqa: E501 - a table reads best with one case a line, and some cases are about foreign digits

from conformance.cases import Forwarded, Passed, Refused, Routed, get


def _admin(id_: str, target: bytes) -> Routed:
    return Routed(f"P1-{id_}", get(target), (403,))


def _other(id_: str, target: bytes, listener: str = "public", seen: bytes | None = None) -> Routed:
    return Routed(f"P1-{id_}", get(target), (200,), seen or target, listener=listener)


def _bad(id_: str, target: bytes, listener: str = "public") -> Routed:
    return Routed(f"P1-{id_}", get(target), (400,), listener=listener)


P1 = [
    _admin("plain", b"/admin"),
    _admin("slash", b"/admin/"),
    _admin("below", b"/admin/x"),
    _admin("encoded-letter", b"/%61dmin"),
    _admin("encoded-upper", b"/%61%64%6D%69%6E"),
    _admin("encoded-lower-hex", b"/%61%64%6d%69%6e/x"),
    _admin("double-slash", b"//admin"),
    _admin("many-slashes", b"////admin//x"),
    _admin("slash-inside", b"/admin//"),
    _admin("parameter", b"/admin;x"),
    _admin("parameter-value", b"/admin;x=y/z"),
    _admin("parameter-empty", b"/admin;"),
    _admin("encoded-semicolon-kept-apart", b"/admin;%61"),
    _admin("query", b"/admin?"),
    _admin("query-value", b"/admin?x=/../y"),
    _admin("query-slashes", b"//admin?//"),
    _admin("parameter-first-empty", b"/;/admin"),
    _admin("parameter-on-empty-segment", b"/;x/admin"),
    _bad("dot", b"/./admin"),
    _bad("dot-dot", b"/x/../admin"),
    _bad("dot-dot-end", b"/x/.."),
    _bad("dot-end", b"/x/."),
    _bad("dot-parameter", b"/x/..;/admin"),
    _bad("dot-parameter-value", b"/x/..;a=b/admin"),
    _bad("dot-single-parameter", b"/.;/admin"),
    _bad("encoded-dot-dot", b"/x/%2e%2e/admin"),
    _bad("encoded-dot-dot-upper", b"/x/%2E%2E/admin"),
    _bad("half-encoded-dot-dot", b"/x/.%2e/admin"),
    _bad("half-encoded-dot-dot-2", b"/x/%2e./admin"),
    _bad("encoded-dot", b"/%2e/admin"),
    _bad("encoded-dot-parameter", b"/x/%2e%2e;/admin"),
    _bad("encoded-slash", b"/x%2f..%2fadmin"),
    _bad("encoded-slash-upper", b"/x%2Fadmin"),
    _bad("encoded-slash-end", b"/admin%2f"),
    _bad("encoded-backslash", b"/x%5cadmin"),
    _bad("encoded-backslash-upper", b"/x%5C..%5Cadmin"),
    _bad("backslash", b"/\\admin"),
    _bad("backslash-dots", b"/x\\..\\admin"),
    _bad("backslash-first", b"\\admin"),
    _bad("double-encoded-dot", b"/%252e%252e/admin"),
    _bad("double-encoded-slash", b"/x%252fadmin"),
    _bad("double-encoded-letter", b"/%2561dmin"),
    _bad("nul", b"/admin%00"),
    _bad("nul-inside", b"/ad%00min"),
    _bad("encoded-cr-lf", b"/x%0d%0aadmin"),
    _bad("encoded-lf", b"/%0aadmin"),
    _bad("encoded-tab", b"/%09admin"),
    _bad("encoded-delete", b"/%7fadmin"),
    _bad("encoded-unit-separator", b"/%1fadmin"),
    _bad("overlong-slash", b"/x%c0%afadmin"),
    _bad("overlong-dot", b"/%c0%ae%c0%ae/admin"),
    _bad("overlong-three", b"/%e0%80%afadmin"),
    _bad("surrogate", b"/%ed%a0%80"),
    _bad("latin-1", b"/%e9"),
    _bad("cut-utf-8", b"/%e2%82"),
    _bad("beyond-unicode", b"/%f4%90%80%80"),
    _bad("raw-latin-1", b"/\xe9"),
    _bad("percent-alone", b"/%"),
    _bad("percent-one-digit", b"/%4"),
    _bad("percent-not-hex", b"/%zz"),
    _bad("percent-u", b"/%u002e%u002e/admin"),
    _bad("percent-space", b"/%4%31dmin"),
    _bad("fragment", b"/admin#"),
    _bad("fragment-first", b"/#/admin"),
    _bad("fragment-in-query", b"/x?y#/admin"),
    _bad("dots-absolute", b"http://example.test/x/../admin"),
    _other("upper", b"/ADMIN"),
    _other("prefix-of-segment", b"/administrator"),
    _other("dots-in-name", b"/admin..x"),
    _other("three-dots", b"/.../admin"),
    _other("dots-after", b"/api../admin"),
    _other("host-like", b"//host/admin"),
    _other("query-only", b"/?/admin"),
    _other("query-dots", b"/x?../admin"),
    _other("query-encoded", b"/x?a=%2F%2e%2e%5c%0d%0a%00"),
    _other("semicolon-before", b"/x;/y"),
    _other("percent-25-alone", b"/100%25"),
    _other("percent-25-then-one", b"/100%25a/x"),
    _other("encoded-question", b"/x%3fadmin"),
    _other("encoded-hash", b"/x%23admin"),
    _other("encoded-semicolon", b"/x%3by"),
    _other("encoded-space", b"/a%20b"),
    # encoded_slash: keep
    _other("keep-slash", b"/x%2fadmin", "loose"),
    _other("keep-slash-upper", b"/x%2Fy%2Fz", "loose"),
    _bad("keep-slash-dots", b"/x%2f..%2fadmin", "loose"),
    _bad("keep-slash-backslash", b"/x%5cadmin", "loose"),
    Routed("P1-keep-slash-admin", get(b"/admin%2fx"), (200, 403), b"/admin%2fx", listener="loose"),
    # dot_segments: resolve
    Routed("P1-resolve-dot", get(b"/./admin"), (403,), listener="loose"),
    Routed("P1-resolve-dot-dot", get(b"/x/../admin"), (403,), listener="loose"),
    Routed("P1-resolve-encoded", get(b"/x/%2e%2e/admin"), (403, 400), listener="loose"),
    Routed("P1-resolve-parameter", get(b"/x/..;/admin"), (403, 400), listener="loose"),
    Routed("P1-resolve-above-root", get(b"/../../admin"), (403, 400), listener="loose"),
    Routed("P1-resolve-out-of-admin", get(b"/admin/../y"), (200,), b"/y", listener="loose"),
    _other("resolve-upstream", b"/a/b/../c/./d?q=../z", "loose", seen=b"/a/c/d?q=../z"),
]


def _method(id_: str, method: bytes, status: tuple[int, ...] = (501, 405, 400)) -> Refused:
    return Refused(f"P2-{id_}", method + b" / HTTP/1.1\r\nHost: example.test\r\n\r\n", status, closes=False)


P2 = [
    _method("lower", b"get"),
    _method("mixed", b"Get"),
    _method("100-bytes", b"A" * 100),
    _method("33-bytes", b"A" * 33),
    _method("trace", b"TRACE", (501, 405)),
    _method("connect", b"CONNECT", (501, 405, 400)),
    _method("dot", b"GE.T"),
    _method("bang", b"GET!"),
    _method("empty", b""),
    _method("quote", b'"GET"'),
    _method("latin-1", b"G\xcbT"),
    _method("nul", b"G\x00T"),
    Refused("P2-connect-authority", b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n", (501, 405), closes=False),
    *(
        Passed(
            f"P2-override-{name.decode().lower()}", get(b"/", name + b": DELETE"), (Forwarded(b"/", b"GET"),),
        )
        for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override")
    ),
    Routed("P2-override-route", get(b"/only-delete", b"X-HTTP-Method-Override: DELETE"), (405,)),
    Routed("P2-url-override", get(b"/open", b"X-Original-URL: /admin", b"X-Rewrite-URL: /admin"), (200,), b"/open"),
]  # fmt: skip

CASES = [*P1, *P2]

"""H1, H2, H3, H4, S11, S12, S13 as far as one head decides them: what the origin may and may not see."""

# ruff: noqa: E501 - a table reads best with one case a line, and some cases are about foreign digits

from conformance.cases import Forwarded, Passed, Refused, get

_XFF = (b"X-Forwarded-For", b"127.0.0.1")
_LONG = b"a" * 128


def _hop(id_: str, *lines: bytes, absent: tuple[str, ...], fields: tuple[tuple[bytes, bytes], ...] = ()) -> Passed:
    closes = any(line.lower().startswith(b"connection:") and b"close" in line.lower() for line in lines)
    return Passed(
        f"H1-{id_}", get(b"/hop", *lines), (Forwarded(b"/hop", absent=absent, fields=fields),), (400,), closes=closes
    )


H1 = [
    _hop("forwarded-for", b"Connection: close, X-Forwarded-For", absent=(), fields=(_XFF,)),
    _hop(
        "forwarded-all", b"Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host", absent=(), fields=(_XFF,)
    ),
    _hop("named", b"Connection: X-Custom", b"X-Custom: a", absent=("X-Custom",)),
    _hop("named-case", b"cOnNeCtIoN: x-CUSTOM", b"X-Custom: a", absent=("X-Custom",)),
    _hop("named-before", b"X-Custom: a", b"Connection: X-Custom", absent=("X-Custom",)),
    _hop("named-every-line", b"X-Custom: a", b"X-Custom: b", b"Connection: X-Custom", absent=("X-Custom",)),
    _hop("second-line", b"Connection: keep-alive", b"Connection: X-Custom", b"X-Custom: a", absent=("X-Custom",)),
    _hop("request-id", b"Connection: X-Request-Id", b"X-Request-Id: a", absent=()),
    _hop("keep-alive", b"Keep-Alive: timeout=5", absent=("Keep-Alive",)),
    _hop("proxy-connection", b"Proxy-Connection: keep-alive", absent=("Proxy-Connection",)),
    _hop("te", b"TE: trailers", b"Connection: TE", absent=()),
    _hop("te-gzip", b"TE: gzip", b"Connection: TE", absent=("Keep-Alive",)),
    _hop("empty-members", b"Connection: ,, X-Custom ,", b"X-Custom: a", absent=("X-Custom",)),
    _hop("identity", b"Connection: X-User-Id", b"X-User-Id: admin", absent=("X-User-Id",)),
    Refused("H1-authorization", get(b"/hop", b"Connection: Authorization", b"Authorization: Basic eDp4")),
    Refused("H1-authorization-list", get(b"/hop", b"Connection: close, X-Forwarded-For, Authorization, X-User-Id")),
    Refused("H1-authorization-case", get(b"/hop", b"Connection: aUTHORIZATION", b"Authorization: Basic eDp4")),
    Refused("H1-cookie", get(b"/hop", b"Connection: Cookie", b"Cookie: a=b")),
    Refused("H1-not-a-token", get(b"/hop", b"Connection: a b")),
]

_REMOVED = [
    b"X-Real-IP", b"True-Client-IP", b"X-Client-IP", b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Host",
    b"X-Forwarded-Proto", b"X-Forwarded-Port", b"X-Forwarded-Prefix", b"X-Forwarded-Server", b"X-Forwarded-Anything",
    b"X-Original-URL", b"X-Rewrite-URL",
]  # fmt: skip


def _no_value(name: bytes) -> Passed:
    """Whatever stands there for the origin, it is not the client's value: judged by the runner through `absent`."""
    ours = name.lower() in (b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port")
    return Passed(
        f"H2-removed-{name.decode().lower()}",
        get(b"/from", name + b": 192.0.2.66"),
        (Forwarded(b"/from", absent=() if ours else (name.decode(),), fields=(_XFF,)),),
    )


H2 = [
    *(_no_value(name) for name in _REMOVED),
    Passed("H2-two-lines", get(b"/", b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-For: 2.2.2.2"), (Forwarded(fields=(_XFF,)),)),
    Passed("H2-list", get(b"/", b"X-Forwarded-For: 1.1.1.1, 127.0.0.1"), (Forwarded(fields=(_XFF,)),)),
    Passed("H2-ipv6-zone", get(b"/", b"X-Forwarded-For: fe80::1%eth0"), (Forwarded(fields=(_XFF,)),)),
    Passed("H2-garbage", get(b"/", b"X-Forwarded-For: <script>"), (Forwarded(fields=(_XFF,)),)),
    Passed("H2-case", get(b"/", b"x-fOrWaRdEd-fOr: 1.1.1.1"), (Forwarded(fields=(_XFF,)),)),
    Passed("H2-underscore", get(b"/", b"X_Forwarded_For: 1.1.1.1"), (Forwarded(absent=("X_Forwarded_For",), fields=(_XFF,)),)),
    Passed(
        "H2-underscore-pass", get(b"/", b"X_Forwarded_For: 1.1.1.1"),
        (Forwarded(absent=("X_Forwarded_For",), fields=(_XFF,)),), (400,), listener="underscores",
    ),
]  # fmt: skip


def _identity(name: bytes, listener: str = "public") -> Passed:
    return Passed(
        f"H3-{name.decode('latin-1')}-{listener}",
        get(b"/id", name + b": admin"),
        (Forwarded(b"/id", absent=(name.decode("latin-1"), "X-User-Id")),),
        listener=listener,
    )


H3 = [
    *(
        _identity(name, listener)
        for name in (b"X-User-Id", b"x-user-id", b"X_User_Id", b"x-USER_id", b"X.User.Id", b"X~User!Id", b"X*User*Id")
        for listener in ("public", "underscores", "trusted")
    ),
    Passed("H3-duplicates", get(b"/", b"X-User-Id: a", b"x-user-id: b", b"X-USER-ID: c"), (Forwarded(absent=("X-User-Id",)),)),
    Refused("H3-nbsp", get(b"/", b"x-user-id\xa0: admin")),
    Refused("H3-nbsp-inside", get(b"/", b"x\xa0user\xa0id: admin")),
    Passed("H3-drop", get(b"/", b"A_b: 1", b"A-b: 2"), (Forwarded(absent=("A_b",), fields=((b"A-b", b"2"),)),)),
    Passed("H3-pass", get(b"/", b"A_b: 1"), (Forwarded(fields=((b"A_b", b"1"),)),), listener="underscores"),
    Refused("H3-refuse", get(b"/", b"A_b: 1"), listener="no-underscores"),
    Passed("H3-like-it", get(b"/", b"X-User-Ids: 1"), (Forwarded(fields=((b"X-User-Ids", b"1"),)),)),
]  # fmt: skip

H4 = [
    Passed("H4-list", get(b"/", b"X-Role: user,admin"), (Forwarded(fields=((b"X-Role", b"user,admin"),)),)),
    Passed(
        "H4-two-lines", get(b"/", b"X-Role: user", b"X-Role: admin"),
        (Forwarded(fields=((b"X-Role", b"user"), (b"X-Role", b"admin"))),),
    ),
]  # fmt: skip

REQUEST_ID = [
    Passed(
        "R-id-kept", get(b"/", b"X-Request-Id: Abc-123_x.y"), (Forwarded(fields=((b"X-Request-Id", b"Abc-123_x.y"),)),)
    ),
    Passed("R-id-128", get(b"/", b"X-Request-Id: " + _LONG), (Forwarded(fields=((b"X-Request-Id", _LONG),)),)),
]

EXPECT = [
    *(
        Refused(f"S11-expect-{name}", get(b"/", b"Expect: " + value), (417,), closes=False)
        for name, value in [
            ("unknown", b"x"), ("list", b"100-continue, x"), ("prefix", b"100-continuex"),
            ("quoted", b'"100-continue"'), ("parameter", b"100-continue;a=b"), ("space", b"100 continue"),
        ]
    ),
    Refused("S11-expect-two-lines", get(b"/", b"Expect: 100-continue", b"Expect: x"), (400, 417), closes=False),
    Refused("S11-expect-vertical-tab", get(b"/", b"Expect: \x0b100-continue"), (400, 417), closes=False),
]  # fmt: skip

_GONE = ("Upgrade", "HTTP2-Settings")
UPGRADE = [
    Passed("S12-foo", get(b"/up", b"Connection: Upgrade", b"Upgrade: foo"), (Forwarded(b"/up", absent=_GONE),)),
    Passed("S12-no-connection", get(b"/up", b"Upgrade: websocket"), (Forwarded(b"/up", absent=_GONE),)),
    Passed("S12-tls", get(b"/up", b"Connection: Upgrade", b"Upgrade: TLS/1.0"), (Forwarded(b"/up", absent=_GONE),)),
    Passed(
        "S12-list", get(b"/up", b"Connection: Upgrade", b"Upgrade: foo, websocket"), (Forwarded(b"/up", absent=_GONE),), (400,),
    ),
    Passed(
        "S12-websocket-10",
        get(b"/up", b"Connection: Upgrade", b"Upgrade: websocket", version=b"HTTP/1.0"),
        (Forwarded(b"/up", absent=_GONE),), (400,), closes=True,
    ),
    Passed(
        "S13-h2c",
        get(b"/up", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        (Forwarded(b"/up", absent=_GONE),),
    ),
    Passed(
        "S13-h2c-settings-unnamed",
        get(b"/up", b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        (Forwarded(b"/up", absent=_GONE),),
    ),
    Passed(
        "S13-h2c-case", get(b"/up", b"Connection: upgrade, http2-settings", b"uPGRADE: H2C", b"http2-settings: AA"),
        (Forwarded(b"/up", absent=_GONE),),
    ),
    Passed("S13-h2", get(b"/up", b"Connection: Upgrade", b"Upgrade: h2"), (Forwarded(b"/up", absent=_GONE),)),
]  # fmt: skip

_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def _handshake(id_: str, *lines: bytes, method: bytes = b"GET", body: bytes = b"") -> Passed:
    """Not a valid opening handshake (RFC 6455 §4.2.1): plain HTTP without the upgrade, or refused; never a tunnel."""
    head = b"\r\n".join(
        [method + b" /ws HTTP/1.1", b"Host: example.test", b"Connection: Upgrade", b"Upgrade: websocket", *lines]
    )
    return Passed(
        f"W2-{id_}",
        head + b"\r\n\r\n" + body,
        (Forwarded(b"/ws", method, body, absent=("Upgrade",)),),
        (400, 405, 426),
    )


_V13 = b"Sec-WebSocket-Version: 13"
W2 = [
    _handshake("version-12", _KEY, b"Sec-WebSocket-Version: 12"),
    _handshake("version-empty", _KEY, b"Sec-WebSocket-Version:"),
    _handshake("version-missing", _KEY),
    _handshake("version-list", _KEY, b"Sec-WebSocket-Version: 13, 8"),
    _handshake("version-x", _KEY, b"Sec-WebSocket-Version: 13x"),
    _handshake("key-missing", _V13),
    _handshake("key-short", b"Sec-WebSocket-Key: AAAA", _V13),
    _handshake("key-not-base64", b"Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==", _V13),
    _handshake("key-two", _KEY, _KEY, _V13),
    _handshake("post", _KEY, _V13, b"Content-Length: 0", method=b"POST"),
    _handshake("body", _KEY, _V13, b"Content-Length: 5", body=b"hello"),
]

CASES = [*H1, *H2, *H3, *H4, *REQUEST_ID, *EXPECT, *UPGRADE, *W2]

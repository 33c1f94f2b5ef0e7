"""Rows of `security.md` that need a whole exchange: S10, S11, S12, H2, H5, W2, W3 (limits over time stand beside)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conformance import judge
from conformance.cases import SMUGGLED, get
from harness import BadResponse, Client, Gateway, Origin, OriginConnection, Received, snapshot
from harness.gateway import listener, match, redirect, respond, route
from harness.origin import answers, early, echo, hold, ok

if TYPE_CHECKING:
    from conformance.conftest import Bench

HOST = b"Host: example.test\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "


@pytest.fixture(scope="module")
def direct(engine: Path) -> Iterator[Gateway]:
    """A gateway that answers /no by itself, before a body is read; the rest goes to its origin."""
    with Origin() as origin:
        routes = [route("no", respond(403), match(prefix="/no")), route("all", "origin", match(prefix="/ok"))]
        with Gateway(snapshot(origin.url, routes=routes)) as gateway:
            gateway.origin = origin  # type: ignore[attr-defined]
            yield gateway
        origin.check()


def _body(size: int) -> bytes:
    """A body that is nothing but requests, should anyone read it so."""
    whole = b"GET /ok/smuggled HTTP/1.1\r\nHost: example.test\r\n\r\n"
    return (whole * (size // len(whole) + 1))[:size]


@pytest.mark.parametrize("path", [b"/no", b"/nowhere"], ids=["403", "404"])
@pytest.mark.parametrize("size", [10, 60_000, 1 << 20], ids=["10-B", "60-KB", "1-MiB"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("when", ["at-once", "after-answer"])
def test_s10_answer_before_body(path: bytes, size: int, framing: str, when: str, direct: Gateway) -> None:
    """S10: an answer made while the body is unread: drained or closed, the body never becomes a request."""
    origin: Origin = direct.origin  # type: ignore[attr-defined]
    origin.reset()
    body = _body(size)
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST
    if framing == "length":
        head, data = head + b"Content-Length: %d\r\n\r\n" % size, body
    else:
        head, data = head + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % size + body + b"\r\n0\r\n\r\n"
    with direct.client() as client:
        if when == "at-once":
            sender = threading.Thread(target=client.send, args=(head + data,))
            sender.start()
            answer = client.final()
        else:
            client.send(head)
            answer = client.final()
            sender = threading.Thread(target=client.send, args=(data,))
            sender.start()
        assert answer.status in (403, 404)
        judge.problem(answer)
        sender.join()
        if client.was_reset or (answer.says_close and client.closed()):
            assert size > 10 or answer.says_close
        else:
            assert size <= 64 * 1024, "more than 64 KiB drained"
            client.send(b"GET /ok/canary HTTP/1.1\r\n" + HOST + b"\r\n")
            assert client.final().body == b"GET /ok/canary 0"
    with direct.client() as other:
        assert other.exchange(b"GET /ok/other HTTP/1.1\r\n" + HOST + b"\r\n").body == b"GET /ok/other 0"
    assert set(origin.targets) <= {b"/ok/canary", b"/ok/other"}, origin.targets


def test_s10_body_never_comes(direct: Gateway) -> None:
    """S10: after an early answer the gateway waits at most about 2 s for the rest of the body, then closes."""
    with direct.client(timeout=4.0) as client:
        answer = client.exchange(b"POST /no HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nhalf")
        assert answer.status == 403
        assert client.closed(4.0)


def test_s10_expect_then_smuggle(direct: Gateway) -> None:
    """S10/S11: a final answer in the place of 100: what follows is the announced body or nothing, never a request."""
    origin: Origin = direct.origin  # type: ignore[attr-defined]
    origin.reset()
    inner = b"GET /ok/smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    with direct.client() as client:
        client.send(
            b"POST /no HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(inner)
        )
        assert client.read().status == 403
        client.send(inner)
        if not client.closed():
            pytest.fail("the connection stays open with a body that may or may not come")
    assert origin.targets == []


@pytest.mark.parametrize("close", [False, True], ids=["keeps", "closes"])
def test_s10_origin_answers_early(close: bool, plain: Bench) -> None:
    """S10: an origin's early answer reaches the client; the half-fed upstream connection is never used again."""
    plain.origin.script = early(ok(b"early", status=b"413 Content Too Large"), close=close)
    with plain.gateway.client() as client:
        client.send(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n" + b"x" * 10)
        answer = client.final()
        assert (answer.status, answer.body) == (413, b"early")
        client.send(SMUGGLED)
        if not client.was_reset:
            client.half_close()
            client.rest()
    judge.other_canary(plain.gateway, "public")
    assert plain.origin.targets == [b"/canary-other"], plain.origin.targets
    assert plain.origin.requests[0].connection != plain.origin.heads[0].connection


def test_s11_final_without_100(plain: Bench) -> None:
    """S11: 200 without 100; the body sent anyway is read as that body."""

    def script(connection: OriginConnection, request: Received) -> None:
        if request.target != b"/expect":
            return echo(connection, request)
        connection.send(ok(b"done"))
        return None

    plain.origin.script = script
    with plain.gateway.client() as client:
        client.send(
            b"POST /expect HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
        )
        answer = client.final()
        assert (answer.status, answer.body) == (200, b"done")
        client.send(SMUGGLED)
        if not answer.says_close and not client.was_reset:
            judge.canary(client, b"/canary-same")
    judge.other_canary(plain.gateway, "public")
    assert b"/smuggled" not in [h.target for h in plain.origin.heads]


def test_s11_interim_before_final(plain: Bench) -> None:
    """S11: 100 and 103 from the origin are relayed in order, and the exchange after them is aligned."""
    plain.origin.script = answers(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + ok(b"final"),
    )
    with plain.gateway.client() as client:
        client.send(get(b"/hints"))
        hints = client.read()
        assert (hints.status, hints.get("link")) == (103, b"</a>; rel=preload")
        assert client.read().body == b"final"
        judge.canary(client)


UPGRADES = {
    "200": (ok(b"plain"), 200),
    "403": (ok(b"no", status=b"403 Forbidden"), 403),
    "426": (ok(b"no", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", status=b"426 Upgrade Required"), 426),
    "101-no-upgrade": (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n", 502),
    "101-other": (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n", 502),
    "101-h2c": (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 502),
    "101-no-connection": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n",
        502,
    ),
    "101-no-accept": (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
    "101-wrong-accept": (SWITCH + b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", 502),
    "101-two-accepts": (SWITCH + ACCEPT + b"\r\nSec-WebSocket-Accept: x\r\n\r\n", 502),
}


@pytest.mark.parametrize("name", UPGRADES, ids=[f"W2-{name}" for name in UPGRADES])
def test_w2_no_tunnel(name: str, plain: Bench) -> None:
    """S12/W2: anything but a valid 101 for what was asked is no tunnel: the bytes behind it stay requests or die."""
    response, status = UPGRADES[name]
    plain.origin.script = answers(response)
    with plain.gateway.client() as client:
        client.send(HANDSHAKE + get(b"/behind"))
        answer = client.final()
        assert answer.status == status, answer
        if answer.says_close:
            assert client.closed()
        else:
            assert client.final().body == b"GET /behind 0"
    judge.other_canary(plain.gateway, "public")
    raw = plain.origin.heads[0]
    assert raw.get("upgrade") == b"websocket", "the handshake did reach the origin"
    behind = [h for h in plain.origin.heads if h.target == b"/behind"]
    assert len(behind) <= 1
    for head in behind:
        judge.invariants(head)  # written anew by the gateway, not tunnelled
    if status == 502:
        assert raw.connection not in {r.connection for r in plain.origin.requests[1:]}


def test_w2_tunnel_only_after_101(plain: Bench) -> None:
    """W2: bytes the client sends before the 101 wait; after a valid 101 they arrive, in order."""
    go, seen = threading.Event(), threading.Event()
    tunnelled = bytearray()

    def script(connection: OriginConnection, request: Received) -> None:
        if request.target != b"/ws":
            return echo(connection, request)
        connection.read_body(request)
        connection.wait(go)
        tunnelled.extend(b"early:" + connection.pending)
        connection.send(SWITCH + ACCEPT + b"\r\n\r\nfrom-origin")
        while len(tunnelled) < len(b"early:from-client") and (data := connection.read_some()):
            tunnelled.extend(data)
        seen.set()
        connection.close()
        return None

    plain.origin.script = script
    with plain.gateway.client() as client:
        client.send(HANDSHAKE + b"from-client")
        plain.origin.wait_heads(1)
        go.set()
        assert client.read().status == 101
        assert client.receive(11) == b"from-origin"
        assert seen.wait(10)
        assert client.closed()
    assert tunnelled == b"early:from-client"
    judge.other_canary(plain.gateway, "public")


def test_w3_client_abort_mid_answer(plain: Bench) -> None:
    """W3: a connection whose answer was cut short by the client is closed, and the next request gets its own answer."""
    plain.origin.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", otherwise=echo)
    with plain.gateway.client() as client:
        client.send(get(b"/half"))
        assert client.read_head().status == 200
        client.reset()
    judge.other_canary(plain.gateway, "public")
    first, second = plain.origin.requests[0], plain.origin.requests[-1]
    assert first.connection != second.connection
    assert plain.origin.connections[-1].number == second.connection or second.connection != first.connection


def test_w3_client_abort_mid_body(plain: Bench) -> None:
    """W3: half a request body: the origin sees a broken request, its connection ends, nothing is appended to it."""
    with plain.gateway.client() as client:
        client.send(b"POST /half HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nhalf")
        plain.origin.wait_heads(1)
        client.reset()
    judge.other_canary(plain.gateway, "public")
    number = plain.origin.heads[0].connection
    connection = next(c for c in plain.origin.connections if c.number == number)
    assert connection.closed.wait(10)
    assert plain.origin.targets == [b"/canary-other"]


def test_w3_late_answer(engine: Path, origin: Origin) -> None:
    """W3: an answer that comes after its 504 reaches nobody."""
    late = threading.Event()
    origin.script = hold(late, ok(b"late"))
    options = {"timeouts": {"response_ms": 300}}
    with Gateway(snapshot(origin.url, workers=1, route_options=options)) as gateway, gateway.client() as client:
        answer = client.exchange(get(b"/slow"))
        assert answer.status == 504
        judge.problem(answer)
        late.set()
        if answer.says_close:
            assert client.closed()
        else:
            judge.canary(client)
        judge.other_canary(gateway, "public")
        assert origin.requests[0].connection not in {r.connection for r in origin.requests[1:]}


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_w3_late_408(method: bytes, engine: Path, origin: Origin) -> None:
    """W3: a 408 that an origin sends on an idle pooled connection is never taken for the answer to the next request."""
    timed_out = threading.Event()

    def script(connection: OriginConnection, request: Received) -> None:
        echo(connection, request)
        if request.target == b"/first":
            connection.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            connection.close()
            timed_out.set()

    origin.script = script
    with Gateway(snapshot(origin.url, workers=1)) as gateway:
        with gateway.client() as client:
            assert client.exchange(get(b"/first")).body == b"GET /first 0"
        assert timed_out.wait(10)
        with gateway.client() as client:
            answer = client.exchange(method + b" /second HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
            assert (answer.status, answer.body) == (200, method + b" /second 0"), answer
    assert origin.targets == [b"/first", b"/second"]


def test_w3_route_for_every_request(engine: Path, origin: Origin) -> None:
    """W3: the route is decided for each request, not for the connection's first one."""
    routes = [
        route("no", respond(403), match(prefix="/", hosts=["admin.test"])),
        route("all", "origin", match(prefix="/")),
    ]
    with Gateway(snapshot(origin.url, routes=routes)) as gateway, gateway.client() as client:
        client.send(get(b"/a", host=b"public.test") + get(b"/b", host=b"admin.test") + get(b"/c", host=b"public.test"))
        assert [client.final().status for _ in range(3)] == [200, 403, 200]
    assert origin.targets == [b"/a", b"/c"]


def test_h2_trusted_proxy(engine: Path, origin: Origin) -> None:
    """H2: from a trusted peer the client address is the rightmost one that is not trusted."""
    routes = [
        route("inside", respond(403), match(prefix="/", client_ip=["198.51.100.0/24"])),
        route("all", "origin", match(prefix="/")),
    ]
    near = listener("near", trusted_proxies=["127.0.0.0/8", "203.0.113.0/24"])
    spoof = b"X-Forwarded-For: 198.51.100.7"
    with Gateway(snapshot(origin.url, routes=routes, listeners=[near, listener("far")])) as gateway:
        with gateway.client("far") as client:
            assert client.exchange(get(b"/far", spoof)).status == 200
        with gateway.client("near") as client:
            for lines, status in [
                ((spoof,), 403),
                ((b"X-Forwarded-For: 192.0.2.1, 198.51.100.7",), 403),
                ((b"X-Forwarded-For: 198.51.100.7, 203.0.113.5",), 403),
                ((b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-For: 203.0.113.5"), 403),
                ((b"X-Forwarded-For: 198.51.100.7, 192.0.2.1",), 200),
                ((b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: outer.test"), 200),
            ]:
                assert client.exchange(get(b"/near", *lines)).status == status, lines
    far, chain, last = origin.requests[0], origin.requests[1], origin.requests[-1]
    assert far.get_all("x-forwarded-for") == [b"127.0.0.1"]
    assert b",".join(chain.get_all("x-forwarded-for")).replace(b" ", b"") == b"198.51.100.7,192.0.2.1,127.0.0.1"
    assert last.get("x-forwarded-proto") == b"https"
    assert last.get("x-forwarded-host") == b"outer.test"


H5_PATHS = {
    "cr-lf": (b"/r/a%0d%0aX-Evil:1", 400),
    "lf": (b"/r/a%0aX-Evil:1", 400),
    "nul": (b"/r/a%00", 400),
    "utf-8": (b"/r/%E2%82%AC", 308),
    "space": (b"/r/a%20b", 308),
    "quote": (b"/r/%22%3e%3cscript%3e", 308),
    "query": (b"/r/a?x=%0d%0aX-Evil:1", 308),
}


@pytest.mark.parametrize("name", H5_PATHS, ids=[f"H5-{name}" for name in H5_PATHS])
def test_h5_header_injection(name: str, engine: Path, header_gateway: Gateway) -> None:
    """H5: a captured value never ends a header line: refused, or percent-encoded in Location."""
    target, status = H5_PATHS[name]
    with header_gateway.client() as client:
        answer: object = client.exchange(get(target))
        assert answer.status == status  # type: ignore[attr-defined]
        assert answer.get("x-evil") is None  # type: ignore[attr-defined]
        location = answer.get("location") or b""  # type: ignore[attr-defined]
        assert all(0x21 <= byte <= 0x7E and byte not in b'"<>' for byte in location), location


@pytest.fixture(scope="module")
def header_gateway(engine: Path) -> Iterator[Gateway]:
    """Redirects /r/{x} with the capture in Location."""
    with Gateway(snapshot(routes=[route("r", redirect("/to/{x}"), match(path="/r/{x}"))])) as gateway:
        yield gateway


def test_h5_request_id_not_safe(plain: Bench) -> None:
    """H5: a request id that is too long or holds unsafe characters is replaced, in both directions, by our own."""
    for bad in (b"a" * 129, b"a b", b"<x>", b'"x"', b"caf\xe9", b"a;b\xff", b"{{x}}"):
        plain.origin.reset()
        with plain.gateway.client() as client:
            answer = client.exchange(get(b"/id", b"X-Request-Id: " + bad))
        (received,) = plain.origin.requests
        assert received.get("x-request-id") not in (bad, None)
        assert answer.get_all("x-request-id") == received.get_all("x-request-id")


def test_client_sees_no_foreign_bytes(plain: Bench) -> None:
    """Two clients at once, one origin that mixes sizes: every answer belongs to its asker."""
    failures: list[str] = []

    def ask(name: bytes) -> None:
        try:
            with Client(plain.gateway.address) as client:
                for i in range(50):
                    answer = client.exchange(get(b"/%s-%d" % (name, i)))
                    if answer.body != b"GET /%s-%d 0" % (name, i):
                        failures.append(repr(answer))
        except BadResponse as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=ask, args=(b"client%d" % n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]

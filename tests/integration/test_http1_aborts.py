"""Whoever goes away, or never answers: early answers, aborts on either side, half-close, retries, time-outs."""

from __future__ import annotations

import threading

import pytest
from harness import BadResponse, FaultProxy, Gateway, Origin, OriginConnection, Received, snapshot
from harness.gateway import match, route
from harness.origin import answers, early, echo, hold, ok
from harness.requests import get, post, request

pytestmark = pytest.mark.usefixtures("engine")


def _free_port() -> str:
    """An address on which nobody listens."""
    with Origin() as gone:
        return gone.address


# early answers


def test_early_answer_while_the_client_sends(origin: Origin) -> None:
    origin.script = early(ok(b"too large", b"Connection: close", status=b"413 Content Too Large"), close=True)
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(request(b"POST", b"/up", b"Content-Length: 1000000", body=b"x" * 1000))
        answer = client.final()
        assert (answer.status, answer.body) == (413, b"too large")


def test_early_answer_then_the_whole_body(origin: Origin) -> None:
    """An origin may answer first and read on: the exchange ends when both directions have."""

    def script(connection: OriginConnection, received: Received) -> None:
        connection.send(ok(b"first"))
        connection.read_body(received)

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(request(b"POST", b"/up", b"Content-Length: 10", body=b"hello"))
        assert client.final().body == b"first"
        client.send(b"world")
        origin.script = echo
        with gateway.client() as other:
            assert other.exchange(get(b"/other")).body == b"GET /other 0"
    assert all(r.target in (b"/up", b"/other") for r in origin.requests)


# aborts


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_gone_while_waiting_cancels_upstream(how: str, origin: Origin) -> None:
    never = threading.Event()

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.wait_end()  # returns once the gateway has given up

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway:
        client = gateway.client()
        client.send(get(b"/wait"))
        connection = origin.wait_connections(1)[0]
        origin.wait_requests(1)
        getattr(client, how)()
        assert connection.closed.wait(5), "the upstream work goes on for a client that has gone"
    assert not never.is_set()


def test_client_fin_mid_answer_cancels_upstream(origin: Origin) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.wait_end()

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(get(b"/half"))
        assert client.read_head().status == 200
        client.half_close()
        assert origin.connections[0].closed.wait(5)


def test_half_close_keep_answers_first(origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    with Gateway(snapshot(origin.url, route_options={"half_close_keep": True})) as gateway, gateway.client() as client:
        client.send(get(b"/kept")).half_close()
        origin.wait_requests(1)
        go.set()
        answer = client.final()
        assert (answer.status, answer.body) == (200, b"GET /kept 0")
        assert client.closed()


def test_half_close_with_the_request_in_one_go(origin: Origin) -> None:
    """A client that sends its request and FIN at once (`nc -N`) is answered where the route keeps it."""
    with Gateway(snapshot(origin.url, route_options={"half_close_keep": True})) as gateway, gateway.client() as client:
        client.send(get(b"/1") + get(b"/2")).half_close()
        assert [client.final().body for _ in range(2)] == [b"GET /1 0", b"GET /2 0"]
        assert client.closed()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_gone_mid_body(how: str, origin: Origin) -> None:
    with Gateway(snapshot(origin.url)) as gateway:
        client = gateway.client()
        client.send(request(b"POST", b"/up", b"Content-Length: 1000", body=b"half"))
        connection = origin.wait_connections(1)[0]
        origin.wait_heads(1)
        getattr(client, how)()
        assert connection.closed.wait(5)
        with gateway.client() as other:
            assert other.exchange(get(b"/other")).status == 200
    assert origin.targets == [b"/other"]


def test_half_a_head_then_fin(origin: Origin) -> None:
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(b"GET /half HTTP/1.1\r\nHost: exa").half_close()
        rest = client.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 "), rest
    assert origin.heads == []


@pytest.mark.parametrize("how", ["close", "reset"])
def test_origin_gone_before_the_answer(how: str, origin: Origin) -> None:
    origin.script = answers(b"", b"", b"", then=how)
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        answer = client.exchange(post(b"x", b"/gone"))
        assert answer.status == 502
        assert answer.from_gateway
        assert len(origin.requests) == 1, "a POST that may have been processed is never sent twice"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_origin_gone_mid_answer_is_visible(how: str, origin: Origin) -> None:
    go = threading.Event()

    def script(connection: OriginConnection, received: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.wait(go)
        getattr(connection, how)()

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(get())
        assert client.read_head().status == 200
        go.set()
        rest = client.rest()
        assert rest in (b"half", b""), "no byte of anything else follows"


# stale connections


@pytest.mark.parametrize("how", ["close", "reset"])
def test_stale_pooled_connection(how: str, origin: Origin) -> None:
    """An origin that closes idle connections never shows: the next request goes over a fresh one."""
    with Gateway(snapshot(origin.url, workers=1)) as gateway, gateway.client() as client:
        for i in range(10):
            assert client.exchange(get(b"/%d" % i)).status == 200
            for connection in list(origin.connections):
                if not connection.closed.is_set():
                    getattr(connection, how)()
            assert client.exchange(get(b"/again-%d" % i)).status == 200
    # a reset that the gateway cannot have seen yet costs a retry, never an answer
    assert set(origin.targets) == {b"/%d" % i for i in range(10)} | {b"/again-%d" % i for i in range(10)}
    assert len(origin.targets) == 20 or how == "reset"


def test_stale_only_at_the_write_is_retried_once(origin: Origin) -> None:
    """The connection dies as the request arrives on it: an idempotent request goes out once more."""

    def script(connection: OriginConnection, received: Received) -> None:
        if received.target == b"/retry" and connection.number == 1:
            connection.close()
        else:
            echo(connection, received)

    origin.script = script
    with Gateway(snapshot(origin.url, workers=1)) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/first")).status == 200
        assert client.exchange(get(b"/retry")).body == b"GET /retry 0"
    assert [(h.target, h.connection) for h in origin.heads] == [(b"/first", 1), (b"/retry", 1), (b"/retry", 2)]


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_not_idempotent_is_not_retried(method: bytes, origin: Origin) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        if received.target == b"/once":
            connection.close()
        else:
            echo(connection, received)

    origin.script = script
    with Gateway(snapshot(origin.url, workers=1)) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/first")).status == 200
        assert client.exchange(request(method, b"/once", b"Content-Length: 2", body=b"hi")).status == 502
    assert [h.target for h in origin.heads].count(b"/once") == 1


def test_retry_is_one_only(origin: Origin) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        if received.target == b"/never":
            connection.close()
        else:
            echo(connection, received)

    origin.script = script
    with Gateway(snapshot(origin.url, workers=1)) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/first")).status == 200
        assert client.exchange(get(b"/never")).status == 502
        assert len([h for h in origin.heads if h.target == b"/never"]) <= 2


# time-outs


def test_connect_refused() -> None:
    with Gateway(snapshot(f"http://{_free_port()}")) as gateway, gateway.client() as client:
        answer = client.exchange(get())
        assert answer.status in (502, 503)
        assert answer.from_gateway
        assert _free_port().encode()[:9] not in answer.body, "no target address in an answer"


def test_connect_timeout() -> None:
    """A listener whose queue is full drops SYNs: the connect time-out answers 504."""
    import socket

    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    options = {"timeouts": {"connect_ms": 400}}
    try:
        with (
            Gateway(snapshot(f"http://127.0.0.1:{port}", route_options=options)) as gateway,
            gateway.client(timeout=5) as client,
        ):
            answer = client.exchange(get())
            assert answer.status in (502, 503, 504)
            assert answer.from_gateway
    finally:
        for sock in (full, *fillers):
            sock.close()


def test_response_timeout(origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    with Gateway(snapshot(origin.url, route_options={"timeouts": {"response_ms": 300}})) as gateway:
        with gateway.client() as client:
            answer = client.exchange(get(b"/slow"))
            assert answer.status == 504
            assert answer.from_gateway
            go.set()  # the script answers into nothing, then reads the end
            assert origin.connections[0].closed.wait(5), "its connection is closed"
        with gateway.client() as client:
            assert client.exchange(get(b"/canary")).status == 200


def test_response_timeout_starts_after_the_request(origin: Origin) -> None:
    """The time a client takes to send its body does not count as the origin's time to answer."""
    with (
        Gateway(snapshot(origin.url, route_options={"timeouts": {"response_ms": 400}})) as gateway,
        gateway.client() as client,
    ):
        client.send(request(b"POST", b"/slow-body", b"Content-Length: 4"))
        for piece in (b"a", b"b", b"c", b"d"):
            threading.Event().wait(0.2)  # the slow client itself is the subject
            client.send(piece)
        assert client.final().body == b"POST /slow-body 4"


def test_idle_timeout_mid_answer(origin: Origin) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.wait_end()

    origin.script = script
    with (
        Gateway(snapshot(origin.url, route_options={"timeouts": {"idle_ms": 500}})) as gateway,
        gateway.client() as client,
    ):
        client.send(get(b"/stuck"))
        assert client.read_head().status == 200
        assert client.rest() == b"half", "cut, so that it does not look complete"
        assert origin.connections[0].closed.wait(5)


# faults between gateway and origin


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_answer_in_slices(size: int, origin: Origin) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
    body = head + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\n"
    origin.script = answers(body, body)
    with (
        FaultProxy(origin.address, slice=size) as proxy,
        Gateway(snapshot(proxy.url)) as gateway,
        gateway.client() as client,
    ):
        for _ in range(2):
            answer = client.exchange(get())
            assert (answer.body, answer.trailers) == (b"hello world", [(b"X-T", b"1")])


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
@pytest.mark.parametrize("at", [0, 1, 10, 20, 36, 37, 38, 39, 45])
def test_answer_cut_at(at: int, reset: bool, origin: Origin) -> None:
    """Wherever an answer is cut, the client gets 502 or sees the cut; never a wrong whole."""
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
    origin.script = answers(*[wire] * 4)
    with FaultProxy(origin.address, cut_down=at, reset=reset) as proxy, Gateway(snapshot(proxy.url)) as gateway:
        with gateway.client() as client:
            client.send(post(b"x"))
            try:
                answer = client.final()
            except BadResponse:
                assert at >= wire.index(b"\r\n\r\n"), "a head that never came whole must become 502"
            else:
                assert answer.status == 502, answer
        proxy.change()
        origin.script = echo
        with gateway.client() as client:
            assert client.exchange(get(b"/after")).body == b"GET /after 0"


def test_refusing_and_silent_targets(origin: Origin) -> None:
    options = {"timeouts": {"response_ms": 300}}
    with (
        FaultProxy(origin.address) as proxy,
        Gateway(snapshot(proxy.url, route_options=options)) as gateway,
        gateway.client() as client,
    ):
        proxy.change(refuse=True)
        assert client.exchange(get()).status in (502, 503)
        proxy.change(blackhole=True)
        assert client.exchange(get()).status == 504
        proxy.change(garbage=b"\x00\x01garbage\r\n\r\n")
        assert client.exchange(get()).status == 502
        proxy.change()
        assert client.exchange(get()).status == 200


def test_one_target_down_of_two(origin: Origin) -> None:
    """Connecting fails before anything was sent: another target may answer; at least every second request must work."""
    dead = f"http://{_free_port()}"
    routes = [route("all", "origin", match(prefix="/"))]
    with Gateway(snapshot([origin.url, dead], routes=routes, workers=1)) as gateway, gateway.client() as client:
        statuses = [client.exchange(get(b"/%d" % i)).status for i in range(10)]
    assert statuses.count(200) >= 5, statuses
    assert set(statuses) <= {200, 502, 503}

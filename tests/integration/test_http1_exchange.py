"""HTTP/1.1 exchanges end to end: connections, framing both ways, interim answers, HTTP/1.0 on either side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Gateway, Origin, OriginConnection, Received, snapshot
from harness.origin import answers, echo, mirror, ok
from harness.requests import chunks, get, post, post_chunked, request


@pytest.fixture(scope="module")
def pair(engine: Path) -> Iterator[tuple[Gateway, Origin]]:
    """One gateway before one origin, one worker, for the whole module."""
    with Origin() as shared, Gateway(snapshot(shared.url, workers=1)) as gateway:
        yield gateway, shared


@pytest.fixture
def gateway(pair: tuple[Gateway, Origin]) -> Gateway:
    return pair[0]


@pytest.fixture
def origin(pair: tuple[Gateway, Origin]) -> Iterator[Origin]:
    pair[1].reset()
    yield pair[1]
    pair[1].check()


# connections


def test_keep_alive(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        for i in range(20):
            answer = client.exchange(get(b"/%d" % i))
            assert (answer.status, answer.body, answer.says_close) == (200, b"GET /%d 0" % i, False)
    assert len({r.connection for r in origin.requests}) == 1, "the upstream connection is kept too"


def test_connection_close_is_honoured(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        answer = client.exchange(get(b"/", b"Connection: close"))
        assert answer.status == 200
        assert b"close" in answer.tokens("connection")
        assert client.closed()
    assert b"close" not in origin.requests[0].tokens("connection"), "the client's wish is about the client's connection"


def test_pipelining_in_order(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        found = client.exchanges(b"".join(get(b"/%d" % i) for i in range(50)), ["GET"] * 50)
    assert [a.body for a in found] == [b"GET /%d 0" % i for i in range(50)]
    assert origin.targets == [b"/%d" % i for i in range(50)]


def test_pipelining_slow_first(gateway: Gateway, origin: Origin) -> None:
    go = threading.Event()

    def script(connection: OriginConnection, request_: Received) -> None:
        if request_.target == b"/slow":
            connection.wait(go)
        echo(connection, request_)

    origin.script = script
    with gateway.client() as client:
        client.send(get(b"/slow") + get(b"/fast"))
        origin.wait_heads(1)
        go.set()
        assert [client.final().body for _ in range(2)] == [b"GET /slow 0", b"GET /fast 0"]


def test_pipelining_mixed_bodies(gateway: Gateway, origin: Origin) -> None:
    origin.script = mirror
    wire = post(b"one") + post_chunked(b"tw", b"o") + get() + post(b"") + post_chunked() + post(b"x" * 5000)
    with gateway.client() as client:
        found = client.exchanges(wire, ["POST"] * 6)
    assert [a.body for a in found] == [b"one", b"two", b"", b"", b"", b"x" * 5000]


def test_request_in_single_bytes(gateway: Gateway, origin: Origin) -> None:
    origin.script = mirror
    with gateway.client() as client:
        assert (
            client.send_pieces(post_chunked(b"hello", b"world", trailers=b"X-T: 1\r\n")).final().body == b"helloworld"
        )
    assert origin.requests[0].trailers == [(b"X-T", b"1")]


# framing


@pytest.mark.parametrize("size", [0, 1, 1000, 65_535, 65_536, 65_537, 300_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_body_both_ways(size: int, framing: str, gateway: Gateway, origin: Origin) -> None:
    body = bytes(i * 31 % 251 for i in range(size))
    pieces = [body[i : i + 7000] for i in range(0, size, 7000)]

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        if framing == "length":
            connection.send(ok(received.body))
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(*pieces))

    origin.script = script
    with gateway.client() as client:
        sender = threading.Thread(
            target=client.send, args=(post(body) if framing == "length" else post_chunked(*pieces),)
        )
        sender.start()
        answer = client.final()
        sender.join()
        assert answer.body == body
        assert client.exchange(get(b"/after")).status == 200
    (received, _) = origin.requests
    assert received.body == body
    assert (received.chunks is None) == (framing == "length")


def test_response_trailers(gateway: Gateway, origin: Origin) -> None:
    body = chunks(b"hello", trailers=b"X-Checksum: abc\r\nServer-Timing: a;dur=1\r\n")
    origin.script = answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n" + body)
    with gateway.client() as client:
        answer = client.exchange(get(b"/", b"TE: trailers"))
    assert answer.body == b"hello"
    assert answer.trailers == [(b"X-Checksum", b"abc"), (b"Server-Timing", b"a;dur=1")]


@pytest.mark.parametrize(
    "line", [b"Content-Length: 9", b"Transfer-Encoding: chunked", b"Set-Cookie: a=b", b"Connection: close"]
)
def test_response_trailers_that_must_not_pass(line: bytes, gateway: Gateway, origin: Origin) -> None:
    body = chunks(b"hello", trailers=line + b"\r\nX-Ok: 1\r\n")
    origin.script = answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    with gateway.client() as client:
        answer = client.exchange(get())
        assert (answer.body, answer.trailers) == (b"hello", [(b"X-Ok", b"1")])
        assert client.exchange(get(b"/after")).body == b"GET /after 0"


def test_head(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: b\r\n\r\n")
    with gateway.client() as client:
        answer = client.exchange(request(b"HEAD"), "HEAD")
        assert (answer.status, answer.get("content-length"), answer.get("x-a")) == (200, b"1234", b"b")
        assert client.exchange(get(b"/after")).body == b"GET /after 0"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (b"204 No Content", b""),
        (b"304 Not Modified", b'ETag: "x"\r\n'),
        (b"304 Not Modified", b"Content-Length: 99\r\n"),
    ],
)
def test_no_content(status: bytes, line: bytes, gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 " + status + b"\r\n" + line + b"\r\n")
    with gateway.client() as client:
        answer = client.exchange(get())
        assert answer.status == int(status[:3])
        assert answer.get("transfer-encoding") is None
        if answer.status == 204:
            assert answer.get("content-length") is None, "RFC 9110 §8.6"
        assert client.exchange(get(b"/after")).body == b"GET /after 0"


def test_response_bytes_are_kept(gateway: Gateway, origin: Origin) -> None:
    lines = [
        b"X-One: 1",
        b"set-cookie: a=1; Path=/",
        b"Set-Cookie: b=2",
        b"X-Latin: caf\xe9",
        b"X-Empty:",
        b"Vary: Accept",
    ]
    origin.script = answers(ok(b"x", *lines))
    with gateway.client() as client:
        answer = client.exchange(get())
    kept = [f for f in answer.fields if f[0].lower() in (b"x-one", b"set-cookie", b"x-latin", b"x-empty", b"vary")]
    assert kept == [
        (b"X-One", b"1"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Latin", b"caf\xe9"),
        (b"X-Empty", b""),
        (b"Vary", b"Accept"),
    ]


def test_response_hop_by_hop_is_removed(gateway: Gateway, origin: Origin) -> None:
    lines = [
        b"Connection: X-Private",
        b"X-Private: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"X-Public: 1",
    ]
    origin.script = answers(ok(b"x", *lines))
    with gateway.client() as client:
        answer = client.exchange(get())
    for name in ("x-private", "keep-alive", "proxy-connection"):
        assert answer.get(name) is None, answer.head
    assert answer.get("x-public") == b"1"


# interim answers


def test_expect_continue_answered_by_origin(gateway: Gateway, origin: Origin) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        assert received.get("expect") == b"100-continue"
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        mirror(connection, received)

    origin.script = script
    with gateway.client() as client:
        client.send(request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5"))
        assert client.read().status == 100
        assert client.send(b"hello").read().body == b"hello"
        assert client.exchange(post(b"again", b"/", b"Expect: 100-continue")).body == b"again"


def test_expect_continue_declined(gateway: Gateway, origin: Origin) -> None:
    origin.script = lambda connection, _: connection.send(
        ok(b"no", b"Connection: close", status=b"417 Expectation Failed")
    )
    with gateway.client() as client:
        client.send(request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5"))
        assert client.read().status == 417
        client.half_close()
        client.rest()


def test_expect_ignored_for_10(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        answer = client.send(
            request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello", minor=0)
        ).read()
        assert (answer.status, answer.body) == (200, b"POST / 5"), "a 100 is never sent to HTTP/1.0 (RFC 9110 §10.1.1)"


def test_early_hints_are_relayed(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n" + ok(b"done")
    )
    with gateway.client() as client:
        client.send(get())
        found = [client.read() for _ in range(3)]
    assert [(a.status, a.get("link")) for a in found] == [(103, b"</a>"), (103, b"</b>"), (200, None)]


def test_early_hints_arrive_early(gateway: Gateway, origin: Origin) -> None:
    go = threading.Event()

    def script(connection: OriginConnection, received: Received) -> None:
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        connection.wait(go)
        echo(connection, received)

    origin.script = script
    with gateway.client() as client:
        client.send(get())
        assert client.read().status == 103, "relayed while the answer is pending"
        go.set()
        assert client.read().status == 200


def test_interim_never_to_10(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok(b"done"))
    with gateway.client() as client:
        assert client.send(get(minor=0)).read().body == b"done"


# targets


def test_absolute_form(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        assert client.exchange(b"GET http://other.test:81/a?b HTTP/1.1\r\nHost: example.test\r\n\r\n").status == 200
    assert (origin.requests[0].target, origin.requests[0].get_all("host")) == (b"/a?b", [b"other.test:81"])


def test_options_asterisk(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        assert client.exchange(request(b"OPTIONS", b"*")).status == 200
    assert (origin.requests[0].method, origin.requests[0].target) == (b"OPTIONS", b"*")


def test_connect_is_refused(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        assert client.exchange(b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n").status in (
            405,
            501,
        )
    assert origin.heads == []


# HTTP/1.0


def test_client_10_closes(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        answer = client.exchange(get(minor=0))
        assert (answer.status, answer.body) == (200, b"GET / 0")
        assert answer.get("transfer-encoding") is None
        assert client.closed()
    assert origin.requests[0].minor == 1


def test_client_10_keep_alive(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        for i in range(3):
            answer = client.exchange(get(b"/%d" % i, b"Connection: keep-alive", minor=0))
            assert answer.body == b"GET /%d 0" % i
            assert b"keep-alive" in answer.tokens("connection")


def test_client_10_gets_no_chunks(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hello", b"world"))
    with gateway.client() as client:
        answer = client.exchange(get(b"/", b"Connection: keep-alive", minor=0))
        assert (answer.body, answer.get("transfer-encoding")) == (b"helloworld", None)
        assert client.closed(), "without a length only the end of the connection ends the body"


@pytest.mark.parametrize("minor", [0, 1])
def test_origin_10(minor: int, gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", then="close")
    with gateway.client() as client:
        assert client.exchange(get(b"/", b"Connection: keep-alive", minor=minor)).body == b"hello"
        assert client.exchange(get(b"/after", minor=minor)).body == b"GET /after 0"


def test_origin_10_keep_alive(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello")
    with gateway.client() as client:
        assert client.exchange(get()).body == b"hello"
        assert client.exchange(get(b"/after")).body == b"GET /after 0"


def test_close_delimited(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", then="close")
    with gateway.client() as client:
        answer = client.exchange(get())
        assert answer.body == b"until the end"
        assert answer.framing == "chunked", "a 1.1 client keeps its connection"
        assert client.exchange(get(b"/after")).body == b"GET /after 0"


def test_close_delimited_to_10(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", then="close")
    with gateway.client() as client:
        answer = client.exchange(get(minor=0))
        assert (answer.body, answer.framing) == (b"until the end", "close")


def test_close_delimited_reset_is_no_end(gateway: Gateway, origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 200 OK\r\n\r\ncut", then="reset")
    with gateway.client() as client:
        client.send(get())
        try:
            answer = client.final()
        except AssertionError:
            return  # cut where the client can see it
        assert answer.status == 502, "a reset body must not look complete"

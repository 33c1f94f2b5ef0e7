"""D1 (scaled down) and the bounds over time and memory: slow heads, bodies and readers, connections, age."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from conformance.cases import get
from harness import BadResponse, Client, Gateway, Origin, OriginConnection, Received, snapshot
from harness.client import wait_for
from harness.gateway import SMALL_PAGES
from harness.origin import echo

HOST = b"Host: example.test\r\n"
SLOW = 200


def _p99(gateway: Gateway, count: int = 300) -> float:
    """The 99th percentile of sequential exchanges on one connection, in seconds."""
    times = []
    with gateway.client() as client:
        for _ in range(count):
            start = time.perf_counter()
            assert client.exchange(get(b"/p99")).status == 200
            times.append(time.perf_counter() - start)
    return sorted(times)[int(count * 0.99)]


def test_d1_slow_headers(engine: Path, origin: Origin) -> None:
    """D1: heads that never end are answered 408 (or just closed) at the time-out; others are served meanwhile."""
    process = {"header_timeout_ms": 1500}
    with Gateway(snapshot(origin.url, process=process)) as gateway:
        quiet = _p99(gateway)
        slow = [gateway.client(timeout=8) for _ in range(SLOW)]
        start = time.monotonic()
        for client in slow:
            client.send(b"GET /slow HTTP/1.1\r\n" + HOST + b"X-A: ")
        assert _p99(gateway) <= max(2 * quiet, 0.02)
        statuses = set()
        for client in slow:
            client.send(b"a")  # one more byte does not buy more time
            try:
                answer = client.final()
                statuses.add(answer.status)
                assert client.closed()
            except BadResponse:
                statuses.add(0)
            client.close()
        assert statuses <= {408, 0}, statuses
        assert time.monotonic() - start < 4.5, "1.5 s plus sweeps"
        assert time.monotonic() - start > 1.0, "the time-out is not nothing either"
    assert [h.target for h in origin.heads if h.target == b"/slow"] == []


def test_d1_header_timeout_runs_from_first_byte(engine: Path, origin: Origin) -> None:
    """An idle keep-alive connection is not a slow head: it outlives the header time-out."""
    with Gateway(snapshot(origin.url, process={"header_timeout_ms": 1000})) as gateway, gateway.client() as idle:
        assert idle.exchange(get(b"/a")).status == 200
        with gateway.client(timeout=6) as slow:
            slow.send(b"G")
            slow.rest()  # ends at the time-out: the clock of this test
        assert idle.exchange(get(b"/b")).status == 200


def test_d1_slow_body(engine: Path, origin: Origin) -> None:
    """D1: a body slower than body_min_rate is cut after the grace of 10 s; it never completes."""
    with (
        Gateway(snapshot(origin.url, process={"body_min_rate": 1000})) as gateway,
        gateway.client(timeout=25) as client,
    ):
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.2) and not client.was_reset:
                client.send(b"x")

        client.send(b"POST /slow HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n")
        start = time.monotonic()
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            answer = client.final()
            assert answer.status == 408, answer
        except BadResponse:
            pass  # closed without an answer: as good for a client that drips
        stop.set()
        dripping.join()
        assert 9 < time.monotonic() - start < 14
        assert b"/slow" not in origin.targets
        with gateway.client() as other:
            assert other.exchange(get(b"/ok")).status == 200


def test_d1_slow_read(engine: Path) -> None:
    """D1: a client that does not read is dropped at write_stall; what was held for it is bounded."""
    size = 64 << 20
    sent = [0]

    def script(connection: OriginConnection, request: Received) -> None:
        if request.target != b"/big":
            return echo(connection, request)
        connection.read_body(request)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = b"x" * 65536
        while sent[0] < size and not connection.closed.is_set():
            connection.send(piece)
            sent[0] += len(piece)
        return None

    with (
        Origin(script, keep=False) as origin,
        Gateway(snapshot(origin.url, process={"write_stall_ms": 1500}), wrap=SMALL_PAGES) as gateway,
    ):
        before = gateway.rss()
        with Client(gateway.address, receive_buffer=8192, timeout=15) as client:
            client.send(get(b"/big"))
            connection = origin.wait_connections(1)[0]
            assert connection.closed.wait(12), "the upstream work goes on for a client that does not read"
            assert sent[0] < size
            assert gateway.rss() - before < 4 << 20, "held more than its bound"
            client.rest()
            assert client.was_reset or client._reader.ended
        with gateway.client() as other:
            assert other.exchange(get(b"/ok")).status == 200


def test_max_connections(engine: Path, origin: Origin) -> None:
    """Beyond max_connections a client is refused or waits, and is served once another one has gone; nothing breaks."""
    with Gateway(snapshot(origin.url, process={"max_connections": 8}, workers=1)) as gateway:
        clients = [gateway.client() for _ in range(8)]
        for client in clients:
            assert client.exchange(get(b"/in")).status == 200
        extra = gateway.client(timeout=0.7)
        try:
            answer = extra.exchange(get(b"/extra"))
            assert answer.status == 503
        except BadResponse:
            pass  # closed at once, or not accepted yet
        extra.close()
        for client in clients:
            client.close()

        def served() -> bool:
            try:
                with gateway.client(timeout=1) as client:
                    return client.exchange(get(b"/after")).status == 200
            except (BadResponse, OSError):
                return False

        wait_for(served, "a client after the others have gone")
    assert len([t for t in origin.targets if t == b"/in"]) == 8


def test_connection_age(engine: Path, origin: Origin) -> None:
    """A keep-alive connection past connection_age closes together with an answer, never between two."""
    with Gateway(snapshot(origin.url, process={"connection_age_ms": 1000})) as gateway, gateway.client() as client:
        deadline = time.monotonic() + 6
        count = 0
        while not (answer := client.exchange(get(b"/age"))).says_close:
            assert answer.status == 200
            count += 1
            assert time.monotonic() < deadline, "the connection never ended"
        assert answer.status == 200
        assert client.closed()
        assert count > 0


def test_memory_of_half_heads(engine: Path, origin: Origin) -> None:
    """The published contract: at most 10 times what a client sent, plus 64 KiB a connection."""
    count, size = 400, 16_000
    with Gateway(snapshot(origin.url)) as gateway:
        with gateway.client() as client:
            assert client.exchange(get(b"/warm")).status == 200
        before = gateway.rss()
        clients = [gateway.client() for _ in range(count)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * size)
        with gateway.client() as client:
            assert client.exchange(get(b"/barrier")).status == 200
        grown = gateway.rss() - before
        for client in clients:
            client.close()
        assert grown <= count * (10 * size + 65536)
        assert grown <= count * (3 * size + 8192), f"{grown // count} bytes a connection for {size} bytes sent"


def test_memory_of_many_fields(engine: Path, origin: Origin) -> None:
    """A head of many tiny fields costs no more than the contract either (bookkeeping counts)."""
    head = b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"%c:\r\n" % (65 + i % 26) for i in range(98))
    count = 1000
    with Gateway(snapshot(origin.url)) as gateway:
        with gateway.client() as client:
            assert client.exchange(get(b"/warm")).status == 200
        before = gateway.rss()
        clients = [gateway.client() for _ in range(count)]
        for client in clients:
            client.send(head)
        with gateway.client() as client:
            assert client.exchange(get(b"/barrier")).status == 200
        grown = gateway.rss() - before
        for client in clients:
            client.close()
        assert grown <= count * (10 * len(head) + 65536)
        assert grown <= count * 16_384, f"{grown // count} bytes a connection for {len(head)} bytes sent"

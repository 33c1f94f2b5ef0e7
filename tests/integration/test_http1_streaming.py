"""Both directions at once, with back-pressure in bounded memory, and large bodies unharmed."""

from __future__ import annotations

import hashlib
import os
import threading
import time

import pytest
from harness import Client, Gateway, Origin, OriginConnection, Received, snapshot
from harness.origin import echo, ok
from harness.requests import get, post, request

pytestmark = pytest.mark.usefixtures("engine")
MIB = 1 << 20
HELD = 16 * MIB  # the allocator's own pages move by megabytes: this tells a bound from a held 100 MiB, no more


def _send_in_background(client: Client, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=client.send, args=(data,))
    thread.start()
    return thread


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_ten_megabytes_both_ways(framing: str, origin: Origin) -> None:
    data = os.urandom(10 * MIB)

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        if framing == "length":
            connection.send(ok(received.body))
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(received.body), 100_000):
                piece = received.body[at : at + 100_000]
                connection.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
            connection.send(b"0\r\n\r\n")

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client(timeout=30) as client:
        if framing == "length":
            wire = post(data)
        else:
            wire = request(
                b"POST", b"/", b"Transfer-Encoding: chunked", body=b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n"
            )
        sender = _send_in_background(client, wire)
        answer = client.final()
        sender.join()
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
        origin.script = echo
        assert client.exchange(get(b"/after")).body == b"GET /after 0"


def test_both_directions_stream_at_once(origin: Origin) -> None:
    """The origin answers each piece as it comes: every piece must cross before the next one is sent."""

    def script(connection: OriginConnection, received: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            assert connection._reader.line() == b"4"
            piece = connection._reader.take(6)[:4]
            connection.send(b"4\r\n" + piece.upper() + b"\r\n")
        assert connection._reader.line() == b"0"
        assert connection._reader.line() == b""
        received.complete = True
        connection.send(b"0\r\n\r\n")

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(request(b"POST", b"/talk", b"Transfer-Encoding: chunked"))
        assert client.read_head().framing == "chunked"
        for i in range(20):
            client.send(b"4\r\np%03d\r\n" % i)
            assert client._reader.line() == b"4"
            assert client._reader.take(6) == b"P%03d\r\n" % i
        client.send(b"0\r\n\r\n")
        assert client.receive(5) == b"0\r\n\r\n"


def test_events_arrive_at_once(origin: Origin) -> None:
    """A small chunk is not held back for company (server-sent events)."""
    go = threading.Semaphore(0)

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(10):
            assert go.acquire(timeout=10)
            connection.send(b"9\r\ndata: %d\n\n\r\n" % i)
        connection.send(b"0\r\n\r\n")

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(get(b"/events"))
        client.read_head()
        for i in range(10):
            go.release()
            assert client._reader.line() == b"9"
            assert client._reader.take(11) == b"data: %d\n\n\r\n" % i


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload_before_a_stalled_origin(framing: str) -> None:
    """100 MB sent to an origin that does not read: the client is stalled, the gateway holds its bound."""
    size = 100 * MIB
    go = threading.Event()
    counted = [0]

    def script(connection: OriginConnection, received: Received) -> None:
        if received.target != b"/up":
            return echo(connection, received)
        connection.wait(go, 60)
        while counted[0] < size:
            counted[0] += len(connection.read_some())
        received.complete = True
        connection.send(ok(b"all", b"Connection: close"))
        connection.close()
        return None

    with (
        Origin(script, keep=False) as origin,
        Gateway(snapshot(origin.url)) as gateway,
        gateway.client(timeout=30) as client,
    ):
        for _ in range(2):  # what a worker touches once (its read buffer, allocator pages) is not held for this upload
            with gateway.client() as other:
                assert other.exchange(post(b"w" * (4 * MIB), b"/warm")).status == 200
        before = gateway.rss()
        peak = [0]
        sent = [0]
        piece = b"x" * MIB
        head = b"Content-Length: %d" % size if framing == "length" else b"Transfer-Encoding: chunked"

        def upload() -> None:
            client.send(request(b"POST", b"/up", head))
            for _ in range(size // MIB):
                client.send(piece if framing == "length" else b"100000\r\n" + piece + b"\r\n")
                sent[0] += MIB
            if framing == "chunked":
                client.send(b"0\r\n\r\n")

        sender = threading.Thread(target=upload)
        sender.start()
        origin.wait_heads(3)
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 0.3:  # stalled: nothing was taken for so long
            if sent[0] != last:
                last, since = sent[0], time.monotonic()
            peak[0] = max(peak[0], gateway.rss())
            time.sleep(0.01)  # samples; the stall itself is what is measured
        # The kernel may hold 72 MiB: two connections with a receiver of up to 32 and a sender of up to 4.
        assert sent[0] < 80 * MIB, "nobody read, yet everything was taken"
        assert peak[0] - before < HELD, f"{(peak[0] - before) // 1024} KiB held for a stalled origin"
        go.set()
        assert client.final().body == b"all"
        sender.join()
        assert counted[0] >= size
        assert gateway.rss() - before < HELD


def test_download_to_a_slow_client() -> None:
    """The origin is read only as fast as the client reads."""
    size = 64 * MIB
    written = [0]

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = b"y" * MIB
        while written[0] < size and not connection.closed.is_set():
            connection.send(piece)
            written[0] += MIB

    with Origin(script, keep=False) as origin, Gateway(snapshot(origin.url)) as gateway:
        before = gateway.rss()
        with Client(gateway.address, receive_buffer=16384, timeout=30) as client:
            client.send(get(b"/down"))
            assert client.read_head().status == 200
            last, since = -1, time.monotonic()
            while time.monotonic() - since < 0.3:
                if written[0] != last:
                    last, since = written[0], time.monotonic()
                time.sleep(0.01)  # samples, as above
            assert written[0] < 30 * MIB
            assert gateway.rss() - before < HELD
            digest, left = hashlib.sha256(), size
            while left:
                data = client.receive(min(left, MIB))
                digest.update(data)
                left -= len(data)
            assert digest.digest() == hashlib.sha256(b"y" * size).digest()


def test_slow_client_does_not_slow_others() -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        if received.target != b"/down":
            return echo(connection, received)
        connection.read_body(received)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 * MIB))
        connection.send(b"z" * 32 * MIB)
        return None

    with Origin(script, keep=False) as origin, Gateway(snapshot(origin.url, workers=1)) as gateway:
        slow = [Client(gateway.address, receive_buffer=8192) for _ in range(8)]
        for client in slow:
            client.send(get(b"/down"))
            client.read_head()
        with gateway.client(timeout=2) as client:
            for i in range(100):
                assert client.exchange(get(b"/%d" % i)).body == b"GET /%d 0" % i
        for client in slow:
            client.close()

"""Many requests leave nothing behind: memory and descriptors are flat (1,000,000 with FASTGATE_LEAK_REQUESTS)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import threading

import pytest
from harness import BadResponse, Gateway, Origin, snapshot
from harness.client import wait_for
from harness.requests import chunks, get, post, post_chunked, request

pytestmark = pytest.mark.usefixtures("engine")
REQUESTS = int(os.environ.get("FASTGATE_LEAK_REQUESTS", "50000"))
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class _Origin(asyncio.Protocol):
    """Answers every head it sees; bodies come in the same piece or are counted over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[: end + 4].lower()
            at = head.find(b"content-length: ")
            need = end + 4
            if at >= 0:
                need += int(head[at + 16 : head.find(b"\r", at)])
            elif b"transfer-encoding" in head:
                stop = self.buffer.find(b"0\r\n\r\n", end + 4)
                if stop < 0:
                    return
                need = stop + 5
            if len(self.buffer) < need:
                return
            self.buffer = self.buffer[need:]
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


class _Load(asyncio.Protocol):
    """Keeps a batch of pipelined requests under way until its share is answered."""

    def __init__(self, share: int, wire: bytes, batch: int, done: asyncio.Future[None]) -> None:
        self.left, self.wire, self.batch, self.done = share, wire, batch, done
        self.seen = 0
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self.wire * self.batch)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        data = self.tail + data
        count = data.count(b"\r\n\r\nok")
        self.tail = data[data.rfind(b"\r\n\r\nok") + 6 :] if count else data
        self.seen += count
        self.left -= count
        if self.left <= 0:
            if not self.done.done():
                self.done.set_result(None)
            self.transport.close()
        elif self.seen >= self.batch:
            self.seen -= self.batch
            self.transport.write(self.wire * self.batch)  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError(f"connection lost with {self.left} answers due: {error}"))


async def _run(address: str, requests: int, connections: int, wire: bytes, batch: int) -> None:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda d=done: _Load(requests // connections, wire, batch, d), host, int(port))  # type: ignore[misc]
        waits.append(done)
    await asyncio.gather(*waits)


class _Background:
    """The asyncio origin in a thread of its own."""

    def __enter__(self) -> str:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        making = asyncio.run_coroutine_threadsafe(self._make(), self.loop)
        return f"http://127.0.0.1:{making.result(10)}"

    async def _make(self) -> int:
        self.server = await self.loop.create_server(_Origin, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self.server.close()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def test_memory_and_descriptors_are_flat() -> None:
    """A mix of GET, POST and chunked requests on pipelined connections."""
    wire = get(b"/leak", b"X-A: b") + post(b"x" * 100) + post_chunked(b"hello", b"world") + get(b"/leak?b")
    rounds = 8
    with _Background() as url, Gateway(snapshot(url)) as gateway:
        series, descriptors = [], []
        # a round that is not counted: buffers and pools fill once, and that is no leak
        asyncio.run(_run(gateway.address, REQUESTS // rounds, 16, wire, 4))
        for _ in range(rounds):
            asyncio.run(_run(gateway.address, REQUESTS // rounds, 16, wire, 4))
            series.append(gateway.rss())
            descriptors.append(gateway.descriptors())
        # the allocator's own pages come and go by megabytes: a leak shows as a low point that rises
        assert min(series[rounds // 2 :]) - max(series[: rounds // 2]) < 1 << 20, series
        # against the usual low, not against one round in which the allocator had just given pages back
        assert min(series[rounds // 2 :]) - statistics.median_low(series[: rounds // 2]) < 4 << 20, series
        wait_for(lambda: gateway.descriptors() <= max(descriptors[:2]) + 16, f"descriptors back to {descriptors[:2]}")


def test_connections_leave_nothing(origin: Origin) -> None:
    """Connections that end in every way: after an answer, in a head, in a body, by reset, refused."""
    origin.keep = False
    wires = [
        get(),
        b"GET / HT",
        b"",
        request(b"POST", b"/", b"Content-Length: 100", body=b"half"),
        b"BAD\r\n\r\n",
        request(b"POST", b"/", b"Transfer-Encoding: chunked", body=chunks(b"x")[:-3]),
        get(b"/%00"),
    ]

    def round_of(count: int) -> None:
        for i in range(count):
            client = gateway.client()
            client.send(wires[i % len(wires)])
            if i % len(wires) == 0:
                with contextlib.suppress(BadResponse):
                    client.read_head()
            (client.reset if i % 2 else client.close)()

    with Gateway(snapshot(origin.url)) as gateway:
        round_of(400)
        wait_for(lambda: _settled(gateway), "descriptors to settle")
        memory, descriptors = gateway.rss(), gateway.descriptors()
        for _ in range(4):
            round_of(400)
        wait_for(lambda: gateway.descriptors() <= descriptors + 8, f"no more than {descriptors} descriptors")
        assert gateway.rss() - memory < 2 << 20


def _settled(gateway: Gateway) -> bool:
    first = gateway.descriptors()
    with gateway.client() as client:
        client.exchange(get())
    return gateway.descriptors() <= first

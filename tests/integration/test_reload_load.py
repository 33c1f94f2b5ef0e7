"""Reloads under load, with random edits: no request fails or stalls, no idle connection and no tunnel is closed.

`FASTGATE_RELOAD_REQUESTS=20000 FASTGATE_RELOAD_TUNNELS=1000` is the full size; what is asserted are counts.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

from harness.product import Product, put

REQUESTS = int(os.environ.get("FASTGATE_RELOAD_REQUESTS", "4000"))
TUNNELS = int(os.environ.get("FASTGATE_RELOAD_TUNNELS", "100"))
IDLE = 50
CLIENTS = 16
RELOADS = 10
STALL = 30.0
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


class _Origin(asyncio.Protocol):
    """Answers with the path it was asked for; after an upgrade it echoes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""
        self.tunnel = False

    def data_received(self, data: bytes) -> None:
        if self.tunnel:
            self.transport.write(data)
            return
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            if b"upgrade: echo" in head.lower():
                self.tunnel = True
                self.transport.write(SWITCHED)
                return
            path = head.split(b" ", 2)[1]
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))


class Clients:
    """Everything that is connected to the gateway, and what went wrong with it."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.host, self.port = host, int(port)
        self.served = 0
        self.wrong: Counter[str] = Counter()
        self.enough = asyncio.Event()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: bytes) -> bool:
        """One exchange; what is wrong with it is counted by its name."""
        try:
            async with asyncio.timeout(STALL):
                writer.write(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(len(path))
        except TimeoutError:
            self.wrong["stalled"] += 1
            return False
        except (OSError, asyncio.IncompleteReadError) as error:
            self.wrong[f"failed: {type(error).__name__}"] += 1
            return False
        if not head.startswith(b"HTTP/1.1 200 ") or body != path:
            self.wrong[f"answered {head[:40]!r}"] += 1
        if b"connection: close" in head.lower():
            self.wrong["told to close"] += 1
        return True

    async def load(self, number: int) -> None:
        """A connection that is kept, and one in fifty that is new."""
        reader, writer = await self.connect()
        turn = 0
        while not self.enough.is_set():
            turn += 1
            if not await self.ask(reader, writer, b"/%d/%d" % (number, turn)) or turn % 50 == 0:
                writer.close()
                reader, writer = await self.connect()
            self.served += 1
        writer.close()

    async def idle(self, until: asyncio.Event) -> None:
        """Asks once, waits through all reloads, asks again on the same connection."""
        reader, writer = await self.connect()
        await self.ask(reader, writer, b"/before")
        await until.wait()
        if reader.at_eof():
            self.wrong["idle connection closed"] += 1
        await self.ask(reader, writer, b"/after")
        writer.close()

    async def tunnel(self, opened: asyncio.Semaphore, until: asyncio.Event) -> None:
        """A change of protocol, an echo before the reloads and one after them."""
        reader, writer = await self.connect()
        writer.write(b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        try:
            async with asyncio.timeout(STALL):
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 101 "):
                    self.wrong[f"no tunnel: {head[:40]!r}"] += 1
                for event, text in ((None, b"one"), (until, b"two")):
                    if event is not None:
                        opened.release()
                        async with asyncio.timeout(None):
                            await event.wait()
                    writer.write(text)
                    if await reader.readexactly(3) != text:
                        self.wrong["tunnel echoes something else"] += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.wrong[f"tunnel closed: {type(error).__name__}"] += 1
            opened.release()
        writer.close()


def _config(dice: random.Random, generation: int, origins: list[str]) -> str:
    """A config in which everything may differ from the one before but the way the clients take."""
    lines = ["listeners:", "  public:", "    bind: 127.0.0.1:0"]
    for name in ("one", "two", "three"):
        if dice.random() < 0.6:  # added, removed, or moved to another address
            lines += [f"  {name}:", f"    bind: 127.0.0.{dice.randint(1, 3)}:0"]
    targets = dice.sample(origins, dice.randint(1, len(origins)))
    lines += ["services:", "  main:", "    targets:", *(f"      - {target}" for target in targets)]
    lines += ["    pool:", f"      max_per_target: {dice.randint(1100, 1500)}", f"      idle: {dice.randint(60, 120)}s"]
    lines += ["limits:", f"  headers: {dice.randint(16, 64)}KiB", f"  header_count: {dice.randint(50, 200)}"]
    lines += ["routes:", "  all:", "    match:", "      prefix: /", "    service: main", "    upgrade: [echo]"]
    lines += ["    timeouts:", f"      response: {dice.randint(60, 90)}s", "      idle: 600s"]
    lines += ["  generation:", "    match:", "      path: /generation", "    respond:", "      status: 200"]
    lines += [f"      body: '{generation}'"]
    for number in dice.sample(range(100), dice.randint(0, 40)):
        lines += [f"  extra-{number}:", "    match:", f"      path: /extra/{number}/{{id}}"]
        lines += ["    service: main"] if number % 2 else ["    redirect:", "      to: /"]
    return "\n".join(lines) + "\n"


async def _run(gateway: Product, file: Path, origins: list[str], seed: int) -> Clients:
    dice = random.Random(seed)
    clients = Clients(await asyncio.to_thread(gateway.address))
    opened, over = asyncio.Semaphore(0), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TUNNELS):
            tasks.create_task(clients.tunnel(opened, over))
        for _ in range(TUNNELS):
            await opened.acquire()
        for _ in range(IDLE):
            tasks.create_task(clients.idle(over))
        for number in range(CLIENTS):
            tasks.create_task(clients.load(number))
        for generation in range(1, RELOADS + 1):
            while clients.served < REQUESTS * generation // (RELOADS + 1):
                await asyncio.sleep(0.005)
            await asyncio.to_thread(put, file, _config(dice, generation, origins))
            if generation % 2:
                answer = await asyncio.to_thread(gateway.ask, "reload")
                assert answer["ok"], answer
            else:
                gateway.signal(signal.SIGHUP)
                await asyncio.to_thread(gateway.wait_for, r"reloaded: .*\(SIGHUP\)", generation // 2)
            status = await asyncio.to_thread(gateway.ask, "status")
            assert status["config"]["generation"] == generation + 1
        while clients.served < REQUESTS:
            await asyncio.sleep(0.005)
        clients.enough.set()
        over.set()
    return clients


def test_nothing_is_lost_over_ten_reloads(tmp_path: Path) -> None:
    seed = int(os.environ.get("FASTGATE_RELOAD_SEED", random.randrange(1 << 32)))

    async def all_of_it() -> Clients:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(_Origin, "127.0.0.1", 0, backlog=2048) for _ in range(2)]
        origins = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
        file = tmp_path / "gate.yaml"
        file.write_text(_config(random.Random(seed), 0, origins))
        with Product(str(file), folder=tmp_path) as gateway:
            clients = await _run(gateway, file, origins, seed)
            status = await asyncio.to_thread(gateway.ask, "status")
        for server in servers:
            server.close()
        assert status["config"]["last_reload"]["ok"]
        assert status["stats"]["requests"] >= clients.served
        return clients

    clients = asyncio.run(all_of_it())
    assert not clients.wrong, (f"FASTGATE_RELOAD_SEED={seed}", clients.wrong)
    assert clients.served >= REQUESTS

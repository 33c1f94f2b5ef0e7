"""The client that a conformance case drives: it sends what the case says, right or wrong, and notes what comes back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from conformance.websocket_suite.cases import CLOSE_CODES, STATES, ByteString, Offer, to_bytes
from harness.websocket import xor

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Verdict:
    """What a case says at its end."""

    behavior: str
    close: str
    code: int | None
    result: str

    @property
    def passed(self) -> bool:
        """Whether neither the behaviour nor the close is a failure in the suite's own terms."""
        good = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")
        return self.behavior in good and self.close in ("OK", "INFORMATIONAL")


@dataclass
class Server:
    """Whom to connect to."""

    port: int
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)


def accepted(key: bytes) -> str:
    """The `Sec-WebSocket-Accept` that belongs to a key (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest()).decode()


class _Deflate:
    """The agreed compression, from the client's side."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self.fresh_out = "client_no_context_takeover" in parameters
        self.fresh_in = "server_no_context_takeover" in parameters
        self.out_bits = int(parameters.get("client_max_window_bits", 15) or 15)
        self.in_bits = int(parameters.get("server_max_window_bits", 15))
        self.out: Any = None
        self.into: Any = None

    def compress(self, data: bytes) -> bytes:
        if self.out is None or self.fresh_out:
            # A window of 8 bits cannot be made by zlib.
            self.out = zlib.compressobj(wbits=-max(self.out_bits, 9))
        return (self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")

    def decompress(self, data: bytes) -> bytes:
        if self.into is None or self.fresh_in:
            self.into = zlib.decompressobj(-self.in_bits)
        whole: bytes = self.into.decompress(data + b"\0\0\xff\xff")
        return whole


class Peer:
    """What a case calls `self.p`; the names are the suite's."""

    factory = SimpleNamespace(isServer=False)
    CLOSE_HANDSHAKE_TIMEOUT = 1.0
    SERVER_DROP_TIMEOUT = 1.0
    LONGEST = 20.0

    def __init__(self, case: type[Any], patience: float, count: int) -> None:
        if not count:
            self.LONGEST = 600.0
        for name, code in CLOSE_CODES.items():
            setattr(self, f"CLOSE_STATUS_CODE_{name}", code)
        self.state = STATES["CONNECTING"]
        self.connectionWasOpen = False
        self.closedByMe = self.failedByMe = self.droppedByMe = self.wasClean = False
        self.remoteCloseCode: int | None = None
        self.localCloseReason: str | None = None
        self.createWirelog = True
        self.autoFragmentSize = 0
        self.txFrameStats: dict[int, int] = {}
        self.trafficStats = None
        self.perMessageCompressionOffers: list[Offer] = []
        self._perMessageCompress: _Deflate | None = None
        self._patience = patience
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._timers: list[asyncio.TimerHandle] = []
        self._closing: asyncio.TimerHandle | None = None
        self._failure: str | None = None
        self._message: tuple[int, bool, list[bytes]] | None = None
        self._key, self._at = b"", 0
        self._case = case(self)
        if count and hasattr(self._case, "COUNT"):
            self._case.COUNT = min(self._case.COUNT, count)

    # --- what cases call

    def enableWirelog(self, enable: bool) -> None:
        self.createWirelog = enable

    def continueLater(self, delay: float, fun: Callable[[], None], tag: str | None = None) -> None:
        self._later(delay, lambda: self.state != STATES["CLOSED"] and fun())

    def killAfter(self, delay: float) -> None:
        self._later(delay * self._patience, lambda: self._fail_connection())

    def closeAfter(self, delay: float) -> None:
        # Some cases wait for minutes; with few messages nothing takes so long.
        self._later(min(delay * self._patience, self.LONGEST), lambda: self.sendClose())

    def sendFrame(
        self,
        opcode: int,
        payload: str = "",
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = None,
        payload_len: int | None = None,
        chopsize: int | None = None,
        sync: bool = False,
    ) -> None:
        data = to_bytes(payload)
        if payload_len is not None:
            data = (data * (payload_len // len(data) + 1))[:payload_len] if data else b""
        raw = self._head(opcode, len(data), fin, rsv) + xor(data, self._key)
        step = chopsize or len(raw)
        for at in range(0, len(raw), step):
            self._queue.put_nowait(raw[at : at + step])

    def sendMessage(self, payload: str | bytes, isBinary: bool = False, fragmentSize: int | None = None) -> None:
        data, rsv = to_bytes(payload), 0
        if self._perMessageCompress is not None:
            data, rsv = self._perMessageCompress.compress(data), 4
        size = fragmentSize or self.autoFragmentSize or len(data) or 1
        opcode, out = 2 if isBinary else 1, []
        for at in range(0, max(len(data), 1), size):
            piece = data[at : at + size]
            out.append(self._head(opcode, len(piece), at + size >= len(data), rsv) + xor(piece, self._key))
            opcode = rsv = 0
        self._queue.put_nowait(b"".join(out))

    def beginMessage(self) -> None:
        """A text message whose one frame comes in pieces."""

    def beginMessageFrame(self, length: int) -> None:
        self._queue.put_nowait(self._head(1, length, False, 0))
        self._at = 0

    def sendMessageFrameData(self, payload: str) -> None:
        data = to_bytes(payload)
        turn = self._at % 4
        self._queue.put_nowait(xor(data, self._key[turn:] + self._key[:turn]))
        self._at += len(data)

    def endMessage(self) -> None:
        self._queue.put_nowait(self._head(0, 0, True, 0))

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: str | None = None, isReply: bool = False) -> None:
        if self.state != STATES["OPEN"]:
            return
        payload = b"" if code is None else struct.pack("!H", code)
        payload += to_bytes(reasonUtf8 or "")
        self.sendFrame(8, payload.decode("latin-1"))
        self.state, self.closedByMe = STATES["CLOSING"], not isReply
        self.localCloseReason = reasonUtf8
        if self.closedByMe:
            limit = self.CLOSE_HANDSHAKE_TIMEOUT * self._patience
            self._closing = self._later(limit, lambda: self._drop(clean=False))

    def sendClose(self, code: int | None = None, reason: str | None = None) -> None:
        self.sendCloseFrame(code, reason)

    # --- the connection

    def _later(self, delay: float, fun: Callable[[], Any]) -> asyncio.TimerHandle:
        def run() -> None:
            try:
                fun()
            except Exception as error:
                self._failure = f"the case failed: {error!r}"
                self._drop(clean=False)

        timer = asyncio.get_running_loop().call_later(delay, run)
        self._timers.append(timer)
        return timer

    def _head(self, opcode: int, length: int, fin: bool, rsv: int) -> bytes:
        """A head with a new masking key."""
        self.txFrameStats[opcode] = self.txFrameStats.get(opcode, 0) + 1
        self._key = os.urandom(4)
        first = fin << 7 | rsv << 4 | opcode
        if length < 126:
            return struct.pack("!BB4s", first, 0x80 | length, self._key)
        if length < 1 << 16:
            return struct.pack("!BBH4s", first, 0xFE, length, self._key)
        return struct.pack("!BBQ4s", first, 0xFF, length, self._key)

    def _fail_connection(self) -> None:
        if self.state == STATES["CLOSED"]:
            return
        self.failedByMe = True
        if self.state == STATES["CLOSING"]:
            self._drop()
        else:
            self.sendCloseFrame(CLOSE_CODES["GOING_AWAY"])

    def _drop(self, clean: bool | None = None) -> None:
        if self.state != STATES["CLOSED"]:
            self.state, self.droppedByMe = STATES["CLOSED"], True
            if clean is not None:
                self.wasClean = clean
            self._writer.transport.abort()

    async def run(self, server: Server) -> Verdict:
        """Connects, lets the case speak, and gives its verdict when the connection is gone."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
        self._writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sending = None
        try:
            await self._handshake(reader, server)
            self.state, self.connectionWasOpen = STATES["OPEN"], True
            sending = asyncio.create_task(self._send())
            self._case.onOpen()
            await self._receive(reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the connection is gone
        finally:
            for timer in self._timers:
                timer.cancel()
            if sending is not None:
                sending.cancel()
            self._writer.transport.abort()
        self.state = STATES["CLOSED"]
        self._case.onConnectionLost(self.failedByMe)
        case = self._case
        if self._failure is not None:
            return Verdict("FAILED", "FAILED", self.remoteCloseCode, self._failure)
        result = f"{case.result} / {case.resultClose} / received {str(case.received)[:200]}"
        return Verdict(case.behavior, case.behaviorClose, self.remoteCloseCode, result)

    async def _handshake(self, reader: asyncio.StreamReader, server: Server) -> None:
        key = base64.b64encode(os.urandom(16))
        fields = {
            "Host": f"127.0.0.1:{server.port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(),
        } | server.headers
        if self.perMessageCompressionOffers:
            fields["Sec-WebSocket-Extensions"] = ", ".join(o.header() for o in self.perMessageCompressionOffers)
        lines = [f"GET {server.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self._writer.write("\r\n".join(lines).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        got = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        if not head[0].startswith("HTTP/1.1 101 ") or got.get("sec-websocket-accept") != accepted(key):
            raise ConnectionError(f"no handshake: {head}")
        extension = got.get("sec-websocket-extensions")
        if extension is not None:
            name, *parameters = (part.strip() for part in extension.split(";"))
            if name != "permessage-deflate" or not self.perMessageCompressionOffers:
                raise ConnectionError(f"an extension that was not offered: {extension}")
            self._perMessageCompress = _Deflate({k: v for k, _, v in (p.partition("=") for p in parameters)})

    async def _send(self) -> None:
        """One write for each piece: what is chopped arrives chopped."""
        while True:
            self._writer.write(await self._queue.get())
            await self._writer.drain()
            await asyncio.sleep(0)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while self.state != STATES["CLOSED"]:
            first, second = await reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await reader.readexactly(8))
            payload = await reader.readexactly(length)
            wrong = self._frame(first, second, payload)
            if wrong:
                self._failure = f"the server sent {wrong}"
                return

    def _frame(self, first: int, second: int, payload: bytes) -> str | None:
        """Takes one frame of the server; says what is wrong with it."""
        fin, rsv, opcode = first >> 7, first >> 4 & 7, first & 15
        if second & 0x80:
            return "a masked frame"
        if opcode >= 8:
            if not fin or rsv or len(payload) > 125:
                return "a bad control frame"
            return self._control(opcode, payload)
        if opcode > 2 or (opcode == 0) != (self._message is not None):
            return f"opcode {opcode} out of order"
        if rsv not in ((0, 4) if opcode and self._perMessageCompress else (0,)):
            return f"reserved bits {rsv}"
        if opcode:
            self._message = (opcode, rsv == 4, [])
        kind, compressed, pieces = self._message or (0, False, [])
        pieces.append(payload)
        if not fin:
            return None
        self._message = None
        data = b"".join(pieces)
        if compressed and self._perMessageCompress is not None:
            data = self._perMessageCompress.decompress(data)
        if kind == 1:
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                return "text that is not UTF-8"
        self._case.onMessage(ByteString(data.decode("latin-1")), kind == 2)
        return None

    def _control(self, opcode: int, payload: bytes) -> str | None:
        if opcode == 9:
            if self.state == STATES["OPEN"]:
                self.sendFrame(10, payload.decode("latin-1"))
        elif opcode == 10:
            self._case.onPong(ByteString(payload.decode("latin-1")))
        elif opcode == 8:
            if len(payload) == 1:
                return "half a close code"
            if payload:
                (self.remoteCloseCode,) = struct.unpack("!H", payload[:2])
                payload[2:].decode("utf-8")
            self.wasClean = True
            if self._closing is not None:
                self._closing.cancel()
            self.sendCloseFrame(self.remoteCloseCode, isReply=True)
            self._later(self.SERVER_DROP_TIMEOUT * self._patience, lambda: self._drop())
        else:
            return f"opcode {opcode}"
        return None


async def run_cases(
    cases: dict[str, type[Any]], server: Callable[[str], Server], *, at_once: int, count: int, patience: float = 1.0
) -> dict[str, Verdict]:
    """The verdicts of cases by id; some run at once. A case that does not pass runs again, alone and with more time.

    Args:
        cases: The suite's classes.
        server: Whom to connect to for a case; asked anew for each connection.
        at_once: Connections at the same time.
        count: Messages of a case that sends many, at most; 0: as many as it says.
        patience: What the suite's time-outs are multiplied by.
    """
    verdicts: dict[str, Verdict] = {}
    todo = iter(cases.items())

    async def one(name: str, case: type[Any], patience: float) -> None:
        verdicts[name] = await Peer(case, patience, count).run(server(name))

    async def work() -> None:
        for name, case in todo:
            await one(name, case, patience)

    await asyncio.gather(*(work() for _ in range(at_once)))
    for name, verdict in list(verdicts.items()):
        if not verdict.passed:
            await one(name, cases[name], patience * 5)
    return verdicts

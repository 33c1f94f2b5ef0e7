"""Many subscribers read from one thread: what each of them got, in order, and how it ended."""

from __future__ import annotations

import json
import selectors
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from harness.client import Client
from harness.requests import websocket
from harness.websocket import CLOSE, PING, PONG, Frame, WebSocket, masked

DEADLINE = 60.0


class Member:
    """One of a crowd."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.status = 0
        """Of the answer to its handshake."""
        self.messages: list[bytes] = []
        self.closing: Frame | None = None
        self.ended = False
        self._buffer = bytearray()

    @property
    def values(self) -> list[Any]:
        """Its messages, as JSON."""
        return [json.loads(message) for message in self.messages]

    def text(self, *messages: str) -> None:
        """Sends text messages in one piece; its socket must have room for them."""
        self.client.sock.sendall(b"".join(masked(1, message.encode()) for message in messages))

    def take(self, data: bytes) -> None:
        """Takes what came: first the handshake's answer, then whole frames."""
        self._buffer += data
        if not self.status:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.status = int(self._buffer[9:12])
            del self._buffer[: end + 4]
        at, view = 0, self._buffer
        while self.status == 101 and len(view) - at >= 2:
            length, start = view[at + 1], at + 2
            assert length < 128, "a server's frame is masked"
            if length > 125:
                size = 2 if length == 126 else 8
                length, start = int.from_bytes(view[start : start + size]), start + size
            if len(view) < start + length or start > len(view):
                break
            assert view[at] & 0xF0 == 0x80, f"a frame begins with {view[at]:#x}"
            self._frame(Frame(view[at] & 0x0F, bytes(view[start : start + length])))
            at = start + length
        del view[:at]

    def _frame(self, frame: Frame) -> None:
        assert self.closing is None, "a frame behind the close"
        if frame.opcode == PING:
            self.client.send(masked(PONG, frame.payload))
        elif frame.opcode == CLOSE:
            self.closing = frame
        else:
            self.messages.append(frame.payload)


class Crowd:
    """Subscribers, their handshakes under way all at once; `with Crowd(address, "/r/a", 200) as crowd:`."""

    def __init__(self, address: str, target: str = "/r/a", count: int = 0, **options: Any) -> None:
        self.address = address
        self.members: list[Member] = []
        self._selector = selectors.DefaultSelector()
        try:
            self.read_joined(self.join(target, count, **options))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def join(self, target: str, count: int, *lines: bytes, receive_buffer: int | None = None) -> list[Member]:
        """More of them, without waiting for the answers."""
        fresh = []
        for _ in range(count):
            client = Client(self.address, receive_buffer=receive_buffer)
            client.send(websocket(target.encode(), *lines))
            fresh.append(Member(client))
            client.sock.setblocking(False)
            self._selector.register(client.sock, selectors.EVENT_READ, fresh[-1])
        self.members += fresh
        return fresh

    def read_joined(self, members: Iterable[Member]) -> None:
        """Reads until these have their answers, which must be 101."""
        wanted = list(members)
        self.read_until(lambda: all(member.status or member.ended for member in wanted), "answers to the handshakes")
        refused = sum(member.status != 101 for member in wanted)
        assert not refused, f"{refused} of {len(wanted)} were refused"

    def read(self, count: int, members: Iterable[Member] | None = None) -> None:
        """Reads until each (or each of these) has so many messages or has ended."""
        wanted = self.members if members is None else list(members)
        self.read_until(lambda: all(len(one.messages) >= count or one.ended for one in wanted), f"{count} messages")

    def read_ends(self, members: Iterable[Member] | None = None) -> None:
        """Reads until each (or each of these) has ended."""
        wanted = self.members if members is None else list(members)
        self.read_until(lambda: all(one.ended for one in wanted), "the ends")

    def read_until(self, done: Callable[[], bool], what: str) -> None:
        """Reads what comes until it is done; fails at the deadline."""
        deadline = time.monotonic() + DEADLINE
        while not done():
            if time.monotonic() > deadline:
                counts = sorted({len(member.messages) for member in self.members})
                ended = sum(member.ended for member in self.members)
                raise AssertionError(f"not within {DEADLINE} s: {what}; messages {counts}, {ended} ended")
            for key, _ in self._selector.select(0.2):
                self._read_one(key.data)

    def _read_one(self, member: Member) -> None:
        try:
            data = member.client.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            member.take(data)
        else:
            member.ended = True
            self._selector.unregister(member.client.sock)

    def stop_reading(self, members: Iterable[Member]) -> None:
        """These read nothing from now on."""
        for member in members:
            self._selector.unregister(member.client.sock)

    def read_again(self, members: Iterable[Member]) -> None:
        """These read again."""
        for member in members:
            self._selector.register(member.client.sock, selectors.EVENT_READ, member)

    def leave(self, member: Member, *, reset: bool = False) -> None:
        """One goes, without a word."""
        self.members.remove(member)
        if not member.ended:
            self._selector.unregister(member.client.sock)
        if reset:
            member.client.reset()
        member.client.close()

    def close(self) -> None:
        """All go, without a word."""
        for member in self.members:
            member.client.close()
        self._selector.close()


def publisher(address: str, target: str) -> WebSocket:
    """A connection that publishes."""
    return WebSocket(address, target, timeout=DEADLINE)

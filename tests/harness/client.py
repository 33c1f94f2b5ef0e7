"""A raw-byte HTTP/1.1 client: sends the bytes given, reads responses strictly, says how the connection ended."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from harness import address as addresses
from harness.message import Ended, Malformed, Message, Reader, body_length, split_head, status_line

DEADLINE = 10.0


class BadResponse(AssertionError):
    """What came back is no response at all, or not a valid one."""


@dataclass
class Response(Message):
    """One response, interim ones included."""

    status: int = 0
    minor: int = 1
    reason: bytes = b""
    framing: str = "none"
    """none | length | chunked | close"""
    complete: bool = True

    @property
    def says_close(self) -> bool:
        """Whether this response announces the end of its connection."""
        tokens = self.tokens("connection")
        return b"close" in tokens or self.framing == "close" or (self.minor == 0 and b"keep-alive" not in tokens)

    @property
    def from_gateway(self) -> bool:
        """Whether the gateway made this answer (a problem document that carries a request id)."""
        return self.get("content-type") == b"application/problem+json" and b'"request_id"' in self.body


class Client:
    """One connection. Every wait ends at the deadline with an error; nothing sleeps."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float = DEADLINE,
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
        name: str = "localhost",
    ) -> None:
        self.address = address
        if receive_buffer is None:
            self.sock = addresses.dial(address, timeout)
        else:  # must be set before the connection is made to take effect on the window
            host, _, port = address.rpartition(":")
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.sock.settimeout(timeout)
            self.sock.connect((host, int(port)))
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name)
        self.timeout = timeout
        self.was_reset = False
        self._reader = Reader(self._fill)
        self._reader.keep = False

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self) -> bytes:
        try:
            return self.sock.recv(1 << 18)
        except ConnectionError:
            self.was_reset = True
            return b""
        except TimeoutError:
            raise BadResponse(
                f"nothing came within {self.timeout} s; so far: {bytes(self._reader.buffer[:300])!r}"
            ) from None

    # sending

    def send(self, data: bytes) -> Client:
        """Sends all bytes; a peer that has closed is no error (its answer is what counts)."""
        try:
            self.sock.sendall(data)
        except ConnectionError:
            self.was_reset = True
        return self

    def send_pieces(self, data: bytes, size: int = 1) -> Client:
        """Sends in pieces of `size` bytes, each in a segment of its own (TCP_NODELAY is set)."""
        for at in range(0, len(data), size):
            self.send(data[at : at + size])
            if self.was_reset:
                break
        return self

    def half_close(self) -> Client:
        """Sends FIN and keeps reading."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Ends the connection with a reset."""
        addresses.reset(self.sock)

    def close(self) -> None:
        """Ends the connection."""
        self.sock.close()

    # reading

    def read(self, method: str = "GET") -> Response:
        """The next response, interim ones included; the method says whether it has a body."""
        response = self.read_head(method)
        try:
            self._read_body(response)
        except (Malformed, Ended) as error:
            response.complete = False
            raise BadResponse(f"{error} in the body of {response.head!r}") from error
        return response

    def final(self, method: str = "GET") -> Response:
        """The next response that is not interim (a 101 is final)."""
        while (response := self.read(method)).status < 200 and response.status != 101:
            pass
        return response

    def read_head(self, method: str = "GET") -> Response:
        """Only the head of the next response; its framing says how the body would follow."""
        try:
            head = self._reader.until(b"\r\n\r\n")
            line, fields = split_head(head)
            minor, status, reason = status_line(line)
        except (Malformed, Ended) as error:
            how = "reset" if self.was_reset else "closed" if self._reader.ended else "open"
            raise BadResponse(f"no response ({error}); connection {how}") from error
        response = Response(head, fields, status=status, minor=minor, reason=reason)
        if status < 200 or status in (204, 304) or method == "HEAD":
            return response
        try:
            length = body_length(response)
        except Malformed as error:
            raise BadResponse(f"{error} in {head!r}") from error
        if length is None:
            response.framing = "chunked"
        else:
            response.framing = "length" if response.get("content-length") is not None else "close"
        return response

    def _read_body(self, response: Response) -> None:
        if response.framing == "length":
            response.body = self._reader.take(int(response.get("content-length") or 0))
        elif response.framing == "chunked":
            response.body, response.trailers, _ = self._reader.chunked()
        elif response.framing == "close":
            response.body = self._reader.rest()
            if self.was_reset:
                raise Ended("reset before the end")

    def exchange(self, data: bytes, method: str = "GET") -> Response:
        """Sends a request and reads its final response."""
        return self.send(data).final(method)

    def exchanges(self, data: bytes, methods: Iterable[str]) -> list[Response]:
        """Sends pipelined requests in one piece and reads one final response for each method."""
        self.send(data)
        return [self.final(method) for method in methods]

    def receive(self, count: int) -> bytes:
        """Exactly `count` raw bytes (tunnels)."""
        try:
            return self._reader.take(count)
        except Ended as error:
            raise BadResponse(f"connection ended: {error}") from error

    def rest(self) -> bytes:
        """Raw bytes until the peer ends the connection."""
        return self._reader.rest()

    def closed(self, timeout: float | None = None) -> bool:
        """Whether the peer ends the connection, without another byte, before the deadline."""
        if timeout is not None:
            self.sock.settimeout(timeout)
        try:
            extra = self._reader.rest()
        except BadResponse:
            return False
        finally:
            self.sock.settimeout(self.timeout)
        if extra:
            raise BadResponse(f"bytes after the last response: {extra[:300]!r}")
        return True


def connect(address: str, *, timeout: float = DEADLINE) -> Client:
    """A client connection to `address`."""
    return Client(address, timeout=timeout)


def wait_for(condition: object, what: str, timeout: float = DEADLINE) -> None:
    """Asks `condition` again and again until it holds; fails with `what` at the deadline."""
    assert callable(condition)
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.002)  # the thing asked about has no event of its own (another process)

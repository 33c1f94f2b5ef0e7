"""A recording origin: keeps every byte it was sent, answers by script, counts requests.

A script is a function `(connection, request) -> None`, called once for each request head; it reads the body, sends
what it likes, closes, resets or waits on events. `Origin.script` may be replaced while connections stay open.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from harness import address as addresses
from harness.message import Ended, Malformed, Message, Reader, body_length, request_line, split_head

DEADLINE = 10.0


class Violation(AssertionError):
    """The origin was sent something that is not strict HTTP/1.1."""


@dataclass
class Received(Message):
    """One request as it arrived."""

    method: bytes = b""
    target: bytes = b""
    minor: int = 1
    connection: int = 0
    complete: bool = False
    chunks: tuple[int, ...] | None = None
    """Sizes of the chunks, None unless it was chunked."""


Script = Callable[["OriginConnection", Received], None]


class OriginConnection:
    """One accepted connection, driven by its own thread."""

    def __init__(self, origin: Origin, sock: socket.socket, number: int) -> None:
        self.origin = origin
        self.sock = sock
        self.number = number
        self.raw = bytearray()
        self.closed = threading.Event()
        """Set once the peer's end (FIN or reset) was seen, or this side has closed."""
        self.peer_reset = False
        self.idle = False
        """Waits for the first byte of a request, which is still in the socket when this becomes false."""
        self._reader = Reader(self._fill)
        self._reader.keep = False

    def _fill(self) -> bytes:
        try:
            data = self.sock.recv(1 << 18)
        except OSError:
            self.peer_reset = True
            data = b""
        if self.origin.keep:
            self.raw += data
        if not data:
            self.closed.set()
        return data

    @property
    def pending(self) -> bytes:
        """Bytes that arrived and belong to no request read so far."""
        return bytes(self._reader.buffer)

    def read_head(self) -> Received | None:
        """The next request without its body; None when the peer ended before another one began."""
        if not self._reader.buffer:
            self._wait_first_byte()
            if not self._reader.more():
                return None
        head = self._reader.until(b"\r\n\r\n")
        line, fields = split_head(head)
        method, target, minor = request_line(line)
        return Received(head, fields, method=method, target=target, minor=minor, connection=self.number)

    def _wait_first_byte(self) -> None:
        with self.origin._changed:
            self.idle = True
            self.origin._changed.notify_all()
        with contextlib.suppress(OSError):  # the reader meets it again
            self.sock.recv(1, socket.MSG_PEEK)
        self.idle = False

    def quiet(self) -> bool:
        """Ended, or idle with nothing on its way."""
        try:
            return self.closed.is_set() or (self.idle and not _readable(self.sock, 0))
        except (OSError, ValueError):  # closed meanwhile
            return True

    def read_body(self, request: Received) -> Received:
        """Reads the rest of the request (once); afterwards it counts as complete."""
        if request.complete or (self.closed.is_set() and not self._reader.buffer and body_length(request) != 0):
            return request
        length = body_length(request)
        if length is None:
            request.body, request.trailers, sizes = self._reader.chunked()
            request.chunks = tuple(sizes)
        else:
            request.body = self._reader.take(length)
        request.complete = True
        self.origin._completed(request)
        return request

    def read_some(self) -> bytes:
        """Any bytes, b"" at the end (tunnels, bodies read by hand)."""
        if self._reader.buffer:
            data = bytes(self._reader.buffer)
            self._reader.buffer.clear()
            return data
        return self._fill()

    def send(self, data: bytes) -> None:
        """Sends all; a peer that has gone is noted, not raised."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed.set()

    def wait(self, event: threading.Event, timeout: float = DEADLINE) -> None:
        """Waits for a test's event."""
        if not event.wait(timeout):
            raise Violation("the event a script waited for never came")

    def wait_end(self) -> None:
        """Reads until the peer ends the connection."""
        while not self.closed.is_set():
            self._fill()

    def half_close(self) -> None:
        """Sends FIN and keeps reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends the connection."""
        self.closed.set()
        addresses.shut(self.sock)

    def reset(self) -> None:
        """Ends the connection with a reset."""
        self.closed.set()
        addresses.reset(self.sock)


class Origin:
    """Listens on a free port and records; `with Origin() as origin:`."""

    def __init__(self, script: Script | None = None, *, bind: str = "127.0.0.1:0", keep: bool = True) -> None:
        self.script: Script = script or echo
        self.keep = keep
        self.on_accept: Callable[[OriginConnection], None] | None = None
        self._listener, self.address = addresses.listen(bind)
        self._changed = threading.Condition()
        self.connections: list[OriginConnection] = []
        self.heads: list[Received] = []
        """Every head that arrived, whatever became of its body."""
        self.requests: list[Received] = []
        """Complete requests, in the order of their ends."""
        self.aborted: list[str] = []
        self.violations: list[str] = []
        self._accepted = 0
        self._accepting = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Origin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """As a target in a snapshot."""
        return self.address if self.address.startswith("unix:") else f"http://{self.address}"

    def close(self) -> None:
        """Stops listening and ends every connection."""
        addresses.shut(self._listener)
        self.drop_connections()

    def drop_connections(self) -> None:
        """Closes every connection from this side (idle ones in a pool become stale)."""
        with self._changed:
            open_ones = [c for c in self.connections if not c.closed.is_set()]
        for connection in open_ones:
            connection.close()

    def reset(self) -> None:
        """Forgets what was recorded and goes back to the default script; connections stay open."""
        with self._changed:
            self.script = echo
            self.on_accept = None
            self.connections = [c for c in self.connections if not c.closed.is_set()]
            for connection in self.connections:
                connection.raw.clear()
            self.heads, self.requests, self.aborted, self.violations = [], [], [], []

    def check(self) -> None:
        """Fails if anything that arrived was not strict HTTP/1.1."""
        if self.violations:
            raise Violation("; ".join(self.violations))

    @property
    def targets(self) -> list[bytes]:
        """The targets of complete requests, in order."""
        return [r.target for r in self.requests]

    def wait_heads(self, count: int, timeout: float = DEADLINE) -> list[Received]:
        """The heads, once there are `count`."""
        self._wait(lambda: len(self.heads) >= count, f"{count} heads", timeout)
        return self.heads

    def wait_requests(self, count: int, timeout: float = DEADLINE) -> list[Received]:
        """The complete requests, once there are `count`."""
        self._wait(lambda: len(self.requests) >= count, f"{count} requests", timeout)
        return self.requests

    def wait_connections(self, count: int, timeout: float = DEADLINE) -> list[OriginConnection]:
        """The connections since the last reset, once there are `count`."""
        self._wait(lambda: len(self.connections) >= count, f"{count} connections", timeout)
        return self.connections

    def settle(self, timeout: float = DEADLINE) -> None:
        """Waits until all that was sent to this origin was read, and every connection is idle or over."""
        self._wait(self._quiet, "quiet", timeout)

    def _quiet(self) -> bool:
        waiting = self._accepting or _readable(self._listener, 0)
        return not waiting and all(connection.quiet() for connection in self.connections)

    def _wait(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise Violation(
                    f"the origin did not see {what} within {timeout} s; heads: {[h.head for h in self.heads]!r}"
                )

    def _completed(self, request: Received) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                _readable(self._listener, None)
                self._accepting = True
                sock, _ = self._listener.accept()
            except (OSError, ValueError):
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._accepted += 1
                connection = OriginConnection(self, sock, self._accepted)
                self.connections.append(connection)
                self._accepting = False
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: OriginConnection) -> None:
        if self.on_accept is not None:
            self.on_accept(connection)
        try:
            while not connection.closed.is_set() or connection.pending:
                request = connection.read_head()
                if request is None:
                    break
                with self._changed:
                    self.heads.append(request)
                    self._changed.notify_all()
                self.script(connection, request)
                if not request.complete and not connection.closed.is_set():
                    connection.read_body(request)
        except Ended as error:
            self._note(self.aborted, str(error))
        except Malformed as error:
            self._note(self.violations, f"{error} (bytes: {bytes(connection.raw[-400:])!r})")
        except Violation as error:
            self._note(self.violations, str(error))
        except Exception as error:
            self._note(self.violations, f"script failed: {error!r}")
        finally:
            connection.close()
            with self._changed:
                self._changed.notify_all()

    def _note(self, where: list[str], text: str) -> None:
        with self._changed:
            where.append(text)
            self._changed.notify_all()


def _readable(sock: socket.socket, timeout: float | None) -> bool:
    """Whether a read would not wait; `timeout` in milliseconds. poll, because select ends at descriptor 1,023."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(timeout))


# scripts


def identity(request: Received) -> bytes:
    """The body of the default answer: names the request it belongs to."""
    return b"%s %s %d" % (request.method, request.target, len(request.body))


def ok(body: bytes = b"", *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a Content-Length, as bytes."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def echo(connection: OriginConnection, request: Received) -> None:
    """Answers 200 with `METHOD TARGET BODY-LENGTH`; HEAD gets the head of it."""
    connection.read_body(request)
    body = identity(request)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.send(head if request.method == b"HEAD" else head + body)


def mirror(connection: OriginConnection, request: Received) -> None:
    """Answers 200 with the request's body."""
    connection.read_body(request)
    connection.send(ok(request.body))


def answers(*responses: bytes, then: str = "keep", otherwise: Script = echo) -> Script:
    """Answers the first requests with these bytes, in turn; `then`: keep | close | reset | half_close after each."""
    left = list(responses)
    lock = threading.Lock()

    def script(connection: OriginConnection, request: Received) -> None:
        with lock:
            response = left.pop(0) if left and not request.target.startswith(b"/canary") else None
        if response is None:
            otherwise(connection, request)
            return
        connection.read_body(request)
        connection.send(response)
        if then != "keep":
            getattr(connection, then)()

    return script


def early(response: bytes, *, close: bool = False) -> Script:
    """Answers at the head, before the body; canaries get the default answer."""

    def script(connection: OriginConnection, request: Received) -> None:
        if request.target.startswith(b"/canary"):
            return echo(connection, request)
        connection.send(response)
        if close:
            connection.close()
        return None

    return script


def hold(event: threading.Event, response: bytes | None = None) -> Script:
    """Answers once the event is set."""

    def script(connection: OriginConnection, request: Received) -> None:
        if request.target.startswith(b"/canary"):
            return echo(connection, request)
        connection.read_body(request)
        connection.wait(event, 30)
        connection.send(ok(identity(request)) if response is None else response)
        return None

    return script

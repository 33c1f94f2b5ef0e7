"""The control socket: a line of JSON asks, a line of JSON answers; `fastgate status`, `reload` and others use it.

`{"op": "status"}` is answered by `{"ok": true, …}` or by `{"ok": false, "error": "…", "findings": […]}`. One thread
serves all connections; only `reload`, which takes seconds, has a thread of its own while it lasts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fastgate.errors import ConfigError, FastgateError, Finding, StartError
from fastgate.runtime import control_sessions, control_tokens
from fastgate.runtime.control_path import VARIABLE, default_path
from fastgate.runtime.control_socket import Claim, claim, peer_uid
from fastgate.runtime.reloads import ReloadResult

MAX_LINE = 64 * 1024
MAX_CONNECTIONS = 32
IDLE_SECONDS = 30.0
"""A connection without a byte either way is closed after this time; a reload that runs for it counts as a byte."""

KEY_EVENTS = ("key.created", "key.revoked")
MAX_KEY_NAME = 128

log = logging.getLogger("fastgate")
Plain = dict[str, Any]


class Controlled(Protocol):
    """What the control socket needs of a runtime."""

    def status(self) -> Plain:
        """Everything `fastgate status` shows."""

    def stats(self) -> Plain:
        """The engine's counters."""

    def reload(self) -> ReloadResult:
        """Loads the config again; from any thread."""

    def drain(self) -> None:
        """Begins a graceful end."""

    def rotate_logs(self) -> None:
        """Opens the files of the logs anew."""

    def sessions(self, channel: str | None, limit: int) -> Plain:
        """Who is subscribed."""

    def disconnect(self, session: str | None, channel: str | None, code: int, reason: str) -> int:
        """Ends sessions."""

    def revoke_token(self, by: str, name: str, seconds: int) -> int:
        """Refuses tokens."""

    def audit_key(self, event: str, key: str, actor: str) -> bool:
        """Records that an API key was made or revoked."""


class _Connection:
    """One client: what it has sent and what it has not read yet."""

    __slots__ = ("busy", "deadline", "ended", "received", "socket", "unsent")

    def __init__(self, client: socket.socket, now: float) -> None:
        self.socket = client
        self.received = bytearray()
        self.unsent = memoryview(b"")
        self.busy = False
        self.ended = False
        self.deadline = now + IDLE_SECONDS


class Control:
    """The control socket of one runtime.

    Args:
        runtime: What is asked and told.
        path: Where the config wants the socket; $FASTGATE_CONTROL goes before it, the default path comes behind. A path
            that was written and cannot be used is an error of `start`, the default one a warning.
    """

    def __init__(self, runtime: Controlled, path: str | os.PathLike[str] | None = None) -> None:
        self._runtime = runtime
        written = os.environ.get(VARIABLE) or path
        self._written = bool(written)
        self._wanted = Path(written) if written else default_path()
        self._claim: Claim | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._connections: dict[int, _Connection] = {}
        self._done: deque[tuple[_Connection, Plain]] = deque()
        # Each takes the question, of which most read nothing but its `op`.
        self._operations: dict[str, Callable[[Plain], Plain]] = {
            "ping": lambda _: {"pid": os.getpid()},
            "status": lambda _: runtime.status(),
            "stats": lambda _: {"stats": runtime.stats()},
            "routes": lambda _: {"routes": runtime.stats().get("routes", {})},
            "drain": self._drain,
            "rotate": self._rotate,
            "sessions": partial(control_sessions.sessions, runtime),
            "disconnect": partial(control_sessions.disconnect, runtime),
            "revoke": partial(control_tokens.revoke, runtime),
        }

    @property
    def path(self) -> Path | None:
        """The socket's path; None while there is none."""
        return self._claim.path if self._claim else None

    def start(self) -> None:
        """Makes the socket and serves it from a thread; raises StartError where a written path cannot be used."""
        try:
            self._claim = claim(self._wanted, make_folder=not self._written)
        except (OSError, StartError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            message = f"the control socket {self._wanted} cannot be made: {reason}"
            if self._written:
                raise StartError(message) from None
            log.warning("%s; `fastgate status` and `fastgate reload` will not find this gateway", message)
            return
        if self._claim.path != self._wanted:
            log.warning(
                "the control socket %s belongs to another gateway; this one answers at %s (--socket)",
                self._wanted,
                self._claim.path,
            )
        self._wake_out, self._wake_in = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._claim.socket, selectors.EVENT_READ)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="fastgate-control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Closes the socket, removes its file and ends the thread; a second call changes nothing."""
        if self._thread is None:
            return
        self._stopping = True
        self._wake()
        self._thread.join(5.0)
        self._thread = None
        if self._claim is not None:
            self._claim.release()

    def _wake(self) -> None:
        # A full pipe wakes just as well; a closed one needs no waking.
        with contextlib.suppress(OSError):
            self._wake_in.send(b"w")

    def _serve(self) -> None:
        assert self._claim is not None
        try:
            while not self._stopping:
                for key, events in self._selector.select(1.0 if self._connections else None):
                    if key.fileobj is self._claim.socket:
                        self._accept(self._claim.socket)
                    elif key.fileobj is self._wake_out:
                        with contextlib.suppress(BlockingIOError):
                            self._wake_out.recv(4096)
                    elif (connection := self._connections.get(key.fd)) is not None:
                        self._guarded(connection, partial(self._event, connection, events))
                while self._done:
                    connection, answer = self._done.popleft()
                    connection.busy = False
                    self._guarded(connection, partial(self._answer, connection, answer))
                self._sweep()
        except Exception:
            log.exception("the control socket ends: a fault of the gateway itself")
        finally:
            self._end()

    def _end(self) -> None:
        for connection in list(self._connections.values()):
            # What is on its way to a client that asked for the end is still worth one try.
            with contextlib.suppress(OSError):
                connection.socket.send(connection.unsent)
            self._close(connection)
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _guarded(self, connection: _Connection, step: Callable[[], None]) -> None:
        """A connection that breaks ends alone."""
        try:
            step()
        except OSError:
            self._close(connection)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        client.setblocking(False)
        refusal = None
        if len(self._connections) >= MAX_CONNECTIONS:
            refusal = f"busy: {MAX_CONNECTIONS} connections are open, which is the most allowed"
        elif (uid := peer_uid(client)) not in (0, os.geteuid()):
            refusal = f"refused: this gateway belongs to user {os.geteuid()}, you are {uid}"
        if refusal:
            with contextlib.suppress(OSError):
                client.send(_line({"ok": False, "error": refusal}))
            client.close()
            return
        self._connections[client.fileno()] = _Connection(client, time.monotonic())
        self._selector.register(client, selectors.EVENT_READ)

    def _event(self, connection: _Connection, events: int) -> None:
        connection.deadline = time.monotonic() + IDLE_SECONDS
        if events & selectors.EVENT_READ:
            try:
                received = connection.socket.recv(MAX_LINE)
            except BlockingIOError:
                received = None
            if received == b"":
                connection.ended = True
            elif received:
                connection.received += received
        self._go_on(connection)

    def _go_on(self, connection: _Connection) -> None:
        """Sends what is left, then takes the next line: one at a time, so that one client holds one answer at most."""
        while True:
            if connection.unsent:
                try:
                    sent = connection.socket.send(connection.unsent)
                except BlockingIOError:
                    sent = 0
                connection.unsent = connection.unsent[sent:]
            if connection.unsent or connection.busy:
                break
            line, newline, rest = connection.received.partition(b"\n")
            if newline and len(line) <= MAX_LINE:
                connection.received = rest
                self._line(connection, bytes(line))
            elif len(line) > MAX_LINE:
                answer = _line({"ok": False, "error": f"a line has at most {MAX_LINE} bytes"})
                with contextlib.suppress(BlockingIOError):
                    connection.socket.send(answer)
                self._close(connection)
                return
            elif connection.ended:
                self._close(connection)
                return
            else:
                break
        wanted = selectors.EVENT_WRITE if connection.unsent else 0
        if not (connection.unsent or connection.busy or connection.ended):
            wanted = selectors.EVENT_READ
        self._watch(connection, wanted)

    def _watch(self, connection: _Connection, events: int) -> None:
        descriptor = connection.socket.fileno()
        if descriptor in self._selector.get_map():
            if events:
                self._selector.modify(connection.socket, events)
            else:
                self._selector.unregister(connection.socket)
        elif events:
            self._selector.register(connection.socket, events)

    def _line(self, connection: _Connection, line: bytes) -> None:
        try:
            asked = json.loads(line)
            operation = asked.get("op") if isinstance(asked, dict) else None
        except (ValueError, RecursionError):
            asked, operation = None, None
        if not isinstance(operation, str):
            allowed = '{"op": "status"}'
            self._set(connection, {"ok": False, "error": f"a line holds one JSON object such as {allowed}"})
        elif operation == "reload":
            connection.busy = True
            threading.Thread(target=self._reload, args=(connection,), name="fastgate-reload", daemon=True).start()
        elif operation == "audit":
            self._set(connection, _answered(partial(self._audit, asked, peer_uid(connection.socket))))
        elif operation in self._operations:
            self._set(connection, _answered(partial(self._operations[operation], asked)))
        else:
            known = ", ".join(sorted([*self._operations, "audit", "reload"]))
            self._set(connection, {"ok": False, "error": f'unknown op "{operation[:40]}"; allowed: {known}'})

    def _set(self, connection: _Connection, answer: Plain) -> None:
        connection.unsent = memoryview(_line(answer))

    def _answer(self, connection: _Connection, answer: Plain) -> None:
        if connection.socket.fileno() == -1:
            return
        connection.deadline = time.monotonic() + IDLE_SECONDS
        self._set(connection, answer)
        self._go_on(connection)

    def _reload(self, connection: _Connection) -> None:
        self._done.append((connection, _answered(self._reloaded)))
        self._wake()

    def _reloaded(self) -> Plain:
        result = self._runtime.reload()
        answer: Plain = {"ok": result.ok, "seconds": result.seconds, "warnings": plain(result.warnings)}
        if not result.ok:
            answer |= {"error": "not reloaded, the old config goes on", "findings": plain(result.errors)}
        return answer

    def _drain(self, _: Plain) -> Plain:
        self._runtime.drain()
        return {}

    def _audit(self, asked: Plain, uid: int | None) -> Plain:
        """`{"op": "audit", "event": "key.created", "key": "NAME"}`: whether it was `recorded`."""
        event, key = asked.get("event"), asked.get("key")
        if event not in KEY_EVENTS or not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_NAME:
            allowed = " or ".join(KEY_EVENTS)
            raise StartError(f"event must be {allowed}, and key a name of 1 to {MAX_KEY_NAME} characters")
        return {"recorded": self._runtime.audit_key(event, key, "unknown" if uid is None else f"uid:{uid}")}

    def _rotate(self, _: Plain) -> Plain:
        self._runtime.rotate_logs()
        return {}

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections.values()):
            if connection.deadline < now and not connection.busy:
                self._close(connection)

    def _close(self, connection: _Connection) -> None:
        descriptor = connection.socket.fileno()
        if descriptor == -1:
            return
        self._watch(connection, 0)
        del self._connections[descriptor]
        connection.socket.close()


def plain(findings: Sequence[Finding]) -> list[Plain]:
    """Findings as JSON has them."""
    return [dataclasses.asdict(finding) for finding in findings]


def _answered(call: Callable[[], Plain]) -> Plain:
    try:
        return {"ok": True} | call()
    except ConfigError as error:
        return {"ok": False, "error": "the config is wrong", "findings": plain(error.findings)}
    except FastgateError as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:
        log.exception("control socket: a fault of the gateway itself")
        return {"ok": False, "error": f"a fault of the gateway itself: {type(error).__name__}: {error}"}


def _line(answer: Plain) -> bytes:
    return json.dumps(answer, ensure_ascii=False, default=str, separators=(",", ":")).encode() + b"\n"

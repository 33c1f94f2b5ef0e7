"""Example origins in threads, of the standard library: HTTP, WebSocket echo, server-sent events, slow, failing."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from fastgate._demo import websocket

EVENTS = 5
SLOW = 2.0
"""Seconds that /slow takes."""
LONGEST = 1 << 20
"""Bytes of a body that an origin takes."""


class Origin(ThreadingHTTPServer):
    """One origin on a free port of 127.0.0.1; its name stands in its answers."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name=f"demo-{name}", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def __enter__(self) -> Origin:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()  # wakes /slow and /events
        self.shutdown()
        self.server_close()


def nowhere() -> str:
    """A URL where nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


class _Handler(BaseHTTPRequestHandler):
    """Answers what it was asked; some paths do something else."""

    protocol_version = "HTTP/1.1"
    server_version = "example-origin"
    sys_version = ""
    server: Origin

    def answer(self) -> None:
        """One request."""
        body = self.content()
        path = self.path.partition("?")[0]
        if path == "/events":
            self.events()
        elif path == "/chat":
            self.chat()
        else:
            if path == "/slow":
                self.server.ending.wait(SLOW)
            self.reply(500 if path == "/fail" else 200, body)

    def content(self) -> bytes:
        """The whole body, however it is framed (RFC 9112, section 6)."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(min(int(self.headers.get("Content-Length", "0")), LONGEST))
        body = b""
        while (size := int(self.rfile.readline(64).partition(b";")[0], 16)) and len(body) + size <= LONGEST:
            body += self.rfile.read(size)
            self.rfile.readline(8)
        while self.rfile.readline(8192).strip():
            pass  # trailers
        return body

    def reply(self, status: int, body: bytes) -> None:
        """What arrived here, as JSON."""
        told = {
            "origin": self.server.name,
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "body": body.decode(errors="replace"),
        }
        content = (json.dumps(told, indent=2) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def events(self) -> None:
        """A few server-sent events, two a second, chunked."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        for number in range(1, EVENTS + 1):
            data = f"id: {number}\ndata: event {number} of {EVENTS}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            if number < EVENTS:
                self.server.ending.wait(0.5)
        self.wfile.write(b"0\r\n\r\n")

    def chat(self) -> None:
        """A WebSocket that sends back what it gets (RFC 6455, section 4.2)."""
        key = self.headers.get("Sec-WebSocket-Key", "")
        asked = self.headers.get("Upgrade", "").lower() == "websocket" and self.command == "GET"
        if not asked or not websocket.valid_key(key):
            self.send_response(426)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", websocket.accept(key))
        self.end_headers()
        self.close_connection = True
        websocket.echo(self.rfile, self.wfile, "hello, say something")  # type: ignore[arg-type]

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815 - the base class's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Says nothing: the terminal belongs to the gateway."""

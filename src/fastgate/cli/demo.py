"""`fastgate demo`: a gateway before example origins in the same process, with commands to copy."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fastgate import config
from fastgate.cli.serve import log_to_stderr, say_warnings, start_page, url
from fastgate.runtime import Runtime

EVENTS = 5


class ExampleOrigin(BaseHTTPRequestHandler):
    """Answers what it was asked; /slow takes two seconds, /fail fails, /events streams."""

    protocol_version = "HTTP/1.1"
    server_version = "example-origin"
    sys_version = ""

    def answer(self) -> None:
        """One request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = self.path.partition("?")[0]
        if path == "/events":
            self.events()
            return
        if path == "/slow":
            time.sleep(2)
        seen = {
            "hello": "from the example origin",
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "body": body.decode(errors="replace"),
        }
        self.reply(500 if path == "/fail" else 200, (json.dumps(seen, indent=2) + "\n").encode())

    def reply(self, status: int, content: bytes) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def events(self) -> None:
        """A few server-sent events, one a second, chunked."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(1, EVENTS + 1):
            data = f"data: event {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            time.sleep(1 if number < EVENTS else 0)
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Says nothing: the terminal belongs to the gateway."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


def demo_config(bind: str, origin: str) -> dict[str, object]:
    """The config the demo runs."""
    return {
        "listeners": {"public": {"bind": bind}},
        "services": {"example": {"targets": [origin], "timeouts": {"response": "5s"}}},
        "routes": {
            "everything": {"match": {"prefix": "/"}, "service": "example"},
            "api": {"match": {"prefix": "/api"}, "service": "example", "rewrite": {"strip_prefix": "/api"}},
            "one-user": {
                "match": {"path": "/users/{id}"},
                "service": "example",
                "policies": {"request_headers": {"set": {"X-Demo": "one-user"}}},
            },
            "too-slow": {
                "match": {"path": "/too-slow"},
                "service": "example",
                "timeouts": {"response": "1s"},
                "rewrite": {"path": "/slow"},
            },
            "ping": {"match": {"path": "/ping"}, "respond": {"status": 200, "body": "pong\n"}},
            "admin": {"match": {"prefix": "/admin"}, "respond": {"status": 403}},
            "old": {"match": {"prefix": "/v1"}, "redirect": {"to": "/api{rest}", "status": 308}},
        },
        "shutdown": {"limit": "5s"},
    }


def run(bind: str) -> None:
    """Runs the demo until a signal ends it."""
    log_to_stderr()
    server = _Server(("127.0.0.1", 0), ExampleOrigin)
    origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="example-origin", daemon=True)
    thread.start()
    try:
        Runtime(lambda: _load(bind, origin)).run(_page)
    finally:
        server.shutdown()
        server.server_close()


def _load(bind: str, origin: str) -> config.Snapshot:
    loaded = config.from_mapping(demo_config(bind, origin), "demo", allow_literal_secrets=True)
    say_warnings(loaded.warnings)
    return config.compile(loaded)


def _page(runtime: Runtime) -> None:
    start_page(runtime)
    base = url(next(iter(runtime.addresses.values())))
    commands = (
        ("", "what the origin sees"),
        ("/ping", "answered by the gateway"),
        ("/users/7", "a template, and a header set"),
        ("/api/anything", "a prefix stripped"),
        ("/v1/x", "a redirect"),
        ("/admin", "refused"),
        ("/too-slow", "504 after a second"),
        ("/events", "a stream"),
    )
    print("\ntry:")
    for path, what in commands:
        print(f"  curl -i{'N' * (path == '/events')} {base}{path or '/'}".ljust(46) + f"# {what}", flush=True)

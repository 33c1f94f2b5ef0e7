"""The gateway of gate.py on a free port, before a real application on another."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from gate import make

from fastgate.testing import Served


class Application(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        """One request."""
        body = json.dumps({"path": self.path, "tenant": self.headers["x-tenant"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def gate(fastgate_serve: Callable[..., Served]) -> Iterator[Served]:
    """The gateway, before an application that runs as long."""
    with HTTPServer(("127.0.0.1", 0), Application) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield fastgate_serve(make(f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
        thread.join()


def ask(gate: Served, path: str, host: str) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    connection = HTTPConnection(gate.addresses["public"], timeout=20)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_the_application_gets_the_tenant(gate: Served) -> None:
    """The prefix is gone, the tenant is there."""
    status, body = ask(gate, "/api/projects?x=1", "acme.example.com")
    assert (status, json.loads(body)) == (200, {"path": "/projects?x=1", "tenant": "acme"})


def test_without_a_tenant_nothing_gets_through(gate: Served) -> None:
    """The hook answers in the application's place."""
    status, body = ask(gate, "/api/projects", "localhost")
    assert (status, json.loads(body)) == (403, {"title": "no tenant"})


def test_ping_needs_no_tenant(gate: Served) -> None:
    """The gateway's own answer."""
    assert ask(gate, "/ping", "localhost") == (200, b"pong\n")

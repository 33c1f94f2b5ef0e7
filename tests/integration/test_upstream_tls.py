"""TLS to targets: verified before a byte is said, pooled and resumed as it should be, never mixed up."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from harness.gateway import Gateway, Json, match, refused, route, snapshot, target
from harness.gateway import service as plain_service
from harness.listening import Listening
from harness.requests import get, post

OLD = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Origin:
    """An HTTPS server: what it saw, and how."""

    def __init__(self, leaf: trustme.LeafCert, *, version: ssl.TLSVersion | None = None, close: bool = False) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(self.context)
        if version is not None:
            self.context.maximum_version = version
        self.close = close
        self.reused: list[bool] = []
        self.names: list[str | None] = []
        self.clients: list[Any] = []
        self.requests: list[bytes] = []
        self.bodies: list[bytes] = []
        self.context.sni_callback = lambda _sock, name, _context: self.names.append(name)  # type: ignore[assignment]
        self._listening = Listening(self._serve)
        self.port = self._listening.port

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self.context.wrap_socket(sock, server_side=True) as tls:
                self.reused.append(bool(tls.session_reused))
                self.clients.append(tls.getpeercert())
                self._exchange(tls)
        except OSError:
            pass

    def _exchange(self, tls: ssl.SSLSocket) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                if not (more := tls.recv(65536)):
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
            while len(data) < length:
                data += tls.recv(65536)
            body, data = data[:length], data[length:]
            self.requests.append(head)
            self.bodies.append(body)
            answer = body or b"hello"
            end = b"Connection: close\r\n" if self.close else b""
            tls.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (end, len(answer), answer))
            if self.close:
                return

    def stop(self) -> None:
        self._listening.close()


class Pki:
    """An authority as a file, and what it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def client(self) -> dict[str, str]:
        leaf = self.ca.issue_cert("gateway@example.org")
        cert, key = self.folder / "client.pem", self.folder / "client.key"
        cert.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return {"cert": str(cert), "key": str(key)}


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def service(name: str, port: int, **tls: Any) -> Json:
    """A service over https, its target at 127.0.0.1."""
    one = plain_service(name)
    terms = {"ca": None, "cert": None, "key": None, "server_name": None, "verify": True} | tls
    url = f"https://127.0.0.1:{port}"
    return one | {"targets": [target(url) | {"tls": True}], "tls": terms}


def gateway(*services: Json, **options: Any) -> Gateway:
    """Each service under a prefix of its name."""
    routes = [route(one["name"], one["name"], match(prefix=f"/{one['name']}"), **options) for one in services]
    return Gateway(snapshot(routes=routes, services=services, workers=1))


def status(running: Gateway, path: str) -> int:
    with running.client() as client:
        return client.exchange(get(path.encode())).status


def test_a_target_is_verified_asked_by_name_and_kept(pki: Pki) -> None:
    origin = Origin(pki.ca.issue_cert("127.0.0.1", "api.internal"))
    with gateway(service("a", origin.port, ca=pki.file, server_name="api.internal")) as running:
        with running.client() as client:
            for _ in range(5):
                answer = client.exchange(get(b"/a"))
                assert (answer.status, answer.body) == (200, b"hello")
        assert origin.names == ["api.internal"]
        assert len(origin.reused) == 1, "five requests, one connection"
        assert running.stats()["reused"] == 4


def test_a_body_comes_and_goes_whole(pki: Pki) -> None:
    origin = Origin(pki.ca.issue_cert("127.0.0.1"))
    body = bytes(range(256)) * 4096
    with gateway(service("a", origin.port, ca=pki.file)) as running, running.client() as client:
        for _ in range(2):
            answer = client.exchange(post(body, b"/a"), "POST")
            assert (answer.status, answer.body) == (200, body)
    assert origin.bodies == [body, body]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(pki: Pki, version: ssl.TLSVersion) -> None:
    origin = Origin(pki.ca.issue_cert("127.0.0.1"), version=version, close=True)
    with gateway(service("a", origin.port, ca=pki.file)) as running:
        for _ in range(4):
            assert status(running, "/a") == 200
    assert origin.reused[0] is False
    assert any(origin.reused[1:]), origin.reused


def test_whoever_is_not_the_target_gets_no_request(pki: Pki) -> None:
    other = trustme.CA()
    wrong = {
        "name": Origin(pki.ca.issue_cert("other.internal")),
        "self": Origin(other.issue_cert("127.0.0.1")),
        "old": Origin(pki.ca.issue_cert("127.0.0.1", not_before=OLD, not_after=OLD + datetime.timedelta(days=1))),
    }
    with gateway(*(service(name, one.port, ca=pki.file) for name, one in wrong.items())) as running:
        for name, one in wrong.items():
            assert status(running, f"/{name}") == 502, name
            assert one.requests == [], name
        faults = running.stats()["faults"]
        assert faults["upstream_tls"] == 3
        assert "certificate" in running.errors()


def test_without_verification_anybody_is_taken_and_by_nobody_else(pki: Pki) -> None:
    origin = Origin(trustme.CA().issue_cert("other.internal"))
    loose, strict = service("loose", origin.port, verify=False), service("strict", origin.port, ca=pki.file)
    with gateway(loose, strict) as running:
        assert status(running, "/loose") == 200
        # A connection that was opened without verification lies idle; it is not for those who verify.
        assert status(running, "/strict") == 502
        assert status(running, "/loose") == 200
    assert len(origin.requests) == 2


def test_a_client_certificate_is_shown(pki: Pki) -> None:
    origin = Origin(pki.ca.issue_cert("127.0.0.1"))
    origin.context.verify_mode = ssl.CERT_REQUIRED
    pki.ca.configure_trust(origin.context)
    shown, hidden = (
        service("shown", origin.port, ca=pki.file, **pki.client()),
        service("hidden", origin.port, ca=pki.file),
    )
    with gateway(shown, hidden) as running:
        assert status(running, "/shown") == 200
        assert status(running, "/hidden") == 502
    assert origin.clients[0]["subjectAltName"] == (("email", "gateway@example.org"),)
    assert len(origin.requests) == 1


def _listen(say: Callable[[socket.socket], None]) -> int:
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            sock, _ = listening.accept()
            say(sock)
            held.append(sock)

    held: list[socket.socket] = []
    threading.Thread(target=accept, daemon=True).start()
    return int(listening.getsockname()[1])


def test_plaintext_before_the_handshake_is_no_answer(pki: Pki) -> None:
    """T4, CVE-2026-1642: what comes before the handshake is never read as the target's answer."""
    early = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    port = _listen(lambda sock: sock.sendall(early))
    with gateway(service("a", port, ca=pki.file)) as running, running.client() as client:
        answer = client.exchange(get(b"/a"))
        assert answer.status == 502
        assert b"forged" not in answer.body


def test_a_handshake_has_the_time_of_a_connection(pki: Pki) -> None:
    port = _listen(lambda _: None)
    with gateway(service("a", port, ca=pki.file), timeouts={"connect_ms": 200}) as running:
        assert status(running, "/a") == 504


def test_settings_that_cannot_be_are_named(pki: Pki, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    client = pki.client()
    other = trustme.CA().issue_cert("x@example.org")
    other.private_key_pem.write_to_path(str(tmp_path / "other.key"))
    for wrong, key in (
        ({"ca": str(empty)}, "tls.ca"),
        ({"ca": str(tmp_path / "none.pem")}, "tls.ca"),
        ({"ca": pki.file, "cert": str(empty), "key": client["key"]}, "tls.cert"),
        ({"ca": pki.file, "cert": client["cert"], "key": str(empty)}, "tls.key"),
        ({"ca": pki.file, "cert": client["cert"], "key": str(tmp_path / "other.key")}, "tls.key"),
        ({"ca": pki.file, "server_name": "no name"}, "tls.server_name"),
    ):
        one = service("a", 1, **wrong)
        _, said = refused(snapshot(routes=[route("a", "a", match(prefix="/a"))], services=[one], workers=1))
        assert f"services.0.{key}" in said, (wrong, said)


def test_a_reload_keeps_connections_of_the_same_rules(pki: Pki) -> None:
    origin = Origin(pki.ca.issue_cert("127.0.0.1"))
    with gateway(service("a", origin.port, ca=pki.file)) as running:
        assert status(running, "/a") == 200
        changed = json.loads(json.dumps(running.snapshot))
        changed["routes"][0]["name"] = "renamed"
        running.reload(changed)
        assert status(running, "/a") == 200
        assert len(origin.reused) == 1
        # Other rules: another connection.
        changed["services"][0]["tls"]["server_name"] = "127.0.0.1"
        changed["services"][0]["tls"]["verify"] = False
        changed["services"][0]["tls"]["ca"] = None
        running.reload(changed)
        assert status(running, "/a") == 200
        assert len(origin.reused) == 2

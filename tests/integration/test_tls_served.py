"""What is served over TLS: redirects to it, WebSockets, files, idle connections."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from harness.pki import Pki
from harness.tls import DEADLINE, Answer, ask, config, connected

from fastgate import testing


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def test_a_listener_that_redirects_sends_everything_to_https(pki: Pki) -> None:
    mapping = config({"certificates": [pki.server("a", "localhost")]})
    mapping["listeners"]["plain"] = {"bind": "127.0.0.1:0", "redirect": "https"}
    with testing.serve(mapping) as gateway:
        host, _, port = gateway.addresses["plain"].rpartition(":")
        secure = gateway.addresses["secure"].rpartition(":")[2]
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw:
            for path, asked, place in [
                ("/", "localhost", f"https://localhost:{secure}/"),
                ("/a%20b?c=d", "example.com:81", f"https://example.com:{secure}/a%20b?c=d"),
                ("/x", "[::1]:80", f"https://[::1]:{secure}/x"),
            ]:
                answer = ask(raw, asked, path)
                assert (answer.status, answer.fields["location"]) == (308, place)
                assert "strict-transport-security" not in answer.fields


def test_websockets_over_tls_pass_the_tunnel_and_the_hub(pki: Pki) -> None:
    def upgrade(sock: ssl.SSLSocket, path: str) -> None:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert Answer(sock).status == 101

    def frame(sock: ssl.SSLSocket) -> tuple[int, bytes]:
        def exactly(n: int) -> bytes:
            data = b""
            while len(data) < n:
                more = sock.recv(n - len(data))
                assert more
                data += more
            return data

        first, length = exactly(2)
        if length == 126:
            length = int.from_bytes(exactly(2), "big")
        elif length == 127:
            length = int.from_bytes(exactly(8), "big")
        return first & 15, exactly(length)

    def say(sock: ssl.SSLSocket, opcode: int, data: bytes) -> None:
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        sock.sendall(bytes([0x80 | opcode]) + size + bytes(4) + data)

    mapping = config({"certificates": [pki.server("a", "localhost")]})
    mapping["realtime"] = {
        "endpoints": {
            "room": {
                "path": "/room",
                "channels": ["room"],
                "format": "text",
                "publish": {"rate": "1000/s", "burst": 1000, "echo": False},
            }
        }
    }
    with testing.serve(mapping) as inner:
        host_port = inner.addresses["secure"]
        with (
            connected(host_port, pki.context()) as one,
            connected(host_port, pki.context(ssl.TLSVersion.TLSv1_2)) as two,
        ):
            upgrade(one, "/room")
            upgrade(two, "/room")
            say(one, 9, b"are you there")
            assert frame(one) == (10, b"are you there")
            for size in (1, 1_000, 60_000):
                say(one, 1, b"x" * size)
                assert frame(two) == (1, b"x" * size)
            for number in range(200):
                say(two, 1, b"%d" % number)
            got = [frame(one)[1] for _ in range(200)]
            assert got == [b"%d" % number for number in range(200)]
            say(one, 8, (1000).to_bytes(2, "big"))
            assert frame(one)[0] == 8
            assert one.recv(1) == b""  # close_notify, not a cut


def test_files_are_sent_over_tls(pki: Pki, tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    content = os.urandom(1_000_000)
    (root / "big.bin").write_bytes(content)
    routes = {"files": {"match": {"prefix": "/"}, "static": {"root": str(root)}}}
    tls = {"certificates": [pki.server("a", "localhost")]}
    with (
        testing.serve(config(tls, routes=routes)) as gateway,
        connected(gateway.addresses["secure"], pki.context()) as sock,
    ):
        for _ in range(2):
            assert ask(sock, path="/big.bin").body == content


HOLD = """
import socket, ssl, sys
host, port, ca, many, tls = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5] == "tls"
context = ssl.create_default_context(cafile=ca)
held = []
for _ in range(many):
    sock = socket.create_connection((host, port), timeout=20)
    if tls:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    while b"hello" not in sock.recv(65536):
        pass
    held.append(sock)
print("held", flush=True)
sys.stdin.read()
"""


def test_an_idle_connection_keeps_little(pki: Pki) -> None:
    many = 400
    mapping = config({"certificates": [pki.server("a", "localhost")]}, workers=1)
    mapping["listeners"]["plain"] = {"bind": "127.0.0.1:0"}

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def held(address: str, kind: str) -> int:
        """Bytes that the process grew by while another one holds idle connections."""
        host, _, port = address.rpartition(":")
        command = [sys.executable, "-c", HOLD, host, port, pki.ca_file, str(many), kind]
        before = resident()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            grew = resident() - before
            child.communicate(b"")
        return grew

    with testing.serve(mapping) as gateway:
        # What is allocated once is not what a connection costs.
        with connected(gateway.addresses["secure"], pki.context()) as sock:
            assert ask(sock).status == 200
        held(gateway.addresses["plain"], "plain")
        plain = held(gateway.addresses["plain"], "plain")
        sealed = held(gateway.addresses["secure"], "tls")
        print(f"{plain / many:.0f} bytes a plain connection, {sealed / many:.0f} with TLS")
        assert sealed - plain < many * 10 * 1024

"""What is served over TLS: redirects to it, WebSockets, clients behind a proxy, files, idle connections."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.client import Client
from harness.origin import Origin
from harness.pki import Pki
from harness.proxy import v1, v2
from harness.tls import DEADLINE, Answer, ask, config, connected, hello
from harness.websocket import CLOSE, PING, PONG, Frame, WebSocket

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


ROOM = {
    "path": "/room",
    "channels": ["room"],
    "format": "text",
    "publish": {"rate": "1000/s", "burst": 1000, "echo": False},
}


@pytest.fixture
def rooms(pki: Pki) -> Iterator[dict[str, str]]:
    """Addresses with TLS that lead to one endpoint: its own, and through tunnels to it in the clear and over TLS."""
    pair = pki.server("a", "localhost", "127.0.0.1", "example.test")
    mapping = config({"certificates": [pair]}, realtime={"endpoints": {"room": ROOM}})
    mapping["listeners"]["plain"] = {"bind": "127.0.0.1:0"}
    with testing.serve(mapping) as inner:
        services = {
            "plain": {"targets": [f"http://{inner.addresses['plain']}"]},
            "sealed": {"targets": [f"https://{inner.addresses['secure']}"], "tls": {"ca": pki.ca_file}},
        }
        listeners = {name: {"bind": "127.0.0.1:0", "tls": {"certificates": [pair]}} for name in services}
        routes = {name: {"match": {"prefix": "/"}, "service": name, "listeners": [name]} for name in services}
        with testing.serve(config({}, listeners=listeners, services=services, routes=routes)) as outer:
            yield outer.addresses | {"itself": inner.addresses["secure"]}


@pytest.mark.parametrize("way", ["itself", "plain", "sealed"])
def test_websockets_over_tls_pass_tunnels_and_reach_the_hub(pki: Pki, rooms: dict[str, str], way: str) -> None:
    with (
        WebSocket(rooms[way], "/room", tls=pki.context()) as one,
        WebSocket(rooms[way], "/room", tls=pki.context(ssl.TLSVersion.TLSv1_2)) as two,
    ):
        assert one.send(PING, b"are you there").frame() == Frame(PONG, b"are you there")
        for size in (1, 1_000, 60_000):
            one.text("x" * size)
            assert two.message() == b"x" * size
        for number in range(200):
            two.text(str(number))
        assert [one.message() for _ in range(200)] == [b"%d" % number for number in range(200)]
        assert one.send(CLOSE, (1000).to_bytes(2)).closing().code == 1000
        assert one.ended()  # close_notify, not a cut


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("header", [v1("192.0.2.1"), v2("192.0.2.1"), v2("2001:db8::1")])
def test_the_proxy_protocol_comes_before_the_handshake(
    pki: Pki, origin: Origin, header: bytes, version: ssl.TLSVersion
) -> None:
    with testing.serve(behind(pki, origin, "127.0.0.0/8")) as gateway:
        address, context = gateway.addresses["secure"], pki.context(version)
        for more in (0, socket.MSG_MORE):  # alone, and in one piece with the hello
            with connected(address, context, before=header, flags=more) as sock:
                assert ask(sock).status == 200
                assert origin.requests[-1].get("x-forwarded-proto") == b"https"
                assert origin.requests[-1].get("x-forwarded-for") in (b"192.0.2.1", b"2001:db8::1")
    assert len(origin.requests) == 2


def behind(pki: Pki, origin: Origin, *peers: str) -> dict[str, Any]:
    mapping = config({"certificates": [pki.server("a", "localhost")]})
    mapping["listeners"]["secure"]["proxy_protocol"] = {"from": list(peers)}
    return mapping | {"routes": {"all": {"match": {"prefix": "/"}, "to": origin.url}}}


@pytest.mark.parametrize(
    ("peers", "before"),
    [
        (["192.0.2.0/24"], v1("192.0.2.1")),
        (["192.0.2.0/24"], v2("192.0.2.1")),
        (["192.0.2.0/24"], b""),
        (["127.0.0.0/8"], b""),
        (["127.0.0.0/8"], b"PROXY nonsense\r\n"),
        (["127.0.0.0/8"], v1("192.0.2.1") + v1("192.0.2.1")),
    ],
)
def test_without_a_proxys_word_there_is_no_handshake(pki: Pki, origin: Origin, peers: list[str], before: bytes) -> None:
    with testing.serve(behind(pki, origin, *peers)) as gateway:
        with Client(gateway.addresses["secure"]) as client:
            # The second of two is no handshake, which is refused as TLS refuses; else there is not even an alert.
            twice = before.count(b"PROXY TCP4") == 2
            assert client.send(before + hello(pki.context())).rest()[:1] == (b"\x15" if twice else b"")
        # Within TLS it is no header of the connection but a request that is none.
        if peers == ["127.0.0.0/8"]:
            with connected(gateway.addresses["secure"], pki.context(), before=v1("192.0.2.1")) as sock:
                sock.sendall(v1("192.0.2.2"))
                assert Answer(sock).status == 400
    assert not origin.heads


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

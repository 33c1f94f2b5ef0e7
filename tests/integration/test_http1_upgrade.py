"""Upgrade and WebSocket tunnels (RFC 6455, RFC 9110 §7.8): only after a valid 101, then bytes both ways."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest
from harness import Gateway, Origin, OriginConnection, Received, snapshot
from harness.origin import echo
from harness.requests import SWITCH, WEBSOCKET_ACCEPT, get, websocket

pytestmark = pytest.mark.usefixtures("engine")


def tunnel(connection: OriginConnection, received: Received) -> None:
    """Accepts every handshake and echoes every byte; anything else gets the default answer."""
    if received.get("upgrade") is None:
        return echo(connection, received)
    connection.read_body(received)
    connection.send(SWITCH)
    while data := connection.read_some():
        connection.send(data)
    connection.close()
    return None


def test_websocket_tunnel(origin: Origin) -> None:
    origin.script = tunnel
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        client.send(websocket(b"/ws", b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Extensions: permessage-deflate"))
        answer = client.read()
        assert answer.status == 101
        assert answer.get("sec-websocket-accept") == WEBSOCKET_ACCEPT
        assert answer.tokens("upgrade") == [b"websocket"]
        assert b"upgrade" in answer.tokens("connection")
        for size in (1, 125, 70_000):
            data = os.urandom(size)
            sender = threading.Thread(target=client.send, args=(data,))
            sender.start()
            assert client.receive(size) == data
            sender.join()
    (received,) = origin.requests
    assert received.tokens("upgrade") == [b"websocket"]
    assert received.tokens("connection") == [b"upgrade"]
    assert received.get("sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="
    assert received.get("sec-websocket-version") == b"13"
    assert received.get("sec-websocket-protocol") == b"chat"
    assert received.get("sec-websocket-extensions") == b"permessage-deflate"
    assert received.get("x-forwarded-for") == b"127.0.0.1"


def test_tunnel_client_ends(origin: Origin) -> None:
    origin.script = tunnel
    with Gateway(snapshot(origin.url)) as gateway:
        with gateway.client() as client:
            assert client.send(websocket()).read().status == 101
        assert origin.connections[0].closed.wait(5)


def test_tunnel_client_resets(origin: Origin) -> None:
    origin.script = tunnel
    with Gateway(snapshot(origin.url)) as gateway:
        client = gateway.client()
        assert client.send(websocket()).read().status == 101
        client.reset()
        assert origin.connections[0].closed.wait(5)


def test_tunnel_origin_ends(origin: Origin) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.send(SWITCH + b"bye")
        connection.close()

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        assert client.send(websocket()).read().status == 101
        assert client.rest() == b"bye"


def test_tunnel_half_close(origin: Origin) -> None:
    """A FIN one way does not cut what still flows the other way."""

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.send(SWITCH)
        while connection.read_some():
            pass
        connection.send(b"after your end")
        connection.sock.close()

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        assert client.send(websocket()).read().status == 101
        client.send(b"x").half_close()
        assert client.rest() == b"after your end"


def test_tunnel_large_both_ways(origin: Origin) -> None:
    size = 8 << 20
    origin.script = tunnel
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        assert client.send(websocket()).read().status == 101
        data = os.urandom(size)
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        assert hashlib.sha256(client.receive(size)).digest() == hashlib.sha256(data).digest()
        sender.join()


def test_tunnel_back_pressure(origin: Origin) -> None:
    """A tunnel peer that does not read stalls the other side; the gateway holds its bound and no more."""
    stop = threading.Event()

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.send(SWITCH)
        connection.wait(stop, 30)
        connection.close()

    origin.script = script
    with Gateway(snapshot(origin.url)) as gateway, gateway.client(timeout=1) as client:
        assert client.send(websocket()).read().status == 101
        before = gateway.rss()
        sent = 0
        piece = b"x" * 65536
        try:
            while sent < 64 << 20:
                sent += client.sock.send(piece)
        except TimeoutError:
            pass
        assert sent < 64 << 20, "nobody read, yet everything was taken"
        assert gateway.rss() - before < 4 << 20
        stop.set()


def test_tunnel_idle_timeout(origin: Origin) -> None:
    origin.script = tunnel
    with (
        Gateway(snapshot(origin.url, route_options={"timeouts": {"idle_ms": 700}})) as gateway,
        gateway.client() as client,
    ):
        assert client.send(websocket()).read().status == 101
        assert client.send(b"a").receive(1) == b"a"
        assert client.rest() == b""
        assert origin.connections[0].closed.wait(5)


def test_many_tunnels(origin: Origin) -> None:
    origin.script = tunnel
    with Gateway(snapshot(origin.url)) as gateway:
        clients = [gateway.client() for _ in range(100)]
        for client in clients:
            client.send(websocket())
        for client in clients:
            assert client.read().status == 101
        for i, client in enumerate(clients):
            client.send(b"tunnel-%03d" % i)
        assert [client.receive(10) for client in clients] == [b"tunnel-%03d" % i for i in range(100)]
        for client in clients:
            client.close()


def test_listed_protocol(origin: Origin) -> None:
    """A route may list others than websocket; they need no Accept."""

    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        assert received.tokens("upgrade") == [b"custom"]
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: custom\r\n\r\nhi")
        connection.close()

    origin.script = script
    with Gateway(snapshot(origin.url, route_options={"upgrade": ["custom"]})) as gateway, gateway.client() as client:
        assert client.send(get(b"/", b"Connection: Upgrade", b"Upgrade: custom")).read().status == 101
        assert client.rest() == b"hi"


def test_upgrade_switched_off(origin: Origin) -> None:
    with Gateway(snapshot(origin.url, route_options={"upgrade": []})) as gateway, gateway.client() as client:
        assert client.exchange(websocket()).status == 200
    assert origin.requests[0].get("upgrade") is None
    assert origin.requests[0].tokens("connection") in ([], [b"keep-alive"])


def test_a_refused_handshake_is_answered_and_ends_its_connection(origin: Origin) -> None:
    """S12: what the client sent behind its handshake may be of either protocol, so none of it is read as a request."""
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        answer = client.send(websocket(b"/not-here") + get(b"/smuggled")).final()
        assert answer.body == b"GET /not-here 0"
        assert answer.says_close
        assert client.closed()
    assert origin.targets == [b"/not-here"]

"""Drain as a load balancer sees it: what still gets in, what is finished, what is cut, and the exit code."""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest
from harness import Client, Origin
from harness.client import wait_for
from harness.origin import hold
from harness.product import Product
from harness.requests import SWITCH, get, websocket


def config(target: str, notice: str, limit: str) -> str:
    return (
        "listeners:\n  public:\n    bind: 127.0.0.1:0\nworkers: 2\n"
        f"routes:\n  all:\n    match:\n      prefix: /\n    to: {target}\n    upgrade: [websocket]\n"
        f"shutdown:\n  notice: {notice}\n  limit: {limit}\n"
    )


def refuses(address: str) -> bool:
    try:
        Client(address, timeout=5).close()
    except OSError:
        return True
    return False


def answered(client: socket.socket) -> str:
    with client:
        try:
            return client.recv(4096)[:12].decode() or "nothing"
        except OSError as error:
            return type(error).__name__


def start(tmp_path: Path, origin: Origin, notice: str = "0s", limit: str = "60s") -> Product:
    file = tmp_path / "gate.yaml"
    file.write_text(config(origin.url, notice, limit))
    return Product(str(file), folder=tmp_path)


def test_served_through_the_notice_then_closed_with_an_answer(tmp_path: Path, origin: Origin) -> None:
    with start(tmp_path, origin, notice="1s") as gateway, Client(gateway.address()) as idle:
        address = gateway.address()
        assert idle.exchange(get(b"/before")).status == 200
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("SIGTERM: draining")
        with Client(address) as new:
            assert new.exchange(get(b"/notice")).status == 200, "the notice still serves"
        wait_for(lambda: refuses(address), "the listener to close", 30)
        last = idle.exchange(get(b"/after"))
        assert last.status == 200, "an idle connection is not closed under a request"
        assert last.says_close
        assert idle.closed()
        assert gateway.exit_code() == 0


def test_what_is_in_flight_is_finished(tmp_path: Path, origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    with start(tmp_path, origin) as gateway, Client(gateway.address()) as client:
        client.send(get(b"/slow"))
        origin.wait_heads(1)
        gateway.ask("drain")
        wait_for(lambda: refuses(gateway.address()), "the listener to close", 30)
        go.set()
        answer = client.final()
        assert (answer.status, answer.body) == (200, b"GET /slow 0")
        assert answer.says_close
        assert gateway.exit_code() == 0


def test_what_waits_in_the_queue_is_accepted(tmp_path: Path, origin: Origin) -> None:
    """Connections that nobody has accepted yet are answered, none is reset."""
    with start(tmp_path, origin) as gateway:
        address = gateway.address()
        host, _, port = address.rpartition(":")
        gateway.signal(signal.SIGSTOP)  # nothing is accepted from here on
        waiting = [socket.create_connection((host, int(port)), timeout=30) for _ in range(100)]
        for one in waiting:
            one.sendall(get(b"/waits"))
        gateway.signal(signal.SIGTERM)
        gateway.signal(signal.SIGCONT)
        answers = Counter(answered(one) for one in waiting)
        assert answers == {"HTTP/1.1 200": len(waiting)}
        assert gateway.exit_code() == 0


def test_tunnels_are_cut_at_the_limit(tmp_path: Path, origin: Origin) -> None:
    origin.script = lambda connection, received: (
        connection.read_body(received),
        connection.send(SWITCH),
        connection.wait_end(),
    )[-1]
    with start(tmp_path, origin, limit="1s") as gateway, Client(gateway.address()) as client:
        assert client.send(websocket()).read().status == 101
        gateway.signal(signal.SIGTERM)
        assert client.rest() == b""
        assert gateway.exit_code() == 0
        gateway.wait_for("connections were still open at the shutdown limit and are cut")


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(first: signal.Signals, tmp_path: Path, origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    with start(tmp_path, origin, notice="600s", limit="600s") as gateway, Client(gateway.address()) as client:
        client.send(get(b"/slow"))
        origin.wait_heads(1)
        gateway.signal(first)
        gateway.wait_for(f"{first.name}: draining")
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0
        go.set()
        gateway.wait_for("stopping now")

"""The life of the process: start, what stops it from starting, drain, reload under traffic, counters."""

from __future__ import annotations

import copy
import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from harness import BadResponse, Client, Gateway, Origin, engine_binary, snapshot
from harness.client import wait_for
from harness.gateway import listener, match, refused, respond, route, wait_for_answer
from harness.origin import hold
from harness.requests import SWITCH, get, request, websocket

pytestmark = pytest.mark.usefixtures("engine")


# start


def test_port_taken_is_one_sentence(origin: Origin) -> None:
    code, said = refused(snapshot(origin.url, listeners=[listener(bind=origin.address)]))
    lines = [line for line in said.splitlines() if line.strip()]
    assert code == 1
    assert len(lines) == 1, said
    assert origin.address in said
    assert "panic" not in said


def test_port_taken_by_another_gateway(origin: Origin) -> None:
    """SO_REUSEPORT must not let a second process share the port in silence."""
    with Gateway(snapshot(origin.url)) as first:
        code, said = refused(snapshot(origin.url, listeners=[listener(bind=first.address)]))
        assert code == 1
        assert first.address in said
        with first.client() as client:
            assert client.exchange(get()).status == 200


def test_unix_path_taken_by_a_file(tmp_path: Path, origin: Origin) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    code, said = refused(snapshot(origin.url, listeners=[listener(bind=f"unix:{path}")]))
    assert code == 1
    assert "precious" in said
    assert path.read_text() == "data"


def test_unix_socket_left_over(tmp_path: Path, origin: Origin) -> None:
    """A socket file nobody listens on (after a kill) does not stop the next start."""
    bind = f"unix:{tmp_path}/gate.sock"
    first = Gateway(snapshot(origin.url, listeners=[listener(bind=bind)])).start()
    first.kill()
    with Gateway(snapshot(origin.url, listeners=[listener(bind=bind)])) as second, second.client() as client:
        assert client.exchange(get()).status == 200


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 99}, "version"),
        ({"unknown_key": 1}, "unknown_key"),
        ({"services": []}, "origin"),
        ({"listeners": []}, "listener"),
        ({"routes": [route("bad", "origin", match(regex="("))]}, "routes.0.matches.0.path"),
    ],
)
def test_bad_snapshot_is_named(change: dict[str, object], word: str, origin: Origin) -> None:
    code, said = refused(snapshot(origin.url) | change)
    assert code == 1, said
    assert word in said
    assert "panic" not in said


def test_missing_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [engine_binary(), str(tmp_path / "none.json")], capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == 1
    assert "none.json" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_several_listeners(origin: Origin) -> None:
    names = ["a", "b", "c"]
    routes = [
        route("only-b", respond(200, "b"), match(path="/who"), listeners=["b"]),
        route("all", "origin", match(prefix="/")),
    ]
    snap = snapshot(origin.url, listeners=[listener(n) for n in names], routes=routes)
    with Gateway(snap) as gateway:
        bodies = []
        for name in names:
            with gateway.client(name) as client:
                bodies.append(client.exchange(get(b"/who")).body)
    assert bodies == [b"GET /who 0", b"b", b"GET /who 0"]


# drain


def test_drain_finishes_what_is_in_flight(origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    gateway = Gateway(snapshot(origin.url)).start()
    try:
        with gateway.client() as busy, gateway.client() as idle:
            assert idle.exchange(get(b"/canary")).status == 200
            busy.send(get(b"/slow"))
            origin.wait_heads(2)
            gateway.terminate()
            wait_for(lambda: _refuses(gateway.address), "the listener to close")
            last = idle.exchange(get(b"/canary"))
            assert last.status == 200, "an idle connection is answered once more"
            assert last.says_close
            assert idle.closed()
            go.set()
            answer = busy.final()
            assert (answer.status, answer.body) == (200, b"GET /slow 0")
            assert answer.says_close
            assert busy.closed()
        assert gateway.wait_exit() == 0
    finally:
        go.set()
        gateway.stop()


def test_drain_cuts_at_its_limit(origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    gateway = Gateway(snapshot(origin.url, shutdown={"limit_ms": 700})).start()
    try:
        with gateway.client() as client:
            client.send(get(b"/slow"))
            origin.wait_heads(1)
            gateway.terminate()
            assert gateway.wait_exit(5) == 0
            client.rest()
    finally:
        go.set()
        gateway.stop()


def test_drain_ends_tunnels_at_its_limit(origin: Origin) -> None:
    origin.script = lambda connection, received: (
        connection.read_body(received),
        connection.send(SWITCH),
        connection.wait_end(),
    )[-1]
    gateway = Gateway(snapshot(origin.url, shutdown={"limit_ms": 700})).start()
    with gateway.client() as client:
        assert client.send(websocket()).read().status == 101
        gateway.terminate()
        assert gateway.wait_exit(5) == 0
        assert client.rest() == b""
    gateway.stop()


def test_drain_pipelined(origin: Origin) -> None:
    """Of pipelined requests those begun are answered; the rest gets nothing rather than half."""
    go = threading.Event()
    origin.script = hold(go)
    gateway = Gateway(snapshot(origin.url)).start()
    with gateway.client() as client:
        client.send(get(b"/1") + get(b"/2"))
        origin.wait_heads(1)
        gateway.terminate()
        go.set()
        assert client.final().body == b"GET /1 0"
        rest = client.rest()
        assert rest == b"" or b"GET /2 0" in rest
    assert gateway.wait_exit() == 0
    gateway.stop()


def test_twice_sigterm(origin: Origin) -> None:
    gateway = Gateway(snapshot(origin.url)).start()
    gateway.terminate()
    gateway.terminate()
    assert gateway.wait_exit() in (0, -signal.SIGTERM)
    gateway.kill()


# reload


def test_reload_changes_routes(origin: Origin) -> None:
    snap = snapshot(routes=[route("v", respond(200, "one"), match(prefix="/"))])
    with Gateway(snap) as gateway, gateway.client() as client:
        assert client.exchange(get()).body == b"one"
        snap["routes"][0]["action"] = respond(200, "two")
        assert gateway.reload(snap)
        assert client.exchange(get()).body == b"two", "an open connection follows too"


def test_bad_reload_changes_nothing(origin: Origin) -> None:
    snap = snapshot(origin.url)
    with Gateway(snap) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/1")).status == 200
        bad = copy.deepcopy(snap)
        bad["routes"][0]["action"] = {"service": "nobody"}
        assert not gateway.reload(bad)
        gateway.wait_output("nobody")
        assert client.exchange(get(b"/2")).status == 200


def test_reload_under_traffic(origin: Origin) -> None:
    """Reloads that change routes, services and listeners while clients ask: no request fails."""
    snap = snapshot(origin.url)
    snap["routes"].append(route("generation", respond(200, "0"), match(path="/generation")))
    stop = threading.Event()
    failures: list[str] = []
    served = [0, 0, 0]

    with Gateway(snap) as gateway, Origin() as second:

        def ask(number: int) -> None:
            client = gateway.client()
            while not stop.is_set():
                try:
                    target = b"/%d-%d" % (number, served[number])
                    answer = client.exchange(get(target))
                    if (answer.status, answer.body) != (200, b"GET " + target + b" 0"):
                        failures.append(f"{answer.status} {answer.body!r}")
                    served[number] += 1
                    if answer.says_close or served[number] % 7 == 0:
                        client.close()
                        client = gateway.client()
                except (OSError, BadResponse) as error:
                    failures.append(repr(error))
                    client = gateway.client()
            client.close()

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for generation in range(1, 11):
            fresh = snapshot([origin.url, second.url] if generation % 2 else second.url)
            if generation % 3 == 0:
                fresh["listeners"].append(listener(f"extra-{generation}"))
            fresh["routes"].append(route("generation", respond(200, str(generation)), match(path="/generation")))
            assert gateway.reload(fresh)
            wait_for_answer(gateway, get(b"/generation"), b"%d" % generation)
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[:5]
    assert sum(served) > 50


def test_reload_adds_and_removes_listeners(origin: Origin) -> None:
    with Origin() as gone:
        address = gone.address  # free again in a moment
    first, second = listener("first"), listener("second", bind=address)
    with Gateway(snapshot(origin.url, listeners=[first])) as gateway, gateway.client() as client:
        assert client.exchange(get()).status == 200
        assert gateway.reload(snapshot(origin.url, listeners=[first, second]))
        with Client(address) as other:
            assert other.exchange(get()).status == 200
        assert gateway.reload(snapshot(origin.url, listeners=[first]))
        wait_for(lambda: _refuses(address), "the removed listener to close")
        assert client.exchange(get()).status == 200


def _refuses(address: str) -> bool:
    try:
        Client(address, timeout=1).close()
    except OSError:
        return True
    return False


def test_reload_onto_a_taken_port(origin: Origin) -> None:
    """A listener that cannot be bound leaves the old state as it was."""
    first = listener("first")
    with Gateway(snapshot(origin.url, listeners=[first])) as gateway, gateway.client() as client:
        assert not gateway.reload(snapshot(origin.url, listeners=[first, listener("second", bind=origin.address)]))
        gateway.wait_output(origin.address)
        assert client.exchange(get()).status == 200


# counters


def test_counters_match(origin: Origin) -> None:
    with Gateway(snapshot(origin.url)) as gateway:
        with gateway.client() as client:
            for i in range(10):
                assert client.exchange(get(b"/%d" % i)).status == 200
        for wire in (b"GET / HTTP/1.1\r\n\r\n", get(b"/%00"), request(b"POST", b"/", b"Content-Length: x")):
            with gateway.client() as client:
                assert client.exchange(wire).status == 400
        stats = gateway.stats()
    assert stats["requests"] >= 10
    assert stats["answers"]["2xx"] == 10
    assert sum(stats["refused"].values()) == 3, json.dumps(stats)
    assert len(stats["refused"]) == 3, "one counter a reason"


def test_refusals_are_logged_without_forgery(origin: Origin) -> None:
    """A log line names the reason; the client's bytes cannot make a line of their own."""
    with Gateway(snapshot(origin.url)) as gateway:
        with gateway.client() as client:
            client.exchange(b"GET /x\r\nlevel=forged listening evil 1.2.3.4:5 HTTP/1.1\r\nHost: a\r\n\r\n")
        gateway.stats()
        assert "evil" not in gateway.addresses
        assert not any(line.startswith(("level=forged", "listening evil")) for line in gateway.err + gateway.out)

"""Metrics are exact for each way a request can go: tunnels, HEAD, retries, time-outs, hooks, files, half heads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from harness import Gateway, Origin, OriginConnection, Received, snapshot
from harness.client import wait_for
from harness.gateway import match, route, static
from harness.origin import echo, hold
from harness.product import PING, Product
from harness.requests import SWITCH, get, request, websocket
from harness.scrape import ask_at, internal, samples, scrape, settled, value

pytestmark = pytest.mark.usefixtures("engine")
Json = dict[str, Any]


def measured(*args: Any, **options: Any) -> Json:
    """A snapshot whose metrics can be asked for."""
    return snapshot(*args, **options) | {"internal": [internal("metrics")]}


def test_tunnels(origin: Origin) -> None:
    """A tunnel is one answer of class 1xx, open until it ends, and both its directions count as bytes of its route."""

    def script(connection: OriginConnection, received: Received) -> None:
        connection.send(SWITCH)
        while data := connection.read_some():
            connection.send(data * 3)
        connection.close()

    origin.script = script
    with Gateway(measured(origin.url)) as gateway:
        clients = [gateway.client() for _ in range(3)]
        answers = [client.send(websocket()).read() for client in clients]
        assert [answer.status for answer in answers] == [101] * 3
        for client in clients:
            client.send(b"x" * 1000)
            assert client.receive(3000) == b"x" * 3000
        found = settled(gateway)
        assert value(found, "fastgate_tunnels") == value(found, "fastgate_tunnels_total") == 3
        assert value(found, "fastgate_requests_in_flight") == 0, "a tunnel is no request in flight"
        clients[0].close()
        clients[1].reset()
        wait_for(lambda: value(samples(gateway), "fastgate_tunnels") == 1, "two tunnels to end")
        found = settled(gateway)
        assert value(found, "fastgate_tunnels_total") == 3
        assert value(found, "fastgate_requests_total", route="all", **{"class": "1xx"}) == 3
        assert value(found, "fastgate_received_bytes_total", route="all") == 3 * (len(websocket()) + 1000)
        assert value(found, "fastgate_sent_bytes_total", route="all") == sum(len(a.head) for a in answers) + 9000
        assert value(found, "fastgate_upstream_seconds_count", service="origin") == 3
        clients[2].close()


def test_head(origin: Origin) -> None:
    """An answer to HEAD is its head: no byte of the content it speaks of is counted."""
    with Gateway(measured(origin.url)) as gateway, gateway.client() as client:
        asked = request(b"HEAD", b"/long/path")
        answers = [client.exchange(asked, "HEAD") for _ in range(4)]
        found = settled(gateway)
    assert {int(answer.get("content-length") or 0) for answer in answers} == {len(b"HEAD /long/path 0")}
    assert value(found, "fastgate_requests_total", route="all", **{"class": "2xx"}) == 4
    assert value(found, "fastgate_received_bytes_total", route="all") == 4 * len(asked)
    assert value(found, "fastgate_sent_bytes_total", route="all") == sum(len(answer.head) for answer in answers)


def test_retries(origin: Origin) -> None:
    """A request that is sent twice is one request, one retry, one answer, and no error."""

    def script(connection: OriginConnection, received: Received) -> None:
        echo(connection, received)
        if received.target == b"/last":
            connection.read_head()
            connection.close()

    origin.script = script
    with Gateway(measured(origin.url, workers=1)) as gateway, gateway.client() as client:
        for _ in range(3):
            assert client.exchange(get(b"/last")).status == 200
        assert client.exchange(get(b"/end")).status == 200
        found = settled(gateway)
    assert value(found, "fastgate_upstream_retries_total") == 3
    assert value(found, "fastgate_upstream_requests_total") == 4
    assert value(found, "fastgate_upstream_connections_opened_total") == 4
    assert value(found, "fastgate_upstream_connections_reused_total") == 3
    assert value(found, "fastgate_requests_total", route="all", **{"class": "2xx"}) == 4
    assert value(found, "fastgate_request_seconds_count", service="origin") == 4
    assert not [key for key in found if key[0] == "fastgate_errors_total" and found[key]]


def test_time_outs(origin: Origin) -> None:
    """Each time-out has its reason and its status, and its time is spent with the upstream."""
    go = threading.Event()

    def script(connection: OriginConnection, received: Received) -> None:
        if received.target == b"/stalls":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        hold(go)(connection, received)

    origin.script = script
    times = {"response_ms": 300, "idle_ms": 300}
    snap = measured(
        origin.url,
        routes=[route("all", "origin", match(prefix="/"), timeouts=times)],
        process={"header_timeout_ms": 300},
    )
    with Gateway(snap) as gateway:
        with gateway.client() as client:
            assert client.exchange(get(b"/waits")).status == 504
        with gateway.client() as client:
            client.send(get(b"/stalls"))
            assert client.read_head().status == 200
            client.rest()
        with gateway.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: ")
            assert client.final().status == 408
        found = settled(gateway)
        go.set()
    errors = {dict(labels)["reason"]: n for (name, labels), n in found.items() if name == "fastgate_errors_total" and n}
    assert errors == {"upstream_response_timeout": 1, "upstream_stall": 1, "header_timeout": 1}
    assert value(found, "fastgate_requests_total", route="all", **{"class": "5xx"}) == 1
    assert value(found, "fastgate_requests_total", route="all", **{"class": "2xx"}) == 1
    assert value(found, "fastgate_requests_total", route="(none)", **{"class": "4xx"}) == 1
    assert value(found, "fastgate_upstream_seconds_count", service="origin") == 2
    spent = value(found, "fastgate_upstream_seconds_sum", service="origin")
    assert spent >= 0.5, "both waits are the upstream's time"


def test_a_file_that_is_cut_counts_the_bytes_that_went_out(tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    log = tmp_path / "access.log"
    routes = [route("files", static(tmp_path), match(prefix="/"))]
    form = {"template": "{status} {bytes_out} {body_bytes_out} {error}"}
    logs = {"logs": {"access": {"to": {"file": str(log)}, "format": form, "sample": 1.0}}}
    with Gateway(measured(routes=routes) | logs) as gateway:
        with gateway.client() as client:
            client.send(get(b"/large"))
            head = client.read_head()
            assert (head.status, head.get("content-length")) == (200, b"%d" % size)
            client.receive(1_000_000)
            client.reset()
        wait_for(lambda: log.read_bytes().count(b"\n") == 1, "the line of the download")
        found = settled(gateway)
    status, out, body, error = log.read_text().split()
    assert (status, error) == ("200", "client_gone")
    assert 1_000_000 <= int(body) < size
    assert int(out) == int(body) + len(head.head)
    assert value(found, "fastgate_sent_bytes_total", route="files") == int(out)
    assert value(found, "fastgate_errors_total", reason="client_gone", source="client") == 1


def test_half_a_head_is_counted_and_a_connection_that_says_nothing_is_not(origin: Origin) -> None:
    half = b"GET /half HTTP/1.1\r\nHost: exam"
    with Gateway(measured(origin.url)) as gateway:
        for said in (half, half, b"\r\n", b""):
            with gateway.client() as client:
                client.send(said)
        with gateway.client() as client:  # the empty line behind an answered request is none either
            assert client.exchange(get()).status == 200
            client.send(b"\r\n")
        wait_for(lambda: value(samples(gateway), "fastgate_connections", listener="public") == 0, "all to be closed")
        found = settled(gateway)
    assert value(found, "fastgate_requests_total", route="(none)", **{"class": "none"}) == 2
    assert value(found, "fastgate_received_bytes_total", route="(none)") == 2 * len(half)
    assert value(found, "fastgate_errors_total", reason="client_gone", source="client") == 2
    assert value(found, "fastgate_requests_total", route="all", **{"class": "2xx"}) == 1


HOOKS = """
import ctypes, os
from fastgate import Gateway, Response

gateway = Gateway.from_file("fastgate.yaml")

@gateway.on_request(routes=["ping"])
def look(request):
    if request.path == "/ping/block":
        # PyDLL keeps the interpreter's lock: no other Python code runs until a byte has come.
        ctypes.PyDLL(None).read(int(os.environ["GO"]), ctypes.create_string_buffer(1), 1)
    if request.path == "/ping/answer":
        return Response(403, body=b"no")
    if request.path == "/ping/fail":
        raise RuntimeError("planted")
"""


def test_hooks_and_a_scrape_while_one_holds_the_interpreter(tmp_path: Path) -> None:
    """The engine answers probes and scrapes by itself: Python may be busy for as long as it likes."""
    text = PING.replace("path: /ping", "prefix: /ping") + "metrics:\n  bind: 127.0.0.1:0\nadmin:\n  bind: 127.0.0.1:0\n"
    (tmp_path / "fastgate.yaml").write_text(text)
    (tmp_path / "gate.py").write_text(HOOKS)
    reader, writer = os.pipe()
    try:
        env = {"GO": str(reader), "PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))}
        with Product("gate:gateway", folder=tmp_path, env=env, pass_fds=[reader]) as gateway:
            metrics = gateway.address("metrics")
            statuses = [gateway.get(f"/ping/{word}")[0] for word in ("a", "b", "answer", "fail")]
            assert statuses == [200, 200, 403, 500]
            blocked = threading.Thread(target=lambda: statuses.append(gateway.get("/ping/block")[0]))
            blocked.start()
            wait_for(lambda: value(scrape(metrics), "fastgate_requests_in_flight") == 1, "the hook to block")
            assert ask_at(metrics, b"/livez") == ask_at(metrics, b"/readyz") == (200, b"ok\n")
            found = scrape(metrics)
            os.write(writer, b"!")
            blocked.join(30)
            assert statuses[-1] == 200
            last = scrape(metrics)
            assert gateway.end() == 0
    finally:
        os.close(reader)
        os.close(writer)
    assert value(found, "fastgate_requests_total", route="ping", **{"class": "2xx"}) == 2
    assert value(found, "fastgate_requests_total", route="ping", **{"class": "4xx"}) == 1
    assert value(found, "fastgate_requests_total", route="ping", **{"class": "5xx"}) == 1
    assert value(found, "fastgate_errors_total", reason="hook_failed", source="gateway") == 1
    assert value(last, "fastgate_requests_total", route="ping", **{"class": "2xx"}) == 3
    assert value(last, "fastgate_requests_in_flight") == 0

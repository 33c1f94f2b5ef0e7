"""Seen from outside: counters, times, health and readiness, as the engine's internal listeners say them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Gateway, Origin, snapshot
from harness.client import Client, wait_for
from harness.gateway import match, refused, respond, route
from harness.origin import hold
from harness.requests import get
from harness.scrape import ask, internal, place, samples, settled, value

pytestmark = pytest.mark.usefixtures("engine")
Json = dict[str, Any]
CLOSED = "http://127.0.0.1:1"


def snap(origin: Origin, **options: Any) -> Json:
    routes = [
        route("all", "origin", match(prefix="/"), histogram=True),
        route("fixed", respond(403), match(prefix="/fixed")),
    ]
    plain = snapshot(origin.url, routes=options.pop("routes", routes), workers=2, **options)
    return plain | {"internal": [internal("admin"), internal("metrics")]}


@pytest.fixture
def gateway(origin: Origin) -> Iterator[Gateway]:
    with Gateway(snap(origin)) as running:
        yield running


def test_counters_are_exact_after_a_known_mix(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        for i in range(7):
            assert client.exchange(get(b"/%d" % i)).status == 200
        for _ in range(3):
            assert client.exchange(get(b"/fixed")).status == 403
    with gateway.client() as client:
        client.send(b"NOT HTTP\r\n\r\n")
        assert client.final().status == 400
    found = settled(gateway)
    assert value(found, "fastgate_requests_total", route="all", **{"class": "2xx"}) == 7
    assert value(found, "fastgate_requests_total", route="fixed", **{"class": "4xx"}) == 3
    assert value(found, "fastgate_requests_total", route="(none)", **{"class": "4xx"}) == 1
    for kind in ("request", "upstream", "own"):
        assert value(found, f"fastgate_{kind}_seconds_count", service="origin") == 7
        assert value(found, f"fastgate_route_{kind}_seconds_count", route="all") == 7
        assert value(found, f"fastgate_{kind}_seconds_bucket", service="origin", le="+Inf") == 7
    total, upstream, own = (
        value(found, f"fastgate_{kind}_seconds_sum", service="origin") for kind in ("request", "upstream", "own")
    )
    assert total == pytest.approx(upstream + own)
    assert upstream > 0
    assert own > 0
    assert value(found, "fastgate_requests_in_flight") == 0
    assert value(found, "fastgate_ready") == 1
    stats = gateway.stats()
    assert stats["routes"] == {"all": {"2xx": 7}, "fixed": {"4xx": 3}}
    service = stats["services"]["origin"]
    assert service["count"] == 7
    assert 0 < service["p50_us"] <= service["p99_us"]
    assert service["targets"][0]["address"] == origin.address


def test_faults_are_counted_by_route_and_reason(origin: Origin) -> None:
    plain = snap(origin, services=[], routes=[route("all", "gone", match(prefix="/"))])
    plain["services"] = snapshot(CLOSED)["services"]
    plain["services"][0]["name"] = "gone"
    with Gateway(plain) as gateway, gateway.client() as client:
        assert client.exchange(get()).status == 502
        assert client.exchange(get()).status == 502
        found = settled(gateway)
        assert value(found, "fastgate_requests_total", route="all", **{"class": "5xx"}) == 2
        assert value(found, "fastgate_errors_total", reason="upstream_connect", source="upstream") == 2
        assert value(found, "fastgate_request_seconds_count", service="gone") == 2
        assert value(found, "fastgate_target_failures", service="gone", target="127.0.0.1:1") == 2
        status, body = ask(gateway, "admin", b"/healthz")
        health = json.loads(body)
        assert (status, health["status"], health["ready"]) == (200, "degraded", True)
        assert health["checks"]["targets"]["failing"] == 1
        assert any("127.0.0.1:1 of service gone" in reason for reason in health["reasons"])


def test_a_client_that_leaves_is_counted_without_an_answer(gateway: Gateway, origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    with gateway.client() as client:
        client.send(get())
        origin.wait_heads(1)
    wait_for(lambda: gateway.stats()["routes"].get("all") == {"none": 1}, "the end of the request")
    go.set()


def test_a_reload_keeps_every_counter(gateway: Gateway, origin: Origin) -> None:
    with gateway.client() as client:
        assert client.exchange(get()).status == 200
        fewer = snap(origin, routes=[route("all", "origin", match(prefix="/"), histogram=True)])
        admin = place(gateway, "admin")
        assert gateway.reload(fewer)
        assert client.exchange(get()).status == 200
    found = settled(gateway)
    assert value(found, "fastgate_requests_total", route="all", **{"class": "2xx"}) == 2
    assert value(found, "fastgate_request_seconds_count", service="origin") == 2
    assert value(found, "fastgate_reloads_total", result="success") == 1
    with Client(admin) as client:  # the listener stayed where it was
        assert client.exchange(get(b"/livez")).status == 200
    broken = snap(origin)
    broken["routes"][0]["action"] = {"service": "nobody"}
    assert not gateway.reload(broken)
    assert value(samples(gateway), "fastgate_reloads_total", result="failure") == 1


def test_readiness_goes_down_at_drain_while_a_request_is_in_flight(gateway: Gateway, origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    with gateway.client() as client:
        client.send(get())
        origin.wait_heads(1)
        assert ask(gateway, "metrics", b"/readyz") == (200, b"ok\n")
        gateway.terminate()
        wait_for(lambda: ask(gateway, "metrics", b"/readyz") == (503, b"draining\n"), "readiness to go down")
        assert ask(gateway, "admin", b"/livez") == (200, b"ok\n")
        assert ask(gateway, "admin", b"/healthz")[0] == 503
        go.set()
        assert client.final().status == 200


def test_what_is_not_there_is_refused(gateway: Gateway) -> None:
    assert ask(gateway, "metrics", b"/healthz")[0] == 404
    assert ask(gateway, "admin", b"/metrics")[0] == 404
    with Client(place(gateway, "admin")) as client:
        answer = client.exchange(b"POST /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (answer.status, answer.get("allow")) == (405, b"GET, HEAD")
        assert client.exchange(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").status == 200, "the connection goes on"
        status = client.exchange(b"GET /healthz HTTP/1.1\r\nHost: rebound.example\r\n\r\n")
        assert json.loads(status.body) == {"status": "ok"}, "a name that a web page chose sees no reasons"
        assert client.exchange(b"GET /livez HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n").status == 400


def test_clients_that_hold_every_connection_do_not_keep_a_probe_out(gateway: Gateway) -> None:
    held = [Client(place(gateway, "metrics")) for _ in range(100)]
    try:
        for client in held:
            client.send(b"GET /metrics HTTP/1.1\r\n")
        assert ask(gateway, "metrics", b"/livez") == (200, b"ok\n")
    finally:
        for client in held:
            client.close()


def test_a_taken_port_gives_way_or_ends_the_start(origin: Origin) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        plain = snap(origin)
        plain["internal"] = [internal("admin", bind)]
        code, said = refused(plain)
        assert code == 1
        assert f"listener admin cannot listen on {bind}: the address is in use" in said
        plain["internal"] = [internal("admin", bind, written=False)]
        with Gateway(plain) as gateway:
            gateway.wait_output(f"admin: {bind} is taken, it listens on ")
            assert place(gateway, "admin") != bind
            assert ask(gateway, "admin", b"/livez")[0] == 200

"""The internal listeners as a monitoring system meets them: probes, and metrics by Prometheus' own parser."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from harness.client import DEADLINE, Client
from harness.gateway import Gateway
from harness.websocket import hub

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def internal(serves: str, bind: str = "127.0.0.1:0", *, written: bool = True) -> dict[str, Any]:
    """An internal listener of a snapshot: `admin` or `metrics`."""
    return {"name": serves, "bind": bind, "written": written, "serves": serves}


def measured(*endpoints: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A snapshot of endpoints, as `hub` makes it, whose metrics can be asked for."""
    return hub(*endpoints, **changes) | {"internal": [internal("metrics")]}


def place(gateway: Gateway, name: str) -> str:
    """Where an internal listener listens."""
    gateway.wait_output(f"internal {name} ")
    return next(line.split()[2] for line in gateway.out if line.startswith(f"internal {name} "))


def ask_at(address: str, path: bytes) -> tuple[int, bytes]:
    """Status and body of a GET on a connection of its own."""
    with Client(address) as client:
        answer = client.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        return answer.status, answer.body


def ask(gateway: Gateway, name: str, path: bytes) -> tuple[int, bytes]:
    """Status and body of a GET to an internal listener."""
    return ask_at(place(gateway, name), path)


def scrape(address: str) -> Samples:
    """The metrics; every family has its help, and no sample comes twice."""
    status, body = ask_at(address, b"/metrics")
    assert status == 200
    found: Samples = {}
    for family in text_string_to_metric_families(body.decode()):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def samples(gateway: Gateway) -> Samples:
    """The metrics of a running engine."""
    return scrape(place(gateway, "metrics"))


def settled(gateway: Gateway) -> Samples:
    """The metrics once no request is in flight: a client may have its answer a moment before the request is counted."""
    found = samples(gateway)
    deadline = time.monotonic() + DEADLINE
    while value(found, "fastgate_requests_in_flight"):
        assert time.monotonic() < deadline, "requests that do not end"
        found = samples(gateway)
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    """One sample, by all of its labels."""
    return found[name, frozenset(labels.items())]


def realtime(found: Samples, name: str, **labels: str) -> float:
    """One sample of the hub, by the part of its name that is its own."""
    return value(found, f"fastgate_realtime_{name}", **labels)


def closes(found: Samples, code: int) -> float:
    """Subscribers' connections that ended with a code; codes that none ended with are not shown."""
    return found.get(("fastgate_realtime_closes_total", frozenset({("code", str(code))})), 0.0)

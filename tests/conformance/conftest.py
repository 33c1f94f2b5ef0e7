"""One gateway and one recording origin for all table cases; every case resets what the origin recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Gateway, Origin, snapshot
from harness.gateway import listener, match, respond, route

RESERVED = ["X-User-Id"]


@dataclass
class Bench:
    """What a case runs on."""

    gateway: Gateway
    origin: Origin


def _listeners() -> list[dict[str, object]]:
    return [
        listener("public"),
        listener("underscores", underscore_headers="pass"),
        listener("no-underscores", underscore_headers="refuse"),
        listener("trusted", trusted_proxies=["127.0.0.0/8"]),
        listener("loose", encoded_slash="keep", dot_segments="resolve"),
    ]


@pytest.fixture(scope="session")
def _plain(engine: Path) -> Iterator[Bench]:
    with Origin() as origin, Gateway(snapshot(origin.url, listeners=_listeners(), reserved=RESERVED)) as gateway:
        yield Bench(gateway, origin)


@pytest.fixture(scope="session")
def _guarded(engine: Path) -> Iterator[Bench]:
    forbidden = respond(403)
    routes = [
        route("area", forbidden, match(prefix="/admin")),
        route("host", forbidden, match(prefix="/", hosts=["admin.test", "*.protected.test"])),
        route("delete", "origin", match(path="/only-delete", methods=["DELETE"]), priority=1),
        route("all", "origin", match(prefix="/")),
    ]
    routes[3]["matches"] = [
        match(regex="/(|[^o].*|o[^n].*|on[^l].*)")
    ]  # leaves /only-delete to its own route, so that 405 shows
    with Origin() as origin, Gateway(snapshot(origin.url, listeners=_listeners(), routes=routes)) as gateway:
        yield Bench(gateway, origin)


@pytest.fixture
def plain(_plain: Bench) -> Iterator[Bench]:
    """Everything goes to the origin."""
    _plain.origin.reset()
    yield _plain
    _plain.origin.check()


@pytest.fixture
def guarded(_guarded: Bench) -> Iterator[Bench]:
    """`/admin` and the hosts admin.test and *.protected.test answer 403, everything else goes to the origin."""
    _guarded.origin.reset()
    yield _guarded
    _guarded.origin.check()

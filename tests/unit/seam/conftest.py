"""The seam without an engine: simulated requests cross the C table and come back decided."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastgate import _core, _engine

HEAD = (
    b"POST /api/caf%C3%A9//x;v=1?a=1&b=%20 HTTP/1.1\r\n"
    b"Host: Example.COM:8080\r\n"
    b"Accept: text/html\r\n"
    b"X-Role: user\r\n"
    b"Cookie: a=1\r\n"
    b"x-role: admin\r\n"
    b"Cookie: b=2\r\n"
    b"X-Bytes: \xfc\r\n"
    b"\r\n"
)

Outcome = dict[str, Any]
Run = Callable[..., Outcome]


@pytest.fixture
def host() -> _engine.Host:
    return _engine.Host()


@pytest.fixture
def run(host: _engine.Host) -> Iterator[Run]:
    """`run(hook, …)` sends one request through these hooks and returns what was decided."""
    executor = _core.Executor(host)
    executor.start()

    def send(
        *hooks: Callable[[_core.Request], object], head: bytes = HEAD, identity: dict[str, Any] | None = None
    ) -> Outcome:
        executor.set_hooks({"route": hooks})
        who = None if identity is None else json.dumps(identity).encode()
        return host.simulate(head, "route", identity=who).outcomes()[0]

    yield send
    assert executor.stop()


@pytest.fixture
def look(run: Run) -> Callable[..., Any]:
    """`look(function)` returns what `function` makes of a request inside a hook."""

    def inside(function: Callable[[_core.Request], Any], **sent: Any) -> Any:
        seen: list[Any] = []
        outcome = run(lambda request: seen.append(function(request)), **sent)
        assert not outcome["failed"]
        return seen[0]

    return inside

"""What the seam costs a request: through the C table to Python hooks and back, without sockets.

One round is `COUNT` requests that wait together, so the executor takes full batches of 64 and both wake-ups are spread
over all of them; "alone" is one request a round, so it is two wake-ups. `extra_info` has nanoseconds a request, minimum
and median, over the rounds. The parsing of the heads is not part of the time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import pytest

from fastgate import Request, _core, _engine

COUNT = 6400
HEAD = (
    b"GET /api/projects/42?full=1 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    b"Authorization: Bearer abc\r\nX-Tenant: t1\r\n\r\n"
)


def nothing(request: Request) -> None:
    """The cheapest hook there is."""


def typical(request: Request) -> None:
    """Reads two headers and the path, sets one header."""
    headers = request.headers
    if headers.get("authorization") and request.path:
        headers["x-tenant-id"] = headers["x-tenant"]


CASES: dict[str, Sequence[Callable[[Request], None]]] = {
    "no hook": (),
    "1 hook": (nothing,),
    "3 hooks": (nothing,) * 3,
    "reads 3, sets 1": (typical,),
}


@pytest.mark.parametrize("count", [COUNT, 1], ids=["batched", "alone"])
@pytest.mark.parametrize("case", CASES)
def test_hooks(benchmark, case, count):
    host = _engine.Host()
    executor = _core.Executor(host, {"route": CASES[case]})
    executor.start()
    try:
        seconds: list[float] = []

        def send() -> None:
            simulation = host.simulate(HEAD, "route", count=count)
            seconds.append(simulation.seconds / count)

        benchmark.pedantic(send, rounds=30 if count > 1 else 300, warmup_rounds=3)
        outcomes = host.simulate(HEAD, "route", count=2).outcomes()
        assert [o["failed"] for o in outcomes] == [False, False]
        assert len(outcomes[0]["edits"]) == (1 if case == "reads 3, sets 1" else 0)
        benchmark.extra_info["ns_a_request_min"] = round(min(seconds) * 1e9, 1)
        benchmark.extra_info["ns_a_request_median"] = round(statistics.median(seconds) * 1e9, 1)
    finally:
        assert executor.stop()

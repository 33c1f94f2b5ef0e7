"""Real origins count exactly the requests the gateway says it forwarded, whatever bytes a client sends.

Each case of the conformance tables, accepted and rejected, goes through the gateway to each origin with a canary behind
it. An answer the gateway did not make is a request it forwarded; the origin must have counted as many, of the same
methods and body lengths, and every canary must get its own answer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from conformance.cases import (
    Forwarded,
    Passed,
    Refused,
    bodies,
    chunks,
    framing,
    headers,
    hosts,
    lines,
    paths,
    positive,
)
from harness import BadResponse, Gateway, Response, snapshot
from origins import ALL, RealOrigin

pytestmark = pytest.mark.usefixtures("engine")

CANARY = b"PUT /canary HTTP/1.1\r\nHost: canary.test\r\nContent-Length: 3\r\n\r\nabc"
OTHER = b"PUT /canary HTTP/1.1\r\nHost: canary.test\r\nContent-Length: 4\r\n\r\nabcd"
TABLES = {
    "framing": framing,
    "chunks": chunks,
    "lines": lines,
    "bodies": bodies,
    "headers": headers,
    "hosts": hosts,
    "paths": paths,
    "positive": positive,
}
CASES = {
    name: [
        c for c in table.CASES if isinstance(c, Refused | Passed) and c.listener == "public" and len(c.send) < 20_000
    ]
    for name, table in TABLES.items()
}

# Valid requests that an origin's own parser refuses (its right); everything else of that class must be counted.
# None of it is about framing: methods and sizes that these parsers do not take.
PICKY: dict[str, tuple[str, ...]] = {
    "gunicorn": ("OK-fields-8-kib", "OK-target-long", "OK-method-"),
    "uvicorn": ("OK-method-",),
    "aiohttp": (
        "OK-fields-8-kib",
        "OK-method-",
        "OK-target-long",
        "OK-content-fields",
    ),  # it inflates: the body is no gzip
    "tornado": ("OK-target-long", "OK-method-", "S16-"),  # it refuses trailers, all of them
    "node": ("OK-method-",),
    "nginx": ("OK-method-", "OK-options-asterisk"),
}


@pytest.fixture(scope="module", params=ALL)
def pair(request: pytest.FixtureRequest, engine: Path) -> Iterator[tuple[RealOrigin, Gateway]]:
    """One real origin behind a gateway."""
    with RealOrigin(request.param) as origin, Gateway(snapshot(origin.url, reserved=["X-User-Id"])) as gateway:
        yield origin, gateway


def test_tables_are_large_enough() -> None:
    assert sum(len(cases) for cases in CASES.values()) >= 150


@pytest.mark.parametrize("table", TABLES)
def test_counts_agree(table: str, pair: tuple[RealOrigin, Gateway]) -> None:
    origin, gateway = pair
    faults = [f"{case.id}: {fault}" for case in CASES[table] if (fault := _judge(case, origin, gateway)) is not None]
    assert not faults, "\n".join([f"{len(faults)} of {len(CASES[table])} disagree with {origin.name}:", *faults[:20]])


def _expected(case: Refused | Passed) -> list[Forwarded]:
    return list(case.expect) if isinstance(case, Passed) else []


def _judge(case: Refused | Passed, origin: RealOrigin, gateway: Gateway) -> str | None:
    """What is wrong, or None."""
    expected = _expected(case)
    try:
        found = _talk(case, expected, gateway)
        with gateway.client() as other:
            last = other.exchange(OTHER)
    except BadResponse as error:
        return f"no valid answer: {error}"
    counted = origin.seen()
    if _line(last) != _want(origin, "PUT", 4):
        return f"the canary on the second connection got {last.status} {last.body!r}"
    answered = [a for a in found if a.get("x-origin") is not None]
    strange = [a for a in found if a.get("x-origin") is None and not a.from_gateway and a.get("x-request-id") is None]
    if strange:
        return f"an answer of nobody: {strange[0].head!r}"
    by_origin = [a for a in found if a.get("x-origin") is None and not a.from_gateway]
    if by_origin and not _may_refuse(case, origin):
        return f"the origin refused what the gateway took: {by_origin[0].status} {by_origin[0].body[:100]!r}"
    if len(counted) != len(answered) + 1:
        return f"the origin counted {counted}, the client was answered {len(answered)} + 1 times"
    if not by_origin and not found[0].from_gateway:
        wanted = [_want(origin, e.method.decode(), len(e.body)) for e in expected]
        closes = isinstance(case, Passed) and case.closes
        wanted += [] if closes else [_want(origin, "PUT", 3)]
        if counted[:-1] != wanted:
            return f"the origin counted {counted[:-1]}, due were {wanted}"
    return None


def _may_refuse(case: Refused | Passed, origin: RealOrigin) -> bool:
    return any(case.id.startswith(prefix) for prefix in PICKY.get(origin.name, ()))


def _want(origin: RealOrigin, method: str, size: int) -> str:
    return f"{method} ?" if origin.name == "nginx" else f"{method} {size}"


def _line(answer: Response) -> str:
    return answer.body.decode("latin-1")


def _talk(case: Refused | Passed, expected: list[Forwarded], gateway: Gateway) -> list[Response]:
    """Every final answer on the case's connection, its canary's included."""
    with gateway.client() as client:
        client.send(case.send + CANARY)
        found = []
        methods = [e.method.decode() for e in expected] or ["GET"]
        for method in [*methods, "PUT"]:
            answer = client.final(method)
            found.append(answer)
            if answer.says_close:
                break
        return found

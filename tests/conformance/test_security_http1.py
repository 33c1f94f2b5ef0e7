"""Every row of `security.md` that one message decides, table-driven, and what must pass byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conformance import judge
from conformance.cases import (
    Passed,
    Refused,
    Routed,
    bodies,
    chunks,
    framing,
    headers,
    hosts,
    limits,
    lines,
    paths,
    positive,
)

if TYPE_CHECKING:
    from conformance.conftest import Bench

CASES = [
    case for table in (framing, chunks, lines, bodies, headers, hosts, paths, limits, positive) for case in table.CASES
]
MESSAGES = [case for case in CASES if isinstance(case, Refused | Passed)]
ROUTED = [case for case in CASES if isinstance(case, Routed)]


def test_ids_are_unique() -> None:
    """A case that shares its id with another one would hide behind it."""
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)


@pytest.mark.parametrize("how", ["whole", "dripped"])
@pytest.mark.parametrize("case", MESSAGES, ids=[case.id for case in MESSAGES])
def test_message(case: Refused | Passed, how: str, plain: Bench) -> None:
    """The origin sees exactly the expected requests; canaries get their own answers; split anywhere gives the same."""
    run = judge.refused if isinstance(case, Refused) else judge.passed
    run(case, plain.gateway, plain.origin, how)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", ROUTED, ids=[case.id for case in ROUTED])
def test_decision(case: Routed, guarded: Bench) -> None:
    """Router and origin agree on path and host: what reaches the origin was allowed under the name the origin sees."""
    seen: list[bytes] = []
    with guarded.gateway.client(case.listener) as client:
        answer = client.exchange(case.send)
        assert answer.status in case.status, (answer.status, answer.body)
        if answer.status == 200:
            assert case.target is not None
            seen.append(case.target)
            assert guarded.origin.targets == seen, guarded.origin.targets
            if case.host is not None:
                assert guarded.origin.requests[0].get("host") == case.host
        else:
            judge.problem(answer)
        if answer.says_close:
            assert client.closed()
        else:
            judge.canary(client, b"/canary-same")
            seen.append(b"/canary-same")
    judge.other_canary(guarded.gateway, case.listener)
    assert guarded.origin.targets == [*seen, b"/canary-other"], guarded.origin.targets

"""S15, S11 (interim floods): what an origin may answer, table-driven, whole and dripped, with canaries after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conformance import judge
from conformance.cases.responses import CASES, Answer
from harness import BadResponse, OriginConnection, Received, Response
from harness.origin import echo

if TYPE_CHECKING:
    from conformance.conftest import Bench


def _script(case: Answer, how: str):  # type: ignore[no-untyped-def]
    def script(connection: OriginConnection, request: Received) -> None:
        if request.target != b"/case":
            return echo(connection, request)
        connection.read_body(request)
        step = len(case.send) if how == "whole" else max(1, len(case.send) // 600)
        for at in range(0, len(case.send), step or 1):
            connection.send(case.send[at : at + step])
        if case.then != "keep":
            getattr(connection, case.then)()
        return None

    return script


def _trails(case: Answer) -> bool:
    """Bytes behind a complete answer: dripped, they would race with the next request."""
    return not (case.reuse or case.cut) and case.then == "keep" and case.status != (502,)


RUNS = [(case, how) for case in CASES for how in ("whole", "dripped") if not (how == "dripped" and _trails(case))]


@pytest.mark.parametrize(("case", "how"), RUNS, ids=[f"{case.id}-{how}" for case, how in RUNS])
def test_answer(case: Answer, how: str, plain: Bench) -> None:
    """A bad answer is a 502 (or a cut that shows); its connection never carries another request."""
    plain.origin.drop_connections()  # so that the case's connection is known by its number
    plain.origin.reset()
    plain.origin.script = _script(case, how)
    with plain.gateway.client() as client:
        client.send(case.method + b" /case HTTP/1.1\r\nHost: example.test\r\n\r\n")
        cut, answer = _read(client, case)
        if not cut:
            assert answer is not None
            assert answer.status in case.status, (answer.status, answer.body)
            if answer.status == 502:
                judge.problem(answer)
            elif case.body is not None:
                assert answer.body == case.body, answer.body
            if answer.says_close:
                assert client.closed()
            else:
                judge.canary(client, b"/canary-same")
    judge.other_canary(plain.gateway, "public")
    used = {r.connection for r in plain.origin.heads if r.target == b"/case"}
    after = [r.connection for r in plain.origin.requests if r.target.startswith(b"/canary")]
    assert plain.origin.targets.count(b"/case") <= 2, "at most one retry"
    if not case.reuse:
        assert not used & set(after), f"connection {used} was used again: {after}"


def _read(client: object, case: Answer) -> tuple[bool, Response | None]:
    """The final response, or a cut that this case allows."""
    try:
        return False, client.final(case.method.decode())  # type: ignore[attr-defined]
    except BadResponse:
        if not case.cut:
            raise
        return True, None


def test_reuse(plain: Bench) -> None:
    """Clean exchanges do share an upstream connection (else the table above would pass for the wrong reason)."""
    plain.origin.drop_connections()
    plain.origin.reset()
    with plain.gateway.client() as client:
        for _ in range(5):
            judge.canary(client)
    assert len({r.connection for r in plain.origin.requests}) == 1


def test_cut_is_visible(plain: Bench) -> None:
    """A response that breaks off never looks complete to the client."""
    for head in (b"Content-Length: 50\r\n", b"Transfer-Encoding: chunked\r\n"):
        body = b"32\r\nhello" if b"chunked" in head else b"hello"
        case = Answer("", b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body, (200,), then="close")
        plain.origin.script = _script(case, "whole")
        with plain.gateway.client() as client:
            client.send(b"GET /case HTTP/1.1\r\nHost: example.test\r\n\r\n")
            try:
                answer = client.final()
            except BadResponse:
                continue  # cut: what was due once the head had gone out
            assert answer.status == 502, answer

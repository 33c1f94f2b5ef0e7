"""Runs one case of a table: what was sent, what the origin saw, what came back, and canaries on both connections."""

from __future__ import annotations

from conformance.cases import Forwarded, Passed, Refused
from harness import Client, Received, Response
from harness.gateway import Gateway
from harness.origin import Origin

CANARY_SAME = b"GET /canary-same HTTP/1.1\r\nHost: canary.test\r\n\r\n"
CANARY_OTHER = b"GET /canary-other HTTP/1.1\r\nHost: canary.test\r\n\r\n"
PIECES = {"whole": 0, "dripped": 1}
DRIP_LIMIT = 1200  # bytes: longer cases are dripped in proportionally larger pieces


def send(client: Client, data: bytes, how: str) -> None:
    """In one piece, or in pieces of a byte (more for long ones)."""
    if how == "whole":
        client.send(data)
    else:
        client.send_pieces(data, max(1, len(data) // DRIP_LIMIT))


def canary(client: Client, name: bytes = b"/canary-other") -> None:
    """A canary on this connection gets its own answer."""
    answer = client.exchange(b"GET " + name + b" HTTP/1.1\r\nHost: canary.test\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"GET " + name + b" 0"), answer


def other_canary(gateway: Gateway, listener: str) -> None:
    """A canary on a second connection gets its own answer."""
    with gateway.client(listener) as client:
        canary(client)


def problem(answer: Response) -> None:
    """A gateway's own answer: RFC 9457, a request id, nothing of the inside."""
    if answer.head.startswith(b"HTTP/1.") and answer.body:
        assert answer.from_gateway, answer
        for word in (b'"type"', b'"title"', b'"status"', b'"request_id"'):
            assert word in answer.body, (word, answer.body)
    assert answer.get("x-request-id"), answer
    assert answer.get("server") is None, answer


def refused(case: Refused, gateway: Gateway, origin: Origin, how: str) -> None:
    """The answer is the gateway's own; nothing became a complete request; the connection closed, or stayed aligned."""
    expected = [b"/canary-other"]
    with gateway.client(case.listener) as client:
        send(client, case.send + CANARY_SAME, how)
        answer = client.final()
        assert answer.status in case.status, (answer.status, case.status, answer.body)
        problem(answer)
        if case.closes or answer.says_close:
            assert answer.says_close, f"closes without saying so: {answer.head!r}"
            assert client.closed(), "the connection stayed open"
        else:
            follow = client.final()
            assert follow.body == b"GET /canary-same 0", follow
            expected.insert(0, b"/canary-same")
    other_canary(gateway, case.listener)
    origin.settle()
    assert origin.targets == expected, origin.targets
    seen = [head.target for head in origin.heads if head.complete]
    cut = [head for head in origin.heads if not head.complete]
    # The head of the refused request may have begun its way; then it was cut off with its connection.
    assert seen == expected, seen
    assert len(cut) <= case.begun, cut


def passed(case: Passed, gateway: Gateway, origin: Origin, how: str) -> None:
    """The origin saw exactly the requests expected, then the canaries; every client answer belongs to its request."""
    with gateway.client(case.listener) as client:
        send(client, case.send + (b"" if case.closes else CANARY_SAME), how)
        first = client.final(case.expect[0].method.decode())
        if first.status in case.or_refused:
            problem(first)
            assert first.says_close
            assert client.closed()
            other_canary(gateway, case.listener)
            assert origin.targets == [b"/canary-other"], origin.targets
            return
        answers = [first, *(client.final(e.method.decode()) for e in case.expect[1:])]
        if case.closes:
            assert client.closed(), "the client asked for the end, but the connection stayed open"
        else:
            follow = client.final()
            assert follow.body == b"GET /canary-same 0", follow
    other_canary(gateway, case.listener)
    for answer, expected in zip(answers, case.expect, strict=True):
        assert answer.status == 200, (answer.status, answer.body)
        if expected.method != b"HEAD":
            assert answer.body == b"%s %s %d" % (expected.method, expected.target, len(expected.body)), answer.body
    canaries = [b"/canary-other"] if case.closes else [b"/canary-same", b"/canary-other"]
    assert origin.targets == [e.target for e in case.expect] + canaries, origin.targets
    for received, expected in zip(origin.requests, case.expect, strict=False):
        forwarded(received, expected)


def forwarded(received: Received, expected: Forwarded) -> None:
    """One request as the origin saw it."""
    assert (received.method, received.target, received.body) == (expected.method, expected.target, expected.body), (
        received
    )
    assert received.minor == 1, "the upstream side always speaks HTTP/1.1"
    fields = iter(received.fields)
    for wanted in expected.fields:
        assert wanted in fields, f"{wanted!r} not found in its place: {received.head!r}"
    for name in expected.absent:
        assert received.get(name) is None, (name, received.get_all(name))
    if expected.trailers is not None:
        assert tuple(received.trailers) == expected.trailers, received.trailers
    invariants(received)


def invariants(received: Received) -> None:
    """What holds for every request that leaves the gateway, whatever came in."""
    assert len(received.get_all("host")) == 1, received.head
    assert len(received.get_all("x-request-id")) == 1, received.head
    assert len(received.get_all("x-forwarded-for")) == 1, received.head
    assert received.get_all("x-forwarded-for")[0].split(b",")[-1].strip() == b"127.0.0.1", received.head
    assert received.get_all("x-forwarded-proto") == [b"http"], received.head
    assert len(received.get_all("content-length")) + len(received.get_all("transfer-encoding")) <= 1, received.head
    assert set(received.tokens("connection")) <= {b"keep-alive", b"upgrade"}, received.head
    for name in ("keep-alive", "proxy-connection", "http2-settings"):
        assert received.get(name) is None, received.head

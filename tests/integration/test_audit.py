"""The audit trail: what is recorded, in which form, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import Gateway, Origin, snapshot
from harness.client import wait_for
from harness.requests import get, request

pytestmark = pytest.mark.usefixtures("engine")

DENY = {"ip": {"allow": [], "deny": ["127.0.0.0/8"], "allow_files": [], "deny_files": []}}
CANARY = "s3cr3t-canary"


def audited(origin: Origin, to: Any, **changes: Any) -> dict[str, Any]:
    options = {"policies": 0}
    return snapshot(origin.url, route_options=options, **changes) | {"policies": [DENY], "audit": {"to": to}}


def records(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def events(path: Path) -> list[str]:
    return [one["event"] for one in records(path)]


def test_decisions_are_recorded(origin: Origin, tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    with Gateway(audited(origin, {"file": str(trail)})) as gateway:
        wire = request(
            b"POST",
            f"/a%20b/{'x' * 600}?token={CANARY}".encode(),
            b"X-Request-Id: id-1",
            b"Cookie: a=" + CANARY.encode(),
            b"Authorization: Bearer " + CANARY.encode(),
            b"Content-Length: 0",
        )
        with gateway.client() as client:
            assert client.exchange(wire).status == 403
        bad = audited(origin, {"file": str(trail)})
        bad["routes"][0]["action"] = {"service": "nowhere"}
        assert not gateway.reload(bad)
        assert gateway.reload(audited(origin, {"file": str(trail)}, process={"uri": 4_096}))
        wait_for(lambda: len(records(trail)) == 4, "four records, without an end of the gateway")
    applied, denied, refused, again = records(trail)
    assert [one["event"] for one in (applied, denied, refused, again)] == [
        "config.applied",
        "request.denied",
        "config.refused",
        "config.applied",
    ]
    assert [one["seq"] for one in records(trail)] == [1, 2, 3, 4]
    assert len({one["boot"] for one in records(trail)}) == 1
    assert denied["config"] == applied["config"] != again["config"]
    assert denied | {"time": "", "monotonic_ms": 0, "boot": "", "config": ""} == {
        "boot": "",
        "client": "127.0.0.1",
        "config": "",
        "decision": "deny",
        "event": "request.denied",
        "host": "example.test",
        "method": "POST",
        "monotonic_ms": 0,
        "path": f"/a b/{'x' * 600}"[:512],
        "policy": "ip",
        "reason": "the address is denied",
        "request_id": "id-1",
        "route": "all",
        "seq": 2,
        "status": 403,
        "time": "",
        "v": 1,
    }
    assert "nowhere" in refused["reason"]
    text = trail.read_text(encoding="utf-8")
    assert CANARY not in text
    for line in text.splitlines():
        canonical = json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert line == canonical


def test_nothing_is_lost_or_out_of_order_while_two_workers_refuse(origin: Origin, tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    with Gateway(audited(origin, {"file": str(trail)})) as gateway:
        for _ in range(20):
            with gateway.client() as client:
                client.send(get() * 50)
                assert [client.read().status for _ in range(50)] == [403] * 50
    found = records(trail)
    assert [one["seq"] for one in found] == list(range(1, 1_002)), "all of them, in order, at a clean end too"
    assert len({one.get("request_id") for one in found}) == 1_001


def test_without_a_trail_nothing_is_made(origin: Origin, tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    snap = audited(origin, {"file": str(trail)})
    with Gateway(snap | {"audit": None}) as gateway:
        with gateway.client() as client:
            assert client.exchange(get()).status == 403
        assert gateway.reload(snap)
        wait_for(lambda: events(trail) == ["config.applied"], "the trail to begin")
        assert gateway.reload(snap | {"audit": None})
        with gateway.client() as client:
            assert client.exchange(get()).status == 403
    assert events(trail) == ["config.applied"]


def test_a_trail_that_cannot_be_opened_is_an_error(origin: Origin, tmp_path: Path) -> None:
    with Gateway(snapshot(origin.url)) as gateway:
        assert not gateway.reload(audited(origin, {"file": str(tmp_path / "no" / "such" / "folder")}))

"""Limits as clients meet them: who counts for what, what they are told, what survives a reload; and places at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from harness import Gateway, Origin, snapshot
from harness.client import Client, wait_for
from harness.gateway import listener, match, respond, route
from harness.origin import echo, hold
from harness.requests import get
from harness.scrape import internal, place, scrape, value

pytestmark = pytest.mark.usefixtures("engine")
Json = dict[str, Any]
HOUR = 3_600_000


def limit(name: str, count: int, **changes: Any) -> Json:
    plain = {
        "name": name, "scope": "routes/all", "count": count, "window_ms": HOUR, "burst": count, "per": ["client_ip"],
        "cost": 1, "dry_run": False, "window": "flowing", "then": [], "sync_ms": None, "on_store_failure": "local",
    }  # fmt: skip
    return plain | changes


def snap(*limits: Json, origin: Origin | None = None, **policies: Any) -> Json:
    """Routes `/`, with those policies, and `/free`, which has none; clients are who a trusted peer says."""
    action: Any = "origin" if origin else respond(200, "here")
    routes = [
        route("all", action, match(prefix="/"), policies=0),
        route("free", respond(204), match(prefix="/free")),
    ]
    plain = snapshot(
        origin.url if origin else (),
        routes=routes,
        listeners=[listener(trusted_proxies=["127.0.0.0/8"])],
        workers=2,
    )
    return plain | {"policies": [{"limits": list(limits), **policies}], "internal": [internal("metrics")]}


def ask(client: Client, path: bytes = b"/", address: str = "192.0.2.1", *headers: bytes) -> Any:
    return client.exchange(get(path, b"X-Forwarded-For: " + address.encode(), *headers))


def statuses(gateway: Gateway, count: int, *args: Any) -> list[int]:
    with gateway.client() as client:
        return [ask(client, *args).status for _ in range(count)]


def test_a_rate_by_address_and_what_the_refused_is_told() -> None:
    with Gateway(snap(limit("burst", 3))) as gateway:
        assert statuses(gateway, 3) == [200] * 3
        with gateway.client() as client:
            answer = ask(client)
            assert answer.status == 429
            fields = {name.lower(): value for name, value in answer.fields}
            assert fields[b"ratelimit-policy"] == b'"burst";q=3;w=3600'
            assert fields[b"ratelimit"].startswith(b'"burst";r=0;t=')
            assert 1_100 <= int(fields[b"retry-after"]) <= 1_200
            assert b"application/problem+json" in fields[b"content-type"]
            assert b"burst" not in answer.body
            assert ask(client, b"/free").status == 204
            assert ask(client, b"/", "192.0.2.2").status == 200, "another address"
            # IPv6: a client has a /64.
            assert [ask(client, b"/", f"2001:db8::{i}").status for i in range(1, 5)] == [200, 200, 200, 429]
            assert ask(client, b"/", "2001:db8:0:1::1").status == 200


def test_all_workers_count_together_and_exactly() -> None:
    passed: list[int] = []
    with Gateway(snap(limit("burst", 100))) as gateway:
        found: list[list[int]] = []
        threads = [threading.Thread(target=lambda: found.append(statuses(gateway, 40))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        passed = [status for each in found for status in each if status == 200]
        assert len(found) == 6
        # One comes back every 36 s.
        assert 100 <= len(passed) <= 101
        decided = scrape(place(gateway, "metrics"))
        denied = value(decided, "fastgate_limit_decisions_total", limit="burst", scope="routes/all", outcome="denied")
        assert denied == 240 - len(passed)
        assert value(decided, "fastgate_limit_keys", limit="burst", scope="routes/all", by="key") == 1


def test_several_limits_count_only_what_all_let_pass() -> None:
    both = snap(limit("narrow", 2, per=[{"header": "x-user"}], keys_per_address=100), limit("wide", 3, per=[]))
    with Gateway(both) as gateway:

        def of(user: bytes, count: int) -> list[int]:
            return statuses(gateway, count, b"/", "192.0.2.1", b"X-User: " + user)

        assert of(b"a", 20) == [200, 200, *[429] * 18]
        assert of(b"b", 2) == [200, 429], "what was refused had been given back to the wide one"


def test_a_header_as_key_does_not_outwit_the_limit() -> None:
    limits = snap(limit("each", 2, per=[{"header": "x-user"}], keys_per_address=3))
    with Gateway(limits) as gateway:
        found = [statuses(gateway, 1, b"/", "192.0.2.1", b"X-User: %d" % i)[0] for i in range(10)]
        assert found.count(200) == 6, "three keys' worth for one address"
        assert statuses(gateway, 1, b"/", "192.0.2.9", b"X-User: 1") == [200]
        with gateway.client() as client:
            two = client.exchange(get(b"/", b"X-Forwarded-For: 192.0.2.9", b"X-User: 1", b"X-User: 2"))
            assert two.status == 200, "two lines are a key of their own"


def test_cost_dry_run_and_fields_of_answers_that_pass() -> None:
    limits = snap(
        limit("cost", 10, cost_from={"header": "x-cost"}, headers=True, legacy_headers=True),
        limit("watch", 1, dry_run=True),
    )
    with Gateway(limits) as gateway, gateway.client() as client:
        answer = ask(client, b"/", "192.0.2.1", b"X-Cost: 4")
        fields = {name.lower(): value for name, value in answer.fields}
        assert fields[b"ratelimit"].startswith(b'"cost";r=6;t=')
        assert (fields[b"x-ratelimit-limit"], fields[b"x-ratelimit-remaining"]) == (b"10", b"6")
        assert ask(client, b"/", "192.0.2.1", b"X-Cost: 7").status == 429
        # At least what every request costs.
        assert ask(client, b"/", "192.0.2.1", b"X-Cost: 0").status == 200
        assert ask(client, b"/", "192.0.2.1", b"X-Cost: 5").status == 200
        assert ask(client, b"/", "192.0.2.1", b"X-Cost: -9").status == 429
        found = scrape(place(gateway, "metrics"))
        counted = {
            decision: value(
                found, "fastgate_limit_decisions_total", limit="watch", scope="routes/all", outcome=decision
            )
            for decision in ("allowed", "dry_run", "denied")
        }
        assert counted == {"allowed": 1, "dry_run": 2, "denied": 0}


def test_steps_delay_then_refuse_for_long() -> None:
    limits = snap(limit("steps", 2, then=[{"delay": 20}, {"deny": HOUR}]))
    with Gateway(limits) as gateway:
        assert statuses(gateway, 6) == [200, 200, 200, 200, 429, 429]
        with gateway.client() as client:
            assert 3_500 <= int(dict(ask(client).fields)[b"Retry-After"]) <= 3_600
        found = scrape(place(gateway, "metrics"))
        assert value(found, "fastgate_limit_decisions_total", limit="steps", scope="routes/all", outcome="delayed") == 2


@pytest.mark.parametrize("window", ["day", "rolling"])
def test_quotas(window: str) -> None:
    length = 24 * HOUR
    with Gateway(snap(limit("quota", 3, window=window, window_ms=length))) as gateway:
        assert statuses(gateway, 5) == [200, 200, 200, 429, 429]
        with gateway.client() as client:
            assert 0 < int(dict(ask(client).fields)[b"Retry-After"]) <= 26 * 3_600


def test_a_reload_keeps_what_was_used() -> None:
    with Gateway(snap(limit("burst", 4))) as gateway:
        assert statuses(gateway, 2) == [200, 200]
        assert gateway.reload(snap(limit("burst", 4), limit("other", 9)))
        assert statuses(gateway, 3) == [200, 200, 429]
        # Twice the burst: twice the room, less what was used.
        assert gateway.reload(snap(limit("burst", 8, window_ms=2 * HOUR)))
        assert statuses(gateway, 5) == [200, 200, 200, 200, 429]
        assert not gateway.reload(snap(limit("burst", 4, burst=10**9, window_ms=10**10)))
        assert statuses(gateway, 1) == [429]


def test_limits_that_cannot_be_are_refused_with_their_place() -> None:
    with Gateway(snap()) as gateway:
        assert not gateway.reload(snap(limit("a", 1), limit("b", 1, then=[{"deny": 5}, {"delay": 5}])))
        gateway.wait_output("policies.0.limits.1.then")


@pytest.fixture
def held(origin: Origin) -> Iterator[threading.Event]:
    release = threading.Event()
    origin.script = hold(release)
    yield release
    release.set()


def concurrency(**changes: Any) -> Json:
    return {"scope": "routes/all", "max": 2, "queue": 1, "wait_ms": 60_000, "per": []} | changes


def test_places_and_their_queue(origin: Origin, held: threading.Event) -> None:
    with Gateway(snap(origin=origin, concurrency=concurrency())) as gateway, ExitStack() as clients:
        first = [clients.enter_context(gateway.client()) for _ in range(2)]
        for client in first:
            client.send(get(b"/"))
        origin.wait_heads(2)
        # Two more: one may wait, whichever comes first.
        later: list[int] = []
        threads = [threading.Thread(target=lambda: later.extend(statuses(gateway, 1))) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(later) == 1, "one of them to be refused")
        assert (later, len(origin.targets)) == ([503], 2), "two at once"
        held.set()
        assert all(client.final().status == 200 for client in first)
        for thread in threads:
            thread.join()
        assert later == [503, 200]
        assert statuses(gateway, 3) == [200] * 3, "every place was given back"


def test_a_client_that_leaves_gives_its_place_back(origin: Origin, held: threading.Event) -> None:
    with Gateway(snap(origin=origin, concurrency=concurrency(max=1, queue=0))) as gateway:
        first = gateway.client()
        first.send(get(b"/"))
        origin.wait_heads(1)
        assert statuses(gateway, 1) == [503]
        first.reset()
        held.set()
        wait_for(lambda: statuses(gateway, 1) == [200], "the place to be free")


def test_a_place_that_nobody_gives_back_in_time(origin: Origin, held: threading.Event) -> None:
    config = snap(origin=origin, concurrency=concurrency(max=1, queue=5, wait_ms=50))
    with Gateway(config) as gateway, gateway.client() as first:
        first.send(get(b"/"))
        origin.wait_heads(1)
        assert statuses(gateway, 2) == [503, 503]
        held.set()
        assert first.final().status == 200


def test_a_tunnel_keeps_its_place(origin: Origin) -> None:
    upgraded = threading.Event()
    done = threading.Event()

    def tunnel(conn: Any, request: Any) -> None:
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
        upgraded.set()
        conn.wait(done)

    origin.script = tunnel
    config = snap(origin=origin, concurrency=concurrency(max=1, queue=0))
    config["routes"][0]["upgrade"] = ["chat"]
    with Gateway(config) as gateway:
        with gateway.client() as client:
            client.send(get(b"/", b"Connection: upgrade", b"Upgrade: chat"))
            assert client.read_head().status == 101
            assert statuses(gateway, 1) == [503]
        done.set()
        origin.script = echo
        wait_for(lambda: statuses(gateway, 1) == [200], "the tunnel's place to be free")

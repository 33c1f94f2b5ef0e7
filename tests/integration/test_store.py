"""Limits that gateways share through a real redis-server: exactly, by leases, and while it is dead, hangs or lies."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from harness import Gateway, Response, snapshot
from harness.client import Client, wait_for
from harness.gateway import listener, match, refused, respond, route
from harness.redis import DEADLINE, RedisServer
from harness.requests import get
from harness.scrape import ask, internal, samples, value

pytestmark = pytest.mark.usefixtures("engine")
Json = dict[str, Any]
HOUR = 3_600_000


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A fresh server."""
    with RedisServer() as server:
        yield server


def limit(name: str, count: int, **changes: Any) -> Json:
    plain = {
        "name": name, "scope": "routes/all", "count": count, "window_ms": HOUR, "burst": count, "per": ["client_ip"],
        "cost": 1, "dry_run": False, "window": "flowing", "then": [], "sync_ms": 0, "on_store_failure": "deny",
        "headers": True,
    }  # fmt: skip
    return plain | changes


def snap(store: Json, *limits: Json, workers: int = 2) -> Json:
    """Routes `/`, with those limits, and `/free`, which has none; clients are who a trusted peer says."""
    routes = [
        route("all", respond(200, "here"), match(prefix="/"), policies=0),
        route("free", respond(204), match(prefix="/free")),
    ]
    plain = snapshot((), routes=routes, listeners=[listener(trusted_proxies=["127.0.0.0/8"])], workers=workers)
    realtime = {"ping_ms": 20_000, "pong_ms": 20_000, "keys": [], "redis": store}
    return plain | {
        "policies": [{"limits": list(limits)}],
        "realtime": realtime,
        "internal": [internal("metrics"), internal("admin")],
    }


def asking(gateway: Gateway) -> tuple[float | None, float | None]:
    """The workers' connections to the store, and how many of them do not ask it; None: nothing is shown yet."""
    found = samples(gateway)
    names = ("fastgate_store_connections", "fastgate_store_breakers_open")
    connections, unasked = (found.get((name, frozenset())) for name in names)
    return connections, unasked


def asked(gateway: Gateway) -> None:
    """Waits until every worker asks the store."""
    workers = gateway.snapshot["workers"]
    wait_for(lambda: asking(gateway) == (workers, 0), "the store to be asked", DEADLINE)


def unasked(gateway: Gateway) -> None:
    """Waits until no worker asks it."""
    workers = gateway.snapshot["workers"]
    wait_for(lambda: asking(gateway)[1] == workers, "no more calls", DEADLINE)


@contextmanager
def gateways(count: int, plain: Json) -> Iterator[list[Gateway]]:
    """So many, connected."""
    running: list[Gateway] = []
    try:
        for _ in range(count):
            running.append(Gateway(plain).start())
            asked(running[-1])
        yield running
    finally:
        for gateway in running:
            gateway.stop()


def send(client: Client, address: str = "192.0.2.1", *lines: bytes) -> Response:
    return client.exchange(get(b"/", b"X-Forwarded-For: " + address.encode(), *lines))


def statuses(gateway: Gateway, count: int, *args: Any) -> list[int]:
    with gateway.client() as client:
        return [send(client, *args).status for _ in range(count)]


def decided(gateway: Gateway, count: int, *args: Any) -> list[int]:
    """So many statuses of requests that the store decided: a busy machine makes some calls too late, which get 503."""
    found: list[int] = []
    with gateway.client() as client:

        def enough() -> bool:
            found.extend(one for one in [send(client, *args).status] if one != 503)
            return len(found) >= count

        wait_for(enough, f"{count} decisions", DEADLINE)
    return found


def refusal(gateway: Gateway) -> Response:
    """An answer that a limit gave, not one that nobody could."""
    with gateway.client() as client:
        found: list[Response] = []

        def there() -> bool:
            found.append(send(client))
            return found[-1].status == 429

        wait_for(there, "a refusal", DEADLINE)
        return found[-1]


def calls(gateway: Gateway, outcome: str) -> float:
    return value(samples(gateway), "fastgate_store_calls_total", outcome=outcome)


def late(*running: Gateway) -> float:
    """Calls whose answers came too late, if any: they may have been counted."""
    return sum(calls(one, outcome) for one in running for outcome in ("late", "open", "lost"))


def test_two_gateways_count_together_and_exactly(redis: RedisServer) -> None:
    with gateways(2, snap(redis.settings(), limit("burst", 100))) as both:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda one=one: found.extend(statuses(one, 40)))  # type: ignore[misc]
            for one in both * 3
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 240
        passed, unknown = found.count(200), late(*both)
        # One comes back every 36 s. A call that was too late may have been counted.
        assert passed <= 101, found
        assert passed + unknown >= 100, (passed, unknown)
        assert set(found) <= ({200, 429, 503} if unknown else {200, 429})
        assert len(redis.ask("KEYS", "app:fastgate:limit:*")) == 1
        # Another address has a count of its own, at either.
        assert decided(both[0], 1, "192.0.2.2") == decided(both[1], 1, "192.0.2.2") == [200]


def test_what_the_client_is_told_after_a_wait(redis: RedisServer) -> None:
    with gateways(1, snap(redis.settings(), limit("burst", 3, legacy_headers=True))) as [gateway]:
        told: list[tuple[int, bytes, bytes]] = []
        with gateway.client() as client:
            while len(told) < 5:
                answer = send(client)
                if answer.status != 503:
                    told.append(
                        (answer.status, answer.get("ratelimit") or b"", answer.get("x-ratelimit-remaining") or b"")
                    )
            assert answer.get("ratelimit-policy") == b'"burst";q=3;w=3600'
            assert 1_100 <= int(answer.get("retry-after") or b"") <= 1_200
        found, fields, remaining = zip(*told, strict=True)
        lost = int(late(gateway))
        assert found[-1] == 429
        left = [int(one.split(b";")[1][2:]) for one in fields]
        assert left == sorted(left, reverse=True), "less each time"
        assert left[0] == 2 - min(lost, 2)
        assert left[-1] == 0
        assert [int(one) for one in remaining] == left


def test_several_limits_count_only_what_all_let_pass(redis: RedisServer) -> None:
    local = limit("here", 5, sync_ms=None, per=[{"header": "x-user"}], keys_per_address=100)
    narrow = limit("narrow", 2, per=[{"header": "x-user"}], keys_per_address=100)
    wide = limit("wide", 4, per=[], window="day", window_ms=24 * HOUR)
    with gateways(1, snap(redis.settings(), wide, local, narrow)) as [gateway]:

        def of(user: bytes, count: int) -> list[int]:
            return decided(gateway, count, "192.0.2.1", b"X-User: " + user)

        first = of(b"a", 20)
        lost = late(gateway)
        # What was too late may have been counted, by each of them.
        assert first.count(200) <= 2
        assert first.count(200) + lost >= 2
        second = of(b"b", 5)
        assert first.count(200) + second.count(200) + late(gateway) >= 4, (
            "what was refused was given back to the wide one"
        )
        assert second.count(200) <= 2
        third = of(b"c", 3)
        assert first.count(200) + second.count(200) + third.count(200) <= 4


def test_one_address_has_no_more_than_its_keys(redis: RedisServer) -> None:
    with gateways(2, snap(redis.settings(), limit("each", 2, per=[{"header": "x-user"}], keys_per_address=3))) as both:
        found = [decided(both[i % 2], 1, "192.0.2.1", b"X-User: %d" % i)[0] for i in range(12)]
        assert found.count(200) <= 6
        assert found.count(200) + late(*both) >= 6, "three keys' worth for one address, at both together"
        # Another address has six units of its own; what was too late may have taken one.
        with both[0].client() as client:
            others = [send(client, "192.0.2.9", b"X-User: %d" % i).status for i in range(20, 26)]
        assert 200 in others
        assert set(others) <= {200, 503}


def test_steps_and_dry_runs(redis: RedisServer) -> None:
    steps = limit("steps", 2, then=[{"delay": 20}, {"deny": HOUR}])
    with gateways(2, snap(redis.settings(), steps, limit("watch", 1, dry_run=True))) as both:
        found = [decided(both[i % 2], 1)[0] for i in range(8)]
        lost = late(*both)
        assert found == sorted(found), "refused from then on"
        assert 4 - lost <= found.count(200) <= 4
        shown = [samples(one) for one in both]

        def total(name: str, outcome: str) -> float:
            labels = {"limit": name, "scope": "routes/all", "outcome": outcome}
            return sum(value(one, "fastgate_limit_decisions_total", **labels) for one in shown)

        assert 2 - lost <= total("steps", "delayed") <= 2
        assert total("watch", "denied") == 0
        assert total("watch", "dry_run") >= 1
        assert 3_500 <= int(refusal(both[0]).get("retry-after") or b"0") <= 3_600


@pytest.mark.parametrize("window", ["day", "rolling"])
def test_quotas_outlive_gateways(redis: RedisServer, window: str) -> None:
    config = snap(redis.settings(), limit("quota", 3, window=window, window_ms=24 * HOUR))
    passed, lost = 0, 0.0
    for _ in range(4):
        with gateways(1, config) as [gateway]:
            passed += decided(gateway, 1).count(200)
            lost += late(gateway)
    assert 3 - lost <= passed <= 3


def test_a_reload_keeps_connection_and_counts(redis: RedisServer) -> None:
    def clients() -> int:
        return sum("name=fastgate " in line for line in redis.ask("CLIENT", "LIST"))

    with gateways(1, snap(redis.settings(), limit("burst", 4))) as [gateway]:
        assert decided(gateway, 1) == [200]
        before = clients()
        for count in (4, 4, 5):
            assert gateway.reload(snap(redis.settings(), limit("burst", count), limit("other", 9)))
        assert clients() == before, "the connections stay"
        found = decided(gateway, 6)
        assert found.count(200) <= 4
        assert found.count(200) + late(gateway) >= 3
        # Another prefix is another count, on connections of its own.
        assert gateway.reload(snap(redis.settings(prefix="other:"), limit("burst", 4)))
        asked(gateway)
        assert decided(gateway, 1) == [200]
        wait_for(lambda: clients() == before, "the old connections to be closed", DEADLINE)


def test_leases_keep_their_bound(redis: RedisServer) -> None:
    leased = limit("leased", 1_000, window_ms=1_000, burst=50, sync_ms=100)
    with gateways(2, snap(redis.settings(), leased)) as both:
        found: list[int] = []

        def run(gateway: Gateway) -> None:
            with gateway.client() as client:
                while time.monotonic() < begin + 1.0:
                    found.append(send(client).status)

        begin = time.monotonic()
        threads = [threading.Thread(target=run, args=(one,)) for one in both * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bound = 50 + 1_000 * (time.monotonic() - begin + 0.1)
        assert 50 <= found.count(200) <= bound, (found.count(200), bound)
        served = sum(value(samples(one), "fastgate_store_leased_total") for one in both)
        assert served > 0, "some requests cost no call"
        assert sum(calls(one, "answered") for one in both) < len(found)


@pytest.mark.parametrize(("how", "then"), [("local", [200, 200, 429]), ("allow", [200] * 3), ("deny", [503] * 3)])
def test_a_dead_store(redis: RedisServer, how: str, then: list[int]) -> None:
    config = snap(redis.settings(), limit("burst", 2, on_store_failure=how), workers=1)
    with gateways(1, config) as [gateway], gateway.client() as client:
        assert send(client, "192.0.2.8").status in (200, 503)
        redis.kill()
        unasked(gateway)
        before = {outcome: calls(gateway, outcome) for outcome in ("late", "lost")}
        answers = [send(client) for _ in then]
        assert [answer.status for answer in answers] == then
        # Nobody waited: no call was made.
        assert {outcome: calls(gateway, outcome) for outcome in before} == before
        if how == "deny":
            assert b"redis" not in answers[-1].body.lower()
            assert answers[-1].get("retry-after") == b"1"
        health = json.loads(ask(gateway, "admin", b"/healthz")[1])
        assert (health["status"], health["checks"]["store"]["limits"]["not_asked"]) == ("degraded", 1)
        assert any("on_store_failure" in reason for reason in health["reasons"])
        redis.start()
        asked(gateway)
        assert decided(gateway, 3, "192.0.2.7")[:2] == [200, 200] or late(gateway) > 0
        assert json.loads(ask(gateway, "admin", b"/healthz")[1])["checks"]["store"]["limits"]["not_asked"] == 0


def test_a_store_that_hangs_costs_a_few_requests_their_time(redis: RedisServer) -> None:
    config = snap(redis.settings(), limit("burst", 10**6, on_store_failure="allow"), workers=1)
    with gateways(1, config) as [gateway], gateway.client() as client:
        redis.pause()
        assert [send(client).status for _ in range(50)] == [200] * 50
        # Only those before the breaker opened have waited, five in a row at most.
        assert calls(gateway, "late") <= 5 + 1
        assert calls(gateway, "open") >= 44
        redis.resume()
        asked(gateway)


def test_a_store_that_comes_and_goes_in_mid_traffic(redis: RedisServer) -> None:
    config = snap(redis.settings(), limit("burst", 30, on_store_failure="deny"))
    with gateways(2, config) as both:
        over = threading.Event()
        found: list[int] = []

        def run(gateway: Gateway) -> None:
            with gateway.client() as client:
                while not over.is_set():
                    found.append(send(client).status)

        threads = [threading.Thread(target=run, args=(one,)) for one in both * 2]
        for thread in threads:
            thread.start()
        wait_for(lambda: found.count(429) >= 5, "the limit is reached", DEADLINE)
        for disturb, restore in ((redis.pause, redis.resume), (redis.kill, redis.start)):
            disturb()
            for one in both:
                unasked(one)
            restore()
            for one in both:
                asked(one)
            seen = len(found)
            wait_for(lambda seen=seen: 429 in found[seen:] or 200 in found[seen:], "decisions again", DEADLINE)  # type: ignore[misc]
        over.set()
        for thread in threads:
            thread.join()
        assert set(found) == {200, 429, 503}
        # The server was started twice, and the second time it knew nothing of the first.
        assert found.count(200) <= 2 * 31


LIES = [
    b"HTTP/1.1 400\r\n",
    b":1\r\n:2\r\n:3\r\n",
    b"*6\r\n:0\r\n:-1\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
    b"*2\r\n:1\r\n:1\r\n",
]


class Liar:
    """Greets, takes the script, answers probes, and each first call of a connection with a lie until none is left.

    The hub's connection has no script, and no answer.
    """

    def __init__(self, place: Path) -> None:
        self.left = [*LIES]
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(place))
        self.listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # the test has ended
            while True:
                conn, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        with conn, suppress(OSError):
            got = more = b""
            while b"unknown mode" not in got and (more := conn.recv(65_536)):
                got += more
            if b"unknown mode" not in got:
                return
            conn.sendall(b"%1\r\n+server\r\n+redis\r\n$40\r\n" + b"0" * 40 + b"\r\n")
            # A probe may stand right behind the script.
            got = got.rpartition(b"unknown mode")[2]
            while b"EVALSHA" not in got:
                conn.sendall(b"+PONG\r\n" * got.count(b"PING"))
                if not (got := conn.recv(65_536)):
                    return
            lie = self.left.pop(0) if self.left else b""
            conn.sendall(b"+PONG\r\n" * got.partition(b"EVALSHA")[0].count(b"PING") + lie)


def test_a_store_that_lies_decides_nothing(tmp_path: Path) -> None:
    place = tmp_path / "redis.sock"
    liar = Liar(place)
    store = {"url": f"unix:{place}", "username": None, "password": None, "cluster": False, "ca": None, "prefix": ""}
    with Gateway(snap(store, limit("burst", 1), workers=1)) as gateway, gateway.client() as client:
        found: list[int] = []

        def lied() -> bool:
            found.append(send(client).status)
            return not liar.left

        wait_for(lied, "every lie", DEADLINE)
        found += [send(client).status for _ in range(3)]
        assert set(found) == {503}, "a lie was believed"
        assert client.exchange(get(b"/free")).status == 204
    liar.listening.shutdown(socket.SHUT_RDWR)
    liar.listening.close()


def test_a_shared_limit_needs_a_store(redis: RedisServer) -> None:
    plain = snap(redis.settings(), limit("burst", 1))
    plain["realtime"]["redis"] = None
    status, said = refused(plain)
    assert status != 0
    assert "there is none" in said

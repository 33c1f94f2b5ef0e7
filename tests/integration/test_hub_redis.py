"""The hub over Redis with real sockets and a real server: several gateways, other publishers, servers that go."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from harness import Gateway
from harness.client import wait_for
from harness.redis import DEADLINE, RedisServer
from harness.scrape import ask, internal, samples, value
from harness.websocket import WebSocket, endpoint, hub, publishing

pytestmark = pytest.mark.usefixtures("engine")

ROOM = endpoint("rooms", "/r/{room}", "room:{room}", source="redis", publish=publishing())
QUIET = endpoint("quiet", "/q/{room}", "room:{room}", source="redis", publish=publishing(echo=False))


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A fresh server."""
    with RedisServer() as server:
        yield server


def through(server: RedisServer, private: bool = False, **changes: Any) -> dict[str, Any]:
    """A snapshot with the server as the broker."""
    return hub(ROOM, QUIET, realtime={"redis": server.settings(**changes)}, private_descriptors=private)


def subscribed(server: RedisServer, channel: str, connections: int) -> None:
    """Waits until so many gateways have subscribed a channel."""
    wait_for(lambda: server.subscribers(channel) == connections, f"{connections} subscribers of {channel}", DEADLINE)


def test_two_gateways_are_one_hub(redis: RedisServer) -> None:
    # One with a descriptor table a worker: the wake-ups of the broker's thread reach all the same.
    with Gateway(through(redis, private=True)) as one, Gateway(through(redis)) as two, ExitStack() as stack:
        here, there = (stack.enter_context(WebSocket(gateway.address, "/r/blue")) for gateway in (one, two))
        silent = stack.enter_context(WebSocket(one.address, "/q/blue"))
        subscribed(redis, "app:room:blue", 2)
        for n in range(200):
            (here, there)[n % 2].text(str(n))
        orders = [[member.message() for _ in range(200)] for member in (here, there, silent)]
        assert orders[0] == orders[1] == orders[2], "one order for all"
        assert sorted(map(int, orders[0])) == list(range(200)), "each once"
        # A sender without echo is left out where it stands, and nowhere else.
        silent.text('"mine"')
        assert [member.message() for member in (here, there)] == [b'"mine"'] * 2
        # Somebody who knows nothing of fastgate.
        redis.ask("PUBLISH", "app:room:blue", '"foreign"')
        assert [member.message() for member in (here, there, silent)] == [b'"foreign"'] * 3
    wait_for(lambda: redis.channels() == set(), "no subscription left", DEADLINE)


def test_subscriptions_are_those_of_the_channels_with_members(redis: RedisServer) -> None:
    dice = random.Random(5)
    with Gateway(through(redis)) as gateway, ExitStack() as stack:
        members: list[tuple[str, WebSocket]] = []
        for _ in range(400):
            if members and dice.random() < 0.45:
                members.pop(dice.randrange(len(members)))[1].client.close()
            else:
                room = f"r{dice.randrange(40)}"
                members.append((room, stack.enter_context(WebSocket(gateway.address, f"/r/{room}"))))
        expected = {f"app:room:{room}" for room in Counter(room for room, _ in members)}
        wait_for(lambda: redis.channels() == expected, "the channels with members", DEADLINE)
        redis.kill()
        for _, member in members[::2]:
            member.client.close()
        redis.start()
        expected = {f"app:room:{room}" for room, _ in members[1::2]}
        wait_for(lambda: redis.channels() == expected, "the channels with members", DEADLINE)


def test_local_delivery_goes_on_while_redis_is_gone(redis: RedisServer) -> None:
    with Gateway(through(redis)) as gateway, ExitStack() as stack:
        one, two = (stack.enter_context(WebSocket(gateway.address, "/r/a")) for _ in range(2))
        subscribed(redis, "app:room:a", 1)
        sent = 0
        for disturb, restore in ((redis.kill, redis.start), (redis.pause, redis.resume)):
            for cut in (True, False):
                for _ in range(100):
                    one.text(str(sent))
                    sent += 1
                if cut:
                    disturb()
            got = [[int(member.message()) for _ in range(200)] for member in (one, two)]
            assert got == [list(range(sent - 200, sent))] * 2, "each once, in order"
            restore()
            subscribed(redis, "app:room:a", 1)
        redis.ask("PUBLISH", "app:room:a", '"back"')
        assert [member.message() for member in (one, two)] == [b'"back"'] * 2


def test_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    ca, stranger = trustme.CA(), trustme.CA()
    cert = ca.issue_cert("localhost")
    chain, key, trusted, other = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem", "other.pem"))
    cert.cert_chain_pems[0].write_to_path(chain)
    cert.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(trusted)
    stranger.cert_pem.write_to_path(other)
    with RedisServer(tls=(chain, key)) as server:
        with (
            Gateway(through(server, ca=str(trusted))) as gateway,
            WebSocket(gateway.address, "/r/a") as member,
        ):
            subscribed(server, "app:room:a", 1)
            payload = "x" * 60_000
            for _ in range(20):
                member.text(f'"{payload}"')
                assert len(member.message()) == 60_002
            server.ask("PUBLISH", "app:room:a", '"foreign"')
            assert member.message() == b'"foreign"'
        with Gateway(through(server, ca=str(other))) as gateway, WebSocket(gateway.address, "/r/a") as member:
            wait_for(lambda: any("TLS failed" in line for line in gateway.err), "the line about TLS", DEADLINE)
            member.text('"here"')
            assert member.message() == b'"here"'
            assert server.channels() == set()


def test_health_and_metrics_say_how_redis_is(redis: RedisServer) -> None:
    snap = through(redis) | {"internal": [internal("admin"), internal("metrics")]}
    with Gateway(snap) as gateway:

        def is_up(up: int) -> bool:
            return bool(value(samples(gateway), "fastgate_realtime_broker_up") == up)

        wait_for(lambda: is_up(1), "Redis is connected", DEADLINE)
        assert ask(gateway, "admin", b"/readyz") == (200, b"ok\n")
        redis.kill()
        wait_for(lambda: is_up(0), "the end of Redis is seen", DEADLINE)
        status, text = ask(gateway, "admin", b"/readyz")
        assert (status, text.split(b":")[0]) == (200, b"degraded")
        health = json.loads(ask(gateway, "admin", b"/healthz")[1])
        assert (health["status"], health["checks"]["store"]["connected"]) == ("degraded", False)
        assert any(reason.startswith("store: Redis at ") for reason in health["reasons"]), health["reasons"]
        redis.start()
        wait_for(lambda: is_up(1), "Redis is connected again", DEADLINE)
        assert value(samples(gateway), "fastgate_realtime_broker_reconnects_total") == 1
        assert json.loads(ask(gateway, "admin", b"/healthz")[1])["checks"]["store"]["status"] == "ok"

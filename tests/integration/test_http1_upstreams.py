"""Where requests go: round robin, pools, IPv6, names and their TTLs."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import DnsServer, Gateway, Origin, snapshot
from harness.client import wait_for
from harness.gateway import listener, match, route, service
from harness.origin import hold, ok
from harness.requests import get

pytestmark = pytest.mark.usefixtures("engine")


def _named(name: bytes):  # type: ignore[no-untyped-def]
    return lambda connection, received: (connection.read_body(received), connection.send(ok(name)))


def test_round_robin() -> None:
    with ExitStack() as stack:
        origins = [stack.enter_context(Origin(_named(b"%d" % i))) for i in range(3)]
        gateway = stack.enter_context(Gateway(snapshot([o.url for o in origins], workers=1)))
        with gateway.client() as client:
            found = Counter(client.exchange(get()).body for _ in range(30))
    assert found == {b"0": 10, b"1": 10, b"2": 10}


def test_pool_reuses_connections(origin: Origin) -> None:
    with Gateway(snapshot(origin.url, workers=1)) as gateway:
        for i in range(20):
            with gateway.client() as client:  # client connections come and go, the upstream one stays
                assert client.exchange(get(b"/%d" % i)).status == 200
    assert len({r.connection for r in origin.requests}) == 1


def test_pool_idle_connections_are_closed(origin: Origin) -> None:
    services = [service("origin", origin.url, idle_ms=1000)]
    routes = [route("all", "origin", match(prefix="/"))]
    with Gateway(snapshot(services=services, routes=routes, workers=1)) as gateway, gateway.client() as client:
        assert client.exchange(get()).status == 200
        assert origin.connections[0].closed.wait(5), "an unused connection outlives its idle time"
        assert client.exchange(get()).status == 200


def test_max_per_target_is_a_bound(origin: Origin) -> None:
    go = threading.Event()
    origin.script = hold(go)
    services = [service("origin", origin.url, max_per_target=3)]
    routes = [route("all", "origin", match(prefix="/"))]
    with Gateway(snapshot(services=services, routes=routes)) as gateway:
        clients = [gateway.client() for _ in range(8)]
        for i, client in enumerate(clients):
            client.send(get(b"/%d" % i))
        origin.wait_heads(3)
        with gateway.client() as client:  # a round trip through each worker's loop, so that the rest had its chance
            client.send(get(b"/extra"))
            assert len(origin.connections) <= 3
            go.set()
            statuses = [c.final().status for c in (*clients, client)]
        for each in clients:
            each.close()
    assert statuses.count(200) >= 3
    assert set(statuses) <= {200, 503}, statuses
    assert len(origin.connections) <= 3


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 loopback here")
def test_ipv6_both_sides() -> None:
    with Origin(bind="[::1]:0") as origin:
        with Gateway(snapshot(origin.url, listeners=[listener(bind="[::1]:0")])) as gateway, gateway.client() as client:
            assert gateway.address.startswith("[::1]:")
            assert client.exchange(get(b"/six")).body == b"GET /six 0"
        assert origin.requests[0].get("x-forwarded-for") == b"::1"
        origin.check()


def test_name_from_hosts_file(origin: Origin) -> None:
    port = origin.address.rpartition(":")[2]
    with Gateway(snapshot(f"http://localhost:{port}")) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/named")).body == b"GET /named 0"


def test_unknown_name_is_502() -> None:
    with Gateway(snapshot("http://does-not-exist.invalid:80")) as gateway, gateway.client(timeout=15) as client:
        answer = client.exchange(get())
        assert answer.status in (502, 503, 504)
        assert b"invalid" not in answer.body, "no target's name in an answer"


# a DNS server of our own needs a resolv.conf of our own: a mount namespace, hence root


def _own_resolver(tmp_path: Path, address: str, extra: str = "") -> list[str]:
    """A command prefix under which /etc/resolv.conf names our server."""
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {address}\n{extra}options timeout:1 attempts:2\n")
    return ["unshare", "-m", "sh", "-c", f'mount --bind {conf} /etc/resolv.conf && exec "$@"', "sh"]


def _may_unshare() -> bool:
    new_mounts = 0x00020000
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(new_mounts) == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    """A DNS server on port 53 of a loopback address."""
    if os.geteuid() != 0 or not _may_unshare():
        pytest.skip("a resolver of our own needs root and mount namespaces")
    with DnsServer("127.53.0.53:53") as server:
        yield server


def test_name_from_dns_and_its_ttl(dns: DnsServer, tmp_path: Path) -> None:
    """A name is resolved again when its TTL is over, off the hot path, and new requests follow it."""
    with Origin(_named(b"one"), bind="127.0.0.1:0") as one:
        port = one.address.rpartition(":")[2]
        with Origin(_named(b"two"), bind=f"127.0.0.2:{port}"):
            dns.set("origin.test", "127.0.0.1", ttl=1)
            wrap = _own_resolver(tmp_path, "127.53.0.53")
            with Gateway(snapshot(f"http://origin.test:{port}", workers=1), wrap=wrap) as gateway:
                with gateway.client() as client:
                    assert client.exchange(get()).body == b"one"
                dns.set("origin.test", "127.0.0.2", ttl=1)

                def moved() -> bool:
                    one.drop_connections()
                    with gateway.client() as client:
                        return client.exchange(get()).body == b"two"

                wait_for(moved, "the new address", 15)


def test_name_keeps_working_while_dns_fails(dns: DnsServer, tmp_path: Path, origin: Origin) -> None:
    """A server that answers SERVFAIL or nothing later does not take the last good address away."""
    port = origin.address.rpartition(":")[2]
    dns.set("origin.test", "127.0.0.1", ttl=1)
    wrap = _own_resolver(tmp_path, "127.53.0.53")
    with Gateway(snapshot(f"http://origin.test:{port}", workers=1), wrap=wrap) as gateway, gateway.client() as client:
        assert client.exchange(get()).status == 200
        dns.set("origin.test", code=2)
        asked = dns.count("origin.test")
        dns.wait_queries("origin.test", asked + 1, 15)
        origin.drop_connections()
        assert client.exchange(get()).status == 200


def test_search_domains(dns: DnsServer, tmp_path: Path, origin: Origin) -> None:
    port = origin.address.rpartition(":")[2]
    dns.set("origin.corp.test", "127.0.0.1", ttl=60)
    wrap = _own_resolver(tmp_path, "127.53.0.53", "search corp.test\noptions ndots:1\n")
    with Gateway(snapshot(f"http://origin:{port}"), wrap=wrap) as gateway, gateway.client() as client:
        assert client.exchange(get()).status == 200


def test_several_addresses_one_dead(dns: DnsServer, tmp_path: Path, origin: Origin) -> None:
    """Of several addresses a dead one does not take the service down."""
    port = origin.address.rpartition(":")[2]
    dns.set("origin.test", "127.0.0.9", "127.0.0.1", ttl=60)
    wrap = _own_resolver(tmp_path, "127.53.0.53")
    with Gateway(snapshot(f"http://origin.test:{port}"), wrap=wrap) as gateway, gateway.client() as client:
        statuses = [client.exchange(get(b"/%d" % i)).status for i in range(10)]
    assert statuses == [200] * 10

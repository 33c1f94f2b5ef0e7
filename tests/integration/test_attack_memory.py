"""The published contract: what an attack makes the gateway hold, one row each; `rP` states what was found.

What a client sends never makes it hold more than ten times its bytes and 64 KiB a connection; tables, caches, pools and
answers of others have bounds of their own.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from harness import Gateway, Origin, OriginConnection, Received
from harness.client import Client
from harness.gateway import SMALL_PAGES
from harness.pki import Pki
from harness.product import put
from harness.requests import get
from harness.tls import REFUSED, ask, connected
from harness.tokens import ISSUER, Key, jwks

from fastgate import config
from fastgate.primitives import hash_password, make_api_key

pytestmark = pytest.mark.usefixtures("engine")

KIB, MIB = 1 << 10, 1 << 20
HUGE = 100 * MIB
FREE = {"failures": "1000000/s"}


@dataclass
class Scene:
    """What an attack is made with."""

    folder: Path
    origin: Origin
    stack: ExitStack
    gateway: Gateway = field(init=False)
    sent: int = 0
    clients: list[Client] = field(default_factory=list)

    def client(self) -> Client:
        one = self.stack.enter_context(self.gateway.client(timeout=60))
        self.clients.append(one)
        return one

    def send(self, data: bytes) -> Client:
        """On a connection of its own."""
        self.sent += len(data)
        return self.client().send(data)

    def all(self, wires: Iterator[bytes], *statuses: int) -> None:
        """Sends all of them on two connections, and each answer has one of these statuses."""
        clients = [self.client(), self.client()]
        for at, batch in enumerate(_batches(wires, 200)):
            data = b"".join(batch)
            self.sent += len(data)
            client = clients[at % 2].send(data)
            assert {client.read().status for _ in batch} <= set(statuses)

    def contract(self) -> int:
        return 10 * self.sent + 64 * KIB * len(self.clients)


def _batches(wires: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for wire in wires:
        batch.append(wire)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


Policies = Callable[[Scene], dict[str, Any]]


@dataclass(frozen=True)
class Attack:
    """One row: the policies of the route, what is done (`many` times), and how much the gateway may grow."""

    name: str
    policies: Policies
    run: Callable[[Scene, int], None]
    many: int
    bound: Callable[[Scene, int], int]


def nothing(_: Scene) -> dict[str, Any]:
    return {}


def contract(scene: Scene, _: int) -> int:
    return scene.contract()


def fixed(size: int) -> Callable[[Scene, int], int]:
    return lambda _scene, _many: size


def each(size: int, base: int = 2 * MIB) -> Callable[[Scene, int], int]:
    return lambda _scene, many: base + size * many


# heads and bodies


def slow_heads(scene: Scene, many: int) -> None:
    for _ in range(many):
        scene.send(b"GET / HTTP/1.1\r\nHost: example.test\r\nX-A: " + b"a" * 8_000)


def slow_bodies(scene: Scene, many: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: example.test\r\nContent-Length: 1000000\r\n\r\n"
    for _ in range(many):
        scene.send(head + b"a" * 16_000)
    scene.origin.wait_heads(many)


def tiny_chunks(scene: Scene, many: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(many):
        scene.send(head + b"1;a=b\r\nx\r\n" * 1_500)
    scene.origin.wait_heads(many)


# credentials


def by_token(scene: Scene) -> dict[str, Any]:
    (scene.folder / "keys.json").write_text(jwks(Key("a")))
    jwt = {"issuer": ISSUER, "audience": "any", "jwks": str(scene.folder / "keys.json")}
    return {"auth": {"any_of": [{"jwt": jwt}], **FREE}}


def forged_tokens(scene: Scene, many: int) -> None:
    head, body, _ = Key("a").token().split(".")

    def wires() -> Iterator[bytes]:
        for _ in range(many):
            tag = base64.urlsafe_b64encode(os.urandom(64)).rstrip(b"=").decode()
            yield get(b"/", f"Authorization: Bearer {head}.{body}.{tag}".encode())

    scene.all(wires(), 401)


def by_key(scene: Scene) -> dict[str, Any]:
    return {"auth": {"any_of": [{"api_key": {}}], **FREE}}


def wrong_keys(scene: Scene, many: int) -> None:
    scene.all((get(b"/", b"X-API-Key: " + make_api_key().encode()) for _ in range(many)), 401)


def wrong_keys_from_everywhere(scene: Scene, many: int) -> None:
    scene.all((get(b"/", b"X-API-Key: x", b"X-Forwarded-For: " + address(n)) for n in range(many)), 401)


def address(number: int) -> bytes:
    return b"10.%d.%d.%d" % (number >> 16 & 255, number >> 8 & 255, number & 255)


def by_password(scene: Scene) -> dict[str, Any]:
    put(scene.folder / "users", f"anna:{hash_password('secret')}\n")
    return {"auth": {"any_of": [{"basic": {"users_file": str(scene.folder / "users")}}], **FREE}}


def wrong_passwords(scene: Scene, many: int) -> None:
    clients = []
    for number in range(many):
        credential = base64.b64encode(b"user-%d:x" % number)
        clients.append(scene.send(get(b"/", b"Authorization: Basic " + credential)))
    assert {client.read().status for client in clients} <= {401, 503}


def argon(_: Scene, _many: int) -> int:
    """A pool of half the cores, 19 MiB each (RFC 9106), as the contract names it."""
    return 20 * MIB * max(1, (os.cpu_count() or 1) // 2) + 4 * MIB


# limits


def limited(_: Scene) -> dict[str, Any]:
    return {"limits": {"each": {"rate": "5/h", "per": "client_ip"}}}


def everywhere(scene: Scene, many: int) -> None:
    scene.all((get(b"/", b"X-Forwarded-For: " + address(n)) for n in range(many)), 200)


def by_header(_: Scene) -> dict[str, Any]:
    return {"limits": {"each": {"rate": "5/h", "per": "header:X-Who"}}}


def anybody(scene: Scene, many: int) -> None:
    scene.all((get(b"/", b"X-Who: %d" % n) for n in range(many)), 200, 429)


# answers of others


def flood(connection: OriginConnection, request: Received) -> None:
    connection.read_body(request)
    if request.target == b"/":
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % HUGE)
    for _ in range(HUGE // 65536):
        if connection.closed.is_set():
            return
        connection.send(b"a" * 65536)


def by_provider(scene: Scene) -> dict[str, Any]:
    scene.origin.script = flood
    jwt = {"issuer": ISSUER, "audience": "any", "jwks": f"{scene.origin.url}/keys"}
    return {"auth": {"any_of": [{"jwt": jwt}], **FREE}}


def by_endpoint(scene: Scene) -> dict[str, Any]:
    scene.origin.script = flood
    return {"auth": {"any_of": [{"introspection": {"url": f"{scene.origin.url}/introspect"}}], **FREE}}


def by_service(scene: Scene) -> dict[str, Any]:
    scene.origin.script = flood
    return {"auth": {"any_of": [{"ext_auth": {"url": f"{scene.origin.url}/check"}}], **FREE}}


def asked_about(scene: Scene, many: int) -> None:
    clients = [scene.send(get(b"/", b"Authorization: Bearer " + Key("a").token().encode())) for _ in range(many)]
    assert {client.read().status for client in clients} == {503}


# files


def by_list(scene: Scene) -> dict[str, Any]:
    put(scene.folder / "denied", "192.0.2.0/24\n")
    return {"ip": {"files": [str(scene.folder / "denied")]}}


def huge_list(scene: Scene, many: int) -> None:
    fresh = scene.folder / "fresh"
    if many == 1:
        fresh.write_text("192.0.2.0/25\n")
    else:
        with fresh.open("wb") as file:
            file.truncate(HUGE)
    fresh.replace(scene.folder / "denied")
    scene.gateway.wait_output("is larger than" if many > 1 else "has changed and is in use")
    assert scene.client().exchange(get(b"/")).status == 200


ATTACKS = [
    Attack("heads that never end", nothing, slow_heads, 300, contract),
    Attack("bodies that never end", nothing, slow_bodies, 150, contract),
    Attack("bodies in chunks of a byte", nothing, tiny_chunks, 50, contract),
    Attack("forged tokens", by_token, forged_tokens, 8_000, fixed(2 * MIB)),
    Attack("wrong keys", by_key, wrong_keys, 8_000, fixed(2 * MIB)),
    # 65,536 addresses are remembered.
    Attack("wrong keys from everywhere", by_key, wrong_keys_from_everywhere, 20_000, each(160)),
    Attack("wrong passwords", by_password, wrong_passwords, 50, argon),
    Attack("a limit asked from everywhere", limited, everywhere, 20_000, each(160)),
    Attack("a limit by a header of one client's", by_header, anybody, 20_000, fixed(3 * MIB)),
    Attack("an endless key set", by_provider, asked_about, 4, fixed(4 * MIB)),
    Attack("an endless introspection", by_endpoint, asked_about, 20, each(160 * KIB)),
    Attack("an endless ext_auth", by_service, asked_about, 20, each(160 * KIB)),
    Attack("an address list of 100 MiB", by_list, huge_list, 2, fixed(1 * MIB)),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "_"))
def test_an_attack_makes_it_hold_no_more_than_its_bound(attack: Attack, tmp_path: Path) -> None:
    with ExitStack() as stack:
        origin = stack.enter_context(Origin(keep=False))
        scene = Scene(tmp_path, origin, stack)
        route = {"match": {"prefix": "/"}, "to": origin.url, "policies": attack.policies(scene)}
        if attack.run in (everywhere, anybody, huge_list):
            route |= {"respond": {"status": 200}}
            del route["to"]
        mapping = {
            "listeners": {"public": {"bind": "127.0.0.1:0", "trusted_proxies": ["127.0.0.0/8"]}},
            "admin": False,
            "metrics": False,
            "workers": 2,
            "routes": {"app": route},
        }
        data = config.compile(config.from_mapping(mapping), secrets=True).data
        scene.gateway = stack.enter_context(Gateway(json.loads(data), wrap=SMALL_PAGES))
        # The way has been gone before: what its code and its first use take is not what an attack holds.
        attack.run(scene, 1)
        scene.sent = 0
        scene.clients.clear()
        before = scene.gateway.watch()
        attack.run(scene, attack.many)
        if attack.bound is contract:  # everything before it on each worker has been taken in
            for _ in range(4):
                with scene.gateway.client() as client:
                    assert client.exchange(get(b"/")).status == 200
        grown, bound = scene.gateway.peak() - before, attack.bound(scene, attack.many)
        print(f"{attack.name}: {grown / MIB:.1f} MiB of {bound / MIB:.1f} MiB, for {scene.sent / MIB:.1f} MiB sent")
        assert grown <= bound


def test_a_revocation_list_of_100_mib_is_not_read(tmp_path: Path) -> None:
    """T3: what is too large is refused by its size, and what was there stays in use."""
    pki = Pki(tmp_path)
    client, leaf = pki.client("alice.example")
    other, _ = pki.client("bob.example")
    auth = {"ca": pki.ca_file, "crl": pki.revoke(leaf), "mode": "required"}
    tls = {"certificates": [pki.server("a", "localhost")], "client_auth": auth}
    mapping = {
        "listeners": {"public": {"bind": "127.0.0.1:0", "tls": tls}},
        "admin": False,
        "metrics": False,
        "routes": {"app": {"match": {"prefix": "/"}, "respond": {"status": 200}}},
    }
    data = config.compile(config.from_mapping(mapping), secrets=True).data
    with Gateway(json.loads(data), wrap=SMALL_PAGES) as gateway:

        def enters(shown: str) -> bool:
            try:
                with connected(gateway.address, pki.context(client=shown)) as sock:
                    return ask(sock).status == 200
            except REFUSED:
                return False

        assert (enters(client), enters(other)) == (False, True)
        before = gateway.watch()
        with (tmp_path / "fresh").open("wb") as file:
            file.truncate(HUGE)
        (tmp_path / "fresh").replace(auth["crl"])
        gateway.wait_output("is larger than")
        assert (enters(client), enters(other)) == (False, True)
        assert gateway.peak() - before < 1 * MIB

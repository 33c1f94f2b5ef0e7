"""Revoked tokens: what one gateway is told, every gateway that shares the store refuses, also one that comes later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.client import Client, wait_for
from harness.product import DEADLINE, Product, shell
from harness.redis import RedisServer
from harness.requests import get

CONFIG = """
listeners:
  public: {{bind: "127.0.0.1:0"}}
admin: {{bind: "127.0.0.1:0"}}
metrics: {{bind: "127.0.0.1:0"}}
store: {{url: "unix:{socket}"}}
routes:
  orders:
    match: {{prefix: /}}
    respond: {{status: 204}}
    policies:
      auth:
        any_of:
          - jwt: {{issuer: "http://127.0.0.1:9400/", audience: dev, jwks: {keys}, revocation: store}}
"""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A fresh server."""
    with RedisServer() as server:
        yield server


class House:
    """Gateways of one store, and tokens that they take."""

    def __init__(self, redis: RedisServer, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack, self.count = folder, stack, 0
        keys = shell("token", "--print-jwks", folder=folder)
        assert keys.returncode == 0, keys.stderr
        (folder / "keys.json").write_text(keys.stdout)
        self.config = CONFIG.format(socket=redis.socket, keys=folder / "keys.json")

    def token(self, *words: str) -> bytes:
        made = shell("token", *words, folder=self.folder)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip().encode()

    def gateway(self) -> Product:
        self.count += 1
        own = self.folder / str(self.count)
        own.mkdir()
        (own / "fastgate.yaml").write_text(self.config)
        return self.stack.enter_context(Product(folder=own))


def status(gateway: Product, token: bytes) -> int:
    with Client(gateway.address()) as client:
        return client.exchange(get(b"/", b"Authorization: Bearer " + token)).status


def becomes(gateway: Product, token: bytes, wanted: int) -> None:
    wait_for(lambda: status(gateway, token) == wanted, f"{wanted} for the token", DEADLINE)


def revoke(gateway: Product, what: str) -> None:
    told = gateway.tell("token", "--revoke", what, "--expires", "1h")
    assert told.returncode == 0, told.stderr


def test_every_gateway_refuses_what_one_was_told(redis: RedisServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        house = House(redis, tmp_path, stack)
        one, two, other = (house.token("--sub", sub, "--claim", f"jti={sub}-1") for sub in ("one", "two", "other"))
        first, second = house.gateway(), house.gateway()
        for gateway in (first, second):
            for token in (one, two, other):
                becomes(gateway, token, 204)
        revoke(first, "jti=one-1")
        assert status(first, one) == 401, "at once where it was told"
        becomes(second, one, 401)
        # The store is gone: what is revoked holds here, and there once it is back, with nothing in it.
        redis.kill()
        revoke(second, "sub=two")
        assert (status(second, one), status(second, two), status(second, other)) == (401, 401, 204)
        assert (status(first, one), status(first, other)) == (401, 204), "what was known stays"
        # One that has never read what was revoked takes no token.
        third = house.gateway()
        assert status(third, other) == 503
        redis.start()
        becomes(first, two, 401)
        becomes(third, other, 204)
        for gateway in (first, second, third):
            becomes(gateway, one, 401)
            becomes(gateway, two, 401)
            assert status(gateway, other) == 204
        # It outlives them.
        for gateway in (first, second, third):
            gateway.close()
        later = house.gateway()
        becomes(later, other, 204)
        assert (status(later, one), status(later, two)) == (401, 401)

"""Tokens and keys that end while requests run: revocation, rotation, providers that fall silent; two workers each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from harness import Gateway, Origin
from harness.client import Client, wait_for
from harness.origin import echo
from harness.product import Product, put
from harness.requests import get
from harness.tokens import ISSUER, Key, Provider, bearer, guarded, jwks

pytestmark = pytest.mark.usefixtures("engine")

MANY = 6


@dataclass
class Load:
    """Clients that show one token again and again, each on a connection of its own, so that both workers serve some."""

    address: str
    wire: bytes
    told: list[list[tuple[float, int]]] = field(default_factory=list)
    """For each client, when it asked and what it was told."""

    def __enter__(self) -> Load:
        self._end = threading.Event()
        self._warm = threading.Barrier(MANY + 1)
        self._threads = [threading.Thread(target=self._run) for _ in range(MANY)]
        for thread in self._threads:
            thread.start()
        self._warm.wait(20)
        return self

    def _run(self) -> None:
        told: list[tuple[float, int]] = []
        self.told.append(told)
        with Client(self.address, timeout=30) as client:
            while not self._end.is_set():
                begin = time.monotonic()
                told.append((begin, client.exchange(self.wire).status))
                if len(told) == 20:
                    self._warm.wait(20)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait_more(self, count: int = 20) -> None:
        """Until each client has asked so many times more."""
        marks = [len(told) + count for told in self.told]
        until = time.monotonic() + 40
        while any(len(told) < mark for told, mark in zip(self.told, marks, strict=True)):
            assert time.monotonic() < until
            self._end.wait(0.002)  # they count; nobody rings

    def statuses(self, after: float = 0.0, before: float = float("inf")) -> set[int]:
        """What was told to requests that began between."""
        return {status for told in self.told for begin, status in told if after < begin < before}

    def never_again(self) -> bool:
        """Whether nobody who was refused was let in later."""
        all_told = [[status for _, status in told] for told in self.told]
        return all(told == sorted(told) for told in all_told)


def test_a_key_that_leaves_its_file_opens_nothing_any_more(origin: Origin, tmp_path: Path) -> None:
    """Rotation under load: both keys, then the new one alone."""
    old, new = Key("old"), Key("new")
    file = tmp_path / "keys.json"
    put(file, jwks(old))
    with Gateway(guarded(origin, {"file": str(file)})) as gateway, Load(gateway.address, bearer(old.token())) as before:
        start = time.monotonic()
        put(file, jwks(old, new))
        gateway.wait_output("a file has changed and is in use")
        with Load(gateway.address, bearer(new.token())) as after:
            before.wait_more()
            assert before.statuses(start) == {200}, "a second key takes nothing away"
            seen = len([line for line in gateway.err if "has changed and is in use" in line])
            put(file, jwks(new))
            gateway._await(
                lambda: len([line for line in gateway.err if "has changed and is in use" in line]) > seen, "the swap"
            )
            swapped = time.monotonic()
            before.wait_more()
            after.wait_more()
        assert after.statuses() == {200}
    assert before.statuses(after=swapped) == {401}, "no request that began after the swap"
    assert before.statuses() == {200, 401}, "and no fault on the way"
    assert before.never_again()


def test_a_key_that_leaves_its_provider_opens_nothing_any_more(origin: Origin, provider: Provider) -> None:
    """The same where keys are fetched: what brings the new set is a token that names a key nobody knows yet."""
    old, kept, new = Key("old"), Key("kept"), Key("new")
    provider.keys = jwks(old, kept)
    with (
        Gateway(guarded(origin, {"url": provider.url})) as gateway,
        gateway.client(timeout=30) as client,
        Load(gateway.address, bearer(old.token())) as before,
        Load(gateway.address, bearer(kept.token())) as others,
    ):
        provider.keys = jwks(kept, new)
        # It is waited for, ten seconds at most: as long as nobody asks the provider again.
        wait_for(lambda: client.exchange(bearer(new.token())).status == 200, "the fresh key", timeout=30)
        swapped = time.monotonic()
        others.wait_more()
        # Its key is unknown now, and might be a fresh one: each is told after the next fetch.
        before.wait_more(1)
        assert provider.asked in (2, 3)
    assert before.statuses(after=swapped) == {401}
    assert before.statuses() == {200, 401}
    assert before.never_again()
    assert others.statuses() == {200}, "whose key stays notices nothing"


def test_j8_a_provider_that_falls_silent_holds_up_nobody_who_is_known(origin: Origin, provider: Provider) -> None:
    """J8: empty sets, failures and silence keep the keys that are there; two workers ask once in ten seconds."""
    known = Key("known")
    provider.keys = jwks(known)
    with Gateway(guarded(origin, {"url": provider.url})) as gateway, gateway.client(timeout=30) as client:
        assert client.exchange(bearer(known.token())).status == 200
        begin, asked = time.monotonic(), provider.asked
        provider.answers.clear()
        waiting = [gateway.client(timeout=30) for _ in range(2 * MANY)]
        for number, one in enumerate(waiting):
            one.send(bearer(known.token({"kid": f"unknown-{number}"})))
        with Load(gateway.address, bearer(known.token())) as load:
            load.wait_more(50)
            assert load.statuses() == {200}
            # Half of them leave, the others are told in the end, and it is no fault of the gateway.
            for one in waiting[::2]:
                one.close()
            assert {one.read().status for one in waiting[1::2]} == {401}
            load.wait_more()
            assert load.statuses() == {200}
        for one in waiting[1::2]:
            one.close()
        assert provider.asked - asked <= 1 + (time.monotonic() - begin) / 10


def test_j8_without_any_keys_it_is_503_and_good_as_soon_as_there_are_some(origin: Origin, provider: Provider) -> None:
    """J8: a provider that says too much, and nothing of use, is asked again, once for all who wait."""
    key = Key("a")
    provider.keys = '{"keys":["' + "A" * 300_000 + '"]}'
    with Gateway(guarded(origin, {"url": provider.url})) as gateway:
        clients = [gateway.client(timeout=30) for _ in range(MANY)]
        answers = [client.exchange(bearer(key.token())) for client in clients[:1]]
        assert [(answer.status, answer.get("retry-after")) for answer in answers] == [(503, b"1")]
        gateway.wait_output("the answer is larger than it may be")
        provider.keys = jwks(key)
        for client in clients:
            client.send(bearer(key.token()))
        assert {client.read().status for client in clients} <= {200, 503}
        assert clients[0].exchange(bearer(key.token())).status == 200
        assert provider.asked <= 3
        for client in clients:
            client.close()
    assert not any("AAAA" in line for line in gateway.out + gateway.err)


def test_j4_what_a_header_points_to_is_never_asked(origin: Origin, provider: Provider) -> None:
    """J4: a key of the token's own, by address or by value."""
    key, mine = Key("a"), Key("mine")
    provider.keys = jwks(mine)
    headers: list[dict[str, Any]] = [
        {"kid": "mine", "jku": provider.url},
        {"kid": "mine", "x5u": provider.url},
        {"kid": "mine", "jwk": mine.jwk()},
        {"kid": "a", "jwk": mine.jwk(), "jku": provider.url},
        {"kid": provider.url},
    ]
    with Gateway(guarded(origin, {"inline": jwks(key)})) as gateway, gateway.client() as client:
        for header in headers:
            assert client.exchange(bearer(mine.token(header))).status == 401, header
            assert client.exchange(bearer(key.token())).status == 200
    assert provider.asked == 0
    assert len(origin.requests) == len(headers)


REVOKING = """
listeners:
  public: {{bind: "127.0.0.1:0"}}
admin: false
metrics: false
workers: 2
routes:
  app:
    match: {{prefix: /}}
    to: {url}
    policies:
      auth:
        any_of:
          - jwt: {{issuer: "{issuer}", audience: projects, jwks: keys.json, revocation: process}}
        failures: 100000/s
  lax:
    match: {{prefix: /lax}}
    to: {url}
    policies:
      auth:
        any_of:
          - jwt: {{issuer: "{issuer}", audience: projects, jwks: keys.json}}
        failures: 100000/s
"""


def test_a_revoked_token_opens_nothing_from_the_moment_it_is_said(origin: Origin, tmp_path: Path) -> None:
    """By the command line, on both workers, for tokens that are known already; by `jti` and by `sub`."""
    origin.script = echo
    key = Key("a")
    (tmp_path / "keys.json").write_text(jwks(key))
    (tmp_path / "fastgate.yaml").write_text(REVOKING.format(url=origin.url, issuer=ISSUER))
    one, other = key.token(jti="1", sub="ada"), key.token(jti="2", sub="ada")
    eve = key.token(jti="3", sub="eve")
    with Product("fastgate.yaml", folder=tmp_path) as product:
        address = product.address()
        with (
            Load(address, bearer(one)) as first,
            Load(address, bearer(other)) as second,
            Load(address, bearer(eve)) as third,
        ):
            said = product.tell("token", "--revoke", "jti=1", "--expires", "1h")
            assert said.returncode == 0, said.stderr
            revoked = time.monotonic()
            for load in (first, second, third):
                load.wait_more()
            assert first.statuses(after=revoked) == {401}
            assert second.statuses() == third.statuses() == {200}
            said = product.tell("token", "--revoke", "sub=ada", "--expires", "1h")
            assert said.returncode == 0, said.stderr
            assert "2 revocations" in said.stdout
            ended = time.monotonic()
            for load in (first, second, third):
                load.wait_more()
        assert second.statuses(after=ended) == {401}
        assert third.statuses() == {200}
        assert first.never_again()
        assert second.never_again()

        def status(token: str, path: bytes = b"/") -> int:
            with Client(address) as client:
                return client.exchange(get(path, b"Authorization: Bearer " + token.encode())).status

        assert status(one, b"/lax") == 200, "where nobody asked for it, nothing is revoked"
        # What is issued to the subject after that is good, and a reload forgets nothing.
        later = int(time.time()) + 2
        assert status(key.token(jti="4", sub="ada", iat=later)) == 200
        assert product.tell("reload").returncode == 0
        assert [status(token) for token in (one, other, eve)] == [401, 401, 200]
        # What says nothing, or too much, is refused by name.
        for wrong in ("jti=", "kid=1", "ada"):
            assert product.tell("token", "--revoke", wrong).returncode != 0
        too_long = product.ask("revoke", jti="x" * 1025, seconds=60)
        assert "error" in too_long
        assert status(eve) == 200
    assert "jti=1" not in "\n".join(product.said)

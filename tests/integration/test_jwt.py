"""JSON Web Tokens before an origin: classes J1 to J8 on real sockets, keys that change, what the target is told."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt as pyjwt
import pytest
from harness import Client, Gateway, Origin, Response, snapshot
from harness.client import wait_for
from harness.requests import get
from harness.tokens import ISSUER, Key, Provider, bearer, guarded, jwks, policy

pytestmark = pytest.mark.usefixtures("engine")


def is_refused(answer: Response, error: bool = True) -> bool:
    """401 that says what is wanted, and nothing about why."""
    wanted = b'Bearer error="invalid_token"' if error else b"Bearer"
    silent = b"expired" not in answer.body and b"signature" not in answer.body and b"kid" not in answer.body
    return answer.status == 401 and answer.get("www-authenticate") == wanted and answer.from_gateway and silent


def test_who_is_asking_reaches_the_target(origin: Origin) -> None:
    key = Key("a")
    with Gateway(guarded(origin, {"inline": jwks(key)})) as gateway, gateway.client() as client:
        assert is_refused(client.exchange(get()), error=False)
        for _ in range(3):
            token = key.token(sub="me", realm={"roles": ["editor", "viewer"]})
            forged = (b"X-User: admin", b"X-Roles: admin", b"x_user: admin")
            for _ in range(2):
                assert client.exchange(bearer(token, *forged)).status == 200
        for one in origin.requests:
            assert one.get("x-user") == b"me"
            assert one.get("x-roles") == b"editor,viewer"
            assert not any(b"admin" in value for _, value in one.fields)
        # H5: what cannot be written leaves no header, and a client's own does not take its place.
        assert client.exchange(bearer(key.token(sub="a\r\nX-Admin: 1"), b"X-User: admin")).status == 200
        assert origin.requests[-1].get("x-user") is None
        assert not any(b"dmin" in name or b"dmin" in value for name, value in origin.requests[-1].fields)
        assert is_refused(client.exchange(get(b"/", b"Authorization: Bearer")))
        assert is_refused(client.exchange(get(b"/", b"Authorization: Bearer a", b"Authorization: Bearer b")))
    assert len(origin.requests) == 7


def test_j1_to_j7_are_refused_and_a_canary_passes(origin: Origin) -> None:
    key, other = Key("a"), Key("a")
    now = int(time.time())
    good = key.token()
    head, content, tag = good.split(".")
    secret = key.private.public_key().public_numbers().x.to_bytes(32)
    bad = [
        # J1, J2
        pyjwt.encode({"sub": "me"}, None, algorithm="none"),
        f"{head}.{content}.",
        pyjwt.encode({"iss": ISSUER, "aud": "projects", "exp": now + 60}, secret, "HS256", {"kid": "a"}),
        # J3, J4
        other.token(),
        key.token({"kid": "../../dev/null"}),
        key.token({"kid": "' OR 1=1"}),
        key.token({"kid": "b"}),
        other.token({"jwk": other.jwk()}),
        other.token({"jku": "http://127.0.0.1:1/keys"}),
        # J5
        key.token({"crit": ["x"], "x": 1}),
        key.token({"typ": "JWE"}),
        key.token({"b64": False, "crit": ["b64"]}),
        f"{good}.a.b",
        # J6
        key.token(exp=str(now + 60)),
        key.token(exp=True),
        key.token(exp=-1),
        key.token(exp=now - 1),
        key.token(exp=None),
        key.token(nbf=now + 60),
        key.token(nbf="0"),
        key.token(iss="https://id.example.com"),
        key.token(iss=None),
        key.token(aud="other"),
        key.token(aud=["x"]),
        key.token(aud=None),
        # J7
        f"{good}=",
        f"{head}.{content}=.{tag}",
        good.replace(".", ". ", 1),
        "a.b.c",
    ]
    with Gateway(guarded(origin, {"inline": jwks(key)})) as gateway, gateway.client() as client:
        for number, token in enumerate(bad):
            assert client.exchange(bearer(good)).status == 200, number
            for _ in range(2):
                assert is_refused(client.exchange(bearer(token))), (number, token)
            assert client.exchange(bearer(key.token(aud=["x", "projects"], exp=now + 60.5))).status == 200, number
        assert client.exchange(bearer("a" * 17_000)).status == 401
    assert len(origin.requests) == 2 * len(bad)


def test_a_token_ends_while_it_is_remembered(origin: Origin) -> None:
    key = Key("a")
    with Gateway(guarded(origin, {"inline": jwks(key)})) as gateway, gateway.client() as client:
        token = key.token(exp=time.time() + 2.5)
        assert client.exchange(bearer(token)).status == 200
        wait_for(lambda: client.exchange(bearer(token)).status == 401, "the end of the token")
        assert is_refused(client.exchange(bearer(token)))


def test_keys_of_a_file_rotate_and_known_tokens_with_them(origin: Origin, tmp_path: Path) -> None:
    old, new = Key("old"), Key("new")
    file = tmp_path / "keys.json"
    file.write_text(jwks(old))
    with Gateway(guarded(origin, {"file": str(file)})) as gateway, gateway.client() as client:
        before, after = old.token(), new.token()
        assert client.exchange(bearer(before)).status == 200
        assert is_refused(client.exchange(bearer(after)))
        file.write_text(jwks(old, new))
        wait_for(lambda: client.exchange(bearer(after)).status == 200, "the new key")
        assert client.exchange(bearer(before)).status == 200
        # A file that is no key set any more changes nothing.
        file.write_text("{")
        gateway.wait_output("refused")
        assert client.exchange(bearer(after)).status == 200
        file.write_text(jwks(new))
        wait_for(lambda: client.exchange(bearer(before)).status == 401, "the old key to be gone")
        assert client.exchange(bearer(after)).status == 200


def test_the_same_token_under_two_policies_is_judged_by_each(origin: Origin) -> None:
    key = Key("a")
    from harness.gateway import match, route

    routes = [
        route("one", "origin", match(prefix="/one"), policies=0),
        route("two", "origin", match(prefix="/two"), policies=1),
    ]
    plain = snapshot(origin.url, routes=routes, workers=1)
    keys = {"inline": jwks(key)}
    two = {"audience": ["others"], "headers": {"x-other": "sub"}}
    plain["policies"] = [{"auth": policy(keys)}, {"auth": policy(keys, **two)}]
    token = key.token(aud=["projects"]).encode()
    both = key.token(aud=["projects", "others"]).encode()
    with Gateway(plain) as gateway, gateway.client() as client:
        for _ in range(2):
            assert client.exchange(get(b"/one", b"Authorization: Bearer " + token)).status == 200
            assert client.exchange(get(b"/two", b"Authorization: Bearer " + token)).status == 401
            assert client.exchange(get(b"/one", b"Authorization: Bearer " + both)).status == 200
            assert origin.requests[-1].get("x-user") == b"me"
            assert client.exchange(get(b"/two", b"Authorization: Bearer " + both)).status == 200
            assert origin.requests[-1].get("x-other") == b"me"
            assert origin.requests[-1].get("x-user") is None


def test_other_places(origin: Origin) -> None:
    key = Key("a")
    places = {"header": "x-token", "cookie": "session", "query": "access_token"}
    with Gateway(guarded(origin, {"inline": jwks(key)}, token=places)) as gateway, gateway.client() as client:
        token = key.token().encode()
        assert client.exchange(get(b"/", b"X-Token: " + token)).status == 200
        assert client.exchange(get(b"/", b"Cookie: a=b; session=" + token)).status == 200
        assert client.exchange(get(b"/?a=1&access_token=" + token)).status == 200
        assert client.exchange(get(b"/", b"Authorization: Bearer " + token)).status == 401
        assert client.exchange(get(b"/?access_token=" + token, b"X-Token: " + token)).status == 401


def test_j8_a_flood_of_unknown_kids_asks_the_provider_once(origin: Origin, provider: Provider) -> None:
    known, fresh = Key("known"), Key("fresh")
    provider.keys = jwks(known)
    with Gateway(guarded(origin, {"url": provider.url})) as gateway, gateway.client(timeout=30) as client:
        good = known.token()
        assert client.exchange(bearer(good)).status == 200, "the first request waits for the first fetch"
        asked = provider.asked
        provider.keys = jwks(known, fresh)
        begin = time.monotonic()
        waiting: list[Client] = []
        for number in range(80):
            one = gateway.client(timeout=30)
            one.send(bearer(known.token({"kid": f"random-{number}"})))
            waiting.append(one)
            assert client.exchange(bearer(good)).status == 200, "valid users are not held up"
        late = gateway.client(timeout=30)
        late.send(bearer(fresh.token()))
        answers = [one.read().status for one in waiting]
        assert answers == [401] * len(waiting)
        late.read()
        assert client.exchange(bearer(fresh.token())).status == 200, "the fetch brought the fresh key"
        elapsed = time.monotonic() - begin
        assert provider.asked - asked <= 1 + elapsed / 10
        # The provider is down: its keys stay.
        provider.keys = None
        assert client.exchange(bearer(good)).status == 200
        for one in [*waiting, late]:
            one.close()


def test_wrong_policies_are_refused_at_load(origin: Origin, tmp_path: Path) -> None:
    from harness.gateway import refused

    key = {"inline": jwks(Key("a"))}
    for keys, changes, why in [
        ({"inline": "{}"}, {}, "kty is missing"),
        ({"inline": json.dumps({"kty": "oct", "k": "AAAA"})}, {}, "24 bits"),
        ({"file": str(tmp_path / "none")}, {}, "cannot be read"),
        (key, {"algorithms": ["none"]}, "none is not a known algorithm"),
        (key, {"algorithms": ["RS256"]}, "no key is for any of these"),
        ({"url": "http://id.example.com/keys"}, {}, "https://"),
    ]:
        status, told = refused(guarded(origin, keys, **changes))
        assert status != 0
        assert why in told, told
        assert "AAAA" not in told

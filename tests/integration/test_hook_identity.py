"""Who is asking, in Python hooks before real requests: a token, a key, nobody, and routes that do not ask."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

from fastgate import Gateway, Identity, Request, Response
from fastgate.primitives import make_api_key
from fastgate.testing import Served, serve

SECRET = "0123456789abcdef0123456789abcdef"
ISSUER = "https://id.example.com/"
KEY = make_api_key()
PARTS = ["method", "subject", "consumer", "key", "tenant", "roles", "groups", "scopes", "is_anonymous"]


def token(**claims: Any) -> str:
    now = int(time.time())
    return pyjwt.encode({"iss": ISSUER, "aud": "app", "exp": now + 600, "iat": now} | claims, SECRET)


def config() -> dict[str, Any]:
    jwt = {
        "issuer": ISSUER,
        "audience": "app",
        "keys": [{"secret": "env:HOOK_SECRET"}],
        "roles_from": "realm.roles",
        "scopes_from": "scope",
        "consumer_from": "client",
    }
    auth = {"any_of": [{"jwt": jwt}, {"api_key": {"header": "X-API-Key"}}], "anonymous": "guest"}
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    tenant = {"header": "X-Tenant", "trusted_from": ["127.0.0.0/8"]}
    answer = {"status": 200, "body": "nobody asked\n"}
    return {
        "routes": {
            "guarded": {"match": {"prefix": "/guarded"}, "respond": answer, "policies": {"auth": auth}},
            "tenants": {"match": {"prefix": "/tenants"}, "respond": answer, "policies": {"tenant": tenant}},
            "open": {"match": {"prefix": "/"}, "respond": answer},
        },
        "consumers": {
            "acme": {
                "groups": ["partners"],
                "roles": ["editor"],
                "tenant": "acme-gmbh",
                "api_keys": {"acme-1": {"hash": f"sha256:{digest}", "scopes": ["read", "write"]}},
            },
            "guest": {"groups": ["visitors"]},
        },
    }


Serve = Callable[[Callable[[Request], Response | None]], Served]


@pytest.fixture
def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """`hooked(hook)` runs a gateway whose every route has that hook."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    file = tmp_path / "fastgate.yaml"
    file.write_text(json.dumps(config()), encoding="utf-8")
    with ExitStack() as stack:

        def start(hook: Callable[[Request], Response | None]) -> Served:
            gateway = Gateway.from_file(file)
            gateway.on_request(hook)
            return stack.enter_context(serve(gateway))

        yield start


def ask(served: Served, path: str = "/guarded", **headers: str) -> tuple[int, Any]:
    """One request: status and content, as JSON where it is."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        is_json = "json" in (answer.headers["content-type"] or "")
        return answer.status, json.loads(content) if is_json else content.decode()
    finally:
        connection.close()


def tell(request: Request) -> Response:
    """Answers with all that the request says of who is asking."""
    identity, claims = request.identity, dict(request.claims)
    seen = identity and {name: getattr(identity, name) for name in PARTS}
    return Response.json({"identity": seen, "claims": claims, "tenant": request.tenant})


def bearer(**claims: Any) -> str:
    return f"Bearer {token(**claims)}"


def test_a_token_s_identity_and_claims(hooked: Serve) -> None:
    served = hooked(tell)
    claims = {"sub": "müller", "client": "acme", "realm": {"roles": ["viewer"]}, "scope": "read write", "level": 7}
    for _ in range(2):  # verified, then remembered
        status, seen = ask(served, Authorization=bearer(**claims))
        assert status == 200
        assert seen["claims"].items() >= claims.items()
        assert seen["claims"]["iss"] == ISSUER
        assert seen["tenant"] == "acme-gmbh"
        identity = seen["identity"]
        assert sorted(identity.pop("roles")) == ["editor", "viewer"]
        assert identity == {
            "method": "jwt",
            "subject": "müller",
            "consumer": "acme",
            "key": None,
            "tenant": "acme-gmbh",
            "groups": ["partners"],
            "scopes": ["read", "write"],
            "is_anonymous": False,
        }


def test_a_key_s_identity(hooked: Serve) -> None:
    status, seen = ask(hooked(tell), X_API_Key=KEY)
    assert (status, seen["claims"], seen["tenant"]) == (200, {}, "acme-gmbh")
    assert seen["identity"]["method"] == "api_key"
    assert [seen["identity"][name] for name in ("consumer", "key")] == ["acme", "acme-1"]
    assert [seen["identity"][name] for name in ("roles", "groups")] == [["editor"], ["partners"]]
    assert sorted(seen["identity"]["scopes"]) == ["read", "write"]


def test_nobody_is_the_anonymous_consumer_and_a_bad_credential_never_is(hooked: Serve) -> None:
    served = hooked(tell)
    status, seen = ask(served)
    assert (status, seen["claims"], seen["tenant"]) == (200, {}, None)
    who = {name: seen["identity"][name] for name in ("method", "subject", "consumer", "groups", "is_anonymous")}
    assert who == {
        "method": "anonymous", "subject": None, "consumer": "guest", "groups": ["visitors"], "is_anonymous": True,
    }  # fmt: skip
    assert ask(served, Authorization="Bearer x.y.z")[0] == 401
    assert ask(served, X_API_Key=KEY[:-1])[0] == 401


def test_a_route_without_auth_has_no_identity_whatever_is_shown(hooked: Serve) -> None:
    served = hooked(tell)
    nothing = {"identity": None, "claims": {}, "tenant": None}
    assert ask(served, "/open", Authorization=bearer(sub="me"), X_API_Key=KEY) == (200, nothing)
    assert ask(served, "/tenants", X_Tenant="t7") == (200, nothing | {"tenant": "t7"})


def test_decides_on_claims(hooked: Serve) -> None:
    def members_only(request: Request) -> Response | None:
        if request.claims.get("member") is not True:
            return Response.json({"title": "members only"}, status=403)
        return None

    served = hooked(members_only)
    assert ask(served, Authorization=bearer(sub="me", member=True)) == (200, "nobody asked\n")
    assert ask(served, Authorization=bearer(sub="me", member="true")) == (403, {"title": "members only"})
    assert ask(served) == (403, {"title": "members only"})


def test_a_kept_identity_ends_with_its_request(hooked: Serve) -> None:
    kept: list[Identity] = []

    def keep(request: Request) -> None:
        assert request.identity is not None
        kept.append(request.identity)

    served = hooked(keep)
    assert ask(served, Authorization=bearer(sub="me"))[0] == 200
    for name in [*PARTS, "claims"]:
        with pytest.raises(RuntimeError, match="used after its hook had returned"):
            getattr(kept[0], name)


def test_many_at_once_get_their_own(hooked: Serve) -> None:
    served = hooked(tell)

    def one(number: int) -> tuple[Any, Any]:
        if number % 3 == 0:
            _, seen = ask(served)
        else:
            _, seen = ask(served, Authorization=bearer(sub=f"user-{number}", number=number))
        return seen["identity"]["subject"], seen["claims"].get("number")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(120)))
    assert found == [(None, None) if n % 3 == 0 else (f"user-{n}", n) for n in range(120)]

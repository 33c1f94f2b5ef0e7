"""What policies decide, in metrics: who was asked for and how that ended, tokens remembered, requests by tenant."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import jwt as pyjwt
import pytest
from harness.client import Client
from harness.requests import get
from harness.scrape import Samples, ask_at, scrape, value

from fastgate.primitives import make_api_key
from fastgate.testing import Served, serve

SECRET = "0123456789abcdef0123456789abcdef"
ISSUER = "https://id.example.com/"
KEY = make_api_key()
ANSWER = {"status": 200, "body": "hello"}
JWT = {"issuer": ISSUER, "audience": "app", "keys": [{"secret": "env:METRICS_SECRET"}]}
API_KEY = {"api_key": {"header": "X-API-Key"}}


def token(**claims: Any) -> str:
    now = int(time.time())
    return pyjwt.encode({"iss": ISSUER, "aud": "app", "exp": now + 600, "iat": now} | claims, SECRET)


def bearer(text: str) -> bytes:
    return b"Authorization: Bearer " + text.encode()


def config(routes: dict[str, Any], **metrics: Any) -> dict[str, Any]:
    """A config whose routes have these policies, each below its own prefix."""
    made = {
        name: {"match": {"prefix": f"/{name}"}, "respond": ANSWER, "policies": policies}
        for name, policies in routes.items()
    }
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    acme = {"tenant": "acme-gmbh", "api_keys": {"acme-1": {"hash": f"sha256:{digest}"}}}
    return {
        "workers": 1,
        "admin": False,
        "metrics": {"bind": "127.0.0.1:0", **metrics},
        "routes": made,
        "consumers": {"acme": acme, "guest": {}},
    }


def asked(served: Served, *requests: bytes) -> list[int]:
    """The status of each request's answer, one connection for all."""
    with Client(served.url.removeprefix("http://")) as client:
        return [client.exchange(one).status for one in requests]


def metrics(served: Served) -> str:
    return str(served.runtime.status()["listeners"]["metrics"])


def auth(found: Samples, method: str, outcome: str) -> float:
    return found.get(("fastgate_auth_requests_total", frozenset({("method", method), ("outcome", outcome)})), 0.0)


def test_who_was_asked_for_and_how_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_SECRET", SECRET)
    gone = JWT | {"jwks": "http://127.0.0.1:1/keys"}
    del gone["keys"]
    routes = {
        "open": {"auth": {"any_of": [{"jwt": JWT}, API_KEY], "anonymous": "guest"}},
        "closed": {"auth": {"any_of": [{"jwt": JWT}, API_KEY]}},
        "strict": {"auth": {"any_of": [{"jwt": JWT}], "failures": "2/h"}},
        "gone": {"auth": {"any_of": [{"jwt": gone}]}},
    }
    with serve(config(routes)) as served:
        found = scrape(metrics(served))
        assert not any(name.startswith(("fastgate_auth_", "fastgate_jwt_")) for name, _ in found)
        good, forged = token(sub="me"), token(sub="me")[:-4] + "AAAA"
        assert asked(served, get(b"/open"), get(b"/closed")) == [200, 401]
        assert asked(served, *[get(b"/closed", bearer(good))] * 3, get(b"/closed", bearer(forged))) == [200] * 3 + [401]
        found = scrape(metrics(served))
        assert auth(found, "anonymous", "accepted") == 1
        assert auth(found, "none", "refused") == 1
        assert (auth(found, "jwt", "accepted"), auth(found, "jwt", "refused")) == (3, 1)
        assert value(found, "fastgate_jwt_cache_requests_total", result="hit") == 2
        assert value(found, "fastgate_jwt_cache_requests_total", result="miss") == 2
        assert value(found, "fastgate_jwt_cache_tokens") == 1
        assert len(good) < value(found, "fastgate_jwt_cache_bytes") < 10_000
        keys = [get(b"/open", b"X-API-Key: " + key.encode()) for key in (KEY, make_api_key())]
        assert asked(served, *keys) == [200, 401]
        # The budget of failures is the policy's: two are refused, then the address has to wait.
        assert asked(served, *[get(b"/strict", bearer(forged))] * 4)[2:] == [429, 429]
        # Keys that cannot be had: the request has waited for them.
        assert asked(served, get(b"/gone", bearer(good))) == [503]
        found = scrape(metrics(served))
        assert (auth(found, "api_key", "accepted"), auth(found, "api_key", "refused")) == (1, 1)
        assert auth(found, "jwt", "limited") >= 2
        assert auth(found, "jwt", "unavailable") == 1
        total = sum(n for (name, _), n in found.items() if name == "fastgate_auth_requests_total")
        assert total == 13, "each request once"
        text = ask_at(metrics(served), b"/metrics")[1].decode()
    for secret in (SECRET, good, forged, good.split(".")[1], KEY):
        assert secret not in text


LIMIT = {"each": {"rate": "2/h", "per": "tenant"}}
BEHIND = {"tenant": {"header": "X-Tenant", "trusted_from": ["127.0.0.0/8"]}, "limits": LIMIT}


def tenant(found: Samples, name: str, outcome: str) -> float:
    return found.get(("fastgate_tenant_requests_total", frozenset({("tenant", name), ("outcome", outcome)})), 0.0)


def named(name: str) -> bytes:
    return get(b"/behind", b"X-Tenant: " + name.encode())


def test_requests_by_tenant_where_that_is_wanted() -> None:
    routes = {"behind": BEHIND, "keyed": {"auth": {"any_of": [API_KEY]}, "require": {"methods": ["POST"]}}}
    with serve(config(routes, tenants=True)) as served:
        assert asked(served, *[named("t1")] * 3, named('t"2')) == [200, 200, 429, 200]
        assert asked(served, get(b"/keyed", b"X-API-Key: " + KEY.encode()), get(b"/behind")) == [403, 403]
        found = scrape(metrics(served))
        assert (tenant(found, "t1", "passed"), tenant(found, "t1", "limited")) == (2, 1)
        assert tenant(found, 't"2', "passed") == 1
        assert tenant(found, "acme-gmbh", "denied") == 1, "the tenant of a consumer"
        assert sum(n for (name, _), n in found.items() if name == "fastgate_tenant_requests_total") == 5
        # 1,000 have a place, one of them kept for the tenant of the config; the others share one.
        asked(served, *[named(f"n{number}") for number in range(1_010)])
        found = scrape(metrics(served))
        labels = {dict(labels)["tenant"] for name, labels in found if name == "fastgate_tenant_requests_total"}
        assert len(labels) == 1_001
        assert tenant(found, "(other)", "passed") == 13
        assert {"acme-gmbh", "t1", "n0"} <= labels


def test_nobody_is_counted_by_tenant_unasked() -> None:
    with serve(config({"behind": BEHIND})) as served:
        assert asked(served, named("t1")) == [200]
        assert not any(name == "fastgate_tenant_requests_total" for name, _ in scrape(metrics(served)))

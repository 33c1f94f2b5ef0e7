"""`require` and `tenant` without an identity, in the running engine: who passes, and what the client is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Gateway, Origin, snapshot
from harness.gateway import match, refused, route
from harness.origin import answers, ok
from harness.requests import get, post

pytestmark = pytest.mark.usefixtures("engine")

Json = dict[str, Any]


def require(**parts: Any) -> Json:
    empty: Json = {"roles": None, "scopes": None, "groups": None, "claims": {}, "methods": [], "expression": None}
    return {"require": empty | parts}


def guarded(origin: Origin, *policies: Json, options: Json | None = None) -> Json:
    """One route `/N` for each, with a route `/open` beside them."""
    routes = [
        route(f"r{n}", "origin", match(prefix=f"/{n}"), policies=n, **(options or {})) for n in range(len(policies))
    ]
    routes.append(route("open", "origin", match(prefix="/open")))
    return snapshot(origin.url, routes=routes) | {"policies": list(policies)}


@pytest.mark.parametrize(
    ("expression", "good", "bad"),
    [
        ('request.method == "GET" && request.path == "/0/a b"', get(b"/0/a%20b"), get(b"/0/a")),
        ('request.query["a"] == "x y"', get(b"/0?a=x+y"), get(b"/0?a=x+y&a=x+y")),
        ('"admin" in request.header_values["X-Role"]', get(b"/0", b"X-Role: user,admin"), get(b"/0", b"X-Role: user")),
        # H4: a second value or line does not hide behind the first.
        (
            'request.headers["x-role"] == "user"',
            get(b"/0", b"X-Role: user"),
            get(b"/0", b"X-Role: user", b"X-Role: admin"),
        ),
        ('request.client_ip == "127.0.0.1" && route == "r0"', get(b"/0"), None),
        ("now > timestamp('2026-01-01T00:00:00Z') && request.scheme == 'http'", get(b"/0"), None),
        ("!has(claims.blocked) || request.method == 'GET'", get(b"/0"), post(b"", b"/0")),
    ],
)
def test_an_expression_decides(origin: Origin, expression: str, good: bytes, bad: bytes | None) -> None:
    origin.script = answers(ok(b"in"))
    with Gateway(guarded(origin, require(expression=expression))) as gateway, gateway.client() as client:
        assert client.exchange(good).status == 200
        if bad is not None:
            answer = client.exchange(bad)
            assert answer.status == 403
            said = json.loads(answer.body)
            assert said["detail"] == "this request is not allowed"
            assert b"require" not in answer.body
            assert b"expression" not in answer.body
        # The connection goes on, and other routes know nothing of it.
        assert client.exchange(get(b"/open")).status == 200
        assert client.exchange(good).status == 200


def test_without_an_identity_nothing_about_one_holds(origin: Origin) -> None:
    origin.script = answers(ok(b"in"))
    policies = [
        require(roles={"any": ["admin"], "all": []}),
        require(claims={"blocked": {"present": False}}),
        require(expression="!('banned' in identity.roles)"),
        require(methods=["GET"]),
    ]
    with Gateway(guarded(origin, *policies)) as gateway, gateway.client() as client:
        assert [client.exchange(get(b"/%d" % n)).status for n in range(4)] == [403, 403, 403, 200]
        assert client.exchange(post(b"x", b"/3")).status == 403


def test_a_tenant_is_what_a_trusted_peer_says(origin: Origin) -> None:
    origin.script = answers(ok(b"in"))
    trusted = {"tenant": {"header": "x-tenant", "trusted_from": ["127.0.0.0/8"], "must_equal": None}}
    other = {"tenant": {"header": "x-tenant", "trusted_from": ["192.0.2.0/24"], "must_equal": None}}
    named = trusted | require(methods=["GET"])
    with Gateway(guarded(origin, trusted, other, named)) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/0", b"X-Tenant: acme")).status == 200
        for lines in ([], [b"X-Tenant: a", b"X-Tenant: a"], [b"X-Tenant: a,b"], [b"X-Tenant: "]):
            assert client.exchange(get(b"/0", *lines)).status == 403, lines
        # A forwarded address is not the peer.
        assert client.exchange(get(b"/1", b"X-Tenant: acme", b"X-Forwarded-For: 192.0.2.1")).status == 403
        assert client.exchange(get(b"/2", b"X-Tenant: acme")).status == 200
        assert client.exchange(post(b"x", b"/2", b"X-Tenant: acme")).status == 403


def test_what_cannot_be_compiled_is_refused(origin: Origin) -> None:
    for policies, path, message in [
        (
            require(expression="user.role == 'a'"),
            "policies.0.require.expression",
            "column 1 of the expression: unknown name user",
        ),
        (require(expression="request.path.matches('(')"), "policies.0.require.expression", "unclosed group"),
        (
            {"tenant": {"header": "x", "trusted_from": [], "must_equal": None}},
            "policies.0.tenant",
            "trusted_from or must_equal",
        ),
    ]:
        code, said = refused(guarded(origin, policies))
        assert code != 0
        assert path in said, said
        assert message in said, said

"""Who is asking, as a hook sees it: every part, copies that stay, and a view that ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fastgate._core import Identity, Request

from .conftest import HEAD, Run

CLAIMS = {"sub": "müller", "tenant": "t1", "realm": {"roles": ["editor"]}, "level": 7, "part": 0.5, "big": 2**63}
JANE = {
    "method": "jwt", "subject": "müller", "consumer": "acme", "key": "acme-1", "tenant": "t1", "roles": ["editor", "ä"],
    "groups": ["partners"], "scopes": ["read", "write"], "claims": CLAIMS,
}  # fmt: skip
PARTS = ["method", "subject", "consumer", "key", "tenant", "roles", "groups", "scopes", "claims", "is_anonymous"]


def parts(identity: Identity | None) -> dict[str, Any]:
    return {name: getattr(identity, name) for name in PARTS}


def test_every_part_is_what_the_engine_found(look):
    seen = look(lambda r: parts(r.identity), identity=JANE)
    names = {"roles": ("editor", "ä"), "groups": ("partners",), "scopes": ("read", "write")}
    assert seen == JANE | names | {"is_anonymous": False}
    assert look(lambda r: (r.claims == CLAIMS, r.claims is r.identity.claims, r.tenant), identity=JANE) == (
        True,
        True,
        "t1",
    )
    assert look(lambda r: repr(r.identity), identity=JANE) == "<Identity jwt, subject 'müller', consumer 'acme'>"


def test_what_nobody_said_is_none_or_empty(look):
    nothing = dict.fromkeys(PARTS) | {"roles": (), "groups": (), "scopes": (), "claims": {}}
    for method in ("mtls", "anonymous"):
        seen = look(lambda r: parts(r.identity), identity={"method": method})
        assert seen == nothing | {"method": method, "is_anonymous": method == "anonymous"}
    assert look(lambda r: (r.identity, dict(r.claims), r.tenant)) == (None, {}, None)


def test_more_names_than_fit_on_the_stack(look):
    roles = [f"role-{n}" for n in range(100)]
    assert look(lambda r: r.identity.roles, identity={"method": "jwt", "roles": roles}) == tuple(roles)


def test_one_view_a_request_and_claims_read_once(look):
    assert look(lambda r: (r.identity is r.identity, r.claims is r.claims), identity=JANE) == (True, True)


def test_nothing_of_it_can_be_changed(run: Run):
    def change(request: Request) -> None:
        with pytest.raises(TypeError):
            request.claims["sub"] = "root"  # type: ignore[index]
        for name in PARTS:
            with pytest.raises(AttributeError):
                setattr(request.identity, name, "root")
        with pytest.raises(AttributeError):
            request.identity = None  # type: ignore[misc, assignment]
        request.claims["realm"]["roles"].append("admin")  # the hooks' own copy: nobody decides on it

    seen: list[Any] = []
    assert not run(change, lambda r: seen.append(r.identity.roles), identity=JANE)["failed"]
    assert seen == [("editor", "ä")]


def test_a_kept_identity_ends_and_what_it_gave_stays(run: Run):
    kept: list[Any] = []
    run(lambda r: kept.extend([r.identity, r.claims, r.identity.roles]), identity=JANE)
    identity, claims, roles = kept
    for name in PARTS:
        with pytest.raises(RuntimeError, match="used after its hook had returned"):
            getattr(identity, name)
    assert repr(identity) == "<Identity (over)>"
    assert (dict(claims), roles) == (CLAIMS, ("editor", "ä"))


def test_identities_cannot_be_made():
    with pytest.raises(TypeError, match="identities come from the gateway"):
        Identity()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "one of jwt, api_key"),
        ({"method": "magic"}, 'method is "magic"'),
        ({"method": "jwt", "subject": 7}, "subject is 7"),
        ({"method": "jwt", "roles": "editor"}, "roles"),
        ({"method": "jwt", "claims": []}, "claims"),
        ({"method": "jwt", "rolls": []}, 'it has no "rolls"'),
    ],
)
def test_a_simulated_identity_that_is_none_is_refused(host, wrong, said):
    with pytest.raises(ValueError, match=said):
        host.simulate(HEAD, "route", identity=json.dumps(wrong).encode())

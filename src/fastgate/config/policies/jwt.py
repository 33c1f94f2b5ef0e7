"""The auth method `jwt` in the engine's words."""

from __future__ import annotations

import base64
import json
from typing import Any

from fastgate.config.models.auth import Jwt, JwtKey, TokenPlaces
from fastgate.config.policies import Context, Plain

Keys = tuple[str | int, ...]

_MIN_SECRET = 32


def jwt(value: Jwt, keys: Keys, cx: Context) -> Plain:
    """The method at `keys` below the policy; its headers are taken from clients on every route."""
    for name in value.headers:
        cx.reserve(name)
    return {
        "issuer": value.issuer,
        "audience": _audience(value, keys, cx),
        "keys": _source(value, keys, cx),
        "algorithms": value.algorithms,
        "types": value.types,
        "skew_ms": value.skew,
        "max_age_ms": value.max_age,
        "required_claims": value.required_claims,
        "token": token_places(value.token, (*keys, "token"), cx),
        "headers": {name.lower(): claim for name, claim in value.headers.items()},
        "roles_from": value.roles_from,
        "scopes_from": value.scopes_from,
        "groups_from": value.groups_from,
        "consumer_from": value.consumer_from,
        "revocation": None if value.revocation is None else {"store": value.revocation == "store"},
    }


def token_places(value: TokenPlaces | None, keys: Keys, cx: Context) -> Plain:
    """Where a token is looked for."""
    if value is None:
        return {"header": "authorization", "cookie": None, "query": None}
    if value.header is None and value.cookie is None and value.query is None:
        cx.fault(keys, "found no place; allowed: header, cookie or query")
    header = None if value.header is None else value.header.lower()
    return {"header": header, "cookie": value.cookie, "query": value.query}


def _audience(value: Jwt, keys: Keys, cx: Context) -> list[str] | None:
    named = [value.audience] if isinstance(value.audience, str) else list(value.audience)
    if named == ["any"]:
        return None
    if not named:
        cx.fault((*keys, "audience"), "found no audience; allowed: at least one, or any")
    if "any" in named:
        cx.fault((*keys, "audience"), "found any beside others; allowed: names, or any alone", found="any")
    return named


def _source(value: Jwt, keys: Keys, cx: Context) -> Any:
    if value.keys is not None:
        if value.jwks is not None:
            cx.fault((*keys, "jwks"), "found keys and jwks; allowed: one of them", found=value.jwks)
        return {"inline": json.dumps({"keys": []}) if not value.keys else _inline(value.keys, (*keys, "keys"), cx)}
    if value.jwks is not None and not value.jwks.startswith(("http://", "https://")):
        return {"file": value.jwks}
    if value.issuer is None:
        cx.fault(keys, "found no issuer; allowed: without one only keys, or jwks as the path of a file")
    return "discovery" if value.jwks is None else {"url": value.jwks}


def _inline(items: list[Any], keys: Keys, cx: Context) -> str:
    """PEM alone as PEM, else a JWK set: the engine reads either."""
    pems = [item for item in items if isinstance(item, str)]
    if len(pems) == len(items):
        return "\n".join(pems)
    if pems:
        cx.fault(keys, "found PEM keys beside others; allowed: PEM keys alone, or JWKs and secrets")
    mapped = [(at, item) for at, item in enumerate(items) if isinstance(item, JwtKey)]
    kids = [item.kid for _, item in mapped]
    for number, (at, item) in enumerate(mapped):
        # Of two keys with one name neither would ever be used.
        if item.kid is not None and item.kid in kids[:number]:
            message = f"found {item.kid} for the second time; allowed: each kid once"
            cx.fault((*keys, at, "kid"), message, found=item.kid)
    return json.dumps({"keys": [_jwk(item, (*keys, at), cx) for at, item in mapped]})


def _jwk(key: JwtKey, keys: Keys, cx: Context) -> Plain:
    plain = key.model_dump(exclude_none=True, exclude={"secret"})
    if key.secret is None:
        if key.kty is None:
            cx.fault(keys, "found neither kty nor secret; allowed: a public JWK, or a secret")
        return plain
    if key.kty is not None:
        cx.fault((*keys, "kty"), "found a secret with kty; allowed: a secret, or a public JWK", found=key.kty)
    secret = cx.secret(key.secret, (*keys, "secret")).encode()
    if len(secret) < _MIN_SECRET:
        message = f"found a secret of {len(secret) * 8} bits; allowed: at least 256 (RFC 7518 §3.2)"
        cx.fault((*keys, "secret"), message)
    return {**plain, "kty": "oct", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode()}

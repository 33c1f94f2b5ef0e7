"""The auth methods that ask somebody, `introspection` and `ext_auth`, in the engine's words."""

from __future__ import annotations

from fastgate.config.models.auth import ExtAuth, Introspection
from fastgate.config.policies import Context, Plain
from fastgate.config.policies.jwt import token_places

Keys = tuple[str | int, ...]


def introspection(value: Introspection, keys: Keys, cx: Context) -> Plain:
    """The method at `keys` below the policy."""
    for one, other in (("client_id", "client_secret"), ("client_secret", "client_id")):
        if getattr(value, one) is not None and getattr(value, other) is None:
            cx.fault((*keys, one), f"found without {other}; allowed: both of them, or none")
    secret = value.client_secret
    return {
        "url": value.url,
        "client_id": value.client_id,
        "client_secret": None if secret is None else cx.secret(secret, (*keys, "client_secret")),
        "token": token_places(value.token, (*keys, "token"), cx),
        "max_stale_ms": value.max_stale,
        "allow_private": value.allow_private,
        "timeout_ms": value.timeout,
        "ca": value.ca,
    }


def ext_auth(value: ExtAuth, keys: Keys, cx: Context) -> Plain:
    """The method at `keys` below the policy; what it takes is taken from clients on every route."""
    for name in value.take:
        cx.reserve(name)
    taken = {name.lower() for name in value.take}
    for number, name in enumerate(value.send):
        if name.lower() in taken:
            message = "found in take, too, and a client's own copy of those is removed; allowed: in one of the lists"
            cx.fault((*keys, "send", number), message, found=name)
    return {
        "url": value.url,
        "send": value.send,
        "take": value.take,
        "set_cookie": value.set_cookie,
        "body": 0,
        "timeout_ms": value.timeout,
        "subject_from": value.subject_from,
        "ca": value.ca,
    }

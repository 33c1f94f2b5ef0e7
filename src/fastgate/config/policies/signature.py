"""Signed requests in the engine's words."""

from __future__ import annotations

from fastgate.config.models.signature import Signature
from fastgate.config.policies import Context, Plain


def signature(value: Signature, keys: tuple[str | int, ...], cx: Context) -> Plain:
    """The method `signature` of `auth`."""
    if not value.keys:
        cx.fault((*keys, "keys"), "found an empty map; allowed: at least one key")
    if not value.components:
        cx.fault((*keys, "components"), "found an empty list, and such a signature fits every request; allowed: some")
    return {
        "keys": {name: cx.secret(secret, (*keys, "keys", name)) for name, secret in value.keys.items()},
        "components": value.components,
        "max_age_ms": value.max_age,
        "skew_ms": value.skew,
        "nonce": value.nonce,
    }

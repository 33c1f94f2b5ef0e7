"""The auth methods `api_key`, `basic` and `mtls` in the engine's words."""

from __future__ import annotations

from fastgate.config.models.auth import ApiKey, Basic, Mtls
from fastgate.config.policies import Context, Plain
from fastgate.config.policies.auth import Keys


def api_key(value: ApiKey, keys: Keys, cx: Context) -> Plain:
    """API keys: in `X-API-Key` unless another place is written."""
    header = value.header
    if header is None and value.query is None:
        header = "X-API-Key"
    return {"header": header and header.lower(), "query": value.query, "keys_file": value.keys_file}


def basic(value: Basic, keys: Keys, cx: Context) -> Plain:
    """Basic credentials."""
    realm = value.realm or "gateway"
    if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        message = "found a character that is none of these; allowed: visible ASCII, spaces, no quotes, no backslashes"
        cx.fault((*keys, "realm"), message, found=realm)
        realm = "gateway"
    return {"users_file": value.users_file, "realm": realm}


_NAMES = ("spiffe", "dns", "email", "subject")


def mtls(value: Mtls, keys: Keys, cx: Context) -> Plain:
    """The client certificate of the connection; its headers are taken from clients on every route."""
    for name in value.headers:
        cx.reserve(name)
    names = _NAMES if value.identity is None else value.identity
    if not names:
        cx.fault((*keys, "identity"), f"found an empty list; allowed: {', '.join(_NAMES)}, or a list of them")
    return {
        "identity": [names] if isinstance(names, str) else list(names),
        "headers": {name.lower(): part for name, part in value.headers.items()},
    }

"""The auth methods `api_key` and `basic` in the engine's words."""

from __future__ import annotations

from typing import Any

from fastgate.config.models.auth import ApiKey, Basic
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
        cx.fault(
            (*keys, "realm"), "allowed: visible ASCII characters and spaces, no quotes, no backslashes", found=realm
        )
        realm = "gateway"
    return {"users_file": value.users_file, "realm": realm}


_CERTIFICATE = ("spiffe", "dns", "email", "subject")


def mtls(value: dict[str, Any], keys: Keys, cx: Context) -> Plain:
    """The client certificate of the connection: which of its names becomes the subject."""
    for key in value:
        if key != "identity":
            cx.fault((*keys, key), f"found {key}; allowed: identity", found=str(key))
    written = value.get("identity", list(_CERTIFICATE))
    names = written if isinstance(written, list) else [written]
    for name in names:
        if name not in _CERTIFICATE:
            cx.fault((*keys, "identity"), f"allowed: {', '.join(_CERTIFICATE)}, or a list of them", found=str(name))
    return {"identity": [name for name in names if name in _CERTIFICATE]}

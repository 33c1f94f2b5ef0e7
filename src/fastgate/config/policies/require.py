"""`require` and `tenant` in the engine's words."""

from __future__ import annotations

from typing import Any

from fastgate.config.models.require import Names, Require, Tenant
from fastgate.config.policies import Context, Plain


def require(value: Require, cx: Context) -> Plain:
    """What the identity must have."""
    lists = {kind: _names(getattr(value, kind), kind, cx) for kind in ("roles", "scopes", "groups")}
    if not any(lists.values()) and not value.claims and not value.methods and value.expression is None:
        cx.fault((), "asks for nothing; allowed: roles, scopes, groups, claims, methods, expression")
    return {
        **lists,
        "claims": {path: rule if isinstance(rule, dict) else {"one_of": rule} for path, rule in value.claims.items()},
        "methods": value.methods,
        "expression": value.expression,
    }


def _names(names: Names | None, kind: str, cx: Context) -> dict[str, Any] | None:
    if names is None:
        return None
    if not names.any and not names.all:
        cx.fault((kind,), "asks for nothing; allowed: any, all, each a list with a name")
    return {"any": names.any or [], "all": names.all or []}


def tenant(value: Tenant, cx: Context) -> Plain:
    """Whose tenant's request it is."""
    if value.header is None and value.must_equal is None:
        cx.fault((), "names no tenant; allowed: header, must_equal")
    elif value.header is not None and not value.trusted_from and value.must_equal is None:
        cx.fault(("header",), "a client may write it; needed: trusted_from or must_equal")
    elif value.header is None and value.trusted_from:
        cx.fault(("trusted_from",), "there is no header to trust; needed: header")
    return {
        "header": None if value.header is None else value.header.lower(),
        "trusted_from": value.trusted_from,
        "must_equal": value.must_equal,
    }

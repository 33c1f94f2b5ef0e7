"""The policy `auth` in the engine's words: its methods in their order, each by its own module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from fastgate.config.models.auth import Auth
from fastgate.config.policies import Context, Plain

Keys: TypeAlias = tuple[str | int, ...]

METHODS: Mapping[str, str] = {
    "jwt": "jwt",
    "api_key": "keys",
    "basic": "keys",
    "signature": "signature",
    "mtls": "keys",
    "introspection": "asked",
    "ext_auth": "asked",
}
"""The methods that this version has, and the module beside this one with the function of that name:
`function(value, keys, cx)`, the value being that at `keys` below the policy."""

FAILURES = (30, 60)


def auth(value: Auth, cx: Context) -> Plain:
    """The whole policy."""
    count, seconds = value.failures or FAILURES
    if not value.any_of:
        cx.fault(("any_of",), "found an empty list; allowed: at least one method")
    return {
        "any_of": [_method(item, number, cx) for number, item in enumerate(value.any_of)],
        "anonymous": value.anonymous,
        "failures": min(count, 0xFFFF_FFFF),
        "failures_ms": seconds * 1000,
    }


def _method(item: Any, number: int, cx: Context) -> Plain:
    name = next(name for name in type(item).model_fields if getattr(item, name) is not None)
    keys: Keys = ("any_of", number, name)
    if name not in METHODS:
        cx.fault(keys, f"{name} is not in this version; allowed: {', '.join(METHODS)}")
        return {name: None}
    compile_method: Callable[[Any, Keys, Context], Plain] = getattr(
        import_module(f"fastgate.config.policies.{METHODS[name]}"), name
    )
    return {name: compile_method(getattr(item, name), keys, cx)}

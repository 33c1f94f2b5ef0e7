"""Consumers, their keys and the peppers in the engine's words."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from fastgate.config.key_values import PLACEHOLDER, unix_ms
from fastgate.config.models import Config
from fastgate.config.models.consumers import Consumer, ConsumerKey
from fastgate.config.policies import PARTS, Book, Context, Plain
from fastgate.config.source import KeyPath

# What a consumer brings in the place of a route's.
_POLICIES = ("require", "concurrency", "ip")
_MIN_PEPPER = 16


def consumers(config: Config, book: Book) -> list[Plain]:
    """All consumers, in the config's order."""
    return [_consumer(name, one, book) for name, one in (config.consumers or {}).items()]


def peppers(config: Config, book: Book) -> dict[str, str]:
    """The secrets that digests are made under."""
    found: dict[str, str] = {}
    for name, reference in (config.key_pepper or {}).items():
        cx = Context(("key_pepper",), book)
        text = cx.secret(reference, (name,))
        if len(text.encode()) < _MIN_PEPPER:
            cx.fault((name,), f"found a pepper of {len(text.encode())} bytes; allowed: at least {_MIN_PEPPER}")
        found[name] = text
    return found


def _consumer(name: str, one: Consumer, book: Book) -> Plain:
    cx = Context(("consumers", name), book)
    keys = [_key(key, value, cx) for key, value in one.api_keys.items() if value.hash != PLACEHOLDER]
    policies: Plain = {}
    for part in _POLICIES:
        value = getattr(one.policies, part, None)
        if value is not None and value is not False:
            if part in PARTS:
                put: Callable[[Any, Context], Any] = getattr(
                    import_module(f"fastgate.config.policies.{PARTS[part]}"), part
                )
                policies[part] = put(value, Context(("consumers", name, "policies", part), book))
            else:
                cx.fault(("policies", part), f"{part} is not in this version")
    for part in one.policies.model_fields_set if one.policies is not None else ():
        if part not in _POLICIES and getattr(one.policies, part) is not None:
            cx.fault(("policies", part), f"found {part}; allowed for a consumer: {', '.join(_POLICIES)}")
    return {
        "name": name,
        "groups": one.groups,
        "roles": one.roles,
        "tenant": one.tenant,
        "certificates": one.certificates,
        "api_keys": keys,
        "limits": _limits(one.limits, ("limits",), cx),
        "policies": policies or None,
    }


def _key(name: str, key: ConsumerKey, cx: Context) -> Plain:
    kind, _, digits = key.hash.rpartition(":")
    pepper = kind.partition(":")[2]
    return {
        "name": name,
        "digest": {"hmac_sha256": {"pepper": pepper, "digest": digits}} if pepper else {"sha256": digits},
        "expires_ms": unix_ms(key.expires) if key.expires else None,
        "scopes": key.scopes,
        "limits": _limits(key.limits, ("api_keys", name, "limits"), cx),
    }


def _limits(value: dict[str, Any], keys: tuple[str, ...], cx: Context) -> list[Plain]:
    if not value:
        return []
    if "limits" not in PARTS:
        cx.fault(keys, "limits of consumers are not in this version")
        return []
    put: Callable[[Any, Context], Any] = import_module(f"fastgate.config.policies.{PARTS['limits']}").limits
    found: list[Plain] = put(value, Context((*cx.path, *keys), cx.book))
    return found


def locate(config: Config, rest: list[str]) -> KeyPath:
    """The path in the config of a path below `consumers` in the snapshot."""
    names = list(config.consumers or {})
    if not rest or not rest[0].isdecimal() or int(rest[0]) >= len(names):
        return ("consumers",)
    name = names[int(rest[0])]
    one: Any = (config.consumers or {})[name]
    path: KeyPath = ("consumers", name)
    match rest[1:]:
        case ["api_keys", number, *inner] if number.isdecimal():
            keys = [key for key, value in one.api_keys.items() if value.hash != PLACEHOLDER]
            key = keys[int(number)]
            if within := _in_limits(one.api_keys[key].limits, inner):
                return (*path, "api_keys", key, *within)
            return (*path, "api_keys", key, *("hash" for part in inner[:1] if part == "digest"))
        case inner if within := _in_limits(one.limits, inner):
            return (*path, *within)
        case inner:
            return (*path, *inner)


def _in_limits(limits: dict[str, Any], rest: list[str]) -> KeyPath:
    """The path below a level's `limits`; empty: it leads elsewhere."""
    match rest:
        case ["limits", number, *inner] if number.isdecimal() and int(number) < len(limits):
            return ("limits", list(limits)[int(number)], *(part.removesuffix("_ms") for part in inner))
    return ()

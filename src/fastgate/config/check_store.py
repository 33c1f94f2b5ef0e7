"""What asks the store in a config that has none: shared limits, revocations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastgate.config.findings import Draft
from fastgate.config.source import KeyPath

Plain = dict[str, Any]
_ALLOWED = "allowed: with store: {{url: redis://…}}, or {}"


def check(value: Plain) -> Iterator[Draft]:
    """Every such fault of the merged values."""
    yield from _policies(("policies",), value.get("policies"))
    realtime = value.get("realtime")
    endpoints = realtime.get("endpoints") if isinstance(realtime, dict) else None
    for base, section in (
        (("services",), value.get("services")),
        (("routes",), value.get("routes")),
        (("realtime", "endpoints"), endpoints),
    ):
        for name, item in _maps(section):
            yield from _policies((*base, name, "policies"), item.get("policies"))
    for name, consumer in _maps(value.get("consumers")):
        path: KeyPath = ("consumers", name)
        yield from _limits((*path, "limits"), consumer.get("limits"))
        for key, item in _maps(consumer.get("api_keys")):
            yield from _limits((*path, "api_keys", key, "limits"), item.get("limits"))


def _maps(value: Any) -> Iterator[tuple[str, Plain]]:
    for name, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, dict):
            yield name, item


def _policies(path: KeyPath, policies: Any) -> Iterator[Draft]:
    if not isinstance(policies, dict):
        return
    yield from _limits((*path, "limits"), policies.get("limits"))
    auth = policies.get("auth")
    methods = auth.get("any_of") if isinstance(auth, dict) else None
    for number, method in enumerate(methods if isinstance(methods, list) else ()):
        jwt = method.get("jwt") if isinstance(method, dict) else None
        if isinstance(jwt, dict) and jwt.get("revocation") == "store":
            where: KeyPath = (*path, "auth", "any_of", number, "jwt", "revocation")
            message = "found store without a store to keep them; " + _ALLOWED.format("revocation: process")
            yield Draft(where, message, found="store")


def _limits(path: KeyPath, limits: Any) -> Iterator[Draft]:
    for name, limit in _maps(limits):
        if limit.get("sync") not in (None, "local"):
            found = str(limit["sync"])
            message = f"found {found} without a store to count in; " + _ALLOWED.format("sync: local")
            yield Draft((*path, name, "sync"), message, found=found)

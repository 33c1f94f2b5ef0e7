"""Policies of all levels, resolved for each route and put into the engine's words; equal ones get one number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

from fastgate.config.findings import Draft
from fastgate.config.models.policies import Policies
from fastgate.config.secrets import Secret
from fastgate.config.source import KeyPath

Plain: TypeAlias = dict[str, Any]
Level: TypeAlias = tuple[KeyPath, Policies | None]

PARTS: Mapping[str, str] = {
    "auth": "auth",
    "forward_credentials": "",
    "tenant": "require",
    "require": "require",
    "limits": "limits",
    "concurrency": "limits",
    "ip": "network",
    "cors": "network",
    "csrf": "network",
    "security_headers": "network",
}
"""The policies that this version has, and the module below this package with the function of that name that puts it
into the engine's words: `function(value, cx)`. It is imported when a config uses one."""

# Where a secret is not to be had and need not be: as long as any key is asked to be.
_ABSENT = "x" * 64


@dataclass(slots=True)
class Context:
    """Where a policy stands, and what it may ask for while it is put into the engine's words."""

    path: KeyPath
    book: Book

    def fault(self, keys: tuple[str | int, ...], message: str, *, found: str | None = None) -> None:
        """Notes what no single value shows, below this policy: the sentence says what was found and what is allowed."""
        self.book.faults.append(Draft((*self.path, *keys), message, "value" if keys else "key", found=found))

    def secret(self, secret: Secret, keys: tuple[str | int, ...]) -> str:
        """What a reference stands for; one that cannot be had is noted, and something of its kind takes its place."""
        try:
            text = secret.resolve(self.book.environ)
        except LookupError as error:
            problem = f"{error}; the gateway does not start without it"
            self.book.missing.append(Draft((*self.path, *keys), problem, "value"))
            return _ABSENT
        if not text:
            self.fault(keys, "found an empty secret; allowed: at least one character")
        return text or _ABSENT

    def reserve(self, header: str) -> None:
        """Notes a header that is written from the identity: clients' copies are removed on every route."""
        self.book.reserved.add(header.lower())


@dataclass(slots=True)
class Book:
    """The policies of a snapshot, by number."""

    environ: Mapping[str, str]
    # Whether there is a store, which limits share unless they say otherwise.
    store: bool = False
    entries: list[bytes] = field(default_factory=list)
    # Where each part of each entry stands in the config.
    places: list[dict[str, KeyPath]] = field(default_factory=list)
    # The names of an entry's limits, in its order.
    limits: list[list[str]] = field(default_factory=list)
    reserved: set[str] = field(default_factory=set)
    faults: list[Draft] = field(default_factory=list)
    # Secrets that cannot be had here: a config can be checked all the same.
    missing: list[Draft] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)
    # Parts by the value they come from, which is kept so that its identity stays its own.
    _parts: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def number(self, levels: Iterable[Level], kept: int = 0) -> int | None:
        """The number of the policies of a route, its levels nearest first; None: it has none.

        Values of the first `kept` levels are its own, and not looked for again.
        """
        chosen = self._chosen(list(levels), kept)
        if not chosen:
            return None
        plain = {name: part for name, (part, _) in chosen.items()}
        data = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
        number = self._known.setdefault(data, len(self.entries))
        if number == len(self.entries):
            self.entries.append(data)
            self.places.append({name: path for name, (_, path) in chosen.items()})
            self.limits.append([one["name"] for one in plain.get("limits", ())])
        return number

    def _chosen(self, levels: list[Level], own: int) -> dict[str, tuple[Any, KeyPath]]:
        chosen: dict[str, tuple[Any, KeyPath]] = {}
        for name in PARTS:
            for number, (path, policies) in enumerate(levels):
                value = getattr(policies, name, None)
                if value is None:
                    continue
                if value is not False:
                    where = (*path, name)
                    part = self._part(name, value, where) if number < own else self._shared(name, value, where)
                    chosen[name] = part, where
                break
        # A cookie is sent by every page that asks for it: where one proves who is asking, pages of others may not.
        if "auth" in chosen and "csrf" not in chosen and not _says(levels, "csrf") and _by_cookie(chosen["auth"][0]):
            chosen["csrf"] = {"origins": []}, chosen["auth"][1]
        return chosen

    def _shared(self, name: str, value: Any, path: KeyPath) -> Any:
        if id(value) not in self._parts:
            self._parts[id(value)] = value, self._part(name, value, path)
        return self._parts[id(value)][1]

    def _part(self, name: str, value: Any, path: KeyPath) -> Any:
        if name == "forward_credentials":
            return value
        compile_part: Callable[[Any, Context], Any] = getattr(import_module(f"{__name__}.{PARTS[name]}"), name)
        return compile_part(value, Context(path, self))

    def locate(self, number: int, rest: list[str]) -> KeyPath:
        """The path in the config of a path below the policies of that number."""
        if number >= len(self.places) or not rest or rest[0] not in self.places[number]:
            return ("policies",)
        path, inner = self.places[number][rest[0]], rest[1:]
        if rest[0] == "limits" and inner and inner[0].isdecimal():
            path, inner = (*path, self.limits[number][int(inner[0])]), inner[1:]
        return (*path, *(int(one) if one.isdecimal() else one.removesuffix("_ms") for one in inner))


def _says(levels: list[Level], name: str) -> bool:
    return any(getattr(policies, name, None) is not None for _, policies in levels)


def _by_cookie(auth: Plain) -> bool:
    methods = (method for one in auth.get("any_of", ()) for method in one.values())
    return any((method.get("token") or {}).get("cookie") for method in methods)

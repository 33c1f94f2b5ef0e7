"""Several files as one config: overlays, includes, `${NAME}`, and `null` that removes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastgate.config.findings import Draft
from fastgate.config.scalars import Substituted, nearest_word, shown
from fastgate.config.source import KeyPath

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}?")
# Sections whose names or keys may come from several included files.
_SECTIONS = frozenset({(), ("realtime",)})


def overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`top` over `base`: maps merge by name, scalars and lists replace; neither is changed."""
    merged = dict(base)
    for name, value in top.items():
        below = merged.get(name)
        merged[name] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def unite(one: dict[str, Any], other: dict[str, Any], drafts: list[Draft], path: KeyPath = ()) -> dict[str, Any]:
    """Two files of the same level: nothing may stand in both."""
    united = dict(one)
    for name, value in other.items():
        here = (*path, name)
        below = united.get(name)
        if name not in united:
            united[name] = value
        elif isinstance(below, dict) and isinstance(value, dict) and (len(path) == 0 or path in _SECTIONS):
            united[name] = unite(below, value, drafts, here)
        elif isinstance(below, dict) and not isinstance(value, dict) and len(path) == 0:
            drafts.append(Draft(here, f"found {shown(value)}; allowed: a mapping, as in the other files"))
        else:
            drafts.append(
                Draft(here, f"{shown(name)} stands in two included files; a name may stand in one only", "key")
            )
    return united


def without_nulls(
    value: dict[str, Any], below: dict[str, Any] | None, drafts: list[Draft], path: KeyPath = ()
) -> dict[str, Any]:
    """The mapping without its nulls; a null that removes nothing of `below` is an error, but for an empty section."""
    if not _has_null(value):
        return value
    kept: dict[str, Any] = {}
    for name, item in value.items():
        under = below.get(name) if isinstance(below, dict) else None
        if isinstance(item, dict):
            kept[name] = without_nulls(item, under if isinstance(under, dict) else None, drafts, (*path, name))
        elif item is not None:
            kept[name] = item
        elif path and not (isinstance(below, dict) and name in below):
            message = "nothing is written here; a value is needed (null only removes a key of an earlier file)"
            drafts.append(Draft((*path, name), message, "key", found="nothing"))
    return kept


def _has_null(value: dict[str, Any]) -> bool:
    for item in value.values():  # noqa: SIM110 - half the time of any(); configs have 10,000 routes
        if item is None or (type(item) is dict and _has_null(item)):
            return True
    return False


@dataclass(slots=True)
class Room:
    """How many characters variables may add: a large one named often is no way around the bounds of files."""

    left: int = 32 * 1024 * 1024


def substitute(value: Any, environ: Mapping[str, str], drafts: list[Draft], room: Room, path: KeyPath = ()) -> Any:
    """Replaces `${NAME}` and `${NAME:-default}` in every value, in place; `$${` is a plain `${`."""
    if isinstance(value, dict):
        for name, item in value.items():
            if "${" in name:
                drafts.append(Draft((*path, name), "${NAME} is for values, never for a key", "key", found=name))
            if isinstance(item, (str, dict, list)):
                value[name] = substitute(item, environ, drafts, room, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, (str, dict, list)):
                value[number] = substitute(item, environ, drafts, room, (*path, number))
    elif isinstance(value, str) and "${" in value:
        return _text(value, environ, drafts, room, path)
    return value


def _text(text: str, environ: Mapping[str, str], drafts: list[Draft], room: Room, path: KeyPath) -> str:
    failed = False
    names: list[str] = []

    def one(match: re.Match[str]) -> str:
        nonlocal failed
        if match[0] == "$${":
            return "${"
        name, default = match[1], match[2]
        names.append(name)
        if name is None:
            failed = True
            message = f"found {shown(match[0])}; allowed: ${{NAME}}, ${{NAME:-default}}, or $${{ for a plain ${{"
            drafts.append(Draft(path, message, found=match[0], allowed="${NAME}, ${NAME:-default}"))
            return match[0]
        if environ.get(name) or (name in environ and default is None):
            room.left -= len(environ[name])
            if room.left < 0:
                if not failed and room.left + len(environ[name]) >= 0:
                    drafts.append(Draft(path, "variables make the config larger than 32 MiB", found=name))
                failed = True
                return ""
            return environ[name]
        if default is not None:
            return str(default)
        failed = True
        nearest = nearest_word(name, environ) if len(name) > 3 else None
        hint = f'did you mean "${{{nearest}}}"? ' if nearest else ""
        allowed = f"a variable that is set, or ${{{name}:-default}}"
        message = f"the environment variable {name} is not set; {hint}allowed: {allowed}"
        drafts.append(Draft(path, message, found=name, nearest=nearest))
        return match[0]

    result = _VARIABLE.sub(one, text)
    if failed:
        return text
    substituted = Substituted(result)
    substituted.names = tuple(dict.fromkeys(names))
    return substituted

"""From what is wrong to what is said: drafts by path, sentences, nearest words, and their lines and columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import ValidationError

from fastgate.config.scalars import REFUSED, Nearest, nearest_word, shown, visible
from fastgate.config.source import KeyPath, Source
from fastgate.errors import Finding

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


@dataclass(frozen=True, slots=True)
class Draft:
    """A finding before it has a place: `{0}` in the message stands for the place of `others[0]`."""

    path: KeyPath
    message: str
    at: Literal["key", "value"] = "value"
    severity: Literal["error", "warning"] = "error"
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None
    others: tuple[KeyPath, ...] = ()


def dotted(path: KeyPath) -> str:
    """A path as people write it; a key with a dot or a blank in it stands in quotes."""
    return ".".join(part if isinstance(part, str) and _PLAIN_KEY.match(part) else _odd(part) for part in path)


def _odd(part: str | int) -> str:
    return str(part) if isinstance(part, int) else shown(part)


def wrong_value(
    path: KeyPath,
    found: object,
    allowed: str,
    *,
    nearest: str | int | None = None,
    why: str | None = None,
    secret: bool = False,
) -> Draft:
    """The sentence for a value that is not allowed."""
    said = str(found) if secret else shown(found)
    message = f"found {said}"
    if why:
        message += f": {why}"
    hint = _hint(nearest)
    message += f"; {hint}allowed: {allowed}" if hint else f"; allowed: {allowed}"
    at: Literal["key", "value"] = "key" if isinstance(found, (dict, type(None))) else "value"
    return Draft(path, message, at, found=said, allowed=allowed, nearest=None if nearest is None else str(nearest))


def unknown_key(path: KeyPath, allowed: Sequence[str]) -> Draft:
    """The sentence for a key that is not in the model."""
    words = ", ".join(sorted(allowed))
    nearest = nearest_word(str(path[-1]), allowed)
    message = f"unknown key; {_hint(nearest)}allowed: {words}"
    return Draft(path, message, "key", found=str(path[-1]), allowed=words, nearest=nearest)


def _hint(nearest: Nearest) -> str:
    if nearest is None:
        return ""
    # A list, a number, or text that brings its quotes stands as it is.
    as_is = isinstance(nearest, int) or (nearest[:1], nearest[-1:]) in (('"', '"'), ("[", "]"), ("{", "}"))
    return f"did you mean {nearest}? " if as_is else f'did you mean "{nearest}"? '


def place(drafts: Sequence[Draft], sources: Sequence[Source]) -> list[Finding]:
    """Gives each draft the file, line and column of the source that wrote it (the last one that has the path)."""
    owners = {path: _owner(path, sources) for d in drafts for path in (d.path, *d.others)}
    places = {}
    for source in sources:
        mine = [path for path, owner in owners.items() if owner is source]
        if mine:
            places.update(source.places(mine))
    findings = []
    for draft in drafts:
        owner = owners[draft.path]
        spot = places.get(draft.path)
        missing = owner is None or owner.depth(draft.path) < len(draft.path)
        line, column = (spot.key if draft.at == "key" or missing else spot.value) if spot else (None, None)
        message = visible(draft.message)
        for number, other in enumerate(draft.others):
            there, theirs = owners[other], places.get(other)
            where = f"line {theirs.key[0]}" if theirs and theirs.key[0] else "elsewhere"
            if there is not None and there is not owner:
                where = f"{there.name}, {where}"
            message = message.replace(f"{{{number}}}", where)
        name = owner.name if owner else ""
        details = (draft.severity, draft.found, draft.allowed, draft.nearest)
        findings.append(Finding(message, dotted(draft.path), name, line, column, *details))
    return findings


def where(paths: Sequence[KeyPath], sources: Sequence[Source]) -> dict[KeyPath, tuple[str, int | None]]:
    """The file and line that each of these paths was written in, the last of several."""
    found: dict[KeyPath, tuple[str, int | None]] = {}
    by_source: dict[int, list[KeyPath]] = {}
    for path in paths:
        owner = _owner(path, sources)
        if owner is not None:
            by_source.setdefault(next(i for i, one in enumerate(sources) if one is owner), []).append(path)
    for number, mine in by_source.items():
        source = sources[number]
        found.update({path: (source.name, place.key[0]) for path, place in source.places(mine).items()})
    return found


def _owner(path: KeyPath, sources: Sequence[Source]) -> Source | None:
    best, deepest = (sources[-1] if len(sources) == 1 else None), -1 if len(sources) != 1 else 0
    for source in sources:
        depth = source.depth(path)
        if depth >= deepest:
            best, deepest = source, depth
    return best


def from_pydantic(error: ValidationError) -> list[Draft]:
    """One draft for each fault; a missing key whose misspelling was found is not said twice."""
    from fastgate.config import describe  # only where something is wrong

    drafts: list[Draft] = []
    missing: list[tuple[KeyPath, Draft]] = []
    for item in error.errors(include_url=False):
        loc = item["loc"]
        path = tuple(part for part in loc if part not in describe.ARMS and part != "[key]")
        kind, context, found = item["type"], item.get("ctx", {}), item["input"]
        if kind == "extra_forbidden":
            drafts.append(unknown_key(path, describe.names(describe.at(loc[:-1]))))
        elif kind == "missing":
            allowed = describe.allowed(describe.at(loc))
            message = "missing" + (f"; allowed: {allowed}" if allowed else "")
            missing.append((path, Draft(path, message, "key", allowed=allowed)))
        elif kind == REFUSED:
            details = {"nearest": context["nearest"], "why": context["why"], "secret": context["found"] == "a literal"}
            draft = wrong_value(path, context["found"], context["allowed"], **details)
            drafts.append(replace(draft, at="key") if loc[-1] == "[key]" else draft)
        elif kind == "list_type":
            nearest = f"[{found}]" if isinstance(found, (str, int)) else None
            drafts.append(wrong_value(path, found, "a list", nearest=nearest))
        elif kind in ("model_type", "dict_type"):
            names = describe.names(describe.at(loc))
            allowed = f"a mapping with {', '.join(sorted(names))}" if names else "a mapping of names"
            path_text = isinstance(found, str) and found.startswith("/") and "prefix" in names
            drafts.append(wrong_value(path, found, allowed, nearest=f"{{prefix: {found}}}" if path_text else None))
        else:
            drafts.append(wrong_value(path, found, item["msg"]))
    meant = {(*d.path[:-1], d.nearest) for d in drafts if d.at == "key" and d.nearest and d.path}
    drafts.extend(draft for path, draft in missing if path not in meant)
    return drafts

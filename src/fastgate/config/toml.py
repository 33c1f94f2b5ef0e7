"""TOML by the standard library's reader, which tells no positions: an own scan finds the line of each key."""

from __future__ import annotations

import re
import tomllib
from itertools import islice
from typing import Any

from fastgate.config.source import MAX_DEPTH, KeyPath, Source
from fastgate.errors import ConfigError, Finding

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_TABLE = re.compile(rf"\s*(\[\[?)\s*({_PATH})\s*\]\]?\s*(?:#.*)?\Z")
_ASSIGN = re.compile(rf"\s*({_PATH})\s*=\s*(.*)", re.DOTALL)
_PART = re.compile(_KEY)
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def parse_toml(data: bytes, name: str, pyproject: bool) -> Source:
    """TOML text as a source; of a pyproject.toml only `[tool.fastgate]`.

    Raises ConfigError where the text is not TOML.
    """
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode()
        line, column = good.count("\n") + 1, len(good) - (good.rfind("\n") + 1) + 1
        message = "this byte is not UTF-8; save the file as UTF-8"
        raise ConfigError([Finding(message, file=name, line=line, column=column)]) from None
    lines = _lines(text)
    # The standard library's reader takes quadratic time over such a key.
    if deep := next((line for path, (line, _) in lines.items() if len(path) > MAX_DEPTH), None):
        raise ConfigError([Finding(f"nested deeper than {MAX_DEPTH} levels", file=name, line=deep)])
    try:
        value: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_finding(str(error), text, lines, name)]) from None
    except RecursionError:
        raise ConfigError([Finding(f"nested deeper than {MAX_DEPTH} levels", file=name)]) from None
    drop = ("tool", "fastgate") if pyproject else ()
    for part in drop:
        found = value.get(part, {})
        value = found if isinstance(found, dict) else {}
    mine = {path[len(drop) :]: line for path, (line, _) in lines.items() if path[: len(drop)] == drop}
    plain = _plain(value, name, (), mine)
    return Source(name, plain, None, mine, text_has_variables="${" in text)


def _finding(error: str, text: str, lines: dict[KeyPath, tuple[int, int]], name: str) -> Finding:
    place = _PLACE.search(error)
    message = _PLACE.sub("", error)
    if place is None or place[1] is None:
        return Finding(f"not TOML: {message}", file=name, line=text.count("\n") + 1)
    line, column = int(place[1]), int(place[2])
    twice = next((path for path, (first, last) in lines.items() if last == line != first), None)
    if twice and ("overwrite" in message or "declare" in message):
        first = lines[twice][0]
        message = f'duplicate key "{twice[-1]}": written on line {first} and again on line {line}'
        return Finding(message, ".".join(map(str, twice)), name, line, 1)
    return Finding(f"not TOML: {message}", file=name, line=line, column=column)


def _lines(text: str) -> dict[KeyPath, tuple[int, int]]:
    """The first and the last line of each key, as far as its writing shows it (inside multi-line values: not)."""
    lines: dict[KeyPath, tuple[int, int]] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    closing: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if closing is not None:
            closing = None if closing in line else closing
            continue
        header = _TABLE.match(line)
        assign = None if header else _ASSIGN.match(line)
        if header:
            parts = _parts(header[2])
            path: KeyPath = _numbered(parts, counts)
            if header[1] == "[[":
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            table = path
        elif assign:
            path = (*table, *_parts(assign[1]))
            closing = next((q for q in ('"""', "'''") if assign[2].startswith(q) and assign[2].count(q) == 1), None)
        else:
            continue
        for end in range(1, len(path) + 1):
            first, _ = lines.get(path[:end], (number, number))
            lines[path[:end]] = (first, number) if end == len(path) else lines.get(path[:end], (number, number))
    return lines


def _parts(text: str) -> tuple[str, ...]:
    """The parts of a dotted key; no more than can be good."""
    return tuple(match[0].strip("\"'") for match in islice(_PART.finditer(text), MAX_DEPTH + 1))


def _numbered(parts: tuple[str, ...], counts: dict[KeyPath, int]) -> KeyPath:
    """The path of a table below arrays of tables: the last element of each is meant."""
    path: KeyPath = ()
    for number, part in enumerate(parts):
        path = (*path, part)
        if number < len(parts) - 1 and path in counts:
            path = (*path, counts[path])
    return path


def _plain(value: Any, name: str, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    """TOML's dates as text, as they would be in YAML; nesting is bounded as there."""
    if len(path) > MAX_DEPTH:
        line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)
        raise ConfigError([Finding(f"nested deeper than {MAX_DEPTH} levels", file=name, line=line)])
    if isinstance(value, dict):
        return {key: _plain(item, name, (*path, key), lines) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, name, (*path, number), lines) for number, item in enumerate(value)]
    return value if isinstance(value, (str, int, float, bool)) else str(value)

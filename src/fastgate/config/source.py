"""Reading one config file: bytes into plain values, and where in the file each of them stands."""

from __future__ import annotations

import re
import tomllib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fastgate.config.scalars import shown
from fastgate.errors import ConfigError, Finding
from fastgate.primitives import YamlError, load_yaml

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 2_000_000

_COLUMN = (1 << 31) - 1
KeyPath = tuple[str | int, ...]


class Place(NamedTuple):
    """Where a key and its value stand; lines and columns from 1, None where unknown."""

    key: tuple[int | None, int | None]
    value: tuple[int | None, int | None]


@dataclass(slots=True)
class Source:
    """One file (or a mapping from Python) as plain values, with positions."""

    name: str
    value: dict[str, Any]
    positions: array[int] | None = None
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    folder: Path | None = None
    findings: list[Finding] = field(default_factory=list)
    text_has_variables: bool = True

    def depth(self, path: KeyPath) -> int:
        """How many parts of a path this source has."""
        node: Any = self.value
        for index, part in enumerate(path):
            # Two branches, so that a type checker follows.
            if isinstance(node, dict) and part in node:  # noqa: SIM114
                node = node[part]
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                return index
        return len(path)

    def places(self, paths: Iterable[KeyPath]) -> dict[KeyPath, Place]:
        """Where these paths stand; a path that is not there gets the place of its nearest parent."""
        wanted = {path: path[: self.depth(path)] for path in paths}
        if self.positions is None:
            return {path: self._line_only(real) for path, real in wanted.items()}
        found: dict[KeyPath, Place] = {}
        if len(self.positions) >= 2:
            _Walk(self.positions, set(wanted.values()), found).root(self.value)
        nowhere = Place((None, None), (None, None))
        return {path: found.get(real, nowhere) for path, real in wanted.items()}

    def _line_only(self, path: KeyPath) -> Place:
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                line = self.lines[path[:end]]
                return Place((line, None), (line, None))
        return Place((None, None), (None, None))


class _Walk:
    """A depth-first walk over values and positions side by side, collecting the places of some paths."""

    def __init__(self, positions: array[int], wanted: set[KeyPath], found: dict[KeyPath, Place]) -> None:
        self.positions, self.wanted, self.found = positions, wanted, found
        self.index = 0
        # Every prefix of a wanted path: only there must paths be built.
        self.near = {path[:end] for path in wanted for end in range(len(path) + 1)}

    def take(self) -> tuple[int, int]:
        at = self.index
        self.index += 2
        return self.positions[at], self.positions[at + 1] & _COLUMN

    def root(self, value: Any) -> None:
        place = self.take()
        if () in self.wanted:
            self.found[()] = Place(place, place)
        self.inside(value, ())

    def inside(self, value: Any, path: KeyPath | None) -> None:
        near = path is not None and path in self.near
        if isinstance(value, dict):
            for name, item in value.items():
                key = self.take()
                self.node(item, (*path, name) if near and path is not None else None, key)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                self.node(item, (*path, number) if near and path is not None else None, None)

    def node(self, value: Any, path: KeyPath | None, key: tuple[int, int] | None) -> None:
        place = self.take()
        if path is not None and path in self.wanted:
            self.found[path] = Place(key or place, place)
        if isinstance(value, (dict, list)):
            self.inside(value, path)


def read_source(path: Path, name: str) -> Source:
    """Reads a file by its ending: .toml as TOML, everything else as YAML 1.2 (which JSON is).

    Raises ConfigError with one finding where the file cannot be read or is not what it should be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Finding(f"cannot be read: {error.strerror or error}", file=name)]) from None
    if len(data) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024 // 1024} MiB"
        raise ConfigError([Finding(f"larger than {limit}; split it and use `include`", file=name)])
    toml = path.suffix == ".toml"
    if path.suffix == ".json" and b"\\u" in data:
        data = _PAIR.sub(_character, data)
    source = _toml(data, name, path.name == "pyproject.toml") if toml else parse_yaml(data, name)
    source.folder = path.parent
    return source


# JSON writes a character beyond U+FFFF as two escapes (RFC 8259 §7), which YAML does not know.
_PAIR = re.compile(rb"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def _character(pair: re.Match[bytes]) -> bytes:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return pair[1] + chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)).encode()


def parse_yaml(data: bytes, name: str) -> Source:
    """YAML or JSON text as a source; keys written twice become findings of it.

    Raises ConfigError where the text is not YAML, or not a mapping.
    """
    twice: list[Finding] = []
    try:
        value, raw = load_yaml(data, MAX_DEPTH, MAX_NODES)
    except YamlError as error:
        problems, *rest = error.args
        twice = [Finding(message, path, name, line, column) for line, column, path, message in problems]
        if not rest:
            raise ConfigError(twice) from None
        value, raw = rest
    positions = array("I")
    positions.frombytes(raw)
    if value is None:
        value, positions = {}, array("I")
    if not isinstance(value, dict):
        raise ConfigError(
            [Finding(f"found {shown(value)}; allowed: a mapping of keys such as routes", file=name, line=1, column=1)]
        )
    return Source(name, value, positions, findings=twice, text_has_variables=b"${" in data)


_TABLE = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?\Z")
_ASSIGN = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _toml(data: bytes, name: str, pyproject: bool) -> Source:
    try:
        text = data.decode()
        value: dict[str, Any] = tomllib.loads(text)
    except UnicodeDecodeError:
        raise ConfigError([Finding("not UTF-8; save the file as UTF-8", file=name)]) from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        message = f"not TOML: {str(error).split(' (at ')[0]}"
        raise ConfigError([Finding(message, file=name, line=line, column=column)]) from None
    drop = ("tool", "fastgate") if pyproject else ()
    for part in drop:
        value = value.get(part, {})
    lines = {path[len(drop) :]: line for path, line in _toml_lines(text).items() if path[: len(drop)] == drop}
    return Source(name, _plain(value), None, lines, text_has_variables="${" in text)


def _toml_lines(text: str) -> dict[KeyPath, int]:
    """The line of each key, as far as its writing shows it (arrays of tables and multi-line values: not)."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = _TABLE.match(line)
        match = header or _ASSIGN.match(line)
        if match is None:
            continue
        parts: KeyPath = tuple(part.strip("\"'") for part in _PART.findall(match[1]))
        if header:
            table = parts
        path = parts if header else (*table, *parts)
        for end in range(1, len(path) + 1):
            lines.setdefault(path[:end], number)
    return lines


def _plain(value: Any) -> Any:
    """TOML's dates as text, as they would be in YAML."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else str(value)

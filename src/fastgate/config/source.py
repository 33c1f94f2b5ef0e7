"""Reading one config file: bytes into plain values, and where in the file each of them stands."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fastgate.config.scalars import shown
from fastgate.errors import ConfigError, Finding
from fastgate.primitives import YamlError, load_yaml

MAX_BYTES = 32 * 1024 * 1024
# The standard library's reader is slow.
MAX_TOML_BYTES = 4 * 1024 * 1024
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


@dataclass(slots=True)
class Budget:
    """What all files of one config may hold together."""

    bytes: int = field(default_factory=lambda: MAX_BYTES)
    nodes: int = field(default_factory=lambda: MAX_NODES)


def read_source(path: Path, name: str, budget: Budget | None = None) -> Source:
    """Reads a file by its ending: .toml as TOML, everything else as YAML 1.2 (which JSON is).

    Takes what it holds from the budget. Raises ConfigError with one finding where the file cannot be read, is not what
    it should be, or is more than the budget has left.
    """
    budget = budget or Budget()
    toml = path.suffix == ".toml"
    most = min(budget.bytes, MAX_TOML_BYTES) if toml else budget.bytes
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except IsADirectoryError:
        raise ConfigError([Finding("a folder; allowed: a file", file=name)]) from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            [Finding(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=name)]
        ) from None
    if len(data) > most:
        raise ConfigError([Finding(_too_large(most), file=name)])
    budget.bytes -= len(data)
    if toml:
        from fastgate.config.toml import parse_toml

        source = parse_toml(data, name, path.name == "pyproject.toml")
    else:
        if path.suffix == ".json" and b"\\u" in data:
            data = _PAIR.sub(_character, data)
        source = parse_yaml(data, name, budget.nodes)
    budget.nodes -= len(source.positions) // 2 if source.positions else 0
    source.folder = path.parent
    return source


def _too_large(most: int) -> str:
    if most == MAX_BYTES:
        return f"larger than {MAX_BYTES // 1024 // 1024} MiB"
    if most == MAX_TOML_BYTES:
        return f"larger than {MAX_TOML_BYTES // 1024 // 1024} MiB, the most for TOML; write it as YAML"
    return f"all files together are larger than {MAX_BYTES // 1024 // 1024} MiB"


# JSON writes a character beyond U+FFFF as two escapes (RFC 8259 §7), which YAML does not know.
_PAIR = re.compile(rb"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def _character(pair: re.Match[bytes]) -> bytes:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return pair[1] + chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)).encode()


def parse_yaml(data: bytes, name: str, nodes: int = MAX_NODES) -> Source:
    """YAML or JSON text as a source; keys written twice become findings of it.

    Raises ConfigError where the text is not YAML, or not a mapping.
    """
    twice: list[Finding] = []
    try:
        value, raw = load_yaml(data, MAX_DEPTH, nodes)
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

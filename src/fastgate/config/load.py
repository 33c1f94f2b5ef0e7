"""From files to a checked config: read, include, overlay, substitute, validate; every fault at once."""

from __future__ import annotations

import gc
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fastgate.config import check, later, overlay
from fastgate.config.findings import Draft, from_pydantic, place
from fastgate.config.models import Config
from fastgate.config.source import Source, read_source
from fastgate.errors import ConfigError, Finding

MAX_FILES = 1000
MAX_INCLUDE_DEPTH = 8


@dataclass(slots=True)
class Loaded:
    """A config that is good, what there is to warn of, and the sources that positions come from."""

    config: Config
    sources: Sequence[Source]
    # The values as written, all files merged.
    value: dict[str, Any]
    warnings: tuple[Finding, ...] = ()
    files: tuple[Path, ...] = field(default=())

    def place(self, drafts: Sequence[Draft]) -> list[Finding]:
        """Gives findings their file, line and column."""
        return place(drafts, self.sources)


def load(
    *paths: str | os.PathLike[str],
    environ: Mapping[str, str] | None = None,
    allow_literal_secrets: bool = False,
    overrides: Sequence[Mapping[str, Any]] = (),
    origin: str = "command line",
) -> Loaded:
    """Reads files, each over the ones before it, then the overrides.

    Raises ConfigError with every fault of every file.
    """
    with collector_off():
        reader = _Reader()
        layers = [reader.layer(Path(path), os.fspath(path)) for path in paths]
        layers.extend([Source(origin, dict(mapping))] for mapping in overrides)
        return _build(layers, reader, os.environ if environ is None else environ, allow_literal_secrets)


@contextmanager
def collector_off() -> Iterator[None]:
    """Keeps the garbage collector from walking a growing config again and again; nothing here makes cycles."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def from_mapping(
    mapping: Mapping[str, Any],
    origin: str = "config",
    *,
    environ: Mapping[str, str] | None = None,
    allow_literal_secrets: bool = False,
) -> Loaded:
    """A config from plain values shaped like the file.

    Raises ConfigError with every fault.
    """
    layers = [[Source(origin, _copy(mapping))]]
    return _build(layers, _Reader(), os.environ if environ is None else environ, allow_literal_secrets)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _copy(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(item) for item in value]
    return value


class _Reader:
    """Reads files and what they include; collects what cannot be read."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.files: list[Path] = []

    def layer(self, path: Path, name: str, depth: int = 0, above: tuple[Path, ...] = ()) -> list[Source]:
        """One file and everything it includes."""
        if len(self.files) >= MAX_FILES:
            self.findings.append(Finding(f"more than {MAX_FILES} files", file=name))
            return []
        self.files.append(path)
        try:
            source = read_source(path, name)
        except ConfigError as error:
            self.findings.extend(error.findings)
            return []
        self.findings.extend(source.findings)
        sources = [source]
        patterns = source.value.get("include")
        patterns = [patterns] if isinstance(patterns, str) else patterns
        for number, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
            if isinstance(pattern, str):
                sources.extend(self._include(source, pattern, number, depth, (*above, path.resolve())))
        return sources

    def _include(
        self, source: Source, pattern: str, number: int, depth: int, above: tuple[Path, ...]
    ) -> Iterable[Source]:
        where = ("include", number) if isinstance(source.value["include"], list) else ("include",)
        folder = source.folder or Path()
        found = sorted(glob.glob(str(folder / pattern), recursive=True))
        if not found:
            message = f'found "{pattern}": no such file; allowed: paths and patterns relative to this file'
            self.findings.extend(place([Draft(where, message, found=pattern)], [source]))
        for name in found:
            path = Path(name)
            if path.resolve() in above:
                continue
            if depth >= MAX_INCLUDE_DEPTH:
                message = f"included deeper than {MAX_INCLUDE_DEPTH} levels"
                self.findings.extend(place([Draft(where, message, found=pattern)], [source]))
                continue
            yield from self.layer(path, name, depth + 1, above)


def _build(layers: list[list[Source]], reader: _Reader, environ: Mapping[str, str], literal_secrets: bool) -> Loaded:
    sources = [source for layer in layers for source in layer]
    findings = list(reader.findings)
    merged: dict[str, Any] = {}
    for layer in layers:
        united: dict[str, Any] = {}
        for source in layer:
            mine: list[Draft] = []
            if source.text_has_variables:
                overlay.substitute(source.value, environ, mine)
            findings.extend(place(mine, [source]))
            mine = []
            united = (
                overlay.unite(united, _without_include(source.value), mine)
                if united
                else _without_include(source.value)
            )
            findings.extend(place(mine, [source]))
        mine = []
        overlay.without_nulls(united, merged, mine)
        findings.extend(place(mine, layer))
        merged = overlay.without_nulls(overlay.overlay(merged, united), None, [])
    drafts, config = _validate(merged, literal_secrets)
    findings.extend(place(drafts, sources))
    findings = _once(findings)
    if findings or config is None:
        raise ConfigError(findings)
    drafts = later.warnings(config)
    if not config.routes:
        drafts.append(Draft(("routes",), "no routes: every request gets 404", "key", "warning"))
    return Loaded(config, sources, merged, tuple(place(drafts, sources)), tuple(reader.files))


def _without_include(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != "include" or not isinstance(item, (str, list))}


def _validate(merged: dict[str, Any], literal_secrets: bool) -> tuple[list[Draft], Config | None]:
    drafts: list[Draft] = []
    config = None
    try:
        config = Config.model_validate(merged, context={"literal_secrets": literal_secrets})
    except ValidationError as error:
        drafts = from_pydantic(error)
    return drafts + check.check(merged), config


def _once(findings: list[Finding]) -> list[Finding]:
    """One error a place and key, in the order of the files."""
    seen: set[tuple[str, str, int | None]] = set()
    kept = []
    for finding in findings:
        mark = (finding.file, finding.path, finding.line)
        if finding.path and mark in seen:
            continue
        seen.add(mark)
        kept.append(finding)
    order = {name: number for number, name in enumerate(dict.fromkeys(f.file for f in kept))}
    return sorted(kept, key=lambda f: (order[f.file], f.line or 0, f.column or 0))

"""From files to a checked config: read, include, overlay, substitute, validate; every fault at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fastgate.config import check, later, overlay, snapshot
from fastgate.config.collector import collector_off
from fastgate.config.findings import Draft, from_pydantic, place
from fastgate.config.models import Config, Route
from fastgate.config.policies import Book
from fastgate.config.routes import Routes, slices
from fastgate.config.scalars import shown
from fastgate.config.source import Budget, Source, read_source
from fastgate.errors import ConfigError, Finding

MAX_FILES = 1000
MAX_INCLUDE_DEPTH = 8
MAX_FINDINGS = 1000
_TOO_MANY = f"more than {MAX_FILES} files"
# Beyond this, routes are checked and compiled in slices and not kept as models.
MANY_ROUTES = 500


@dataclass(slots=True)
class Loaded:
    """A config that is good, what there is to warn of, and the sources that positions come from."""

    config: Config
    sources: Sequence[Source]
    # The values as written, all files merged.
    value: dict[str, Any]
    warnings: tuple[Finding, ...] = ()
    files: tuple[Path, ...] = field(default=())
    # Routes in the engine's words already, where there are too many to keep them as models.
    compiled: Sequence[snapshot.Compiled] | None = None
    # Where references to secrets are looked up.
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    # The policies that routes compiled already name by number.
    policies: Book | None = None

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
    with collector_off():
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
        self.budget = Budget()

    def layer(self, path: Path, name: str) -> list[Source]:
        """One file and everything it includes."""
        if "\0" in name:
            self.findings.append(Finding("found a NUL byte in the name of a file", file=shown(name)))
            return []
        return self._file(path, name, (), {_real(path)})

    def _file(self, path: Path, name: str, above: tuple[Path, ...], seen: set[Path]) -> list[Source]:
        if len(self.files) >= MAX_FILES:
            if not any(finding.message == _TOO_MANY for finding in self.findings):
                self.findings.append(Finding(_TOO_MANY, file=name))
            return []
        self.files.append(path)
        try:
            source = read_source(path, name, self.budget)
        except ConfigError as error:
            self.findings.extend(error.findings)
            return []
        self.findings.extend(source.findings)
        sources = [source]
        patterns = source.value.get("include")
        patterns = [patterns] if isinstance(patterns, str) else patterns
        for number, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
            if isinstance(pattern, str):
                sources.extend(self._include(source, pattern, number, (*above, _real(path)), seen))
        return sources

    def _include(
        self, source: Source, pattern: str, number: int, above: tuple[Path, ...], seen: set[Path]
    ) -> Iterable[Source]:
        where = ("include", number) if isinstance(source.value["include"], list) else ("include",)

        def wrong(problem: str) -> None:
            draft = Draft(where, f"found {shown(pattern)}: {problem}", found=pattern)
            self.findings.extend(place([draft], [source]))

        found = []
        if "\0" not in pattern:
            folder = source.folder or Path()
            found = sorted(islice(glob.iglob(str(folder / pattern), recursive=True), MAX_FILES + 1))
        if not found:
            wrong("no such file; allowed: paths and patterns relative to this file")
        for name in found:
            path = Path(name)
            real = _real(path)
            if real == above[-1] and glob.has_magic(pattern):
                continue  # a pattern that also finds its own file
            if real in above:
                wrong(f"includes itself: {' -> '.join(one.name for one in (*above[above.index(real) :], real))}")
            elif real in seen:
                wrong(f"{name} is included already")
            elif len(above) > MAX_INCLUDE_DEPTH:
                wrong(f"included deeper than {MAX_INCLUDE_DEPTH} levels")
            else:
                seen.add(real)
                yield from self._file(path, name, above, seen)


def _real(path: Path) -> Path:
    """The file behind links; unlike Path.resolve() without an error for links that go round."""
    return Path(os.path.realpath(path))


def _build(layers: list[list[Source]], reader: _Reader, environ: Mapping[str, str], literal_secrets: bool) -> Loaded:
    sources = [source for layer in layers for source in layer]
    findings = list(reader.findings)
    merged: dict[str, Any] = {}
    room = overlay.Room()
    for layer in layers:
        united: dict[str, Any] = {}
        for source in layer:
            mine: list[Draft] = []
            if source.text_has_variables:
                overlay.substitute(source.value, environ, mine, room)
            findings.extend(place(mine, [source]))
            mine = []
            united = (
                overlay.unite(united, _without_include(source.value), mine)
                if united
                else _without_include(source.value)
            )
            findings.extend(place(mine, [source]))
        mine = []
        kept = overlay.without_nulls(united, merged, mine)
        findings.extend(place(mine, layer))
        merged = overlay.without_nulls(overlay.overlay(merged, united), None, []) if merged else kept
    checked = _Checked(merged, literal_secrets, environ)
    findings.extend(place(checked.errors, sources))
    findings = _bounded(_once(findings))
    if findings or checked.config is None:
        raise ConfigError(findings)
    warnings = tuple(_in_order(place(checked.warnings, sources)))
    policies = checked.policies if checked.compiled is not None else None
    return Loaded(checked.config, sources, merged, warnings, tuple(reader.files), checked.compiled, environ, policies)


def _without_include(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != "include" or not isinstance(item, (str, list))}


class _Checked:
    """Merged values against the models and against each other.

    Few routes become models at once. Many are checked, compiled and dropped slice by slice, so that 10,000 of them
    never stand in memory as models.
    """

    def __init__(self, merged: dict[str, Any], literal_secrets: bool, environ: Mapping[str, str]) -> None:
        self.errors: list[Draft] = []
        self.warnings: list[Draft] = []
        self.config: Config | None = None
        self.compiled: list[snapshot.Compiled] | None = None
        self.policies = Book(environ, store=merged.get("store") is not None)
        self._context: dict[str, Any] = {"literal_secrets": literal_secrets, "literals": 0}
        between = check.check(merged)
        routes = merged.get("routes")
        if isinstance(routes, dict) and len(routes) > MANY_ROUTES:
            self.config = self._read({name: item for name, item in merged.items() if name != "routes"})
            self._many(routes, compiling=not between)
        else:
            self.config = self._read(merged)
        self.errors += between
        if self.config is not None and not self.errors:
            self.warnings += later.warnings(self.config, {} if self.compiled is not None else self.config.routes)
            if not self.config.routes and not (self.config.realtime and self.config.realtime.endpoints):
                self.warnings.append(Draft(("routes",), "no routes: every request gets 404", "key", "warning"))

    def _read(self, value: dict[str, Any]) -> Config | None:
        literals = self._context["literals"]
        try:
            config = Config.model_validate(value, context=self._context)
            if self._context["literals"] > literals:
                self.warnings += later.literal_secrets(config)
            return config
        except ValidationError as error:
            self.errors += from_pydantic(error)
            return None

    def _many(self, raw: dict[str, Any], *, compiling: bool) -> None:
        compiled: list[snapshot.Compiled] = []
        whole = self.config if compiling else None
        for some in slices(raw):
            part = self._read({"routes": some})
            if part is None:
                whole = None
            if part is not None and whole is not None:
                compiled += snapshot.compile_routes(whole, part.routes, self.policies)
                self.warnings += later.route_warnings(part.routes)
        if whole is not None:
            whole.__dict__["routes"] = Routes(raw, lambda one: Route.model_validate(one, context=self._context))
            self.compiled = compiled


def _bounded(findings: list[Finding]) -> list[Finding]:
    more = len(findings) - MAX_FINDINGS
    return findings if more <= 0 else [*findings[:MAX_FINDINGS], Finding(f"{more} more errors are not shown")]


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
    return _in_order(kept)


def _in_order(findings: list[Finding]) -> list[Finding]:
    order = {name: number for number, name in enumerate(dict.fromkeys(f.file for f in findings))}
    return sorted(findings, key=lambda f: (order[f.file], f.line or 0, f.column or 0))

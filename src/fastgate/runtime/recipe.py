"""What to load and how: a recipe as plain data, so that this process or a child can follow it, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgate.errors import ConfigError, Finding

if TYPE_CHECKING:
    from fastgate.config import Loaded, Snapshot

APART_BYTES = 256 * 1024
"""Configs whose named files are larger are compiled by a child at start too: what it needs meanwhile goes with it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Config files with what is laid over them; without files the last mapping is the config.

    Args:
        files: Paths, later over earlier.
        overrides: Mappings laid over the files, in order; of values that JSON has.
        origin: What errors call the overrides.
        allow_literal_secrets: Secrets in the config itself are a warning.
        hooks: Routes whose requests pass Python hooks; "*" in it: all.
        private_descriptors: Each worker gets a descriptor table of its own (tests force it).
    """

    files: tuple[str, ...] = ()
    overrides: tuple[Mapping[str, Any], ...] = ()
    origin: str = "command line"
    allow_literal_secrets: bool = False
    hooks: tuple[str, ...] = ()
    private_descriptors: bool = False

    def bytes(self) -> int:
        """Bytes of the named files; what cannot be read counts nothing here, loading says why."""
        total = 0
        for name in self.files:
            try:
                total += os.stat(name).st_size
            except OSError:
                continue
        return total


@dataclass(frozen=True, slots=True)
class Watched:
    """What a config was made of: files read, patterns they were found by, and files of secrets."""

    files: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(slots=True)
class Compiled:
    """A snapshot's bytes and what the control plane keeps of the config; the models are not among it."""

    data: bytes
    routes: Sequence[str]
    listeners: Sequence[str]
    secure: Sequence[str] = ()
    """The listeners that speak TLS."""
    workers: int = 0
    control: str | None = None
    watch: bool = False
    warnings: tuple[Finding, ...] = ()
    files: tuple[str, ...] = ()
    watched: Watched = field(default_factory=Watched)
    snapshot: Snapshot | None = None
    """Until the engine has taken it: the way back from its findings to lines. A child has asked the engine already."""

    def findings(self, invalid: Sequence[tuple[str, str]]) -> list[Finding]:
        """The engine's findings, (path in the snapshot, message), with their places where they are known."""
        if self.snapshot is not None:
            return self.snapshot.findings(invalid)
        return [Finding(message, path=path) for path, message in invalid]


class Unusable(ConfigError):
    """A ConfigError that knows which files the config would be made of."""

    def __init__(self, findings: Sequence[Finding], watched: Watched) -> None:
        super().__init__(findings)
        self.watched = watched


def follow(recipe: Recipe) -> Compiled:
    """Loads and compiles in this process.

    Raises Unusable with every fault of every file.
    """
    from fastgate import config

    try:
        if recipe.files:
            loaded = config.load(
                *recipe.files,
                overrides=recipe.overrides,
                origin=recipe.origin,
                allow_literal_secrets=recipe.allow_literal_secrets,
            )
        else:
            whole: Mapping[str, Any] = {}
            for one in recipe.overrides:
                whole = {**whole, **one}
            loaded = config.from_mapping(whole, recipe.origin, allow_literal_secrets=recipe.allow_literal_secrets)
        private = recipe.private_descriptors
        return compiled(config.compile(loaded, recipe.hooks, private_descriptors=private, secrets=True))
    except ConfigError as error:
        tried = dict.fromkeys((*recipe.files, *(f.file for f in error.findings if Path(f.file).is_file())))
        raise Unusable(error.findings, Watched(tuple(tried))) from None


def compiled(snapshot: Snapshot) -> Compiled:
    """What the control plane keeps of a snapshot."""
    loaded = snapshot.loaded
    settings = loaded.config
    return Compiled(
        data=snapshot.data,
        routes=snapshot.routes,
        listeners=snapshot.listeners,
        secure=tuple(name for name, one in settings.listeners.items() if one.tls is not None),
        workers=settings.workers,
        control=settings.control.socket if settings.control else None,
        watch=settings.reload.watch if settings.reload else False,
        warnings=loaded.warnings,
        files=tuple(str(path) for path in loaded.files),
        watched=_watched(loaded),
        snapshot=snapshot,
    )


def _watched(loaded: Loaded) -> Watched:
    files = [str(path) for path in loaded.files]
    patterns: list[str] = []
    for source in loaded.sources:
        wanted = source.value.get("include")
        texts = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
        patterns.extend(str((source.folder or Path()) / text) for text in texts if isinstance(text, str))
        # The sections that hold secrets; the routes of a large config are not walked.
        for key in ("store", "consumers", "realtime", "key_pepper", "admin", "metrics"):
            files.extend(text.removeprefix("file:") for text in _texts(source.value.get(key)) if text[:6] == "file:/")
    return Watched(tuple(dict.fromkeys(files)), tuple(dict.fromkeys(patterns)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

"""Which config is meant where none is named."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fastgate.errors import UsageError

_MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


def default_files() -> list[str]:
    """The config to use where none is named; raises UsageError where there is none."""
    named = os.environ.get("FASTGATE_CONFIG")
    if named:
        parts = named.split(os.pathsep)
        # `a.yaml:b.yaml` looks like module:attribute.
        if all(Path(part).exists() for part in parts) or not is_module(named):
            return parts
        return [named]
    if Path("fastgate.yaml").is_file():
        return ["fastgate.yaml"]
    project = Path("pyproject.toml")
    if project.is_file() and b"[tool.fastgate" in project.read_bytes():
        return [str(project)]
    raise UsageError(
        "no config: name a FILE, use --to URL, set FASTGATE_CONFIG, "
        "or write fastgate.yaml or [tool.fastgate] in pyproject.toml (fastgate init writes a first one)"
    )


def is_module(name: str) -> bool:
    """Whether a word means `module:attribute` and no file."""
    return _MODULE.match(name) is not None and not Path(name).exists()

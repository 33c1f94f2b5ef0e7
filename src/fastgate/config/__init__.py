"""Config: typed models, loading, source positions, secrets, and compile() into the engine's snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastgate.config.load import Loaded, from_mapping, load
from fastgate.config.models import Config
from fastgate.config.snapshot import Snapshot, compile  # noqa: A004
from fastgate.errors import ConfigError, Finding

if TYPE_CHECKING:
    from fastgate.config.json_schema import schema
    from fastgate.config.merged import Setting, explain_defaults, print_merged, to_yaml
    from fastgate.config.starting import starter

# What a start does not need is imported at its first use.
_LATER = {
    "Setting": "merged",
    "explain_defaults": "merged",
    "print_merged": "merged",
    "to_yaml": "merged",
    "schema": "json_schema",
    "starter": "starting",
}

__all__ = [
    "Config",
    "ConfigError",
    "Finding",
    "Loaded",
    "Setting",
    "Snapshot",
    "compile",
    "explain_defaults",
    "from_mapping",
    "load",
    "print_merged",
    "schema",
    "starter",
    "to_yaml",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)

"""Config: typed models, loading, source positions, secrets, and compile() into the engine's snapshot."""

from __future__ import annotations

from fastgate.config.load import Loaded, from_mapping, load
from fastgate.config.models import Config
from fastgate.config.snapshot import Snapshot, compile  # noqa: A004
from fastgate.errors import ConfigError, Finding

__all__ = ["Config", "ConfigError", "Finding", "Loaded", "Snapshot", "compile", "from_mapping", "load"]

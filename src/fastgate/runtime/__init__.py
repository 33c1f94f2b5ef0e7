"""Starts and stops the engine, applies snapshots, and turns signals into drain, stop and reload."""

from __future__ import annotations

from fastgate.runtime.running import Running, validate
from fastgate.runtime.runtime import Runtime

__all__ = ["Running", "Runtime", "validate"]

"""Starts and stops the engine, applies snapshots, and turns signals into drain, stop and reload.

The names are imported when first used: who only asks a running gateway loads no engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastgate.runtime.recipe import Compiled, Recipe
    from fastgate.runtime.reloads import ReloadResult
    from fastgate.runtime.running import Channels, Running, validate
    from fastgate.runtime.runtime import Runtime

__all__ = ["Channels", "Compiled", "Recipe", "ReloadResult", "Running", "Runtime", "validate"]

_HOME = {
    "Channels": "running",
    "Compiled": "recipe",
    "Recipe": "recipe",
    "ReloadResult": "reloads",
    "Running": "running",
    "Runtime": "runtime",
    "validate": "running",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value

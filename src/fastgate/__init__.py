"""fastgate: an API gateway for Python teams, a compiled data plane that installs with pip and extends in Python.

The public names. Each is imported when first used, so that `import fastgate` costs next to nothing.
"""

from __future__ import annotations

# The name is what type checkers look for; `typing` itself would be the dearest import of all.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastgate import errors
    from fastgate._core import Headers, Identity, Request, Response
    from fastgate.gateway import Gateway

# Held against the metadata by a test: to ask the metadata takes as long as all the rest of `fastgate --version`.
__version__ = "0.1.0"

__all__ = ["Gateway", "Headers", "Identity", "Request", "Response", "__version__", "errors"]

_HOME = {
    "Gateway": "fastgate.gateway",
    "Headers": "fastgate._core",
    "Identity": "fastgate._core",
    "Request": "fastgate._core",
    "Response": "fastgate._core",
}


def _import(module: str) -> Any:
    from importlib import import_module

    return import_module(module)


def __getattr__(name: str) -> Any:
    value: Any
    if name in _HOME:
        value = getattr(_import(_HOME[name]), name)
    elif name == "errors":
        value = _import("fastgate.errors")
    else:
        raise AttributeError(f"module 'fastgate' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

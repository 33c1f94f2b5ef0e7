"""fastgate: an API gateway for Python teams, a compiled data plane that installs with pip and extends in Python.

The public names. Each is imported when first used, so that `import fastgate` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastgate import errors
    from fastgate._core import Headers, Request, Response
    from fastgate.gateway import Gateway

    __version__: str

__all__ = ["Gateway", "Headers", "Request", "Response", "__version__", "errors"]

_HOME = {
    "Gateway": "fastgate.gateway",
    "Headers": "fastgate._core",
    "Request": "fastgate._core",
    "Response": "fastgate._core",
}


def __getattr__(name: str) -> Any:
    value: Any
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name == "errors":
        value = import_module("fastgate.errors")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("fastgate")
    else:
        raise AttributeError(f"module 'fastgate' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The public names of the package, pinned; and `import fastgate` stays cheap."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import subprocess
import sys

import pytest

import fastgate
import fastgate.primitives

NAMES = ["Gateway", "Headers", "Identity", "Request", "Response", "__version__", "errors"]
PRIMITIVES = [
    "Jws",
    "JwsSignature",
    "JwtVerifier",
    "KeySet",
    "ParsedRequest",
    "RateDecision",
    "RateLimiter",
    "RequestRefused",
    "Router",
    "TokenRefused",
    "WebSocketParser",
    "WebSocketViolation",
    "YamlError",
    "api_key_kind",
    "explain",
    "hash_password",
    "load_yaml",
    "make_api_key",
    "parse_request",
    "precedence",
    "verify_jws",
    "websocket_deflate",
    "websocket_extensions",
    "websocket_frame",
]


def test_names():
    assert fastgate.__all__ == NAMES
    assert set(NAMES) <= set(dir(fastgate))
    assert fastgate.primitives.__all__ == PRIMITIVES
    assert fastgate.__version__ == importlib.metadata.version("fastgate")


def test_every_name_is_there_and_documented():
    for module, names in ((fastgate, NAMES), (fastgate.primitives, PRIMITIVES)):
        for name in names:
            value = getattr(module, name)
            assert name.startswith("__") or inspect.getdoc(value), name


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="module 'fastgate' has no attribute 'Gatewya'"):
        _ = fastgate.Gatewya
    with pytest.raises(ImportError):
        from fastgate import Gatewya  # noqa: F401


def test_importing_loads_nothing_else():
    code = """
import sys, json
before = set(sys.modules)
import fastgate
first = sorted(m for m in set(sys.modules) - before if m.startswith(("fastgate", "pydantic", "asyncio", "typing")))
fastgate.Response
second = sorted(m for m in sys.modules if m.startswith("fastgate") or m == "pydantic")
print(json.dumps([first, second]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    first, second = json.loads(out)
    assert [m for m in first if not m.startswith("typing")] == ["fastgate"]
    assert second == ["fastgate", "fastgate._core", "fastgate._engine"]

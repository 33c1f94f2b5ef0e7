"""The engine's life seen from Python, and serve() for tests."""

from __future__ import annotations

import resource
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from fastgate import config, testing
from fastgate.errors import ConfigError, StartError
from fastgate.runtime import Runtime
from fastgate.runtime.runtime import raise_descriptor_limit


def mapping(body: str = "one", bind: str = "127.0.0.1:0") -> dict[str, Any]:
    return {
        "listeners": {"public": {"bind": bind}},
        "workers": 1,
        "limits": {"max_connections": 100},
        "routes": {"a": {"match": {"prefix": "/"}, "respond": {"status": 200, "body": body}}},
    }


def text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_serve_a_mapping() -> None:
    with testing.serve(mapping(bind="0.0.0.0:8000")) as gateway:
        assert gateway.url.startswith("http://127.0.0.1:")
        assert text(gateway.url) == "one"
        assert gateway.stats()["requests"] == 1
        url = gateway.url
    with pytest.raises(OSError, match="refused"):
        text(url)


def test_serve_a_file(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("routes:\n  a:\n    match:\n      prefix: /\n    respond:\n      status: 200\n      body: file\n")
    with testing.serve(file) as gateway:
        assert text(gateway.url) == "file"


def test_serve_a_bad_config() -> None:
    with pytest.raises(ConfigError, match=r"routes\.a"), testing.serve({"routes": {"a": {}}}):
        pass


def test_reload_swaps_or_changes_nothing() -> None:
    bodies = iter(["one", "two", 3])
    runtime = Runtime(lambda: config.compile(config.from_mapping(mapping(next(bodies)))))  # type: ignore[arg-type]
    runtime.start()
    try:
        url = f"http://{runtime.addresses['public']}"
        assert text(url) == "one"
        assert runtime.reload().ok
        assert text(f"http://{runtime.addresses['public']}") == "two"
        result = runtime.reload()
        assert not result.ok
        assert "body" in str(result.error)
        assert text(f"http://{runtime.addresses['public']}") == "two"
    finally:
        assert runtime.stop()


def test_not_started_and_started_twice() -> None:
    runtime = Runtime(lambda: config.compile(config.from_mapping(mapping())))
    with pytest.raises(StartError, match="not been started"):
        runtime.stats()
    runtime.start()
    try:
        with pytest.raises(StartError, match="running already"):
            runtime.start()
        assert runtime.workers == 1
        runtime.drain()
        assert runtime.wait(10)
    finally:
        assert runtime.stop()


def test_the_descriptor_limit_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        limit = raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limit
        assert limit >= min(before[1], 1 << 20) or before[1] == resource.RLIM_INFINITY
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

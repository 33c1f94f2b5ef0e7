"""The compiled route trie beside Starlette's router: the same table, the same look-ups, the same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

primitives = pytest.importorskip("fastgate.primitives", reason="the compiled package is not built: make dev")
routing = pytest.importorskip("starlette.routing")

SIZES = [10, 600, 10_000]


async def endpoint(scope: Any, receive: Any, send: Any) -> None:
    """Never called: only matching is measured."""


def paths(size: int) -> list[tuple[str, str]]:
    """A path of the first, the middle and the last route, and the number it must capture."""
    return [(f"/r{i}/items/{i * 7}", str(i * 7)) for i in (0, size // 2, size - 1)]


@pytest.mark.parametrize("size", SIZES)
def test_fastgate(benchmark: Callable[..., Any], size: int) -> None:
    router = primitives.Router([(f"/r{i}/items/{{id}}", i) for i in range(size)])
    wanted = paths(size)

    def look_up() -> list[Any]:
        return [router.match("GET", path) for path, _ in wanted]

    found = benchmark(look_up)
    assert found == [(i, {"id": number}) for i, (_, number) in zip((0, size // 2, size - 1), wanted, strict=True)]
    assert router.match("GET", "/nowhere") is None


@pytest.mark.parametrize("size", SIZES)
def test_starlette(benchmark: Callable[..., Any], size: int) -> None:
    table = [routing.Route(f"/r{i}/items/{{id}}", endpoint) for i in range(size)]
    wanted = paths(size)

    def look_up() -> list[Any]:
        found = []
        for path, _ in wanted:
            scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
            for route in table:  # what starlette.routing.Router does for each request
                match, child = route.matches(scope)
                if match is routing.Match.FULL:
                    found.append(child["path_params"])
                    break
        return found

    found = benchmark(look_up)
    assert found == [{"id": number} for _, number in wanted]

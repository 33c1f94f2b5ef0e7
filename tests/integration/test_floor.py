"""The floor proxy stays the floor: whoever makes it slower makes every gateway look better."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from bench import cost
from bench.binaries import Missing
from bench.load.process import Origin

Result = TypeVar("Result")


def measured(measure: Callable[[], Result]) -> Result:
    """The figure; where a tool or binary is missing the test is skipped by name, and fails in CI."""
    try:
        return measure()
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


def test_the_floor_needs_at_most_1300_user_instructions_a_request() -> None:
    def measure() -> float:
        with Origin() as origin:
            return cost.instructions(cost.floor(origin.address), cost.Load(16, 1_000, 6_000))

    found = measured(measure)
    assert 100 < found <= 1_300, f"{found:.0f} user instructions a request"


@pytest.mark.parametrize(
    "args", [(), ("--body", "1024", "--path", "/b/128"), ("--path", "/c/1024")], ids=["get", "post", "chunked"]
)
def test_the_floor_makes_exactly_four_data_calls_a_request(args: tuple[str, ...]) -> None:
    def measure() -> cost.Calls:
        with Origin() as origin:
            return cost.calls(cost.floor(origin.address), cost.Load(64, 1_000, 3_000, args))

    calls = measured(measure)
    assert round(calls.data, 2) == 4, calls
    assert not calls.others, calls
    assert calls.waits <= 2, calls

"""Durations, sizes and rates: what is read, what is refused, and that writing is the inverse of reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.config import units


@given(st.integers(0, 10**12))
def test_duration_round_trip(ms: int) -> None:
    assert units.parse_duration(units.format_duration(ms)) == ms


@given(st.integers(0, 2**50))
def test_size_round_trip(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size


@given(st.text(max_size=20))
def test_no_text_breaks_a_reader(text: str) -> None:
    for read in (units.parse_duration, units.parse_size, units.parse_rate, units.parse_byte_rate):
        read(text)
    for guess, read in (
        (units.nearest_duration, units.parse_duration),
        (units.nearest_size, units.parse_size),
        (units.nearest_rate, units.parse_rate),
    ):
        guess(text)
        del read


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("5s", 5_000),
        ("1.5s", 1_500),
        ("2m", 120_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("0", 0),
    ],
)
def test_durations(text: str, ms: int) -> None:
    assert units.parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "5", "5S", " 5s", "5 s", "-5s", "5s ", "0.0001ms", "1e3s", "\u0665s", "5min"])
def test_not_durations(text: str) -> None:
    assert units.parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "meant"), [("5", "5s"), ("5 seconds", "5s"), ("10min", "10m"), ("2H", "2h"), ("soon", None)]
)
def test_nearest_duration(text: str, meant: str | None) -> None:
    assert units.nearest_duration(text) == meant
    assert meant is None or units.parse_duration(meant) is not None


@pytest.mark.parametrize(
    ("text", "size"), [("512B", 512), ("64KiB", 65_536), ("10MB", 10_000_000), ("1.5MiB", 1_572_864)]
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["64", "64K", "64kib", "-1B", "1.00001KiB"])
def test_not_sizes(text: str) -> None:
    assert units.parse_size(text) is None


@pytest.mark.parametrize(
    ("text", "rate"), [("100/s", (100, 1)), ("30/m", (30, 60)), ("10000/d", (10_000, 86_400)), ("5/w", None)]
)
def test_rates(text: str, rate: tuple[int, int] | None) -> None:
    assert units.parse_rate(text) == rate

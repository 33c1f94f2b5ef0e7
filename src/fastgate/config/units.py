"""Durations, sizes and rates as people write them, and back."""

from __future__ import annotations

import re

DURATION_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
SIZE_UNITS = {
    "B": 1,
    "kB": 1_000,
    "KiB": 1_024,
    "MB": 1_000_000,
    "MiB": 1_048_576,
    "GB": 1_000_000_000,
    "GiB": 1_073_741_824,
}
RATE_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "month": 2_592_000}

_DURATION = re.compile(r"(?:\d{1,15}(?:\.\d{1,3})?(?:ms|s|m|h|d))+\Z", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_DURATION_ORDER = ("ms", "s", "m", "h", "d")
_SIZE = re.compile(r"(\d{1,16}(?:\.\d{1,3})?)(B|kB|KiB|MB|MiB|GB|GiB)\Z", re.ASCII)
_RATE = re.compile(r"(\d{1,12})/(s|month|m|h|d)\Z", re.ASCII)
_BYTE_RATE = re.compile(r"(\d{1,16}(?:\.\d{1,3})?(?:B|kB|KiB|MB|MiB|GB|GiB))/s\Z", re.ASCII)
_LOOSE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµ]*)\s*\Z", re.ASCII)

_DURATION_WORDS = {
    "": "s",
    "msec": "ms",
    "millisecond": "ms",
    "milliseconds": "ms",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "min": "m",
    "mins": "m",
    "minute": "m",
    "minutes": "m",
    "hour": "h",
    "hours": "h",
    "hr": "h",
    "day": "d",
    "days": "d",
}
_SIZE_WORDS = {
    "b": "B",
    "byte": "B",
    "bytes": "B",
    "k": "KiB",
    "kb": "kB",
    "kib": "KiB",
    "m": "MiB",
    "mb": "MB",
    "mib": "MiB",
    "g": "GiB",
    "gb": "GB",
    "gib": "GiB",
}


def _exact(number: str, unit: int) -> int | None:
    """So many units in whole base units; None where there is a rest. Binary fractions would be wrong: 1.005 * 1000."""
    whole, _, fraction = number.partition(".")
    total, rest = divmod(int(whole + fraction) * unit, 10 ** len(fraction))
    return None if rest else total


def parse_duration(text: str) -> int | None:
    """Whole milliseconds of `250ms`, `5s`, `2m`, `1h30m`, larger units first; None for anything else.

    A number without unit is nothing else either, but for `0`.
    """
    if text == "0":
        return 0
    if not _DURATION.match(text):
        return None
    total, above = 0, len(_DURATION_ORDER)
    for number, unit in _DURATION_PART.findall(text):
        rank, part = _DURATION_ORDER.index(unit), _exact(number, DURATION_UNITS[unit])
        if rank >= above or part is None:
            return None
        total, above = total + part, rank
    return total


def parse_size(text: str) -> int | None:
    """Bytes of `512B`, `64KiB`, `1.5MiB`, `10MB`; None for anything else."""
    match = _SIZE.match(text)
    if not match:
        return None
    return _exact(match[1], SIZE_UNITS[match[2]])


def parse_rate(text: str) -> tuple[int, int] | None:
    """(count, seconds) of `100/s`, `30/m`, `10000/d`, `9/month` (30 days); None for anything else."""
    match = _RATE.match(text)
    return (int(match[1]), RATE_UNITS[match[2]]) if match else None


def parse_byte_rate(text: str) -> int | None:
    """Bytes a second of `100B/s`, `1KiB/s`; None for anything else."""
    match = _BYTE_RATE.match(text)
    return parse_size(match[1]) if match else None


def format_duration(ms: int) -> str:
    """The shortest way to write so many milliseconds with one unit."""
    if ms == 0:
        return "0s"
    unit = next(u for u in ("d", "h", "m", "s", "ms") if ms % DURATION_UNITS[u] == 0)
    return f"{ms // DURATION_UNITS[unit]}{unit}"


def format_size(size: int) -> str:
    """The shortest way to write so many bytes with one binary unit."""
    if size == 0:
        return "0B"
    unit = next(u for u in ("GiB", "MiB", "KiB", "B") if size % SIZE_UNITS[u] == 0)
    return f"{size // SIZE_UNITS[unit]}{unit}"


def format_rate(count: int, seconds: int) -> str:
    """A rate as it is written; `seconds` is those of one unit."""
    return f"{count}/{next(unit for unit, size in RATE_UNITS.items() if size == seconds)}"


def nearest_duration(text: str) -> str | None:
    """What the writer of `5 seconds` or `5` most likely meant."""
    match = _LOOSE.match(text)
    unit = _DURATION_WORDS.get(match[2].lower(), match[2].lower()) if match else None
    return f"{match[1]}{unit}" if match and unit in DURATION_UNITS else None


def nearest_size(text: str) -> str | None:
    """What the writer of `64k` or `64 KB` most likely meant."""
    match = _LOOSE.match(text)
    unit = _SIZE_WORDS.get(match[2].lower()) if match else None
    return f"{match[1]}{unit}" if match and unit else None


def nearest_rate(text: str) -> str | None:
    """What the writer of `100/sec` or `100 per minute` most likely meant."""
    match = re.match(r"\s*(\d+)\s*(?:/|per\s|a\s)\s*(?:1\s*)?([A-Za-z]+)\s*\Z", text) or re.match(
        r"\s*(\d+)\s*r?/?([smhd])\w*\Z", text
    )
    unit = _DURATION_WORDS.get(match[2].lower(), match[2].lower()) if match else None
    return f"{match[1]}/{unit}" if match and unit in RATE_UNITS else None

"""How things look on a terminal, and that they are plain where there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO

RED, GREEN, YELLOW, DIM, BOLD = "31", "32", "33", "2", "1"


def colours(stream: IO[str] | None = None) -> bool:
    """Whether a stream shows colours: a terminal that is not dumb, without NO_COLOR."""
    one = sys.stdout if stream is None else stream
    return one.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str, on: bool) -> str:
    """The text in a colour, where colours are on."""
    return f"\x1b[{code}m{text}\x1b[0m" if on and text else text


def table(rows: Sequence[Sequence[str]], *, indent: str = "", right: frozenset[int] = frozenset()) -> list[str]:
    """Rows as lines, each column as wide as its widest cell; the last is not filled up."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(len(row) for row in rows))]
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[at]) if at in right else cell.ljust(widths[at]) for at, cell in enumerate(row)]
        lines.append(f"{indent}{'  '.join(cells)}".rstrip())
    return lines


def count(number: float) -> str:
    """1204311 as 1,204,311."""
    return f"{int(number):,}"


def micros(value: float | None) -> str:
    """Microseconds as people say them: 87 µs, 1.24 ms, 3.1 s."""
    if value is None:
        return "-"
    if value < 1000:
        return f"{value:.0f} µs"
    if value < 1_000_000:
        return f"{value / 1000:.3g} ms"
    return f"{value / 1_000_000:.3g} s"


def span(seconds: float) -> str:
    """A length of time in its two largest units: 3h 12m."""
    left = int(seconds)
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2])


def bytes_(number: float) -> str:
    """Bytes with a binary unit: 1.5 MiB."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.3g} {unit}" if unit != "B" else f"{value:.0f} B"
        value /= 1024
    return f"{value:.3g} TiB"

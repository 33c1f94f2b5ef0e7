"""Renders results as Markdown: machine, versions, date and method first, then one table a kind of case.

`python -m bench.load.render load.json` prints the page of a stored result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
METHOD = """\
The gateway runs alone on one core; load client and origin share another. Every round starts each gateway afresh, in
an order that turns with the rounds; figures are medians of the rounds that passed. CPU is the gateway's own
accounting by the scheduler (all threads and child processes) over the measured part, which begins after each
connection has had one request. The floor is a C proxy that parses nothing; ratios are to the floor of the same run.
Latency is measured at a fixed rate from the time a request was due, so that a stall counts for all who waited. Every
answer is checked byte by byte; what failed stands below. Configurations: `bench/load/peers/`. This is our own
benchmark: judge it by its sources."""


def render(result: Json) -> str:
    """The page."""
    gateways = list(result["versions"])
    parts = ["# Gateways side by side", ""]
    parts += [f"- {key}: {value}" for key, value in result["machine"].items()]
    parts += [f"- {name}: {version}" for name, version in result["versions"].items()]
    parts += [f"- **missing** {name}: {reason}" for name, reason in result["missing"].items()]
    parts += [f"- {result['rounds']} rounds of {result['seconds']} s a measurement", "", METHOD, ""]
    kinds: list[tuple[str, str, Callable[[Json, Json], str]]] = [
        ("cpu", "CPU µs a request (or echo), and its ratio to the floor", _cpu),
        ("latency", "Latency at a fixed rate: p50 / p99 in µs", _latency),
        ("idle", "Idle connections: bytes each (resident memory with all of them)", _idle),
    ]
    for kind, title, cell in kinds:
        rows = [row for row in result["cases"].values() if row["kind"] == kind]
        if rows:
            parts += [f"## {title}", "", *_table(gateways, rows, cell), ""]
    return "\n".join([*parts, "## What failed", "", *_failures(result), ""])


def _table(gateways: list[str], rows: list[Json], cell: Callable[[Json, Json], str]) -> Iterable[str]:
    yield f"| case | {' | '.join(gateways)} |"
    yield f"|---|{'---|' * len(gateways)}"
    for row in rows:
        by_gateway = row["gateways"]
        floor = by_gateway.get("floor", {})
        none = {name: "failed" if by_gateway[name]["failed"] else "-" for name in gateways}
        cells = [cell(by_gateway[name], floor) if by_gateway[name]["rounds"] else none[name] for name in gateways]
        marks = ["" if not by_gateway[name]["errors"] else " (!)" for name in gateways]
        yield f"| {row['title']} | {' | '.join(text + mark for text, mark in zip(cells, marks, strict=True))} |"


def _cpu(found: Json, floor: Json) -> str:
    ratio = f" ({found['cpu_us'] / floor['cpu_us']:.2f})" if floor.get("cpu_us") else ""
    return f"{found['cpu_us']:.2f}{ratio}"


def _latency(found: Json, _: Json) -> str:
    return f"{found['p50_us']:.0f} / {found['p99_us']:.0f}"


def _idle(found: Json, _: Json) -> str:
    return f"{found['bytes_each']:.0f} ({found['rss_mb']:.1f} MB)"


def _failures(result: Json) -> list[str]:
    lines = []
    for row in result["cases"].values():
        for name, found in row["gateways"].items():
            lines += [f"- {row['title']}, {name}: {reason}" for reason in sorted(set(found["failed"]))]
            if found["errors"]:
                faults = ", ".join(f"{count} {fault}" for fault, count in found["faults"].items())
                lines.append(f"- {row['title']}, {name}: {found['errors']} answers did not pass ({faults})")
    return lines or ["Nothing: every answer of every gateway passed."]


if __name__ == "__main__":
    print(render(json.loads(Path(sys.argv[1]).read_text())))

"""Renders results as Markdown: machine, versions and method first, then one table of all figures, then what failed.

`python -m bench.realtime.render realtime.json` prints the page of a stored result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.realtime.figures import FIGURES, ORDER, cell

Json = dict[str, Any]
METHOD = """\
The hub runs alone on one core, subscribers and publishers (and Redis) on another. Every round starts each hub afresh,
in an order that turns; figures are medians of the rounds that passed. Each publication carries its room, its place in
the room's order and the moment of its sending; each subscriber checks every one, so loss, duplicates, changed order
and changed bytes are counted at each of them and fail the run. CPU is the hub's own accounting by the scheduler (all
threads and child processes), memory what is resident above the same build idle. The floor is a C program: epoll, one
send() a member, no queues, no pings, no limits. Messages have 128 bytes. A publisher is a member of the room that
sends over its WebSocket (nchan: POST to its publisher location; Redis: PUBLISH). Sources: `bench/realtime/`, method
and traps in its README. This is our own benchmark: judge it by its sources."""


def render(result: Json) -> str:
    """The page."""
    cases = result["cases"]
    names = [name for name in ORDER if any(name in case["hubs"] for case in cases.values())]
    parts = ["# Hubs side by side", ""]
    parts += [f"- {key}: {value}" for key, value in result["machine"].items()]
    parts += [f"- {name}: {result['versions'][name]}" for name in names if name in result["versions"]]
    parts += [f"- **missing** {name}: {reason}" for name, reason in result["missing"].items()]
    if check := result.get("check"):
        parts.append(f"- a server that leaves out 1 of 1,000: {check['noticed']} of {check['left_out']} were noticed")
    parts += ["", METHOD, ""]
    parts += [f"| figure | to reach | | {' | '.join(names)} |", f"|---|---|---|{'---|' * len(names)}"]
    for figure in FIGURES:
        hubs = cases.get(figure.case, {}).get("hubs", {})
        cells = [cell(figure.value(hubs, name), hubs.get(name), figure.unit) for name in names]
        if any(cells):
            verdict = {True: "yes", False: "**no**", None: ""}[figure.verdict(hubs)]
            parts.append(f"| {figure.title} | {figure.goal} | {verdict} | {' | '.join(cells)} |")
    parts += ["", "## How each case was measured", ""]
    for case in cases.values():
        dates: dict[str, list[str]] = {}
        for name, hub in case["hubs"].items():
            dates.setdefault(hub["measured"], []).append(name)
        when = "; ".join(f"{date} ({', '.join(hubs)})" for date, hubs in dates.items())
        parts.append(f"- {case['title']}: {_rounds(case)}; {when}")
    return "\n".join([*parts, "", "## What failed", "", *_failures(result), ""])


def _rounds(case: Json) -> str:
    options = case["options"]
    members = options["many"] if case["title"].startswith("100,000") else options["members"]
    repeats = (
        f", {options['repeats']} repeats on the same connections" if case["title"].startswith("100,000 in") else ""
    )
    return f"{case['rounds']} {'round' if case['rounds'] == 1 else 'rounds'} of up to {members:,} subscribers{repeats}"


def _failures(result: Json) -> list[str]:
    lines = []
    for case in result["cases"].values():
        for name, found in case["hubs"].items():
            lines += [f"- {case['title']}, {name}: {reason}" for reason in sorted(set(found["failed"]))]
            if found["errors"]:
                faults = ", ".join(f"{count} {fault}" for fault, count in found["faults"].items())
                lines.append(f"- {case['title']}, {name}: {faults}")
    return lines or ["Nothing: every publication reached every subscriber, once, in order and unchanged."]


if __name__ == "__main__":
    print(render(json.loads(Path(sys.argv[1]).read_text())))

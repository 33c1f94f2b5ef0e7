"""Writes the measured tables of the README from `bench/results/*.json`; `--check` only compares."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from bench.realtime.figures import FIGURES, ORDER, cell  # noqa: E402

README = ROOT / "README.md"
RESULTS = ROOT / "bench" / "results" / "load.json"
REALTIME = ROOT / "bench" / "results" / "realtime.json"
MARKED = re.compile(r"(<!-- bench:load -->\n).*?(<!-- /bench:load -->)", re.DOTALL)
MARKED_REALTIME = re.compile(r"(<!-- bench:realtime -->\n).*?(<!-- /bench:realtime -->)", re.DOTALL)
NOTHING = "Figures of a whole run stand in `bench/results` once one has been recorded.\n"


def table(result: dict[str, Any]) -> str:
    """One run of `bench.load` as a table: machine and method, then a row a case with ratios to the floor's CPU time.

    Raises:
        KeyError: the file is not what `bench.load` writes.
        ValueError: it holds no case that measures CPU time.
    """
    rows = [row for row in result["cases"].values() if row["kind"] == "cpu"]
    if not rows:
        raise ValueError(f"{RESULTS} holds no case that measures CPU time")
    gateways = [name for name in result["versions"] if name != "floor"]
    machine = result["machine"]
    versions = ", ".join(f"{name} {result['versions'][name]}" for name in gateways)
    lines = [
        f"{machine['date']}: {machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']};",
        f"the gateway alone on one core; medians of {result['rounds']} interleaved rounds of {result['seconds']} s.",
        f"{versions}.",
        "",
        "| case | " + " | ".join(gateways) + " |",
        "|---" * (len(gateways) + 1) + "|",
    ]
    lines += [
        "| " + " | ".join([row["title"], *(_cell(row["gateways"], name) for name in gateways)]) + " |" for row in rows
    ]
    if any("(!)" in line for line in lines):
        lines += ["", "(!): some answers did not pass, see `bench/results`."]
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any], name: str) -> str:
    one, floor = found.get(name), found.get("floor")
    if one is None:
        return "-"
    if not one["rounds"] or not floor or not floor["rounds"]:
        return "failed"
    return f"{one['cpu_us'] / floor['cpu_us']:.2f}" + (" (!)" if one["errors"] else "")


def realtime(result: dict[str, Any]) -> str:
    """One result of `bench.realtime` as a table: its figures, what each must reach, and the hubs.

    Raises:
        KeyError: the file is not what `bench.realtime` writes.
    """
    machine = result["machine"]
    names = [name for name in ORDER if any(name in case["hubs"] for case in result["cases"].values())]
    versions = ", ".join(f"{name} {result['versions'][name]}" for name in names if name in result["versions"])
    lines = [
        f"{machine['date']}: {machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}; {versions}.",
        "",
        f"| figure | to reach | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for figure in FIGURES:
        hubs = result["cases"].get(figure.case, {}).get("hubs", {})
        cells = [cell(figure.value(hubs, name), hubs.get(name), figure.unit) for name in names]
        if figure.goal and any(cells):
            lines.append(f"| {figure.title} | {figure.goal} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def render(text: str) -> str:
    """The README with the tables of the recorded runs, or with a sentence that there is none yet.

    Raises:
        ValueError: the README has no place for it.
    """
    if not MARKED.search(text):
        raise ValueError("README.md has no <!-- bench:load --> section")
    if not MARKED_REALTIME.search(text):
        raise ValueError("README.md has no <!-- bench:realtime --> section")
    load = table(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.is_file() else NOTHING
    hubs = realtime(json.loads(REALTIME.read_text(encoding="utf-8"))) if REALTIME.is_file() else NOTHING
    text = MARKED.sub(lambda match: match[1] + load + match[2], text)
    return MARKED_REALTIME.sub(lambda match: match[1] + hubs + match[2], text)


def main() -> int:
    """Writes the README, or says with 1 that it is not up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the README is not up to date")
    old = README.read_text(encoding="utf-8")
    new = render(old)
    if parser.parse_args().check:
        return 0 if old == new else 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

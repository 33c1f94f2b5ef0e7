"""`python -m bench.load`: measures, writes bench/results/load.json and load.md, and prints the page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.binaries import ROOT, Missing
from bench.load.cases import CASES
from bench.load.gateways import GATEWAYS
from bench.load.machine import describe
from bench.load.render import render
from bench.load.run import Options, cores, measure_all

QUICK = ("plain64", "chunked", "canary")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"one short round of {', '.join(QUICK)}: does it run at all?"
    )
    parser.add_argument("--only", help=f"gateways, by comma: {', '.join(GATEWAYS)} (the floor always runs)")
    parser.add_argument("--cases", help=f"cases, by comma: {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, help="at least 5 for figures to be published (default 5)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (default 3)")
    parser.add_argument(
        "--out", type=Path, help="folder of load.json and load.md (default bench/results; --quick: none)"
    )
    return parser.parse_args(argv)


def chosen(text: str | None, known: dict[str, object], default: tuple[str, ...]) -> list[str]:
    """The names asked for, in the order of the table; ends the process on an unknown one."""
    asked = text.split(",") if text else list(default)
    if unknown := [name for name in asked if name not in known]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return [name for name in known if name in asked]


def main() -> int:
    """Runs; 1 when one of ours failed or answered wrongly."""
    args = arguments()
    names = chosen(args.only, dict(GATEWAYS), tuple(GATEWAYS))
    names = ["floor", *(name for name in names if name != "floor")]
    cases = [CASES[name] for name in chosen(args.cases, dict(CASES), QUICK if args.quick else tuple(CASES))]
    versions, missing = {}, {}
    for name in names:
        try:
            versions[name] = GATEWAYS[name].version()
        except Missing as reason:
            missing[name] = str(reason)
    if "floor" in missing:
        sys.exit(missing["floor"])
    rounds = args.rounds or (1 if args.quick else 5)
    seconds = args.seconds or (0.5 if args.quick else 3.0)
    machine = describe()
    options = Options(rounds, seconds, *cores())
    found = measure_all(
        [GATEWAYS[name] for name in versions], cases, options, lambda line: print(line, file=sys.stderr)
    )
    rows = {case.name: {"title": case.title, "kind": case.kind, "gateways": found[case.name]} for case in cases}
    result = {
        "machine": machine,
        "versions": versions,
        "missing": missing,
        "rounds": rounds,
        "seconds": seconds,
        "cases": rows,
    }
    page = render(result)
    folder = args.out or (None if args.quick else ROOT / "bench" / "results")
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "load.json").write_text(json.dumps(result, indent=1) + "\n")
        (folder / "load.md").write_text(page)
    print(page)
    ours = [row["gateways"][name] for row in rows.values() for name in ("floor", "fastgate") if name in versions]
    return int(any(one["errors"] or one["failed"] for one in ours))


if __name__ == "__main__":
    sys.exit(main())

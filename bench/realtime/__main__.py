"""`python -m bench.realtime`: measures, writes results/realtime.json and .md after every case, prints the page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.binaries import ROOT, Missing
from bench.load.machine import describe
from bench.load.run import cores
from bench.realtime.cases import CASES, Options, noticed
from bench.realtime.render import render
from bench.realtime.run import KNOWN, measure

Json = dict[str, Any]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    usual = ", ".join(case.name for case in CASES.values() if not case.apart)
    parser = argparse.ArgumentParser(prog="python -m bench.realtime", description=__doc__)
    parser.add_argument("--only", help=f"hubs, by comma: {', '.join(KNOWN)}")
    parser.add_argument("--cases", help=f"cases, by comma: {', '.join(CASES)} (default: {usual})")
    parser.add_argument("--rounds", type=int, default=5, help="at least 5 for figures to be published (default)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement at a fixed rate (3)")
    parser.add_argument("--members", type=int, default=10_000, help="subscribers of the usual cases (10000)")
    parser.add_argument("--many", type=int, default=100_000, help="subscribers of the cases many and hold (100000)")
    parser.add_argument("--hold", type=float, default=600.0, help="seconds of the case hold (600)")
    parser.add_argument("--half", type=int, default=25_000, help="deliveries a second that are half load (25000)")
    parser.add_argument("--repeats", type=int, default=5, help="of broadcast and reconnect in the case many (5)")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run measured, do what is missing")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the results")
    parser.add_argument(
        "--quick", action="store_true", help="one small round of everything, nothing written: does it run?"
    )
    return parser.parse_args(argv)


def chosen(text: str | None, known: list[str], default: list[str]) -> list[str]:
    """The names asked for, in the order of the table; ends the process on an unknown one."""
    asked = text.split(",") if text else default
    if unknown := [name for name in asked if name not in known]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return [name for name in known if name in asked]


def main() -> int:
    """Runs; 1 when one of ours failed, or lost or doubled anything."""
    args = arguments()
    hubs = chosen(args.only, list(KNOWN), list(KNOWN))
    names = chosen(args.cases, list(CASES), [case.name for case in CASES.values() if not case.apart])
    server, load = cores()
    options = Options(server, load, args.members, args.many, args.half, args.seconds, args.hold, args.repeats)
    if args.quick:
        args.rounds, args.out = 1, None
        options = Options(server, load, members=500, many=1_000, half=5_000, seconds=0.5, hold=1, repeats=1)
    result = _before(args)
    for name in hubs:
        try:
            result["versions"][name] = KNOWN[name].version()
            result["missing"].pop(name, None)
        except Missing as reason:
            result["missing"][name] = str(reason)
    left_out, lost = noticed(options)
    if not lost or lost != left_out:
        sys.exit(f"the client is no judge: of {left_out} publications that a server left out it missed {lost}")
    result["check"] = {"left_out": left_out, "noticed": lost}
    present = [name for name in hubs if name not in result["missing"]]
    result["machine"] = describe()
    for name in names:
        kept = result["cases"].get(name, {}).get("hubs", {})
        todo = [hub for hub in present if not (args.resume and kept.get(hub, {}).get("rounds"))]
        if not any(hub in CASES[name].hubs for hub in todo):
            continue
        found = measure(CASES[name], todo, options, args.rounds, lambda line: print(line, file=sys.stderr, flush=True))
        for one in found.values():
            one["measured"] = result["machine"]["date"]
        rest = kept if args.resume or args.only else {}
        result["cases"][name] = {
            "title": CASES[name].title,
            "rounds": CASES[name].rounds or args.rounds,
            "options": {key: value for key, value in vars(options).items() if not key.endswith("_core")},
            "hubs": {**rest, **found},
        }
        if args.out:
            _write(args.out, result)
    print(render(result))
    done = [result["cases"].get(name, {}).get("hubs", {}) for name in names]
    ours = [case.get(hub) for case in done for hub in ("floor", "fastgate") if hub in present]
    return int(any(one and (one["errors"] or one["failed"]) for one in ours))


def _before(args: argparse.Namespace) -> Json:
    """What an earlier run wrote: a case that is measured again replaces its own part only."""
    file = args.out / "realtime.json" if args.out else None
    stored: Json = json.loads(file.read_text()) if file and file.is_file() else {}
    return {"machine": {}, "versions": {}, "missing": {}, "cases": {}} | stored


def _write(folder: Path, result: Json) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "realtime.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "realtime.md").write_text(render(result))


if __name__ == "__main__":
    sys.exit(main())

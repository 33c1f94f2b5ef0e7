"""Writes the measured table of the README from `bench/results/load.json`; `--check` only compares."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "bench" / "results" / "load.json"
MARKED = re.compile(r"(<!-- bench:load -->\n).*?(<!-- /bench:load -->)", re.DOTALL)
NOTHING = "Figures of a whole run stand in `bench/results` once one has been recorded.\n"


def table(results: dict[str, Any]) -> str:
    """One run as a table: date, machine and method first, then a row a case with each gateway's ratio to the floor.

    Raises:
        KeyError: the file is not of the shape that `docs/developer/benchmarks.md` describes.
        ValueError: it holds no case.
    """
    cases = results["cases"]
    if not cases:
        raise ValueError(f"{RESULTS} holds no case")
    gateways = list(dict.fromkeys(name for case in cases for name in case["ratios"]))
    versions = ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items()))
    lines = [
        f"{results['date']}, {results['machine']}. {results['method']}",
        "",
        f"Versions: {versions}.",
        "",
        "| case | " + " | ".join(gateways) + " |",
        "|---" * (len(gateways) + 1) + "|",
    ]
    for case in cases:
        cells = [f"{case['ratios'][name]:.2f}" if name in case["ratios"] else "-" for name in gateways]
        lines.append("| " + " | ".join([case["name"], *cells]) + " |")
    return "\n".join(lines) + "\n"


def render(text: str) -> str:
    """The README with the table of the recorded run, or with a sentence that there is none yet.

    Raises:
        ValueError: the README has no place for it.
    """
    if not MARKED.search(text):
        raise ValueError("README.md has no <!-- bench:load --> section")
    content = table(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.is_file() else NOTHING
    return MARKED.sub(lambda match: match[1] + content + match[2], text)


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

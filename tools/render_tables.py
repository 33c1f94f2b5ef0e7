"""Writes the tables of docs/user/limits.md from the engine's lists of reasons and faults; `--check` compares."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "user" / "limits.md"
REASONS = ROOT / "rust_ext" / "core" / "src" / "http1" / "reason.rs"
FAULTS = ROOT / "rust_ext" / "engine" / "src" / "fault.rs"

# (Reason::RequestLine, "request_line", 400, "the request line is ...")
_REASON = re.compile(r'\(Reason::\w+,\s*"(\w+)",\s*(\d+),\s*"([^"]+)",?\s*\)')
# NoRoute, "no_route", Client, 404, "no route matches this request";
_FAULT = re.compile(r'^\s*\w+,\s*"(\w+)",\s*\w+,\s*(\d+),\s*"([^"]*)";', re.MULTILINE)


def replaced(text: str, mark: str, head: str, rows: list[tuple[str, str, str]]) -> str:
    """The text with the rows in the place of what stands between the table's marks.

    Raises:
        ValueError: the mark is missing, or there are no rows.
    """
    if not rows:
        raise ValueError(f"no rows for {mark}: the source is written differently now")
    pattern = re.compile(rf"(<!-- table:{mark} -->\n).*?(<!-- /table -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the page has no table:{mark}")
    lines = [head, "|---|---|---|", *(f"| `{name}` | {status} | {words} |" for name, status, words in rows)]
    return pattern.sub(lambda match: match[1] + "\n".join(lines) + "\n" + match[2], text)


def render(text: str) -> str:
    """The page with both tables as the sources have them."""
    reasons = _REASON.findall(REASONS.read_text(encoding="utf-8"))
    faults = _FAULT.findall(FAULTS.read_text(encoding="utf-8"))
    text = replaced(text, "reasons", "| reason | status | because |", reasons)
    return replaced(text, "faults", "| fault | status | told to the client |", faults)


def main() -> int:
    """Writes the page, or says with 1 that it is not up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is not up to date")
    old = PAGE.read_text(encoding="utf-8")
    new = render(old)
    if parser.parse_args().check:
        return 0 if old == new else 1
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

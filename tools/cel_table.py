"""Makes expressions of the kind `require` takes, and has another implementation of CEL judge them.

The other implementation is Google's (`cel-expr-python`, the runtime in C++). What it says stands in
`tests/vectors/cel/table.jsonl`, which `rust_ext/core/tests/cel.rs` replays: on the first line what requests look like,
then one case a line, `[number of the request, expression, verdict, checked]`. A verdict is `true`, `false` or `error`;
`checked` is false where its type checker refuses the expression, which is judged without it then.

Everything is drawn from a seed, so the same call writes the same bytes. A long run needs no table in the repository:
`python tools/cel_table.py --cases 50000 --seed 7 --to /tmp/long.jsonl`, then the Rust test with
`FASTGATE_CEL_TABLE=/tmp/long.jsonl`; of some ten thousand rows one differs there, by what differs on purpose or by the
order of a map's keys.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cel_maker import KINDS, Maker

TABLE = Path(__file__).resolve().parents[1] / "tests" / "vectors" / "cel" / "table.jsonl"
CASES = 2_500
SEED = 1

# Large numbers are ones that a double has, too: this implementation compares whole numbers with doubles as doubles.
# Who asks, for what: one line of JSON for the replay, and variables for the other implementation.
REQUESTS: list[dict[str, Any]] = [
    {
        "method": "GET",
        "path": "/a/b",
        "headers": {"x-tenant": "acme", "x-number": "12"},
        "query": {"a": "1", "b": "x y"},
        "subject": "alice",
        "roles": ["editor", "admin"],
        "claims": {
            "name": "acme",
            "level": 3,
            "zero": 0,
            "low": -7,
            "big": 2**64 - 2048,
            "ratio": 0.5,
            "whole": 3.0,
            "on": True,
            "off": False,
            "none": None,
            "tags": ["a", "b", "äöü"],
            "mixed": [1, 2.5, "x", None, True, [1], {"k": "v"}],
            "deep": {"a": {"b": [1, 2, 3]}, "n": 5},
            "exp": 1_795_000_100,
        },
    },
    {
        "method": "POST",
        "path": "/",
        "headers": {"x-tenant": "", "x-number": "-1"},
        "query": {"a": "", "b": "é"},
        "subject": "",
        "roles": ["b"],
        "claims": {
            "name": "",
            "level": 2**63 - 1024,
            "zero": 0,
            "low": -(2**63),
            "big": 2**63,
            "ratio": -1e300,
            "whole": 2.0**53,
            "on": True,
            "off": False,
            "none": None,
            "tags": [],
            "mixed": [[], {}, "", 0, 0.0],
            "deep": {"a": {"b": []}, "n": -1},
            "exp": 0,
        },
    },
    {
        "method": "GET",
        "path": "/ä",
        "headers": {"x-tenant": "Acme"},
        "query": {"b": "1"},
        "subject": "ALICE",
        "roles": ["Admin", "admin", "a"],
        "claims": {
            # Kinds that are not what the others have under these names.
            "name": 7,
            "level": "3",
            "zero": "0",
            "low": None,
            "big": [2, 3],
            "ratio": "0.5",
            "whole": {"a": 1},
            "on": "true",
            "off": 0,
            "tags": "a",
            "mixed": {"x": 1},
            "deep": [1, {"n": 2}],
            "exp": "2026-11-18T10:06:40Z",
        },
    },
]
# What differs on purpose (decision 0034) where `dyn` leads to it; the rest of that is nothing that the maker draws.
OMITTED = ("string(dyn(", "int(dyn(")
NOW = datetime(2026, 11, 18, 10, 6, 40, 500_000, tzinfo=UTC)

ROUTE = "projects"


class Other:
    """Google's implementation, with and without its type checker."""

    def __init__(self) -> None:
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_strings

        kinds = cel.Type
        texts, many = kinds.Map(kinds.STRING, kinds.STRING), kinds.List(kinds.STRING)
        names = ("request.method", "request.path", "route", "identity.subject")
        checked = {
            **dict.fromkeys(names, kinds.STRING),
            **dict.fromkeys(("request.headers", "request.query"), texts),
            "identity.roles": many,
            "claims": kinds.Map(kinds.STRING, kinds.DYN),
            "now": kinds.TIMESTAMP,
        }
        loose = {**dict.fromkeys(("request", "identity", "claims", "route"), kinds.DYN), "now": kinds.TIMESTAMP}
        extensions = [ext_strings.ExtStrings()]
        self.checked = cel.NewEnv(variables=checked, extensions=extensions)
        self.loose = cel.NewEnv(variables=loose, extensions=extensions)
        self.variables = [
            {
                "request": {name: of[name] for name in ("method", "path", "headers", "query")},
                "identity": {name: of[name] for name in ("subject", "roles")},
                "claims": of["claims"],
                "route": ROUTE,
                "now": NOW,
            }
            for of in REQUESTS
        ]

    def checks(self, expression: str) -> bool:
        """Whether its type checker takes the expression."""
        try:
            self.checked.compile(expression)
        except RuntimeError:
            return False
        return True

    def value(self, expression: str, request: int) -> Any:
        """What the expression is on that request; None: an error."""
        try:
            found = self.loose.compile(expression, disable_check=True).eval(data=self.variables[request])
        except RuntimeError:
            return None
        return None if found.type().name() == "ERROR" else found

    def verdict(self, expression: str, request: int) -> str:
        """`true`, `false` or, for everything else, `error`."""
        found = self.value(expression, request)
        if found is None or type(found.value()) is not bool:
            return "error"
        return "true" if found.value() else "false"


def literal(found: Any) -> str | None:
    """A value as it would be written; None: it cannot be."""
    value, kind = found.value(), found.type().name()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind in ("INT", "UINT"):
        return f"{int(value)}{'u' if kind == 'UINT' else ''}"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return json.dumps(value) if all(ord(c) < 0x10000 for c in value) else None
    if isinstance(value, bytes | bytearray):
        return "b'" + "".join(f"\\x{byte:02x}" for byte in value) + "'"
    if isinstance(value, datetime):
        return f"timestamp('{value.astimezone(UTC).isoformat(timespec='microseconds').replace('+00:00', 'Z')}')"
    if isinstance(value, timedelta):
        return f"duration('{value // timedelta(microseconds=1)}us')"
    if isinstance(value, list):
        items = [literal(item) for item in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    return None


def cases(count: int, seed: int) -> Iterator[list[Any]]:
    """Rows of the table, each expression once."""
    maker, other = Maker(seed), Other()
    seen = set()
    while len(seen) < count:
        # The last one, whose kinds do not fit, less often.
        request = maker.pick([0, 0, 0, 1, 1, 1, 2])
        depth = 1 + int(maker.random() * 3)
        kind = "bool" if maker.chance(0.55) else maker.pick(KINDS)
        expression = maker.time_part(depth) if maker.chance(0.08) else maker.part(kind, depth)
        if len(expression) > 300 or any(part in expression for part in OMITTED):
            continue
        # What is no condition is compared with its value: then its value is right, and not only its kind.
        found = other.value(expression, request)
        if found is not None and type(found.value()) is not bool:
            written = literal(found)
            if written is None:
                continue
            expression = f"{expression} == {written}"
        if (request, expression) in seen:
            continue
        seen.add((request, expression))
        yield [request, expression, other.verdict(expression, request), other.checks(expression)]


def table(count: int = CASES, seed: int = SEED) -> str:
    """The table as text."""
    told = {"now_ms": int(NOW.timestamp() * 1000), "route": ROUTE, "requests": REQUESTS}
    lines = [told, *cases(count, seed)]
    return "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)


# The library gives back references to None that it does not own; without spare ones a long run would end it.
SPARE = [None] * 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the table, or compares it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=CASES, help="how many expressions")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--to", type=Path, default=TABLE)
    parser.add_argument("--check", action="store_true", help="only compare; exit code 1 where the table is another")
    asked = parser.parse_args(argv)
    text = table(asked.cases, asked.seed)
    if asked.check:
        return int(asked.to.read_text(encoding="utf-8") != text)
    asked.to.parent.mkdir(parents=True, exist_ok=True)
    asked.to.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not by `sys.exit`: the interpreter would give back the spare references, and find that None has none left.
    os._exit(code)

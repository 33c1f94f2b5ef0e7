"""Draws expressions of the part of CEL that `require` takes, for `cel_table.py`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

LEAVES: dict[str, list[str]] = {
    "bool": [
        "true",
        "false",
        "claims.on",
        "claims.off",
        "has(claims.name)",
        "has(claims.nothing)",
        "has(claims.deep.a)",
    ],
    "int": [
        *(
            "0",
            "1",
            "-1",
            "2",
            "3",
            "7",
            "-7",
            "0x1F",
            "1000003",
            "9223372036854774784",
            "-9223372036854775808",
        ),
        *("claims.level", "claims.zero", "claims.low", "claims.deep.n", "claims.mixed[0]", "claims.exp"),
    ],
    "uint": ["0u", "1u", "2u", "3u", "18446744073709549568u", "claims.big"],
    "double": [
        *(
            "0.0",
            "0.5",
            "1.5",
            "-2.5",
            "3.0",
            ".25",
            "1e10",
            "1e-7",
            "1e300",
            "1e18",
            "123456.0",
        ),
        *("claims.ratio", "claims.whole", "claims.mixed[1]"),
    ],
    "string": [
        *(
            "'a'",
            "''",
            '"abc"',
            "'ÄöÜ'",
            r"'a\n\t\'b'",
            r"r'\n'",
            r"'\u00e9\x41\101'",
            "'''a'b'''",
            "'acme'",
            "'GET'",
            "'12'",
        ),
        *("'true'", "'1.5'", "'90s'", "'2026-11-18T10:06:40Z'", "claims.name", "claims.tags[0]", "route"),
        *("request.method", "request.path", "request.headers['x-tenant']", "request.headers['x-number']"),
        *("request.query['a']", "request.query.b", "identity.subject", "identity.roles[0]"),
    ],
    "bytes": ["b''", "b'a'", r"b'\xff\x00'", r"b'\377'", "b'ä'"],
    "list": [
        "[]",
        "[1]",
        "['a', 'b']",
        "[1, 2, 3]",
        "claims.tags",
        "claims.mixed",
        "claims.deep.a.b",
        "identity.roles",
    ],
    "map": ["{}", "{'a': 1}", "{1: 'x'}", "{true: 1}", "claims.deep", "claims.deep.a", "claims"],
    "timestamp": [
        *(
            "now",
            "timestamp('2026-11-18T10:06:40Z')",
            "timestamp('2024-02-29T23:59:59.250+01:00')",
            "timestamp(claims.exp)",
        ),
        *("timestamp(0)", "timestamp('1969-12-31T23:59:59Z')", "timestamp('1801-01-01T00:00:00Z')"),
    ],
    "duration": ["duration('90s')", "duration('1h30m')", "duration('-1.5s')", "duration('250ms')", "duration('0s')"],
    "null": ["null", "claims.none"],
}
KINDS = list(LEAVES)
NUMBERS = ["int", "uint", "double"]
INDEXES = ["0", "1", "2", "-1", "claims.zero", "dyn(1.0)", "dyn(0u)"]
TRUTHS = ["'true'", "'True'", "'t'", "'1'", "'false'", "'0'", "'yes'", "claims.name", "claims.on"]
NUMERALS = [
    "'12'",
    "'-7'",
    "'+3'",
    "'007'",
    "'1.5'",
    "'-2e3'",
    "'9223372036854775808'",
    "''",
    "'x'",
    "'1_0'",
    "claims.level",
]
TIMES = [
    *(
        "'2026-11-18T10:06:40Z'",
        "'2000-01-01T00:00:00.5-08:00'",
        "'1900-12-31T23:59:59.999Z'",
        "'2100-03-01T12:00:00+14:00'",
    ),
    *("'1970-01-01t00:00:00z'", "'2025-02-29T00:00:00Z'", "'soon'", "claims.exp"),
]
LENGTHS = ["'90s'", "'1h'", "'1.5m'", "'-3ms'", "'1h1m1s'", "'1500us'", "'0'", "'-26h'", "'1d'", "''", "claims.name"]
PATTERNS = ["'^a'", "'b$'", "'[a-c]+'", r"r'\d+'", "'(?i)ACME'", "''", "'x|y'", "'^.$'", "'é'"]
PARTS = {
    "timestamp": ["getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"],
    "duration": [],
}
SHARED_PARTS = ["getHours", "getMinutes", "getSeconds", "getMilliseconds"]


class Maker:
    """Draws expressions. Kinds mostly fit, so that most have a value; those that do not are under `dyn`."""

    def __init__(self, seed: int) -> None:
        # Only `random()` is the same in every version of Python.
        self.random = random.Random(seed).random  # noqa: S311
        self.local = False

    def pick(self, all_: Sequence[T]) -> T:
        """One of these."""
        return all_[int(self.random() * len(all_))]

    def chance(self, share: float) -> bool:
        """True in this share of calls."""
        return self.random() < share

    def part(self, kind: str, depth: int) -> str:
        """An expression that should be of that kind."""
        if self.chance(0.03):
            return f"dyn({self.part(self.pick(KINDS), depth - 1)})"
        if self.local and self.chance(0.25):
            return "x"
        if depth <= 0 or self.chance(0.15):
            return self.pick(LEAVES[kind])
        if self.chance(0.06):
            when, yes, no = (self.part(of, depth - 1) for of in ("bool", kind, kind))
            return f"({when} ? {yes} : {no})"
        maker: Callable[[int], str] = getattr(self, kind)
        return maker(depth - 1)

    def fold(self, names: Sequence[str], body: str, depth: int, over: Sequence[str] = ("list",)) -> str:
        """A comprehension; one level is allowed."""
        kind = self.pick(over)
        if self.local:
            return self.pick(LEAVES["bool" if body == "bool" else "list"])
        target = self.part(kind, min(depth, 1))
        self.local = True
        inner = self.part(body, depth)
        self.local = False
        return f"{target}.{self.pick(names)}(x, {inner})"

    def bool(self, depth: int) -> str:
        """A condition."""

        def two(kind: str, operators: Sequence[str]) -> str:
            return f"({self.part(kind, depth)} {self.pick(operators)} {self.part(kind, depth)})"

        def across() -> str:
            a, b = (self.part(self.pick(NUMBERS), depth) for _ in range(2))
            return f"(dyn({a}) {self.pick(['==', '!=', '<', '<=', '>', '>='])} {b})"

        def calls() -> str:
            name = self.pick(["contains", "startsWith", "endsWith"])
            return f"{self.part('string', depth)}.{name}({self.part('string', depth)})"

        ordered = [kind for kind in KINDS if kind not in ("list", "map", "null")]
        return self.pick(
            [
                lambda: two("bool", ["&&", "||"]),
                lambda: two("bool", ["&&", "||"]),
                lambda: two(self.pick(KINDS), ["==", "!="]),
                lambda: two(self.pick(ordered), ["<", "<=", ">", ">=", "==", "!="]),
                across,
                calls,
                lambda: f"!({self.part('bool', depth)})",
                lambda: f"({self.part(self.pick(KINDS), depth)} in {self.part('list', depth)})",
                lambda: f"({self.part('string', depth)} in {self.part('map', depth)})",
                lambda: f"{self.part('string', depth)}.matches({self.pick(PATTERNS)})",
                lambda: self.fold(["all", "exists", "exists_one"], "bool", depth, ("list", "list", "map")),
                lambda: f"bool({self.pick(TRUTHS)})",
                lambda: f"has(claims.{self.pick(['deep', 'none', 'tags', 'nothing', 'deep.a', 'deep.z', 'name.a'])})",
            ]
        )()

    def int(self, depth: int) -> str:
        """A whole number."""
        return self.pick(
            [
                lambda: f"({self.part('int', depth)} {self.pick(['+', '-', '*', '/', '%'])} {self.part('int', depth)})",
                lambda: f"size({self.part(self.pick(['string', 'bytes', 'list', 'map']), depth)})",
                lambda: f"{self.part('string', depth)}.size()",
                lambda: f"int({self.part(self.pick(['uint', 'double', 'int', 'timestamp']), depth)})",
                lambda: f"int({self.pick(NUMERALS)})",
                lambda: f"-({self.part('int', depth)})",
                lambda: f"{self.part('list', depth)}[{self.pick(INDEXES)}]",
                lambda: self.time_part(depth),
            ]
        )()

    def time_part(self, depth: int) -> str:
        """A part of a time: there are many, so they are also asked for on their own."""
        kind = self.pick(["timestamp", "timestamp", "duration"])
        return f"{self.part(kind, depth)}.{self.pick(PARTS[kind] + SHARED_PARTS)}()"

    def uint(self, depth: int) -> str:
        """A whole number without a sign."""
        operators = ["+", "-", "*", "/", "%"]
        return self.pick(
            [
                lambda: f"({self.part('uint', depth)} {self.pick(operators)} {self.part('uint', depth)})",
                lambda: f"uint({self.part(self.pick(['int', 'double', 'uint']), depth)})",
            ]
        )()

    def double(self, depth: int) -> str:
        """A number of 64 bits."""
        return self.pick(
            [
                lambda: (
                    f"({self.part('double', depth)} {self.pick(['+', '-', '*', '/'])} {self.part('double', depth)})"
                ),
                lambda: f"double({self.part(self.pick(NUMBERS), depth)})",
                lambda: f"-({self.part('double', depth)})",
                lambda: f"double({self.pick(NUMERALS)})",
            ]
        )()

    def string(self, depth: int) -> str:
        """A text."""
        return self.pick(
            [
                lambda: f"({self.part('string', depth)} + {self.part('string', depth)})",
                lambda: f"string({self.part(self.pick(['bool', 'int', 'uint', 'double', 'string', 'bytes']), depth)})",
                lambda: f"{self.part('string', depth)}.{self.pick(['lowerAscii', 'upperAscii'])}()",
                lambda: f"{self.part('list', depth)}[{self.pick(['0', '1', 'claims.zero'])}]",
                lambda: f"{self.part('map', depth)}[{self.pick(['1', 'true', self.pick(LEAVES['string'])])}]",
            ]
        )()

    def bytes(self, depth: int) -> str:
        """Bytes."""
        return self.pick(
            [
                lambda: f"({self.part('bytes', depth)} + {self.part('bytes', depth)})",
                lambda: f"bytes({self.part('string', depth)})",
            ]
        )()

    def list(self, depth: int) -> str:
        """A list."""
        return self.pick(
            [
                lambda: f"[{', '.join(self.part(self.pick(KINDS), depth) for _ in range(int(self.random() * 4)))}]",
                lambda: f"({self.part('list', depth)} + {self.part('list', depth)})",
                lambda: self.fold(["filter"], "bool", depth),
                lambda: self.fold(["map"], self.pick(KINDS), depth),
            ]
        )()

    def map(self, depth: int) -> str:
        """A map; the order of its keys is nobody's business, so nothing lists them."""
        first = ["'a'", "1", "true", "claims.name"]
        second = ["'b'", "2u", "false", "request.method"]
        members = [f"{self.pick(keys)}: {self.part(self.pick(KINDS), depth)}" for keys in (first, second)]
        return f"{{{', '.join(members[: int(self.random() * 3)])}}}"

    def timestamp(self, depth: int) -> str:
        """A time."""
        return self.pick(
            [
                lambda: f"({self.part('timestamp', depth)} {self.pick('+-')} {self.part('duration', depth)})",
                lambda: f"({self.part('duration', depth)} + {self.part('timestamp', depth)})",
                lambda: f"timestamp({self.pick(TIMES)})",
            ]
        )()

    def duration(self, depth: int) -> str:
        """A length of time."""
        return self.pick(
            [
                lambda: f"({self.part('timestamp', depth)} - {self.part('timestamp', depth)})",
                lambda: f"({self.part('duration', depth)} {self.pick('+-')} {self.part('duration', depth)})",
                lambda: f"duration({self.pick(LENGTHS)})",
            ]
        )()

    def null(self, depth: int) -> str:
        """Nothing."""
        return self.pick(LEAVES["null"])

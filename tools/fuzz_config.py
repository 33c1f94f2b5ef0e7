"""Fuzzes the readers of the config: YAML and JSON, TOML, and the units; each input is judged by properties.

Inputs are made from the configs in the tests by small changes of bytes, from a seed, so that a run can be repeated.
Exit code 1, with the input, where a property does not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fastgate.config import from_mapping, units
from fastgate.config.toml import parse_toml
from fastgate.errors import ConfigError
from fastgate.primitives import YamlError, load_yaml

ROOT = Path(__file__).resolve().parents[1]
# What a change of bytes puts in: the characters and words that mean something to a reader.
# fmt: off
TOKENS = [
    *(bytes([n]) for n in b"\x00\t\n\r !\"#%&'()*+,-./:;<=>?@[]\\^`{|}~\x7f\x85\xa0\xff"),
    *(b": ", b"- ", b"? ", b"---\n", b"...\n", b"<<: ", b"&a ", b"*a", b"!!str ", b"|\n", b">-\n", b"${A}", b"$${"),
    *(b"true", b"null", b"~", b"0x", b"0o7", b".inf", b"1e9", b"9" * 30, b'"""', b"[[", b"]]", b"\r\n"),
    *(b"\xef\xbb\xbf", b"\\u0000", b"\\ud83d", b"\xf0\x9f\x98\x80"),
]
# fmt: on
UNITS = [
    "ms",
    "s",
    "m",
    "h",
    "d",
    "B",
    "kB",
    "KiB",
    "MB",
    "MiB",
    "GiB",
    "/s",
    "/m",
    "%",
    ".",
    "-",
    "+",
    " ",
    "e",
    "_",
    "٣",
    "µ",
]
Target = Callable[[bytes], None]


def seeds() -> list[bytes]:
    """The configs of tests and examples."""
    folders = ("examples/*.*", "tests/unit/config/good/*.*", "tests/unit/config/errors/*.[yjt]*")
    return [path.read_bytes() for folder in folders for path in sorted(ROOT.glob(folder)) if path.is_file()]


def changed(random_: random.Random, data: bytes, other: bytes) -> bytes:
    """The data with one to four small changes."""
    out = bytearray(data[: random_.randrange(1, 2000)])
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(out) + 1)
        end = min(len(out), at + random_.randrange(1, 12))
        match random_.randrange(5):
            case 0:
                out[at:at] = random_.choice(TOKENS)
            case 1:
                del out[at:end]
            case 2:
                out[at:at] = out[at:end] * random_.randint(1, 40)
            case 3:
                start = random_.randrange(len(other) + 1)
                out[at:end] = other[start : start + random_.randrange(1, 60)]
            case _:
                out[at:end] = random_.randbytes(random_.randrange(1, 4))
    return bytes(out)


def nodes(value: Any) -> int:
    """How many positions a value has: itself, and a key and a value for each item."""
    if isinstance(value, dict):
        return 1 + sum(1 + nodes(item) for item in value.values())
    return 1 + sum(nodes(item) for item in value) if isinstance(value, list) else 1


def yaml(data: bytes) -> None:
    """Read, or refused with places inside the text; every node has a place; JSON that is read is what it means."""
    lines = data.count(b"\n") + data.count(b"\r") + 1
    try:
        value, raw = load_yaml(data, 64, 100_000)
    except YamlError as error:
        problems, *rest = error.args
        assert 1 <= len(problems) <= 101
        for line, column, _, message in problems:
            assert 1 <= line <= lines + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 1, (line, message)
            assert column >= 1, message
            assert message
        if rest:
            config(rest[0])
        return
    places = array("I")
    places.frombytes(raw)
    assert value is None or len(places) == 2 * nodes(value), "a node without a place"
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        plain = None
    if isinstance(plain, dict) and b"\\" not in data:
        assert value == plain, "JSON is read as something else"
    config(value)


def toml(data: bytes) -> None:
    """Read, or refused with a line inside the text; every key that is a line of its own has that line."""
    try:
        source = parse_toml(data, "x", False)
    except ConfigError as error:
        (finding,) = error.findings
        assert finding.line is None or 1 <= finding.line <= data.count(b"\n") + 2
        return
    assert all(1 <= line <= data.count(b"\n") + 1 for line in source.lines.values())
    config(source.value)


def config(value: Any) -> None:
    """Any mapping is a config, or a list of findings that can be said."""
    if isinstance(value, dict):
        try:
            from_mapping(value, environ={"A": "1"})
        except ConfigError as error:
            said = [str(finding) for finding in error.findings]
        else:
            return
        assert said, "a refusal that says nothing"
        assert all(one.isprintable() for one in said), said


def quantities(data: bytes) -> None:
    """No text breaks a reader of units; what is guessed is read, and what is read is written and read again."""
    text = data.decode("utf-8", "replace")
    readers: Sequence[tuple[Callable[[str], Any], Callable[[str], str | None], Callable[[Any], str]]] = (
        (units.parse_duration, units.nearest_duration, units.format_duration),
        (units.parse_size, units.nearest_size, units.format_size),
        (units.parse_rate, units.nearest_rate, lambda rate: units.format_rate(*rate)),
    )
    for read, guess, write in readers:
        value = read(text)
        if value is not None and (isinstance(value, tuple) or value < 10**15):
            assert read(write(value)) == value, text
        guess(text)
    units.parse_byte_rate(text)


TARGETS: dict[str, Target] = {"yaml": yaml, "toml": toml, "units": quantities}


def inputs(name: str, seed: int) -> Iterator[bytes]:
    """Endless inputs of a target, the same for the same seed."""
    random_ = random.Random(f"{name}-{seed}")  # noqa: S311 - no secret
    if name == "units":
        while True:
            digits = ["".join(random_.choices("0123456789", k=random_.randint(0, 20))) for _ in range(3)]
            yield "".join(part for d in digits for part in (d, random_.choice(UNITS))).encode()
    pool = seeds()
    while True:
        yield changed(random_, random_.choice(pool), random_.choice(pool))


def run(name: str, seed: int, *, count: int = sys.maxsize, seconds: float = float("inf")) -> int:
    """Runs a target; returns how many inputs it saw. Raises AssertionError with the input where a property fails."""
    end = time.monotonic() + seconds
    number = 0
    for number, data in enumerate(inputs(name, seed), 1):
        try:
            TARGETS[name](data)
        except BaseException as error:
            raise AssertionError(f"{name}, seed {seed}, input {number}: {data!r}") from error
        if number >= count or time.monotonic() > end:
            break
    return number


def main(arguments: list[str]) -> int:
    """Runs targets for some seconds each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=sorted(TARGETS), help="yaml, toml, units; all unless given")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    for name in options.targets:
        print(f"{name}: {run(name, options.seed, seconds=options.seconds)} inputs, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

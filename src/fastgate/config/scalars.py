"""The scalar types of the config: each reads one written value, or says what was found and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import PydanticCustomError, core_schema

from fastgate.config import units

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

# What pydantic calls an error raised here; findings.py turns its context into the sentence.
REFUSED = "fastgate_refused"

# The value most likely meant; a number is shown without quotes.
Nearest: TypeAlias = str | int | None


class Substituted(str):
    """Text that came out of `${NAME}`: a field of another type reads it as if it had been written there."""

    __slots__ = ("names",)
    # The variables it was made of.
    names: tuple[str, ...]


def refuse(found: object, allowed: str, *, nearest: Nearest = None, why: str | None = None) -> PydanticCustomError:
    """What to raise for a value that is not allowed: what was found, what is allowed, the nearest word, why."""
    return PydanticCustomError(REFUSED, "refused", {"found": found, "allowed": allowed, "nearest": nearest, "why": why})


def nearest_word(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that looks most like `word`, if any looks enough like it."""
    import difflib

    choices = list(words)
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if found:
        return found[0]
    folded = word.lower().replace("-", "_")
    return next((c for c in choices if c.lower() == folded or (len(folded) > 2 and c.startswith(folded))), None)


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """How a scalar is read, and what docs, errors and editors are told of it."""

    read: Callable[[Any], Any]
    # What is allowed, in words.
    allowed: str
    # The JSON Schema of what may be written.
    schema: dict[str, Any]
    # One value as people write it.
    example: Any = None
    # From the value read back to what people write.
    write: Callable[[Any], Any] = _as_it_is

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)


def text(allowed: str = "text", pattern: str | None = None) -> Kind:
    """Text that a pattern matches, any without one; a number or a boolean must be put in quotes."""
    fits = re.compile(pattern or "", re.ASCII)

    def read(value: Any) -> str:
        if isinstance(value, str) and fits.search(value):
            return str(value)
        if isinstance(value, (bool, int, float)):
            raise refuse(value, allowed, nearest=f'"{shown(value)}"', why="put it in quotes")
        raise refuse(value, allowed)

    return Kind(
        read, allowed, {"type": "string"} | ({"pattern": pattern.replace(r"\Z", "$")} if pattern else {}), "text"
    )


def visible(text: str) -> str:
    """Text on one line, without a character that a terminal obeys."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def shown(value: object) -> str:
    """A value as it stands in YAML, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        safe = visible(value)
        return f'"{safe[:77]}..."' if len(safe) > 80 else f'"{safe}"'
    return str(value)


def whole(low: int, high: int) -> Kind:
    """A whole number between two bounds."""
    allowed = f"a whole number from {low} to {high}"

    def read(value: Any) -> int:
        number = _number(value) if isinstance(value, Substituted) else value
        if isinstance(number, int) and not isinstance(number, bool) and low <= number <= high:
            return number
        meant = _number(value) if isinstance(value, str) else None
        fits = meant is not None and low <= meant <= high
        raise refuse(value, allowed, nearest=meant if fits else None, why="without quotes" if fits else None)

    return Kind(read, allowed, {"type": "integer", "minimum": low, "maximum": high}, max(low, min(high, 10)))


_WHOLE = re.compile(r"-?\d{1,18}\Z", re.ASCII)
_DECIMAL = re.compile(r"\d{1,6}(?:\.\d{1,6})?%\Z", re.ASCII)


def _number(value: str) -> int | None:
    return int(value) if _WHOLE.match(value) else None


def fraction(low: float, high: float) -> Kind:
    """A number between two bounds."""
    allowed = f"a number from {low:g} to {high:g}"

    def read(value: Any) -> float:
        number: Any = value
        if isinstance(value, Substituted):
            try:
                number = float(value)
            except ValueError:
                number = None
        if isinstance(number, (int, float)) and not isinstance(number, bool) and low <= number <= high:
            return float(number)
        raise refuse(value, allowed)

    return Kind(read, allowed, {"type": "number", "minimum": low, "maximum": high}, high / 2)


_FLAG_WORDS = {"yes": "true", "on": "true", "y": "true", "1": "true", "no": "false", "off": "false", "n": "false"}


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, Substituted) and value in ("true", "false"):
        return value == "true"
    word = str(value).lower() if isinstance(value, (str, int)) else ""
    raise refuse(
        value, "true, false", nearest={"true": "true", "false": "false", "0": "false"}.get(word, _FLAG_WORDS.get(word))
    )


FLAG = Kind(_flag, "true, false", {"type": "boolean"}, True)


def choice(*words: str) -> Kind:
    """One of a few words."""
    allowed = ", ".join(words)
    known = {word: word for word in words}

    def read(value: Any) -> str:
        if isinstance(value, str) and value in known:
            return known[value]
        if not isinstance(value, str) and shown(value) in known:
            raise refuse(value, allowed, nearest=f'"{shown(value)}"', why="put it in quotes")
        raise refuse(value, allowed, nearest=nearest_word(value, words) if isinstance(value, str) else None)

    return Kind(read, allowed, {"enum": list(words)}, words[0])


def duration(low: int = 0, high: int = 366 * 86_400_000) -> Kind:
    """A duration, as whole milliseconds."""
    allowed = "a duration such as 250ms, 5s, 2m or 1h"
    if low:
        allowed += f", at least {units.format_duration(low)}"

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise refuse(value, allowed)
        ms = units.parse_duration(str(value))
        if ms is None:
            nearest = units.nearest_duration(str(value))
            raise refuse(
                value, allowed, nearest=nearest, why="a unit is missing" if isinstance(value, (int, float)) else None
            )
        if not low <= ms <= high:
            raise refuse(value, allowed if ms < low else f"{allowed}, at most {units.format_duration(high)}")
        return ms

    schema = {"type": ["string", "integer"], "pattern": r"^(\d{1,15}(\.\d{1,3})?(ms|s|m|h|d))+$|^0$", "maximum": 0}
    return Kind(
        read, allowed, schema, "30s" if high >= 30_000 >= low else units.format_duration(low), units.format_duration
    )


def size(low: int = 0, high: int = 1 << 50) -> Kind:
    """A size, as bytes."""
    allowed = "a size such as 512B, 64KiB, 1MiB or 10MB"
    bounds = f" from {units.format_size(low)} to {units.format_size(high)}"

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise refuse(value, allowed)
        count = value if isinstance(value, int) else _number(value)
        if count is None:
            count = units.parse_size(str(value))
        if count is None:
            raise refuse(value, allowed, nearest=units.nearest_size(str(value)))
        if not low <= count <= high:
            raise refuse(value, allowed + bounds)
        return count

    schema = {"type": ["string", "integer"], "pattern": r"^\d{1,16}((\.\d{1,3})?(B|kB|KiB|MB|MiB|GB|GiB))?$"}
    return Kind(read, allowed + bounds if low else allowed, schema, "1MiB", units.format_size)


def _byte_rate(value: Any) -> int:
    rate = units.parse_byte_rate(value) if isinstance(value, str) else 0 if value == 0 and value is not False else None
    if rate is None or rate > 0xFFFFFFFF:
        loose = str(value).removesuffix("/s").removesuffix("ps") if isinstance(value, (str, int)) else ""
        near = units.nearest_size(f"{loose}B" if loose.isdecimal() else loose)
        raise refuse(
            value, "bytes a second such as 100B/s or 1KiB/s, 0 for none", nearest=f"{near}/s" if near else None
        )
    return rate


BYTE_RATE = Kind(
    _byte_rate,
    "bytes a second such as 100B/s or 1KiB/s, 0 for none",
    {
        "type": ["string", "integer"],
        "pattern": r"^\d{1,16}(\.\d{1,3})?(B|kB|KiB|MB|MiB|GB|GiB)/s$",
        "minimum": 0,
        "maximum": 0,
    },
    "1KiB/s",
    lambda rate: f"{units.format_size(rate)}/s",
)


def _rate(value: Any) -> tuple[int, int]:
    rate = units.parse_rate(value) if isinstance(value, str) else None
    if rate is None or rate[0] < 1:
        nearest = units.nearest_rate(value) if isinstance(value, str) else f"{value}/s" if type(value) is int else None
        none = rate is not None or value == 0
        raise refuse(value, "a rate such as 100/s, 30/m or 10000/d", nearest=None if none else nearest)
    return rate


RATE = Kind(
    _rate,
    "a rate such as 100/s, 30/m or 10000/d",
    {"type": "string", "pattern": r"^\d{1,12}/(s|m|h|d|month)$"},
    "100/s",
    lambda rate: units.format_rate(*rate),
)


def _percent(value: Any) -> float:
    if isinstance(value, str) and _DECIMAL.match(value):
        number = float(value[:-1])
        if 0 <= number <= 100:
            return number
    raise refuse(
        value, "a percentage such as 20%", nearest=f"{value}%" if type(value) is int and 0 <= value <= 100 else None
    )


PERCENT = Kind(
    _percent,
    "a percentage such as 20%",
    {"type": "string", "pattern": r"^\d+(\.\d+)?%$"},
    "20%",
    lambda number: f"{number:g}%",
)

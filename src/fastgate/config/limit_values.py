"""Words of limits: what has a count of its own, what a request costs, what happens at the limit."""

from __future__ import annotations

import re
from typing import Any

from fastgate.config import units
from fastgate.config.addresses import HEADER_NAME
from fastgate.config.scalars import Kind, nearest_word, refuse

PARTS = ("consumer", "client_ip", "tenant", "key", "subject", "route")
_OTHER_WORDS = {"ip": "client_ip", "user": "subject", "api_key": "key"}
_PER = f"{', '.join(PARTS)}, header:NAME or claim:PATH"
_NAMED = re.compile(r"(header|claim):(.{1,256})\Z", re.ASCII)
LONGEST_DELAY = 30_000


def _named(value: str) -> dict[str, str] | None:
    match = _NAMED.match(value)
    if match is None:
        return None
    return {match[1]: HEADER_NAME.read(match[2]).lower() if match[1] == "header" else match[2]}


def _per(value: Any) -> str | dict[str, str]:
    if isinstance(value, str):
        if value in PARTS:
            return str(value)
        if value == "address":
            return "client_ip"  # the word of earlier versions
        if named := _named(value):
            return named
        raise refuse(value, _PER, nearest=_OTHER_WORDS.get(value) or nearest_word(value, PARTS))
    raise refuse(value, _PER)


def _write_per(value: Any) -> str:
    return next(f"{kind}:{name}" for kind, name in value.items()) if isinstance(value, dict) else str(value)


PER = Kind(
    _per,
    _PER,
    {"type": "string", "pattern": f"^({'|'.join(PARTS)}|header:.+|claim:.+)$"},
    "consumer",
    _write_per,
)


def _cost(value: Any) -> int | dict[str, str]:
    allowed = "a whole number from 1 to 1000000, header:NAME or claim:PATH"
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000:
        return value
    if isinstance(value, str) and (named := _named(value)):
        return named
    raise refuse(value, allowed)


COST = Kind(
    _cost,
    "a whole number from 1 to 1000000, header:NAME or claim:PATH",
    {"type": ["integer", "string"], "pattern": "^(header|claim):.+$", "minimum": 1, "maximum": 1_000_000},
    1,
    lambda cost: _write_per(cost) if isinstance(cost, dict) else cost,
)

_STEP = "delay and a time of at most 30s, or deny and a time, such as delay 200ms or deny 10m"


def _step(value: Any) -> dict[str, int]:
    word, _, time = value.partition(" ") if isinstance(value, str) else ("", "", "")
    ms = units.parse_duration(time.strip())
    if word not in ("delay", "deny") or not ms or (word == "delay" and ms > LONGEST_DELAY):
        near = nearest_word(word, ("delay", "deny")) if word not in ("delay", "deny") and ms else None
        raise refuse(value, _STEP, nearest=f"{near} {time.strip()}" if near else None)
    return {word: ms}


STEP = Kind(
    _step,
    _STEP,
    {"type": "string", "pattern": r"^(delay|deny) +(\d{1,15}(\.\d{1,3})?(ms|s|m|h|d))+$"},
    "delay 200ms",
    lambda step: next(f"{word} {units.format_duration(ms)}" for word, ms in step.items()),
)

_SYNC = "exact, local, or how long leases last, such as 100ms"
MAX_SYNC = 3_600_000


def _sync(value: Any) -> int | str:
    if value == "local":
        return "local"
    if value == "exact":
        return 0
    ms = units.parse_duration(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    if ms is None:
        near = nearest_word(value, ("exact", "local")) if isinstance(value, str) else None
        raise refuse(value, _SYNC, nearest=near or units.nearest_duration(str(value)))
    if ms > MAX_SYNC:
        raise refuse(value, f"{_SYNC}, at most 1h")
    return ms


SYNC = Kind(
    _sync,
    _SYNC,
    {
        "type": ["string", "integer"],
        "pattern": r"^(exact|local|(\d{1,15}(\.\d{1,3})?(ms|s|m|h|d))+|0)$",
        "maximum": 0,
    },
    "100ms",
    lambda sync: "exact" if sync == 0 else sync if isinstance(sync, str) else units.format_duration(sync),
)

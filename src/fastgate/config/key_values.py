"""Scalars of consumers and their keys: what is stored of a key, when it ends."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from fastgate.config.scalars import Kind, refuse

PLACEHOLDER = "sha256:…"
"""Stands in examples: it is read, and opens nothing."""

HASH_ALLOWED = "sha256: or hmac-sha256:PEPPER: and 64 hexadecimal digits, as the command keys create prints it"
_HASH = re.compile(r"(sha256|hmac-sha256:[A-Za-z0-9_][A-Za-z0-9_.-]*):([0-9a-fA-F]{64})\Z")


def _hash(value: Any) -> str:
    if value == PLACEHOLDER:
        return PLACEHOLDER
    match = _HASH.match(value) if isinstance(value, str) else None
    if match is None:
        # It may be the key itself.
        digits = isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{64}", value)
        raise refuse(
            "a digest alone" if digits else "something else" if isinstance(value, str) else value,
            HASH_ALLOWED,
            nearest=f"sha256:{str(value).lower()}" if digits else None,
        )
    return f"{match[1]}:{match[2].lower()}"


KEY_HASH = Kind(
    _hash,
    HASH_ALLOWED,
    {"type": "string", "pattern": f"^(sha256|hmac-sha256:[A-Za-z0-9_.-]+):[0-9A-Fa-f]{{64}}$|^{PLACEHOLDER}$"},
    "sha256:…",
)

TIME_ALLOWED = "a time in RFC 3339, such as 2027-01-01T00:00:00Z"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")


def _time(value: Any) -> str:
    if isinstance(value, str) and _TIME.match(value) and unix_ms(value) is not None:
        return value
    date = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)
    raise refuse(value, TIME_ALLOWED, nearest=f"{value}T00:00:00Z" if date else None)


def unix_ms(text: str) -> int | None:
    """Milliseconds since 1970 of a time; None for what is none, or before."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    ms = round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    return ms if ms >= 0 else None


TIME = Kind(_time, TIME_ALLOWED, {"type": "string", "format": "date-time"}, "2027-01-01T00:00:00Z")

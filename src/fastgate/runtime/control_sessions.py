"""The control socket's questions about subscribers: their details are judged here."""

from __future__ import annotations

from typing import Any, Protocol

from fastgate.errors import StartError

Plain = dict[str, Any]

DEFAULT_LIMIT, MAX_LIMIT = 1_000, 100_000
DEFAULT_CODE, DEFAULT_REASON = 3503, "disconnected"
_FIELDS = {"sessions": {"op", "channel", "limit"}, "disconnect": {"op", "session", "channel", "code", "reason"}}


class Subscribed(Protocol):
    """What these questions need of a runtime."""

    def sessions(self, channel: str | None, limit: int) -> Plain:
        """Who is subscribed."""

    def disconnect(self, session: str | None, channel: str | None, code: int, reason: str) -> int:
        """Ends sessions."""


def sessions(runtime: Subscribed, asked: Plain) -> Plain:
    """`{"op": "sessions", "channel": "…", "limit": N}`: `total`, and at most so many `sessions`."""
    _known(asked)
    limit = asked.get("limit", DEFAULT_LIMIT)
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise StartError(f"limit must be a number from 1 to {MAX_LIMIT}")
    return runtime.sessions(_text(asked, "channel"), limit)


def disconnect(runtime: Subscribed, asked: Plain) -> Plain:
    """`{"op": "disconnect", "session": "…"}` or `"channel"`, with `code` and `reason`: how many were `disconnected`."""
    _known(asked)
    session, channel = _text(asked, "session"), _text(asked, "channel")
    if (session is None) == (channel is None):
        raise StartError("session or channel says who is disconnected: give one of them")
    code, reason = asked.get("code", DEFAULT_CODE), _text(asked, "reason")
    if type(code) is not int:
        raise StartError("code must be a number")
    done = runtime.disconnect(session, channel, code, DEFAULT_REASON if reason is None else reason)
    return {"disconnected": done}


def _known(asked: Plain) -> None:
    allowed = _FIELDS[asked["op"]]
    if unknown := sorted(set(asked) - allowed):
        raise StartError(f'unknown key "{unknown[0][:40]}"; allowed: {", ".join(sorted(allowed))}')


def _text(asked: Plain, key: str) -> str | None:
    value = asked.get(key)
    if value is not None and not isinstance(value, str):
        raise StartError(f"{key} must be text")
    return value

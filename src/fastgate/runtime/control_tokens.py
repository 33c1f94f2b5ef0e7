"""The control socket's op `revoke`: its details are judged here."""

from __future__ import annotations

from typing import Any, Protocol

from fastgate.errors import StartError

Plain = dict[str, Any]

_FIELDS = {"op", "jti", "sub", "seconds"}
DEFAULT_SECONDS, MAX_SECONDS = 86_400, 366 * 86_400


class Revoking(Protocol):
    """What this question needs of a runtime."""

    def revoke_token(self, by: str, name: str, seconds: int) -> int:
        """Refuses tokens."""


def revoke(runtime: Revoking, asked: Plain) -> Plain:
    """`{"op": "revoke", "jti": "…"}` or `"sub"`, with `seconds`: how many revocations there are, as `revoked`."""
    if unknown := sorted(set(asked) - _FIELDS):
        raise StartError(f"{', '.join(unknown)} is not part of this question; allowed: {', '.join(sorted(_FIELDS))}")
    named = [(by, asked[by]) for by in ("jti", "sub") if by in asked]
    if len(named) != 1 or not isinstance(named[0][1], str):
        raise StartError("jti or sub says what is revoked: give one of them, as text")
    seconds = asked.get("seconds", DEFAULT_SECONDS)
    if type(seconds) is not int or not 1 <= seconds <= MAX_SECONDS:
        raise StartError(f"seconds must be a number from 1 to {MAX_SECONDS}")
    by, name = named[0]
    return {"revoked": runtime.revoke_token(by, name, seconds)}

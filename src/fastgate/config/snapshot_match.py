"""What a route matches, in the engine's words."""

from __future__ import annotations

from typing import Any

from fastgate.config.models import Match
from fastgate.config.models.routes import ValueMatch

Plain = dict[str, Any]


def match_plain(match: Match) -> Plain:
    """One way to match."""
    kind = next((k for k in ("prefix", "path", "regex") if getattr(match, k) is not None), None)
    return {
        "path": None if kind is None else {kind: getattr(match, kind)},
        "hosts": match.hosts,
        "methods": match.methods,
        "headers": {name.lower(): _value(one) for name, one in match.headers.items()},
        "query": {name: _value(one) for name, one in match.query.items()},
        "client_ip": match.client_ip,
    }


def _value(match: str | ValueMatch) -> Plain:
    if isinstance(match, str):
        return {"exact": match}
    if match.exact is not None:
        return {"exact": match.exact}
    return {"regex": match.regex} if match.regex is not None else {"present": match.present}

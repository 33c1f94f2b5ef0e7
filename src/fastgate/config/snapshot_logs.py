"""`logs` in the engine's words: the access log, the diagnostic log, the audit trail."""

from __future__ import annotations

from typing import Any

from fastgate.config.log_targets import parse_syslog
from fastgate.config.models.process import AccessLog, Logs

Plain = dict[str, Any]


def logs(of: Logs) -> Plain:
    """The keys `logs` and, where there is a trail, `audit` of a snapshot."""
    access: Plain | None = None
    if isinstance(of.access, AccessLog):
        form = of.access.format
        access = {
            "to": _target(of.access.to),
            "format": form if form in ("json", "combined") else {"template": form},
            "sample": of.access.sample,
        }
    plain: Plain = {
        "logs": {
            "access": access,
            "level": of.level or "info",
            "format": of.format,
            "redact_query": of.redact.query,
            "redact_headers": of.redact.headers,
        }
    }
    if of.audit is not None:
        plain["audit"] = {"to": _target(of.audit.to)}
    return plain


def _target(to: str) -> str | Plain:
    syslog = parse_syslog(to)
    return to if to in ("stdout", "stderr") else {"file": to} if syslog is None else {"syslog": syslog}

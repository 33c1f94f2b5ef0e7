"""Address lists, CORS, CSRF and security headers in the engine's words; what their values mean, the engine judges."""

from __future__ import annotations

import os

from fastgate.config.models.network import Cors, Csrf, Hsts, Ip, SecurityHeaders
from fastgate.config.policies import Context, Plain

_FRAMES = {"'self'": "SAMEORIGIN", "'none'": "DENY"}


def ip(value: Ip, cx: Context) -> Plain:
    """Which addresses pass."""
    return {
        "allow": value.allow,
        "deny": value.deny,
        "allow_files": [os.path.abspath(path) for path in value.allow_files],
        "deny_files": [os.path.abspath(path) for path in value.files],
    }


def cors(value: Cors, cx: Context) -> Plain:
    """Which pages may read answers."""
    if value.credentials and "*" in value.origins:
        message = "`*` with `credentials: true` would let every page act for its visitors; allowed: a list of origins"
        cx.fault(("origins",), message, found="*")
    return {
        "origins": value.origins if not (value.credentials and "*" in value.origins) else ["null"],
        "methods": value.methods or [],
        "headers": value.headers,
        "expose": value.expose,
        "credentials": value.credentials,
        "max_age_ms": value.max_age,
    }


def csrf(value: Csrf, cx: Context) -> Plain:
    """Whose pages may send unsafe requests."""
    return {"origins": value.origins}


def security_headers(value: SecurityHeaders, cx: Context) -> Plain:
    """What browsers are told."""
    fields = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": value.referrer_policy}
    # Where an answer has both, browsers heed the Content-Security-Policy: an origin's own is never overridden.
    if frame := _FRAMES.get(value.frame_ancestors):
        fields["X-Frame-Options"] = frame
    own = {}
    if value.csp is None:
        own["Content-Security-Policy"] = f"frame-ancestors {value.frame_ancestors}"
    else:
        fields["Content-Security-Policy"] = value.csp
    hsts = value.hsts
    return {
        "hsts": {"max_age": hsts.max_age // 1000, "subdomains": hsts.subdomains, "preload": hsts.preload}
        if isinstance(hsts, Hsts)
        else None,
        "fields": fields,
        "own": own,
    }

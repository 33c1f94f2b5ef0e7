"""`ip`, `cors`, `csrf`, `security_headers`, `proxy_protocol` and `logs.audit` in the engine's words."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fastgate import config
from fastgate.runtime import validate

Plain = dict[str, Any]


def compiled(policies: Plain, *, top: Plain | None = None, **more: Plain) -> Plain:
    """The snapshot of one route with these policies, below those of the gateway."""
    route = {"match": {"prefix": "/"}, "respond": {"status": 200}, "policies": policies}
    whole = {"routes": {"app": route}, "policies": top or {}, **more}
    snapshot = config.compile(config.from_mapping(whole))
    validate(snapshot)
    plain: Plain = json.loads(snapshot.data)
    return plain


def guarded(policies: Plain, **more: Any) -> Plain:
    plain = compiled(policies, **more)
    number = plain["routes"][0].get("policies")
    part: Plain = {} if number is None else plain["policies"][number]
    return part


def test_ip_files_are_read_from_where_the_gateway_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "denied").write_text("192.0.2.0/24\n")
    monkeypatch.chdir(tmp_path)
    assert guarded({"ip": {"allow": ["10.0.0.0/8"], "files": ["denied"]}}) == {
        "ip": {
            "allow": ["10.0.0.0/8"],
            "deny": [],
            "allow_files": [],
            "deny_files": [os.path.abspath("denied")],
        }
    }


def test_the_nearest_level_speaks() -> None:
    top = {"cors": {"origins": ["https://a.example"]}, "csrf": {}}
    assert set(guarded({}, top=top)) == {"cors", "csrf"}
    assert set(guarded({"cors": False}, top=top)) == {"csrf"}
    own = guarded({"cors": {"origins": ["*"], "methods": ["GET"], "max_age": "10m"}}, top=top)["cors"]
    assert (own["origins"], own["methods"], own["headers"], own["max_age_ms"]) == (["*"], ["GET"], None, 600_000)


@pytest.mark.parametrize(
    ("policy", "fields", "own", "hsts"),
    [
        ({}, {"X-Frame-Options": "SAMEORIGIN"}, {"Content-Security-Policy": "frame-ancestors 'self'"}, None),
        (
            {"frame_ancestors": "'none'", "hsts": {}},
            {"X-Frame-Options": "DENY"},
            {"Content-Security-Policy": "frame-ancestors 'none'"},
            {"max_age": 31_536_000, "subdomains": False, "preload": False},
        ),
        (
            {"frame_ancestors": "https://a.example", "hsts": False},
            {},
            {"Content-Security-Policy": "frame-ancestors https://a.example"},
            None,
        ),
        (
            {"csp": "default-src 'self'"},
            {"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "default-src 'self'"},
            {},
            None,
        ),
    ],
)
def test_security_headers(policy: Plain, fields: Plain, own: Plain, hsts: Plain | None) -> None:
    always = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin"}
    plain = guarded({"security_headers": policy})["security_headers"]
    assert plain == {"fields": always | fields, "own": own, "hsts": hsts}


def test_the_proxy_protocol_and_the_trail() -> None:
    listeners = {"public": {"bind": "127.0.0.1:0", "proxy_protocol": {"from": ["10.0.0.0/8"]}}}
    plain = compiled({}, listeners=listeners, logs={"audit": {"to": "./audit.jsonl"}})
    assert plain["listeners"][0]["proxy_protocol"] == ["10.0.0.0/8"]
    assert plain["audit"] == {"to": {"file": "./audit.jsonl"}}
    assert "audit" not in compiled({})
    assert compiled({}, logs={"audit": {}})["audit"] == {"to": "stdout"}

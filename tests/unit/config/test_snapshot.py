"""compile(): every default resolved, every key carried over, and the way back from the engine's findings to lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastgate import config
from fastgate.config.models.process import REDACTED_HEADERS, REDACTED_QUERY
from fastgate.errors import ConfigError
from fastgate.runtime import validate


def compiled(mapping: dict[str, Any], **options: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(config.compile(config.from_mapping(mapping), **options).data)
    return plain


def one_route(**settings: Any) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "to": "http://127.0.0.1:9000"} | settings
    snapshot = compiled({"routes": {"a": route}})
    return dict(snapshot["routes"][0])


def test_defaults() -> None:
    snapshot = compiled({})
    assert snapshot == {
        "version": 1,
        "workers": 0,
        "private_descriptors": False,
        "limits": {
            "max_connections": 0,
            "headers": 32_768,
            "header_count": 100,
            "uri": 8_192,
            "header_timeout_ms": 10_000,
            "write_stall_ms": 30_000,
            "body_min_rate": 100,
            "connection_age_ms": 3_600_000,
            "accept_rate": 0,
        },
        "shutdown": {"notice_ms": 0, "limit_ms": 30_000},
        "listeners": [
            {
                "name": "default",
                "bind": "0.0.0.0:8000",
                "trusted_proxies": [],
                "encoded_slash": "refuse",
                "dot_segments": "refuse",
                "underscore_headers": "drop",
                "serves": {"http": True, "realtime": True, "publish": True},
                "tls": None,
                "redirect_https": False,
            }
        ],
        "services": [],
        "routes": [],
        "reserved_headers": [],
        "internal": [
            {"name": "admin", "bind": "127.0.0.1:8002", "written": False, "serves": "admin"},
            {"name": "metrics", "bind": "127.0.0.1:8003", "written": False, "serves": "metrics"},
        ],
        "logs": {
            "access": None,
            "level": "info",
            "format": "text",
            "redact_query": REDACTED_QUERY,
            "redact_headers": REDACTED_HEADERS,
        },
    }


def test_route_defaults() -> None:
    assert one_route() == {
        "name": "a",
        "priority": 0,
        "matches": [
            {"path": {"prefix": "/"}, "hosts": [], "methods": [], "headers": {}, "query": {}, "client_ip": []},
        ],
        "listeners": None,
        "action": {"service": "a"},
        "rewrite": None,
        "host": "keep",
        "half_close_keep": False,
        "upgrade": ["websocket"],
        "timeouts": {"connect_ms": 5_000, "response_ms": 60_000, "idle_ms": 60_000},
        "max_body": None,
        "request_headers": {"set": [], "add": [], "remove": []},
        "response_headers": {"set": [], "add": [], "remove": []},
        "on_request": False,
        "held_bytes": 262_144,
    }


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("http://127.0.0.1", {"ip": {"ip": "127.0.0.1", "port": 80}}, "127.0.0.1"),
        ("http://127.0.0.1:9000", {"ip": {"ip": "127.0.0.1", "port": 9000}}, "127.0.0.1:9000"),
        ("http://[::1]:9000", {"ip": {"ip": "::1", "port": 9000}}, "[::1]:9000"),
        ("http://[2001:DB8::1]", {"ip": {"ip": "2001:db8::1", "port": 80}}, "[2001:db8::1]"),
        ("http://API.internal:81", {"name": {"name": "api.internal", "port": 81}}, "api.internal:81"),
        ("unix:/run/app.sock", {"unix": "/run/app.sock"}, "localhost"),
    ],
)
def test_targets(url: str, address: dict[str, Any], authority: str) -> None:
    snapshot = compiled({"routes": {"a": {"match": {"prefix": "/"}, "to": url}}})
    assert snapshot["services"][0]["targets"] == [{"url": url, "address": address, "authority": authority, "weight": 1}]


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::]:8000", "unix:/run/gate.sock"])
def test_binds(bind: str) -> None:
    assert compiled({"listeners": {"p": {"bind": bind}}})["listeners"][0]["bind"] == bind


def test_matches() -> None:
    route = one_route(
        match=[
            {"path": "/u/{id}", "hosts": ["API.example.com", "*.example.org"], "methods": ["GET"]},
            {"regex": "/v[0-9]+", "headers": {"X-A": "b", "X-C": {"present": False}}, "query": {"q": {"regex": "a+"}}},
            {"client_ip": ["10.0.0.0/8", "::1"]},
        ]
    )
    first, second, third = route["matches"]
    assert first["path"] == {"path": "/u/{id}"}
    assert first["hosts"] == ["api.example.com", "*.example.org"]
    assert second["path"] == {"regex": "/v[0-9]+"}
    assert second["headers"] == {"x-a": {"exact": "b"}, "x-c": {"present": False}}
    assert second["query"] == {"q": {"regex": "a+"}}
    assert third["path"] is None
    assert third["client_ip"] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("settings", "part", "value"),
    [
        ({"rewrite": {"strip_prefix": "/a"}}, "rewrite", {"strip_prefix": "/a"}),
        ({"rewrite": {"replace": "/b"}}, "rewrite", {"replace_prefix": "/b"}),
        ({"rewrite": {"path": "/c/{rest}"}}, "rewrite", {"path": "/c/{rest}"}),
        ({"host": "target"}, "host", "target"),
        ({"host": "api.example.com"}, "host", {"name": "api.example.com"}),
        ({"half_close": "keep"}, "half_close_keep", True),
        ({"upgrade": ["WebSocket", "foo"]}, "upgrade", ["websocket", "foo"]),
        ({"max_body": "1MiB"}, "max_body", 1_048_576),
        ({"max_held_body": "1MiB"}, "held_bytes", 1_048_576),
        ({"priority": -3}, "priority", -3),
        ({"timeouts": {"response": "250ms"}}, "timeouts", {"connect_ms": 5_000, "response_ms": 250, "idle_ms": 60_000}),
        (
            {"policies": {"request_headers": {"set": {"X-A": "b"}, "remove": ["X-C"]}}},
            "request_headers",
            {"set": [["X-A", "b"]], "add": [], "remove": ["X-C"]},
        ),
    ],
)
def test_route_settings(settings: dict[str, Any], part: str, value: object) -> None:
    assert one_route(**settings)[part] == value


def test_actions() -> None:
    snapshot = compiled(
        {
            "routes": {
                "r": {"match": {"path": "/r"}, "respond": {"status": 403, "headers": {"X-A": "b"}, "body": "no"}},
                "d": {"match": {"path": "/d"}, "redirect": {"to": "/v2{rest}"}},
            }
        }
    )
    respond, redirect = (route["action"] for route in snapshot["routes"])
    assert respond == {"respond": {"status": 403, "headers": [["X-A", "b"]], "body": "no"}}
    assert redirect == {"redirect": {"to": "/v2{rest}", "status": 307}}


def test_levels_of_policies_and_timeouts() -> None:
    snapshot = compiled(
        {
            "policies": {
                "request_headers": {"set": {"X-Level": "gateway"}},
                "response_headers": {"set": {"X-R": "gateway"}},
            },
            "services": {
                "s": {
                    "targets": ["http://127.0.0.1"],
                    "timeouts": {"connect": "1s", "response": "2s"},
                    "policies": {"request_headers": {"set": {"X-Level": "service"}}},
                }
            },
            "routes": {
                "own": {
                    "match": {"path": "/own"},
                    "service": "s",
                    "timeouts": {"response": "9s"},
                    "policies": {"request_headers": {"add": {"X-Level": "route"}}, "response_headers": False},
                },
                "service": {"match": {"path": "/service"}, "service": "s"},
                "gateway": {"match": {"path": "/gateway"}, "to": "http://127.0.0.1"},
            },
        }
    )
    own, service, gateway = snapshot["routes"]
    assert own["request_headers"] == {"set": [], "add": [["X-Level", "route"]], "remove": []}
    assert own["response_headers"] == {"set": [], "add": [], "remove": []}
    assert own["timeouts"] == {"connect_ms": 1_000, "response_ms": 9_000, "idle_ms": 60_000}
    assert service["request_headers"]["set"] == [["X-Level", "service"]]
    assert service["response_headers"]["set"] == [["X-R", "gateway"]]
    assert gateway["request_headers"]["set"] == [["X-Level", "gateway"]]


def test_inline_service_never_takes_the_name_of_another() -> None:
    snapshot = compiled(
        {
            "services": {"a": {"targets": ["http://127.0.0.1:1"]}},
            "routes": {"a": {"match": {"prefix": "/"}, "to": "http://127.0.0.1:2"}},
        }
    )
    assert [service["name"] for service in snapshot["services"]] == ["a", "a@route"]
    assert snapshot["routes"][0]["action"] == {"service": "a@route"}


def test_hooks() -> None:
    mapping = {"routes": {n: {"match": {"path": f"/{n}"}, "respond": {"status": 200}} for n in ("a", "b")}}
    assert [route["on_request"] for route in compiled(mapping, hooks=["b"])["routes"]] == [False, True]
    assert [route["on_request"] for route in compiled(mapping, hooks="*")["routes"]] == [True, True]
    with pytest.raises(ConfigError, match="there is no such route"):
        compiled(mapping, hooks=["c"])


def test_the_engine_accepts_every_key(tmp_path: Path) -> None:
    mapping = {
        "listeners": {"p": {"bind": "127.0.0.1:0", "trusted_proxies": ["10.0.0.0/8"], "only": ["http"]}},
        "services": {"s": {"targets": ["http://127.0.0.1:1", {"url": "unix:/a"}], "pool": {"idle": "5s"}}},
        "routes": {
            "a": {
                "match": [
                    {"path": "/a/{id}", "headers": {"x": {"regex": "a"}}},
                    {"prefix": "/b", "query": {"q": {"present": True}}},
                ],
                "service": "s",
                "host": "target",
                "policies": {"request_headers": {"set": {"X-A": "b"}}},
            },
            "r": {"match": {"regex": "/r[0-9]"}, "respond": {"status": 200}},
            "d": {"match": {"prefix": "/d"}, "redirect": {"to": "/e{rest}", "status": 301}},
        },
        "limits": {"accept_rate": "100/s"},
    }
    validate(config.compile(config.from_mapping(mapping)))


ENGINE_FAULTS = [
    ("match:\n      regex: '('\n    to: http://127.0.0.1", "routes.a.match.regex", 4),
    ("match:\n      - path: /x\n      - path: '/{a'\n    to: http://127.0.0.1", "routes.a.match.1.path", 5),
    ("match:\n      path: /x\n    redirect:\n      to: /{nowhere}", "routes.a.redirect", 6),
    (
        (
            "match:\n      prefix: /\n    to: http://127.0.0.1\n    policies:\n      request_headers:\n"
            "        set:\n          Content-Length: '1'"
        ),
        "routes.a.policies.request_headers",
        8,
    ),
]


@pytest.mark.parametrize(("text", "path", "line"), ENGINE_FAULTS, ids=[fault[1] for fault in ENGINE_FAULTS])
def test_what_only_the_engine_can_judge_gets_a_line(text: str, path: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    file.write_text(f"routes:\n  a:\n    {text}\n")
    with pytest.raises(ConfigError) as caught:
        validate(config.compile(config.load(file)))
    (finding,) = caught.value.findings
    assert finding.path.startswith(path)
    assert finding.line is not None
    assert line <= finding.line <= line + 2


def test_routes_of_equal_match_name_both_lines(tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    route = "    match:\n      prefix: /x\n    to: http://127.0.0.1\n"
    file.write_text(f"routes:\n  first:\n{route}  second:\n{route}")
    with pytest.raises(ConfigError) as caught:
        validate(config.compile(config.load(file)))
    said = str(caught.value)
    assert len(caught.value.findings) == 1, said
    assert "first" in said
    assert "second" in said
    assert "line 2" in said or "line 6" in said


def test_internal_listeners_are_written_or_default_or_off() -> None:
    snapshot = compiled({"admin": {"bind": "127.0.0.1:9102"}, "metrics": False})
    assert snapshot["internal"] == [{"name": "admin", "bind": "127.0.0.1:9102", "written": True, "serves": "admin"}]
    internal = compiled({"admin": False, "metrics": {"tenants": True}})["internal"]
    assert [(one["name"], one["tenants"], one["written"]) for one in internal] == [("metrics", True, False)]
    route = {"match": {"prefix": "/"}, "respond": {"status": 204}, "histogram": True}
    assert compiled({"routes": {"app": route}})["routes"][0]["histogram"] is True

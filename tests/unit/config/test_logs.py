"""`logs`: where lines go, what they look like, and where a mistake in them is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastgate import config
from fastgate.errors import ConfigError
from fastgate.runtime import validate

ROUTES = {"a": {"match": {"prefix": "/"}, "to": "http://127.0.0.1:9000", "access_log": {"sample": 0.25}}}


def logs(**written: Any) -> dict[str, Any]:
    snapshot = config.compile(config.from_mapping({"routes": ROUTES, "logs": written}))
    validate(snapshot)
    plain: dict[str, Any] = json.loads(snapshot.data)
    assert plain["routes"][0]["access_log_sample"] == 0.25
    return dict(plain["logs"])


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("stdout", "stdout"),
        ("stderr", "stderr"),
        ("/var/log/fastgate.log", {"file": "/var/log/fastgate.log"}),
        ("./access.log", {"file": "./access.log"}),
        ("syslog", {"syslog": "/dev/log"}),
        ("syslog:///run/log", {"syslog": "/run/log"}),
        ("syslog://logs.example.com", {"syslog": "logs.example.com:514"}),
        ("syslog://192.0.2.1:5514", {"syslog": "192.0.2.1:5514"}),
        ("syslog://[2001:db8::1]", {"syslog": "[2001:db8::1]:514"}),
        ("syslog://[2001:db8::1]:5514", {"syslog": "[2001:db8::1]:5514"}),
    ],
)
def test_where_lines_go(to: str, target: Any) -> None:
    assert logs(access={"to": to})["access"] == {"to": target, "format": "json", "sample": 1.0}


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("stdot", 'did you mean "stdout"?'),
        ("access.log", 'did you mean "./access.log"?'),
        ("/var/log/", "a path names a file"),
        ("http://x/y", "allowed: stdout, stderr, syslog"),
        ("syslog:/dev/log", 'did you mean "syslog"?'),
        ("syslog://", 'did you mean "syslog"?'),
        ("syslog://host:99999", 'did you mean "syslog"?'),
        ("syslog://2001:db8::1", 'did you mean "syslog"?'),
        (True, "allowed: stdout, stderr, syslog"),
    ],
)
def test_what_is_no_place_for_lines(to: Any, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        logs(access={"to": to})
    assert "logs.access.to" in str(error.value)
    assert says in str(error.value)


def test_off_and_defaults() -> None:
    assert logs()["access"] is None
    assert logs(access=False)["access"] is None
    assert logs(access={}, level="warning", format="json")["level"] == "warning"
    redacted = logs(redact={"query": ["only"], "headers": ["X-Only"]})
    assert (redacted["redact_query"], redacted["redact_headers"]) == (["only"], ["X-Only"])
    assert "token" in logs()["redact_query"]
    assert "authorization" in logs()["redact_headers"]


def test_a_wrong_template_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    file.write_text(
        'routes:\n  a:\n    match: {prefix: /}\n    respond: {status: 204}\nlogs:\n  access:\n    format: "{stauts}"\n'
    )
    with pytest.raises(ConfigError) as error:
        validate(config.compile(config.load(file)))
    assert f"{file}:7:" in str(error.value)
    assert "logs.access.format: there is no {stauts}; allowed: time, request_id, client" in str(error.value)

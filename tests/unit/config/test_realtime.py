"""`realtime` and `store`: what the snapshot holds of them, secrets, warnings, and the way back to lines."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fastgate import Gateway, config
from fastgate.config import realtime_values
from fastgate.config.models.realtime import ClientPublish, Endpoint, Queue, Realtime
from fastgate.errors import ConfigError
from fastgate.runtime import validate
from fastgate.runtime.recipe import Recipe, Unusable, follow

ROOMS = {"path": "/r/{room}", "channels": ["room:{room}"]}


def compiled(mapping: dict[str, Any], environ: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    loaded = config.from_mapping(mapping, environ=environ or {})
    snapshot = config.compile(loaded, **options)
    validate(snapshot)
    plain: dict[str, Any] = json.loads(snapshot.data)
    return plain


def endpoint(**settings: Any) -> dict[str, Any]:
    store = {"store": {"url": "redis://127.0.0.1"}} if settings.pop("store", False) else {}
    plain = compiled({"realtime": {"endpoints": {"rooms": ROOMS | settings}}, **store})
    action: dict[str, Any] = plain["routes"][0]["action"]["realtime"]
    return action


def test_defaults() -> None:
    plain = compiled({"realtime": {"endpoints": {"rooms": ROOMS}}})
    assert plain["realtime"] == {"ping_ms": 25_000, "pong_ms": 10_000, "keys": [], "redis": None}
    (route,) = plain["routes"]
    assert route["name"] == "realtime.endpoints.rooms"
    assert route["matches"][0]["path"] == {"path": "/r/{room}"}
    assert route["matches"][0]["methods"] == ["GET"]
    assert route["listeners"] is None
    assert route["action"]["realtime"] == {
        "channels": ["room:{room}"],
        "source": "local",
        "format": "json",
        "wrap": False,
        "websocket": True,
        "sse": True,
        "publish": None,
        "max_members": 0,
        "max_message": 65_536,
        "queue": {"bytes": 1_048_576, "when_full": "disconnect"},
        "origins": "same",
        "deflate": False,
    }
    # The routes of an endpoint and of a service have the same keys: the engine would refuse others.
    other = compiled({"routes": {"a": {"match": {"prefix": "/"}, "to": "http://127.0.0.1"}}})["routes"][0]
    assert route.keys() == other.keys()


def test_without_hub_and_store_nothing_is_said_of_them() -> None:
    assert "realtime" not in compiled({})


@pytest.mark.parametrize(
    ("settings", "part", "value"),
    [
        ({"store": True}, "source", "redis"),
        ({"store": True, "source": "local"}, "source", "local"),
        ({"store": True, "source": "redis"}, "source", "redis"),
        ({"format": "binary"}, "sse", False),
        ({"format": "binary"}, "websocket", True),
        ({"transport": ["sse"]}, "websocket", False),
        ({"publish": True}, "publish", {"rate": 10, "burst": 20, "echo": True}),
        ({"publish": False}, "publish", None),
        ({"publish": {}}, "publish", {"rate": 10, "burst": 20, "echo": True}),
        ({"publish": {"rate": "3/s", "echo": False}}, "publish", {"rate": 3, "burst": 20, "echo": False}),
        ({"max_members": 5}, "max_members", 5),
        ({"queue": {"when_full": "drop_oldest"}}, "queue", {"bytes": 1_048_576, "when_full": "drop_oldest"}),
        ({"origins": "*"}, "origins", "any"),
        ({"origins": ["*"]}, "origins", "any"),
        ({"origins": "https://A.example.com:443"}, "origins", {"list": ["https://a.example.com"]}),
        (
            {"origins": ["http://localhost:3000", "https://*.example.com", "http://[::1]:80"]},
            "origins",
            {"list": ["http://localhost:3000", "https://*.example.com", "http://[::1]"]},
        ),
    ],
)
def test_endpoint_settings(settings: dict[str, Any], part: str, value: object) -> None:
    assert endpoint(**settings)[part] == value


def test_policies_and_hosts_of_an_endpoint() -> None:
    headers = {"response_headers": {"set": {"X-A": "endpoint"}}}
    plain = compiled(
        {
            "realtime": {
                "endpoints": {
                    "a": {"path": "/a", "channels": ["a"], "policies": headers, "hosts": ["Live.example.com"]},
                    "b": {"path": "/b", "channels": ["b"]},
                }
            },
            "policies": {"response_headers": {"set": {"X-A": "gateway"}}},
        }
    )
    a, b = plain["routes"]
    assert a["response_headers"]["set"] == [["X-A", "endpoint"]]
    assert b["response_headers"]["set"] == [["X-A", "gateway"]]
    assert a["matches"][0]["hosts"] == ["live.example.com"]


def test_an_endpoint_is_served_where_it_says() -> None:
    tls = {"certificates": [{"cert": "a.crt", "key": "a.key"}]}
    mapping = {
        "listeners": {"public": {"bind": "127.0.0.1:0"}, "secure": {"bind": "127.0.0.1:1", "tls": tls}},
        "realtime": {
            "endpoints": {
                "a": ROOMS | {"listeners": ["secure"]},
                "b": {"path": "/b", "channels": ["b"], "listeners": ["secure", "public"]},
            }
        },
    }
    assert [(one["name"], one["listeners"]) for one in compiled(mapping)["routes"]] == [
        ("realtime.endpoints.a", ["secure"]),
        ("realtime.endpoints.b", ["secure", "public"]),
    ]


# Secrets

STORE = {"url": "redis://127.0.0.1", "username": "gate", "password": "env:SECRET"}


def test_secrets_are_read_and_keys_kept_by_digest(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from a file\n")
    keys = {"one": {"key": "env:KEY"}, "two": {"key": f"file:{file}"}, "three": {"hash": f"sha256:{'0A' * 32}"}}
    plain = compiled({"store": STORE, "realtime": {"api_keys": keys}}, {"KEY": "k-1", "SECRET": "hunter2"})
    assert plain["realtime"]["redis"]["password"] == "hunter2"
    assert plain["realtime"]["redis"]["username"] == "gate"
    assert plain["realtime"]["keys"] == [
        {"name": "one", "sha256": hashlib.sha256(b"k-1").hexdigest()},
        {"name": "two", "sha256": hashlib.sha256(b"from a file").hexdigest()},
        {"name": "three", "sha256": "0a" * 32},
    ]
    assert b"k-1" not in json.dumps(plain).encode()


def test_a_secret_that_is_not_there_is_left_out_of_a_check_and_refused_at_a_start() -> None:
    mapping = {"store": STORE, "realtime": {"api_keys": {"one": {"key": "env:KEY"}, "two": {"key": "env:EMPTY"}}}}
    environ = {"EMPTY": ""}
    plain = compiled(mapping, environ)
    assert plain["realtime"]["redis"]["password"] is None
    # An empty key would let everybody in who sends none.
    assert plain["realtime"]["keys"] == []
    with pytest.raises(ConfigError) as caught:
        compiled(mapping, environ, secrets=True)
    assert [finding.path for finding in caught.value.findings] == [
        "store.password",
        "realtime.api_keys.one.key",
        "realtime.api_keys.two.key",
    ]
    said = str(caught.value)
    assert "the environment variable SECRET is not set" in said
    assert "the key is empty" in said


def test_a_start_and_a_reload_refuse_a_secret_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    recipe = Recipe(overrides=({"store": STORE},))
    with pytest.raises(Unusable, match="SECRET is not set"):
        follow(recipe)
    monkeypatch.setenv("SECRET", "hunter2")
    assert b"hunter2" in follow(recipe).data


def test_a_password_in_the_url_is_never_shown() -> None:
    for url in ("redis://user:hunter2@127.0.0.1", "redis:/user:hunter2@x", "hunter2@127.0.0.1", "http://:hunter2@a/b"):
        with pytest.raises(ConfigError) as caught:
            config.from_mapping({"store": {"url": url}})
        assert "hunter2" not in str(caught.value)
        assert "password: env:NAME" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        config.from_mapping({"realtime": {"api_keys": {"ci": {"hash": "hunter2"}}}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://[::1]:6379/15",
        "rediss://redis.internal:6380",
        "redis://a/",
        "unix:/run/redis.sock",
    ],
)
def test_redis_urls(url: str) -> None:
    plain = compiled({"store": {"url": url, "prefix": "gate:"}})
    assert plain["realtime"]["redis"] == {
        "url": url,
        "username": None,
        "password": None,
        "cluster": False,
        "ca": None,
        "prefix": "gate:",
    }


def test_a_file_of_authorities_that_is_not_there_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    file.write_text(f"store:\n  url: rediss://127.0.0.1\n  ca: {tmp_path}/none.pem\n")
    with pytest.raises(ConfigError) as caught:
        validate(config.compile(config.load(file)))
    (finding,) = caught.value.findings
    assert (finding.path, finding.line) == ("store.ca", 3)


# Warnings and findings


def test_an_identity_that_nobody_asks_for_is_a_warning() -> None:
    mapping = {"realtime": {"endpoints": {"mine": {"path": "/mine", "channels": ["news", "user_{sub}"]}}}}
    (warning,) = config.from_mapping(mapping).warnings
    assert warning.path == "realtime.endpoints.mine.channels.1"
    assert "no policy `auth`" in warning.message
    assert "401" in warning.message


def test_what_later_versions_read_is_a_warning() -> None:
    realtime = {
        "namespaces": {"chat": {"presence": True}},
        "tokens": {"issuer": "x"},
        "endpoints": {"rooms": ROOMS | {"policies": {"auth": {"any_of": [{"api_key": {"header": "x-key"}}]}}}},
    }
    said = {one.path: one.message for one in config.from_mapping({"realtime": realtime}).warnings}
    assert said == {
        "realtime.namespaces": "not in this version, ignored",
        "realtime.tokens": "not in this version, ignored: subscribers connect WITHOUT TOKENS",
    }


def test_routes_that_no_listener_serves_are_a_warning() -> None:
    mapping: dict[str, Any] = {
        "listeners": {"live": {"bind": "127.0.0.1:0", "only": ["realtime"]}},
        "routes": {"app": {"match": {"prefix": "/"}, "to": "http://127.0.0.1"}},
        "realtime": {"endpoints": {"rooms": ROOMS}},
    }
    (warning,) = config.from_mapping(mapping).warnings
    assert (warning.path, warning.message) == ("routes", "no listener serves http: none of them is reached")
    mapping["listeners"]["live"]["only"].append("http")
    assert config.from_mapping(mapping).warnings == ()


def test_what_the_engine_judges_gets_the_line_of_the_endpoint(tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    file.write_text(
        "realtime:\n  endpoints:\n    a:\n      path: /x/{id}\n      channels: [a]\n"
        "    b:\n      path: /x/{name}\n      channels: [b]\nroutes:\n  c:\n    match:\n      path: '/{a'\n"
        "    to: http://127.0.0.1\n"
    )
    with pytest.raises(ConfigError) as caught:
        validate(config.compile(config.load(file)))
    places = {(finding.path, finding.line) for finding in caught.value.findings}
    assert ("routes.c.match.path", 12) in places
    file.write_text(file.read_text().replace("'/{a'", "/c"))
    with pytest.raises(ConfigError) as caught:
        validate(config.compile(config.load(file)))
    (finding,) = caught.value.findings
    assert finding.path in ("realtime.endpoints.a", "realtime.endpoints.b")
    assert "line 3" in finding.message or "line 6" in finding.message


def test_paths_in_the_snapshot_lead_back_to_the_endpoint() -> None:
    policies = {"response_headers": {"set": {"X-A": "b"}}}
    loaded = config.from_mapping(
        {
            "routes": {"app": {"match": {"prefix": "/"}, "to": "http://127.0.0.1"}},
            "realtime": {"endpoints": {"rooms": ROOMS | {"policies": policies, "hosts": ["a.example.com"]}}},
        }
    )
    snapshot = config.compile(loaded)
    base = ("realtime", "endpoints", "rooms")
    for path, place in {
        "routes.0.matches.0.path": ("routes", "app", "match", "prefix"),
        "routes.1": base,
        "routes.1.matches.0.path": (*base, "path"),
        "routes.1.matches.0.hosts.0": (*base, "hosts", 0),
        "routes.1.action.realtime.channels.0": (*base, "channels", 0),
        "routes.1.action.realtime.origins.list.2": (*base, "origins", "list", 2),
        "routes.1.action.realtime.sse": (*base, "transport"),
        "routes.1.response_headers.set.0": (*base, "policies", "response_headers"),
        "routes.1.request_headers.set.0": base,
        "routes.1.timeouts.response_ms": base,
    }.items():
        assert snapshot.locate(path) == place


def test_the_defaults_of_the_models_are_what_is_documented() -> None:
    assert ClientPublish() == ClientPublish(rate="10/s", burst=20, echo=True)
    assert Queue().bytes == 1 << 20
    assert Realtime().ping == 25_000
    assert Endpoint(**ROOMS).max_message == 64 << 10


def test_channels_of_a_connection() -> None:
    assert realtime_values.path_captures("/r/{room}/{rest:path}") == ["room", "rest"]
    assert realtime_values.path_captures("/r/a{room}") == []
    assert realtime_values.render("room:{room}:{other}", {"room": "1"}) == "room:1:{other}"


# Hooks and the builder


def test_hooks_know_endpoints() -> None:
    mapping = {"realtime": {"endpoints": {"rooms": ROOMS}}}
    name = "realtime.endpoints.rooms"
    assert compiled(mapping, hooks=[name])["routes"][0]["on_request"] is True
    assert compiled(mapping, hooks="*")["routes"][0]["on_request"] is True
    assert compiled(mapping)["routes"][0]["on_request"] is False
    with pytest.raises(ConfigError, match=r"allowed: realtime\.endpoints\.rooms"):
        compiled(mapping, hooks=["rooms"])


def test_the_builder_writes_what_the_file_would() -> None:
    gateway = Gateway().configure(realtime={"ping": "10s", "endpoints": {"first": {"path": "/a", "channels": ["a"]}}})
    gateway.endpoint("rooms", path="/r/{room}", channels=["room:{room}"], publish=True)
    realtime = gateway.load().config.realtime
    assert realtime is not None
    assert (list(realtime.endpoints), realtime.ping) == (["first", "rooms"], 10_000)
    with pytest.raises(ValueError, match="stands there already"):
        gateway.endpoint("rooms", path="/x", channels=["x"])
    gateway.configure(realtime={"ping": "5s"})
    realtime = gateway.load().config.realtime
    assert realtime is not None
    assert (list(realtime.endpoints), realtime.ping) == (["first", "rooms"], 5_000)


def test_the_builder_leaves_what_it_was_given_as_it_is() -> None:
    given: dict[str, Any] = {"endpoints": {}}
    Gateway().configure(realtime=given).endpoint("rooms", path="/r", channels=["r"])
    assert given == {"endpoints": {}}


def test_findings_name_the_call() -> None:
    gateway = Gateway()
    gateway.endpoint("rooms", path="/r/{room}", channels=["room:{rom}"])
    with pytest.raises(ConfigError) as caught:
        gateway.load()
    (finding,) = caught.value.findings
    assert finding.path == "realtime.endpoints.rooms.channels.0"
    assert finding.file == __file__

"""Endpoints of a config, run: listeners, origins, hooks before the upgrade, what clients publish, a changed config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import BadResponse, Client
from harness.requests import get, websocket
from harness.websocket import WebSocket

from fastgate import Gateway, Request, Response
from fastgate.testing import serve

ROOMS = {"path": "/r/{room}", "channels": ["room:{room}"], "publish": True}


def status(address: str, request: bytes) -> int:
    """The status of the answer to a request."""
    with Client(address) as client:
        return client.send(request).read().status


def test_each_listener_serves_its_part() -> None:
    config: dict[str, Any] = {
        "listeners": {
            "pages": {"bind": "127.0.0.1:0", "only": ["http"]},
            "live": {"bind": "127.0.0.1:0", "only": ["realtime"]},
            "both": {"bind": "127.0.0.1:0"},
        },
        "routes": {"all": {"match": {"prefix": "/"}, "respond": {"status": 204}}},
        "realtime": {
            "endpoints": {"rooms": ROOMS, "inside": {"path": "/in", "channels": ["in"], "listeners": ["live"]}}
        },
    }
    with serve(config) as gateway:
        addresses = [gateway.addresses[name] for name in ("pages", "live", "both")]
        assert [status(at, get(b"/")) for at in addresses] == [204, 404, 204]
        assert [status(at, get(b"/r/1")) for at in addresses] == [204, 426, 426]
        assert [status(at, get(b"/in")) for at in addresses] == [204, 426, 204]
        with WebSocket(addresses[1], "/r/1") as one, WebSocket(addresses[2], "/r/1") as two:
            one.text('{"from": "live"}')
            # A channel is one, whatever listener its members came by.
            assert [one.json(), two.json()] == [{"from": "live"}] * 2


@pytest.mark.parametrize(
    ("target", "origin", "wanted"),
    [
        ("/same", "http://example.test", 101),
        ("/same", "http://EXAMPLE.test:80", 101),
        ("/same", None, 101),
        ("/same", "http://evil.example", 403),
        ("/same", "null", 403),
        ("/listed", "https://app.example.com", 101),
        ("/listed", "https://a.b.example.org", 101),
        ("/listed", "https://example.org", 403),
        ("/listed", "http://app.example.com", 403),
        ("/any", "https://evil.example", 101),
    ],
)
def test_origins(origins_address: str, target: str, origin: str | None, wanted: int) -> None:
    lines = () if origin is None else (f"Origin: {origin}".encode(),)
    assert status(origins_address, websocket(target.encode(), *lines)) == wanted


@pytest.fixture(scope="module")
def origins_address() -> Any:
    """A gateway with an endpoint for each way to say which pages may connect."""
    listed = ["https://app.example.com", "https://*.example.org:443"]
    endpoints = {
        name: {"path": f"/{name}", "channels": [name]} | ({} if origins is None else {"origins": origins})
        for name, origins in (("same", None), ("listed", listed), ("any", "*"))
    }
    with serve({"realtime": {"endpoints": endpoints}}) as gateway:
        yield next(iter(gateway.addresses.values()))


def test_a_hook_decides_before_the_upgrade() -> None:
    gateway = Gateway().endpoint("rooms", path="/r/{room}", channels=["room:{room}"], publish={"echo": True})
    gateway.endpoint("open", path="/open", channels=["open"])
    seen: list[str] = []

    @gateway.on_request(routes=["realtime.endpoints.rooms"])
    def knows_the_word(request: Request) -> Response | None:
        seen.append(request.path)
        return None if request.headers.get("x-word") == "sesame" else Response.json({"title": "who?"}, status=401)

    with serve(gateway) as served:
        (address,) = served.addresses.values()
        with pytest.raises(BadResponse, match="401"):
            WebSocket(address, "/r/1")
        with WebSocket(address, "/r/1", b"X-Word: sesame") as one:
            one.text("1")
            assert one.json() == 1
        with WebSocket(address, "/open"):
            pass
    assert seen == ["/r/1", "/r/1"]


def test_a_channel_that_needs_an_identity_answers_401() -> None:
    with serve({"realtime": {"endpoints": {"mine": {"path": "/mine", "channels": ["user_{sub}"]}}}}) as gateway:
        (address,) = gateway.addresses.values()
        assert status(address, websocket(b"/mine")) == 401


def test_response_headers_are_on_the_upgrade() -> None:
    policies = {"response_headers": {"set": {"X-Gate": "one"}}}
    config = {"realtime": {"endpoints": {"rooms": ROOMS | {"policies": policies}}}}
    with serve(config) as gateway:
        (address,) = gateway.addresses.values()
        with WebSocket(address, "/r/1") as one:
            assert one.answer.get("x-gate") == b"one"


def test_a_reload_changes_what_is_served_and_keeps_who_is_connected(tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    endpoint = "path: /{}/{{room}}\n      channels: ['room:{{room}}']\n      publish: true\n"
    text = f"realtime:\n  endpoints:\n    rooms:\n      {endpoint}"
    file.write_text(text.format("old"))
    with serve(file) as gateway:
        (address,) = gateway.addresses.values()
        with WebSocket(address, "/old/1") as before:
            file.write_text(text.format("new"))
            gateway.reload()
            assert status(address, websocket(b"/old/1")) == 404
            with WebSocket(address, "/new/1") as after:
                after.text('"hello"')
                assert [before.json(), after.json()] == ["hello", "hello"]
                before.text('"and back"')
                assert [before.json(), after.json()] == ["and back", "and back"]

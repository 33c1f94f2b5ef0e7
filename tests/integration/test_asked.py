"""Introspection (RFC 7662) and ext_auth: endpoints that answer, refuse, lie, hang and fall silent."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from harness.client import Client, Response
from harness.gateway import Gateway, Json, match, respond, route, snapshot
from harness.listening import Listening
from harness.requests import request

Says = Callable[[dict[str, str], bytes], bytes | None]


class Endpoint:
    """An HTTP server; `says` makes the answer of a request's head and body, None is silence."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self._held: list[socket.socket] = []
        self._listening = Listening(self._serve)
        self.url = f"http://127.0.0.1:{self._listening.port}"

    def _serve(self, sock: socket.socket) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                try:
                    more = sock.recv(65536)
                except OSError:
                    more = b""
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            fields: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(": ")
                name = name.lower()
                fields[name] = f"{fields[name]}|{value}" if name in fields else value
            length = int(fields.get("content-length", 0))
            while len(data) < length:
                data += sock.recv(65536)
            body, data = data[:length], data[length:]
            self.requests.append((first, fields, body))
            answer = self.says(fields, body)
            if answer is None:
                self._held.append(sock)
                return
            try:
                sock.sendall(answer)
            except OSError:  # too much of it for whoever asked
                return

    def stop(self) -> None:
        """Refuses connections from now on."""
        self._listening.close()


def answer(body: bytes | str, status: str = "200 OK", *lines: str) -> bytes:
    data = body if isinstance(body, bytes) else body.encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def guarded(method: Json, *, to: Json | None = None, reserved: tuple[str, ...] = (), failures: int = 30) -> Gateway:
    """A gateway all of whose requests need this."""
    policies = {"auth": {"any_of": [method], "anonymous": None, "failures": failures, "failures_ms": 60_000}}
    routes = [route("all", to or respond(200, "in"), match(prefix="/"), policies=0)]
    return Gateway(snapshot(routes=routes, workers=1, reserved=reserved) | {"policies": [policies]})


def ask(client: Client, *lines: bytes, path: bytes = b"/") -> Response:
    return client.exchange(request(b"GET", path, *lines))


def bearer(token: str) -> bytes:
    return b"Authorization: Bearer " + token.encode()


# introspection


def introspection(url: str, **changes: Any) -> Json:
    places = {"header": "authorization", "cookie": None, "query": None}
    plain = {
        "url": f"{url}/introspect",
        "client_id": "gate",
        "client_secret": "canary-s3cret",
        "token": places,
        "max_stale_ms": None,
        "timeout_ms": 2_000,
        "ca": None,
    }
    return {"introspection": plain | changes}


def judge(_fields: dict[str, str], body: bytes) -> bytes:
    token = parse_qs(body.decode())["token"][0]
    return answer(json.dumps({"active": token.startswith("good"), "sub": "ada", "scope": "read"}))


def test_an_active_token_passes_and_is_asked_about_once() -> None:
    endpoint = Endpoint(judge)
    with guarded(introspection(endpoint.url)) as gateway, gateway.client() as client:
        for _ in range(5):
            assert ask(client, bearer("good-1")).status == 200
        refused = ask(client, bearer("bad-1"))
        assert refused.status == 401
        assert refused.get("www-authenticate") == b'Bearer error="invalid_token"'
        assert b"active" not in refused.body
        assert ask(client, bearer("bad-1")).status == 401
        none = ask(client)
        assert (none.status, none.get("www-authenticate")) == (401, b"Bearer")
        assert ask(client, bearer("good-2")).status == 200
    assert len(endpoint.requests) == 3
    first, fields, _ = endpoint.requests[0]
    assert first == "POST /introspect HTTP/1.1"
    assert fields["authorization"].startswith("Basic ")
    assert "canary-s3cret" not in gateway.errors()


@pytest.mark.parametrize(
    "says",
    [
        lambda *_: answer("{}"),
        lambda *_: answer("<html>"),
        lambda *_: answer('{"active":"true"}'),
        lambda *_: answer('{"active":true}', "500 Oops"),
        lambda *_: answer("", "302 Found", "Location: http://169.254.169.254/"),
        lambda *_: answer(b"x" * 100_000),
        lambda *_: b"SSH-2.0-x\r\n",
        lambda *_: None,
    ],
)
def test_an_endpoint_that_lies_or_hangs_is_503(says: Says) -> None:
    endpoint = Endpoint(says)
    with guarded(introspection(endpoint.url, timeout_ms=300)) as gateway, gateway.client() as client:
        refused = ask(client, bearer("good"))
        assert refused.status == 503
        assert b"127.0.0.1" not in refused.body
    assert len(endpoint.requests) == 1


def test_a_dead_endpoint_is_503_and_known_tokens_still_pass() -> None:
    endpoint = Endpoint(lambda fields, body: judge(fields, body).replace(b"Content", b"Connection: close\r\nContent"))
    with guarded(introspection(endpoint.url)) as gateway, gateway.client() as client:
        assert ask(client, bearer("good")).status == 200
        endpoint.stop()
        endpoint.says = lambda *_: None
        assert ask(client, bearer("good")).status == 200


def test_wrong_tokens_are_counted_before_the_endpoint_is_asked() -> None:
    endpoint = Endpoint(judge)
    with guarded(introspection(endpoint.url), failures=3) as gateway, gateway.client() as client:
        assert ask(client, bearer("good")).status == 200
        seen = [ask(client, bearer(f"bad-{n}")).status for n in range(20)]
        assert set(seen) == {401, 429}
        assert len(endpoint.requests) <= 6
        # What is known to be good is served all the same.
        assert ask(client, bearer("good")).status == 200


# ext_auth


def ext_auth(url: str, **changes: Any) -> Json:
    plain = {
        "url": f"{url}/check",
        "send": ["cookie", "x-role"],
        "take": ["x-user"],
        "set_cookie": False,
        "body": 0,
        "timeout_ms": 2_000,
        "subject_from": "x-user",
        "ca": None,
    }
    return {"ext_auth": plain | changes}


def test_a_service_decides_by_what_is_listed() -> None:
    endpoint = Endpoint(lambda *_: answer("", "200 OK", "X-User: ada", "X-Secret: no"))
    with guarded(ext_auth(endpoint.url)) as gateway, gateway.client() as client:
        lines = (b"Cookie: s=1", b"X-Role: user", b"X-Role: admin", b"Authorization: Bearer hidden")
        assert ask(client, *lines, path=b"/a?b=1").status == 200
    first, fields, _ = endpoint.requests[0]
    assert first == "GET /check HTTP/1.1"
    assert fields["cookie"] == "s=1"
    assert fields["x-role"] == "user|admin"
    assert "authorization" not in fields
    assert fields["x-forwarded-method"] == "GET"
    assert fields["x-forwarded-uri"] == "/a?b=1"
    assert fields["x-forwarded-host"] == "example.test"
    assert fields["x-forwarded-for"] == "127.0.0.1"


def test_what_it_says_reaches_the_target_and_a_clients_own_does_not() -> None:
    endpoint = Endpoint(lambda *_: answer("", "200 OK", "X-User: ada"))
    origin = Endpoint(lambda *_: answer("hello"))
    method = ext_auth(endpoint.url)
    policies = {"auth": {"any_of": [method], "anonymous": None, "failures": 30, "failures_ms": 60_000}}
    snap = snapshot(origin.url, workers=1, reserved=["x-user"], route_options={"policies": 0})
    with Gateway(snap | {"policies": [policies]}) as gateway, gateway.client() as client:
        assert ask(client, b"X-User: forged", b"X_User: forged").status == 200
    assert origin.requests[0][1]["x-user"] == "ada"
    assert "x_user" not in origin.requests[0][1]


@pytest.mark.parametrize("set_cookie", [False, True])
def test_a_refusal_is_the_clients(set_cookie: bool) -> None:
    lines = ("Location: /login", "Set-Cookie: a=b", "X-Why: no")
    endpoint = Endpoint(lambda *_: answer("go away", "302 Found", *lines))
    with guarded(ext_auth(endpoint.url, set_cookie=set_cookie)) as gateway, gateway.client() as client:
        refused = ask(client)
        assert (refused.status, refused.body) == (302, b"go away")
        assert refused.get("location") == b"/login"
        assert refused.get("x-why") == b"no"
        assert (refused.get("set-cookie") == b"a=b") is set_cookie


@pytest.mark.parametrize("says", [lambda *_: None, lambda *_: b"nonsense\r\n\r\n", lambda *_: answer(b"x" * 100_000)])
def test_a_service_that_does_not_answer_is_503(says: Says) -> None:
    endpoint = Endpoint(says)
    with guarded(ext_auth(endpoint.url, timeout_ms=300)) as gateway, gateway.client() as client:
        assert ask(client).status == 503

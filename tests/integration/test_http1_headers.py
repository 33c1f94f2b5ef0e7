"""What the two sides see: forwarding headers, request ids, Host policies, edits, rewrite, redirect, fixed answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from harness import Gateway, Origin, Received, Response, snapshot
from harness.gateway import listener, match, redirect, respond, route
from harness.origin import answers, ok
from harness.requests import get, request

pytestmark = pytest.mark.usefixtures("engine")


def one(
    origin: Origin, wire: bytes, snap: dict[str, object] | None = None, **options: object
) -> tuple[Response, Received | None]:
    """One exchange through a gateway of its own; the answer and what the origin saw."""
    with Gateway(snap or snapshot(origin.url, route_options=dict(options))) as gateway, gateway.client() as client:
        answer = client.exchange(wire)
    return answer, origin.requests[0] if origin.requests else None


def test_forwarded_headers(origin: Origin) -> None:
    _, seen = one(origin, get(b"/", b"User-Agent: x"))
    assert seen is not None
    assert seen.get_all("x-forwarded-for") == [b"127.0.0.1"]
    assert seen.get_all("x-forwarded-proto") == [b"http"]
    assert seen.get_all("x-forwarded-host") == [b"example.test"]
    assert seen.get("via") is None, "Via is off by default"
    assert seen.get("forwarded") is None


def test_forwarded_passes_only_from_trusted_peers(origin: Origin) -> None:
    near = listener(trusted_proxies=["127.0.0.0/8"])
    line = b"Forwarded: for=192.0.2.60;proto=https"
    _, seen = one(origin, get(b"/", line), snapshot(origin.url, listeners=[near]))
    assert seen is not None
    assert b"for=192.0.2.60" in b",".join(seen.get_all("forwarded"))


def test_request_id_made_and_shown(origin: Origin) -> None:
    answer, seen = one(origin, get())
    assert seen is not None
    made = seen.get("x-request-id")
    assert made is not None
    assert len(made) == 32
    assert int(made, 16) >= 0
    assert answer.get_all("x-request-id") == [made]


def test_request_ids_differ(origin: Origin) -> None:
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        found = {client.exchange(get()).get("x-request-id") for _ in range(50)}
    assert len(found) == 50


def test_request_id_kept(origin: Origin) -> None:
    origin.script = answers(ok(b"x", b"X-Request-Id: the-origins"))
    answer, seen = one(origin, get(b"/", b"X-Request-Id: mine-1"))
    assert seen is not None
    assert seen.get_all("x-request-id") == [b"mine-1"]
    assert answer.get_all("x-request-id") == [b"mine-1"]


def test_trace_context_passes(origin: Origin) -> None:
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    _, seen = one(origin, get(b"/", b"traceparent: " + parent, b"tracestate: a=b,c=d", b"baggage: k=v"))
    assert seen is not None
    assert (seen.get("traceparent"), seen.get("tracestate"), seen.get("baggage")) == (parent, b"a=b,c=d", b"k=v")


@pytest.mark.parametrize(
    ("policy", "seen_host"), [("keep", b"example.test"), ("target", None), ({"name": "fixed.test"}, b"fixed.test")]
)
def test_host_policy(policy: object, seen_host: bytes | None, origin: Origin) -> None:
    _, seen = one(origin, get(), host=policy)
    assert seen is not None
    assert seen.get_all("host") == [seen_host or origin.address.encode()]
    assert seen.get_all("x-forwarded-host") == [b"example.test"], "what the client asked for stays known"


def test_host_of_http10_without_one(origin: Origin) -> None:
    _, seen = one(origin, b"GET / HTTP/1.0\r\n\r\n")
    assert seen is not None
    assert len(seen.get_all("host")) == 1, "HTTP/1.1 upstream always has a Host"


def test_request_header_edits(origin: Origin) -> None:
    edits = {"set": [["X-Set", "new"]], "add": [["X-Add", "more"]], "remove": ["X-Gone"]}
    wire = get(b"/", b"X-Set: old", b"x-set: older", b"X-Add: one", b"X-Gone: 1", b"x-gone: 2", b"X-Kept: 1")
    _, seen = one(origin, wire, request_headers=edits)
    assert seen is not None
    assert seen.get_all("x-set") == [b"new"]
    assert seen.get_all("x-add") == [b"one", b"more"]
    assert seen.get_all("x-gone") == []
    assert seen.get_all("x-kept") == [b"1"]


def test_response_header_edits(origin: Origin) -> None:
    edits = {"set": [["Server", "x"]], "add": [["Vary", "Origin"]], "remove": ["X-Powered-By"]}
    origin.script = answers(ok(b"x", b"Server: origin/1", b"Vary: Accept", b"X-Powered-By: y"))
    answer, _ = one(origin, get(), response_headers=edits)
    assert answer.get_all("server") == [b"x"]
    assert answer.get_all("vary") == [b"Accept", b"Origin"]
    assert answer.get("x-powered-by") is None


REWRITES = [
    ({"strip_prefix": "/api"}, match(prefix="/api"), b"/api/a%20b/c?x=1", b"/a%20b/c?x=1"),
    ({"strip_prefix": "/api"}, match(prefix="/api"), b"/api", b"/"),
    ({"strip_prefix": "/api"}, match(prefix="/api"), b"/api/", b"/"),
    ({"strip_prefix": "/api"}, match(prefix="/api"), b"/api?x", b"/?x"),
    ({"strip_prefix": "/api"}, match(prefix="/api"), b"//api//a", None),
    ({"replace_prefix": "/v2/x"}, match(prefix="/v1"), b"/v1/a;p=1/b?q", b"/v2/x/a;p=1/b?q"),
    ({"replace_prefix": "/v2"}, match(prefix="/v1"), b"/v1", b"/v2"),
    ({"replace_prefix": "/"}, match(prefix="/v1"), b"/v1/a", b"/a"),
    ({"path": "/u/{id}/profile"}, match(path="/users/{id}"), b"/users/42?full=1", b"/u/42/profile?full=1"),
    ({"path": "/files{rest}"}, match(prefix="/f"), b"/f/a/b", b"/files/a/b"),
    ({"path": "/fixed"}, match(prefix="/"), b"/anything?x=1", b"/fixed?x=1"),
    ({"path": "/u/{id}"}, match(path="/users/{id}"), b"/users/%E2%82%AC%20x", b"/u/%E2%82%AC%20x"),
]


@pytest.mark.parametrize(("rewrite", "where", "sent", "seen"), REWRITES)
def test_rewrite(rewrite: object, where: dict[str, object], sent: bytes, seen: bytes | None, origin: Origin) -> None:
    routes = [route("r", "origin", where, rewrite=rewrite)]
    answer, received = one(origin, get(sent), snapshot(origin.url, routes=routes))
    assert answer.status == 200, answer.body
    assert received is not None
    if seen is not None:
        assert received.target == seen
    assert received.target.startswith(b"/")


REDIRECTS = [
    ("/v2{rest}", 308, b"/v1/a?x=1", b"/v2/a?x=1"),
    ("/v2{rest}", 301, b"/v1", b"/v2"),
    ("https://{host}{path}", 308, b"/v1/a%20b?x", b"https://example.test/v1/a%20b?x"),
    ("https://other.test/?a=b&{query}", 302, b"/v1?x=1", b"https://other.test/?a=b&x=1"),
    ("/fixed?y=2", 303, b"/v1/a?x=1", b"/fixed?y=2"),
    ("https://other.test/", 307, b"/v1", b"https://other.test/"),
]


@pytest.mark.parametrize(("to", "status", "sent", "location"), REDIRECTS)
def test_redirect(to: str, status: int, sent: bytes, location: bytes) -> None:
    snap = snapshot(routes=[route("old", redirect(to, status), match(prefix="/v1"))])
    with Gateway(snap) as gateway, gateway.client() as client:
        answer = client.exchange(get(sent))
        assert answer.status == status
        assert answer.get("location") == location
        assert client.exchange(get(sent)).status == status, "the connection stays open"


def test_respond() -> None:
    routes = [
        route("text", respond(200, "hello", [("Content-Type", "text/plain"), ("X-A", "b")]), match(path="/text")),
        route("empty", respond(204), match(path="/empty")),
        route("problem", respond(403), match(path="/problem")),
        route("teapot", respond(418, "short", [("Content-Type", "text/plain")]), match(path="/teapot")),
    ]
    with Gateway(snapshot(routes=routes)) as gateway, gateway.client() as client:
        text = client.exchange(get(b"/text"))
        assert (text.status, text.body, text.get("content-type"), text.get("x-a")) == (
            200,
            b"hello",
            b"text/plain",
            b"b",
        )
        head = client.exchange(request(b"HEAD", b"/text"), "HEAD")
        assert (head.status, head.get("content-length")) == (200, b"5")
        assert client.exchange(get(b"/empty")).status == 204
        problem = client.exchange(get(b"/problem"))
        assert problem.from_gateway
        assert json.loads(problem.body)["status"] == 403
        assert client.exchange(get(b"/teapot")).body == b"short"


def test_own_answers_are_problem_documents() -> None:
    routes = [route("get", respond(200), match(path="/only", methods=["GET", "POST"]))]
    with Gateway(snapshot(routes=routes)) as gateway, gateway.client() as client:
        for wire, status in [(get(b"/nowhere"), 404), (request(b"DELETE", b"/only"), 405)]:
            answer = client.exchange(wire)
            document = json.loads(answer.body)
            assert answer.status == status
            assert answer.get("content-type") == b"application/problem+json"
            assert set(document) >= {"type", "title", "status", "request_id"}
            assert document["status"] == status
            assert document["request_id"].encode() == answer.get("x-request-id")
            assert answer.get("server") is None
            assert answer.get("date") is not None
        assert sorted(answer.tokens("allow")) in ([b"get", b"post"], [b"get", b"head", b"post"])


def test_max_body(origin: Origin) -> None:
    with Gateway(snapshot(origin.url, route_options={"max_body": 10})) as gateway:
        with gateway.client() as client:
            assert client.exchange(request(b"POST", b"/", b"Content-Length: 10", body=b"0123456789")).status == 200
            answer = client.exchange(request(b"POST", b"/", b"Content-Length: 11", body=b"0123456789a"))
            assert answer.status == 413
        with gateway.client() as client:
            wire = request(b"POST", b"/", b"Transfer-Encoding: chunked", body=b"b\r\n0123456789a\r\n0\r\n\r\n")
            assert client.exchange(wire).status == 413
    assert len(origin.requests) == 1


def test_unix_listener_and_target(tmp_path: Path) -> None:
    with Origin(bind=f"unix:{tmp_path}/origin.sock") as origin:
        snap = snapshot(origin.url, listeners=[listener(bind=f"unix:{tmp_path}/gate.sock")])
        with Gateway(snap) as gateway, gateway.client() as client:
            assert client.exchange(get(b"/unix")).body == b"GET /unix 0"
        origin.check()
        assert not (tmp_path / "gate.sock").exists(), "the socket file goes with the gateway"


def test_a_response_without_a_date_gets_one(origin: Origin) -> None:
    """RFC 9110 §6.6.1: whoever forwards a response without Date adds it; one that is there stays."""
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        origin.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        dates = client.exchange(get(b"/")).get_all("date")
        assert len(dates) == 1
        assert re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", dates[0])
        origin.script = answers(b"HTTP/1.1 200 OK\r\nDate: theirs\r\nContent-Length: 2\r\n\r\nok")
        assert client.exchange(get(b"/")).get_all("date") == [b"theirs"]


def test_trace_is_405_with_allow(origin: Origin) -> None:
    """RFC 9110 §15.5.6."""
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        answer = client.exchange(request(b"TRACE", b"/"))
        assert answer.status == 405
        allowed = (answer.get("allow") or b"").split(b", ")
        assert b"GET" in allowed
        assert b"TRACE" not in allowed


def test_forwarded_of_a_trusted_peer_names_the_client(origin: Origin) -> None:
    """RFC 7239: routes see the client it names; what is not valid, or comes beside X-Forwarded-For, names nobody."""
    routes = [
        route("inside", respond(200, "inside"), match(prefix="/", client_ip=["192.0.2.0/24"])),
        route("outside", respond(200, "outside"), match(prefix="/")),
    ]
    listeners = [listener(trusted_proxies=["127.0.0.0/8"])]
    with Gateway(snapshot(routes=routes, listeners=listeners)) as gateway, gateway.client() as client:
        for lines, body in [
            ([b"Forwarded: for=192.0.2.60;proto=https"], b"inside"),
            ([b'Forwarded: for="192.0.2.60:80", for=127.0.0.9'], b"inside"),
            ([b"Forwarded: for=192.0.2.60; proto=https"], b"outside"),
            ([b"Forwarded: for=192.0.2.60, for=unknown"], b"outside"),
            ([b"Forwarded: for=192.0.2.60", b"X-Forwarded-For: 198.51.100.1"], b"outside"),
        ]:
            assert client.exchange(get(b"/", *lines)).body == body, lines


def test_only_what_was_sent_is_counted_as_forwarded(origin: Origin) -> None:
    origin.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/")).body == b"ok"
        assert gateway.stats()["forwarded"] == 1
        assert gateway.stats()["retried"] == 0

"""Address lists, CORS, CSRF and security headers in the engine, seen from both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import Gateway, Origin, Response, snapshot
from harness.client import wait_for
from harness.gateway import listener, match, respond, route
from harness.origin import answers, ok
from harness.requests import get, post, request, websocket

pytestmark = pytest.mark.usefixtures("engine")

APP = b"Origin: https://app.example.com"
EVIL = b"Origin: https://evil.example"


def guarded(origin: Origin, policies: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Everything goes to the origin, under these policies."""
    return snapshot(origin.url, route_options={"policies": 0}, **changes) | {"policies": [policies]}


def ip(**rules: Any) -> dict[str, Any]:
    return {"ip": {"allow": [], "deny": [], "allow_files": [], "deny_files": []} | rules}


def cors(*origins: str, **changes: Any) -> dict[str, Any]:
    base = {"methods": [], "headers": None, "expose": [], "credentials": False, "max_age_ms": None}
    return {"cors": {"origins": list(origins), **base} | changes}


def forwarded(address: str) -> bytes:
    return get(b"/", b"X-Forwarded-For: " + address.encode())


def preflight(method: bytes, *lines: bytes, target: bytes = b"/x") -> bytes:
    return request(b"OPTIONS", target, b"Access-Control-Request-Method: " + method, *lines)


def acs(answer: Response) -> set[bytes]:
    return {name.lower() for name, _ in answer.fields if name.lower().startswith(b"access-control-")}


NEAR = [listener(trusted_proxies=["127.0.0.0/8"])]


def test_the_longest_prefix_wins(origin: Origin) -> None:
    rules = ip(allow=["10.0.0.0/8", "10.1.2.0/24", "2001:db8::/32"], deny=["10.1.0.0/16", "10.1.2.3/32"])
    with Gateway(guarded(origin, rules, listeners=NEAR)) as gateway, gateway.client() as client:
        for address, status in [
            ("10.0.0.1", 200),
            ("10.1.0.1", 403),
            ("10.1.2.1", 200),
            ("10.1.2.3", 403),
            ("192.0.2.1", 403),
            ("2001:db8::7", 200),
            ("::ffff:10.1.2.3", 403),
        ]:
            answer = client.exchange(forwarded(address))
            assert answer.status == status, address
            if status == 403:
                assert answer.from_gateway
                assert b"10.1" not in answer.body, "the answer says nothing about why"
    assert len(origin.requests) == 3


def test_a_unix_peer_without_an_address_is_refused(origin: Origin, tmp_path: Path) -> None:
    near = [listener(bind=f"unix:{tmp_path}/s")]
    with Gateway(guarded(origin, ip(deny=["192.0.2.0/24"]), listeners=near)) as gateway, gateway.client() as client:
        assert client.exchange(get()).status == 403
    assert not origin.requests


def test_a_file_of_networks_reloads_and_a_bad_one_does_not(origin: Origin, tmp_path: Path) -> None:
    denied = tmp_path / "denied.txt"
    denied.write_text("# nobody yet\n")
    rules = ip(deny_files=[str(denied)])

    def put(text: str) -> None:
        new = tmp_path / "new"
        new.write_text(text)
        new.replace(denied)

    with Gateway(guarded(origin, rules, listeners=NEAR)) as gateway, gateway.client() as client:

        def status() -> int:
            return client.exchange(forwarded("192.0.2.1")).status

        assert status() == 200
        put("192.0.2.0/24 # theirs\n")
        wait_for(lambda: status() == 403, "the file to be read again")
        put("192.0.2.0/24\n192.0.2.1/99\n")
        gateway.wait_output("line 2")
        assert status() == 403, "a bad file changes nothing"
        put("198.51.100.0/24\n")
        wait_for(lambda: status() == 200, "the file to be good again")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (ip(allow=["10.0.0.0/8"], deny=["10.0.0.0/8"]), "10.0.0.0/8 is both allowed and denied"),
        (ip(deny_files=["/nowhere/at/all"]), "/nowhere/at/all cannot be read"),
        (cors("*", credentials=True), "list the origins"),
        (cors("app.example.com"), "is no origin"),
        ({"csrf": {"origins": ["x"]}}, "is no origin"),
        ({"security_headers": {"hsts": None, "fields": {"X": "a\r\nb"}, "own": {}}}, "is not a header value"),
    ],
)
def test_mistakes_are_refused(rules: dict[str, Any], said: str, origin: Origin) -> None:
    with Gateway(snapshot(origin.url)) as gateway:
        assert not gateway.reload(guarded(origin, rules))
        assert said in "\n".join(gateway.out + gateway.err)
        assert f"policies.0.{next(iter(rules))}" in "\n".join(gateway.out + gateway.err)


def test_preflights_are_answered_by_the_gateway(origin: Origin) -> None:
    rules = cors(
        "https://app.example.com", methods=["GET", "PUT"], headers=["X-A"], credentials=True, max_age_ms=600_000
    )
    with Gateway(guarded(origin, rules)) as gateway, gateway.client() as client:
        answer = client.exchange(preflight(b"PUT", APP, b"Access-Control-Request-Headers: x-a"))
        assert (answer.status, answer.body) == (204, b"")
        assert answer.get_all("access-control-allow-origin") == [b"https://app.example.com"]
        assert answer.get("access-control-allow-credentials") == b"true"
        assert answer.get("access-control-allow-methods") == b"GET, PUT"
        assert answer.get("access-control-allow-headers") == b"X-A"
        assert answer.get("access-control-max-age") == b"600"
        assert b"Origin" in b",".join(answer.get_all("vary"))
        for wire in [
            preflight(b"PUT", EVIL),
            preflight(b"PUT", b"Origin: null"),
            preflight(b"DELETE", APP),
            preflight(b"PUT", APP, b"Access-Control-Request-Headers: authorization"),
        ]:
            refused = client.exchange(wire)
            assert refused.status == 403
            assert acs(refused) == set()
    assert not origin.requests, "no preflight reaches the origin"


def test_a_preflight_belongs_to_the_route_of_the_method_it_asks_for(origin: Origin) -> None:
    routes = [
        route("read", respond(200, "read"), match(prefix="/x", methods=["GET"])),
        route("write", "origin", match(prefix="/x", methods=["PUT"]), policies=0),
        route("rest", "origin", match(prefix="/y")),
    ]
    snap = snapshot(origin.url, routes=routes) | {"policies": [cors("https://app.example.com")]}
    with Gateway(snap) as gateway, gateway.client() as client:
        assert client.exchange(preflight(b"PUT", APP)).get("access-control-allow-methods") == b"PUT"
        assert client.exchange(preflight(b"GET", APP)).status == 405, "that route has no such policy"
        assert client.exchange(preflight(b"PUT", APP, target=b"/y")).status == 200
    assert [seen.target for seen in origin.requests] == [b"/y"], "an origin without the policy answers for itself"


def test_answers_say_who_may_read_them(origin: Origin) -> None:
    origin.script = answers(
        ok(b"x", b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Credentials: true", b"Vary: Accept"),
        ok(b"x", b"Access-Control-Allow-Origin: https://evil.example"),
        ok(b"x"),
    )
    rules = cors("https://*.example.com", "null", expose=["X-Total"])
    with Gateway(guarded(origin, rules)) as gateway, gateway.client() as client:
        answer = client.exchange(get(b"/", APP))
        assert answer.get_all("access-control-allow-origin") == [b"https://app.example.com"]
        assert acs(answer) == {b"access-control-allow-origin", b"access-control-expose-headers"}
        assert answer.get_all("vary") == [b"Accept", b"Origin"]
        answer = client.exchange(get(b"/", EVIL))
        assert acs(answer) == set(), "the origin's own words are taken away"
        assert answer.get_all("vary") == [b"Origin"]
        assert client.exchange(get(b"/", b"Origin: null")).get("access-control-allow-origin") == b"null"


def test_pages_may_read_the_gateways_errors(origin: Origin) -> None:
    rules = cors("https://app.example.com") | ip(deny=["127.0.0.0/8"])
    with Gateway(guarded(origin, rules)) as gateway, gateway.client() as client:
        answer = client.exchange(get(b"/", APP))
        assert (answer.status, answer.from_gateway) == (403, True)
        assert answer.get("access-control-allow-origin") == b"https://app.example.com"
    dead = snapshot("http://127.0.0.1:9", route_options={"policies": 0}) | {"policies": [cors("*")]}
    with Gateway(dead) as gateway, gateway.client() as client:
        answer = client.exchange(get(b"/", APP))
        assert (answer.status, answer.get("access-control-allow-origin")) == (502, b"*")


def test_csrf(origin: Origin) -> None:
    rules = {"csrf": {"origins": ["https://app.example.com"]}}
    with Gateway(guarded(origin, rules)) as gateway, gateway.client() as client:
        for lines, status in [
            ([], 200),
            ([b"Sec-Fetch-Site: same-origin"], 200),
            ([b"Sec-Fetch-Site: none"], 200),
            ([b"Sec-Fetch-Site: cross-site"], 403),
            ([b"Sec-Fetch-Site: same-site", EVIL], 403),
            ([b"Sec-Fetch-Site: cross-site", APP], 200),
            ([b"Origin: http://example.test"], 200),
            ([APP], 200),
            ([EVIL], 403),
            ([b"Origin: null"], 403),
        ]:
            assert client.exchange(post(b"a=1", b"/", *lines)).status == status, lines
            assert client.exchange(get(b"/", *lines)).status == 200, lines
    with Gateway(guarded(origin, rules)) as gateway, gateway.client() as client:
        before = len(origin.connections)
        assert client.exchange(websocket(b"/ws", EVIL)).status == 403
        assert len(origin.connections) == before, "no upstream is dialled"


def test_security_headers(origin: Origin) -> None:
    fields = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    hsts = {"max_age": 60, "subdomains": False, "preload": False}
    own = {"Content-Security-Policy": "frame-ancestors 'self'"}
    rules = {"security_headers": {"hsts": hsts, "fields": fields, "own": own}}
    origin.script = answers(ok(b"x", b"referrer-policy: origin"), ok(b"x"))
    routes = [
        route("all", "origin", match(prefix="/"), policies=0),
        route("own", respond(404, None), match(prefix="/own"), policies=0),
    ]
    with Gateway(snapshot(origin.url, routes=routes) | {"policies": [rules]}) as gateway, gateway.client() as client:
        answer = client.exchange(get())
        assert answer.get_all("referrer-policy") == [b"origin"], "the origin has the last word"
        assert answer.get_all("x-content-type-options") == [b"nosniff"]
        answer = client.exchange(get())
        assert answer.get_all("referrer-policy") == [b"no-referrer"]
        assert answer.get("content-security-policy") is None
        assert answer.get("strict-transport-security") is None, "never in cleartext"
        answer = client.exchange(get(b"/own"))
        assert answer.get_all("content-security-policy") == [b"frame-ancestors 'self'"]
        assert answer.get_all("x-content-type-options") == [b"nosniff"]


def test_413_comes_before_the_body(origin: Origin) -> None:
    with Gateway(snapshot(origin.url, route_options={"max_body": 10})) as gateway, gateway.client() as client:
        wire = request(b"POST", b"/", b"Content-Length: 11", b"Expect: 100-continue")
        answer = client.exchange(wire)
        assert answer.status == 413, "and no 100 before it"
    assert not origin.requests

"""The publish API over real sockets: keys, bodies, every bad input, on the admin listener and on those of clients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Client, Gateway, snapshot
from harness.client import Response
from harness.gateway import listener, match, respond, route
from harness.scrape import internal, place, samples
from harness.websocket import WebSocket, endpoint

pytestmark = pytest.mark.usefixtures("engine")

KEY = "a-publisher's-key"
VECTORS = Path(__file__).parents[1] / "vectors" / "json-parsing"
MAX = 1024 * 1024
# What strict readers refuse although the RFC lets it pass.
DUPLICATES = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}


def config(*keys: str) -> dict[str, Any]:
    """A listener of clients that serves everything, one for publishers alone, and the admin listener."""
    serves = {"http": True, "realtime": True, "publish": True}
    only = {"http": False, "realtime": False, "publish": True}
    snap = snapshot(
        routes=[
            route("all", respond(200, "an application"), match(prefix="/")),
            route("publish", {"publish": "publish"}, match(path="/api/publish", methods=["POST"])),
            endpoint("rooms", "/ws/{room}", "room:{room}"),
            endpoint("bytes", "/bytes", "bytes", format="binary"),
            route("broadcast", {"publish": "broadcast"}, match(path="/api/broadcast", methods=["POST"])),
        ],
        listeners=[listener(serves=serves), listener("publishers", serves=only)],
    )
    digests = [{"name": f"key-{i}", "sha256": hashlib.sha256(key.encode()).hexdigest()} for i, key in enumerate(keys)]
    snap["realtime"] = {"ping_ms": 25_000, "pong_ms": 10_000, "keys": digests, "redis": None}
    snap["internal"] = [internal("admin")]
    return snap


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway(config(KEY)) as running:
        running.addresses["admin"] = place(running, "admin")
        yield running


PLACES = ("public", "publishers", "admin")


@pytest.fixture(params=PLACES)
def client(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[Client]:
    with gateway.client(request.param) as one:
        yield one


def head(path: str, length: int | None, *fields: str, key: str | None = KEY, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *fields]
    if key is not None:
        lines.append(f"X-API-Key: {key}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(
    client: Client, body: bytes | str | Any, path: str = "/api/publish", *fields: str, key: str | None = KEY
) -> Response:
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    client.send(head(path, len(body), *fields, key=key) + body)
    return client.read()


def problem(response: Response, status: int, part: str) -> None:
    assert response.status == status, (response.status, response.body)
    assert response.get("content-type") == b"application/problem+json"
    told = json.loads(response.body)
    assert told["status"] == status
    assert part in told["detail"], told
    assert told["request_id"]


def test_a_publication_is_taken_wherever_publishers_are_served(client: Client) -> None:
    for body in (
        {"channel": "a", "data": {"n": 1}},
        {"channel": "a", "text": "t"},
        {"channel": "a", "b64data": "AP8="},
    ):
        answer = post(client, body)
        assert (answer.status, answer.body) == (200, b'{"result":{}}')
        assert answer.get("content-type") == b"application/json"
    answer = post(client, {"channels": ["a", "b"], "data": 1}, "/api/broadcast")
    assert json.loads(answer.body) == {"result": {"responses": [{"result": {}}, {"result": {}}]}}


def test_subscribers_get_what_was_sent_byte_for_byte(client: Client, gateway: Gateway) -> None:
    with WebSocket(gateway.address, "/ws/1") as one, WebSocket(gateway.address, "/ws/2") as two:
        raw = '{ "price" : 12.50, "u": "\\u00fc" }'
        assert post(client, f'{{"data":{raw},"channel":"room:1"}}').status == 200
        assert one.message() == raw.encode()
        assert post(client, {"channels": ["room:2", "room:1"], "text": '"ü"'}, "/api/broadcast").status == 200
        assert [one.message(), two.message()] == ['"ü"'.encode()] * 2
    with WebSocket(gateway.address, "/bytes") as member:
        assert post(client, {"channel": "bytes", "b64data": "AP8="}).status == 200
        assert member.message() == b"\x00\xff"


def test_a_key_may_come_in_authorization(client: Client) -> None:
    body = {"channel": "a", "data": 1}
    assert post(client, body, "/api/publish", f"Authorization: apikey {KEY}", key=None).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("X-API-Key: wrong",),
        ("X-API-Key:",),
        (f"X-API-Key: {KEY}x",),
        (f"X-API-Key: {hashlib.sha256(KEY.encode()).hexdigest()}",),
        (f"X-API-Key: {KEY}", f"X-API-Key: {KEY}"),
        (f"X-API-Key: {KEY}", f"Authorization: apikey {KEY}"),
        (f"Authorization: Bearer {KEY}",),
        ("Authorization: apikey",),
        (f"X-API-Key: {'k' * 2_000}",),
    ],
)
def test_without_a_key_nothing_is_read(client: Client, fields: tuple[str, ...]) -> None:
    # The body never comes: it is not waited for.
    client.send(head("/api/publish", MAX, *fields, key=None))
    answer = client.read()
    problem(answer, 401, "X-API-Key")
    assert answer.get("www-authenticate") == b'apikey realm="publish"'
    assert answer.says_close


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("/api/publish", "", "too early"),
        ("/api/publish", "[]", "JSON object"),
        ("/api/publish", "{", "too early"),
        ("/api/publish", '{"channel":"a"}', "data is missing"),
        ("/api/publish", '{"data":1}', "channel is missing"),
        ("/api/publish", '{"channel":"","data":1}', "1 to 255 bytes"),
        ("/api/publish", '{"channel":"a\\u0000","data":1}', "control characters"),
        ("/api/publish", '{"channel":["a"],"data":1}', "must be a string"),
        ("/api/publish", '{"channel":"a","data":1,"text":"x"}', "exclude each other"),
        ("/api/publish", '{"channel":"a","b64data":"AP8"}', "base64"),
        ("/api/publish", '{"channel":"a","data":1,"dada":2}', 'no key "dada"; allowed: channel, data, text, b64data'),
        ("/api/publish", '{"channel":"a","channel":"b","data":1}', "twice"),
        ("/api/publish", '{"channel":"a","data":{"x":1,"x":2}}', "twice"),
        ("/api/publish", '{"channel":"a","data":1e1000000}', "number"),
        ("/api/publish", '{"channel":"a","data":' + "[" * 100_000, "64 levels"),
        ("/api/broadcast", '{"channels":"a","data":1}', "list of strings"),
        ("/api/broadcast", '{"channels":[],"data":1}', "empty"),
        ("/api/broadcast", '{"channels":["a","a"],"data":1}', "twice"),
        ("/api/broadcast", json.dumps({"channels": [str(i) for i in range(1_001)], "data": 1}), "at most 1000"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_wrong_with_a_body_is_said(client: Client, path: str, body: str, part: str) -> None:
    problem(post(client, body, path), 400, part)
    # The message was read to its end: the connection goes on.
    assert post(client, {"channel": "a", "data": 1}).status == 200


def test_json_is_judged_as_strictly_as_it_can_be(gateway: Gateway) -> None:
    verdicts: dict[str, int] = {}
    with gateway.client("publishers") as client:
        for file in sorted(VECTORS.glob("*.json")):
            answer = post(client, b'{"channel":"a","data":' + file.read_bytes() + b"}")
            verdicts[file.name] = answer.status
    assert len(verdicts) == 318
    taken = {name for name, status in verdicts.items() if status == 200}
    assert {name for name in verdicts if name.startswith("y_")} - taken == DUPLICATES
    # Within an object two of them are not what they are alone: a value and its end.
    assert {name for name in taken if name.startswith("n_")} <= {"n_structure_object_with_trailing_garbage.json"}
    assert set(verdicts.values()) == {200, 400}


def test_a_publication_and_a_body_are_bounded(client: Client) -> None:
    assert post(client, {"channel": "a", "text": "x" * MAX}).status == 200
    problem(post(client, {"channel": "a", "text": "x" * (MAX + 1)}), 413, "has 1048577")
    client.send(head("/api/publish", MAX * 3 // 2 + 1))
    answer = client.read()
    problem(answer, 413, "a body has at most 1572864 bytes")
    assert answer.says_close


def test_a_chunked_body_is_read_and_bounded(client: Client) -> None:
    fields = ("Transfer-Encoding: chunked",)
    body = b'{"channel":"a","data":[1,2]}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
    client.send(head("/api/publish", None, *fields) + chunks)
    assert client.read().status == 200
    client.send(head("/api/publish", None, *fields))
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(25):  # 1.56 MiB
        client.send(piece)
    problem(client.read(), 413, "at most 1572864")


def test_a_broken_chunk_ends_the_connection(client: Client) -> None:
    client.send(head("/api/publish", None, "Transfer-Encoding: chunked") + b"zz\r\n")
    answer = client.read()
    assert answer.status == 400
    assert answer.says_close


def test_a_client_that_asks_first_is_told_to_go_on(client: Client) -> None:
    body = b'{"channel":"a","data":1}'
    client.send(head("/api/publish", len(body), "Expect: 100-continue"))
    assert client.read().status == 100
    client.send(body)
    assert client.read().status == 200


def test_what_comes_behind_a_body_is_the_next_request(client: Client) -> None:
    body = b'{"channel":"a","data":1}'
    client.send((head("/api/publish", len(body)) + body) * 3)
    assert [client.read().status for _ in range(3)] == [200, 200, 200]


def test_a_body_that_stops_is_not_waited_for_for_ever(gateway: Gateway) -> None:
    with gateway.client("admin", timeout=20) as client:
        client.send(head("/api/publish", 100) + b"{")
        problem(client.read(), 408, "too long")


def test_a_client_that_leaves_is_nobodys_harm(client: Client, gateway: Gateway) -> None:
    client.send(head("/api/publish", 100) + b"{")
    client.close()
    with gateway.client("admin") as other:
        assert post(other, {"channel": "a", "data": 1}).status == 200


def test_only_post_publishes(gateway: Gateway) -> None:
    with gateway.client("admin") as client:
        client.send(head("/api/publish", None, method="GET"))
        answer = client.read()
        problem(answer, 405, "POST")
        assert answer.get("allow") == b"POST"
    with gateway.client("publishers") as client:
        client.send(head("/api/publish", None, method="GET"))
        assert client.read().status == 405
    # Where HTTP is served too, another route may take it.
    with gateway.client() as client:
        client.send(head("/api/publish", None, method="GET"))
        assert client.read().body == b"an application"


def test_nothing_else_is_served_to_publishers(gateway: Gateway) -> None:
    with gateway.client("publishers") as client:
        client.send(head("/", None, method="GET"))
        assert client.read().status == 404


def test_too_many_bodies_at_once_are_turned_away(gateway: Gateway) -> None:
    waiting = [gateway.client(("public", "publishers")[i % 2]) for i in range(64)]
    try:
        for one in waiting:
            one.send(head("/api/publish", 100, "Expect: 100-continue"))
            assert one.read().status == 100
        with gateway.client() as client:
            client.send(head("/api/publish", 100) + b"{")
            answer = client.read()
            problem(answer, 503, "try again later")
            assert answer.get("retry-after") == b"1"
            # One that came with its head needs no place.
            with gateway.client() as other:
                assert post(other, {"channel": "a", "data": 1}).status == 200
    finally:
        for one in waiting:
            one.close()


def test_answers_are_counted() -> None:
    snap = config(KEY)
    snap["internal"].append(internal("metrics"))
    with Gateway(snap) as gateway:
        with gateway.client() as client:
            post(client, {"channel": "a", "data": 1})
            post(client, {"channel": "a", "data": 1})
        with Client(place(gateway, "admin")) as client:
            post(client, {"channels": ["a"], "data": 1}, "/api/broadcast", key="wrong")
        found = samples(gateway)
    counted = {labels: n for (name, labels), n in found.items() if name == "fastgate_realtime_api_requests_total"}
    assert counted == {
        frozenset({("call", "broadcast"), ("status", "401")}): 1,
        frozenset({("call", "publish"), ("status", "200")}): 2,
    }


def test_without_keys_there_is_no_api() -> None:
    with Gateway(config()) as gateway:
        with gateway.client() as client:
            assert post(client, {"channel": "a", "data": 1}).status == 404
        with Client(place(gateway, "admin")) as client:
            body = b'{"channel":"a","data":1}'
            client.send(head("/api/publish", len(body)) + body)
            assert client.read().status in (404, 413)


def test_keys_change_with_a_reload() -> None:
    with Gateway(config(KEY)) as gateway:
        assert gateway.reload(config("other", "third"))
        with gateway.client() as client:
            body = {"channel": "a", "data": 1}
            found = [post(client, body, key=key).status for key in (KEY, "other", "third")]
    assert found == [401, 200, 200]


def test_a_digest_that_is_none_is_refused() -> None:
    with Gateway(config(KEY)) as gateway:
        worse = config(KEY)
        worse["realtime"]["keys"][0]["sha256"] = "secret"
        assert not gateway.reload(worse)
        assert any("a digest has 64 digits" in line for line in (*gateway.out, *gateway.err))

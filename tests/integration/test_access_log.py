"""The access log: one line for every request, whatever becomes of it; what a line says, and what it never shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Gateway, Origin, OriginConnection, Received, snapshot
from harness.client import wait_for
from harness.gateway import match, redirect, refused, respond, route, service
from harness.origin import answers, echo, ok
from harness.requests import SWITCH, get, post, post_chunked, request, websocket

pytestmark = pytest.mark.usefixtures("engine")

Json = dict[str, Any]
Read = Callable[[int], list[Json]]


def logs(to: Path | str, form: Any = "json", sample: float = 1.0, **more: Any) -> Json:
    """The `logs` of a snapshot."""
    target: Any = to if to in ("stdout", "stderr") else {"file": str(to)}
    return {"logs": {"access": {"to": target, "format": form, "sample": sample}, **more}}


def read(path: Path, count: int) -> list[Json]:
    """The lines of a JSON log, once there are that many: every one must be whole and valid."""
    wait_for(lambda: path.read_bytes().count(b"\n") >= count, f"{count} lines")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(lines) == count, lines
    # Each worker has its own buffer: the order is theirs.
    return sorted(lines, key=lambda line: line["time"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log goes."""
    return tmp_path / "access.log"


def test_what_a_line_says(origin: Origin, path: Path) -> None:
    origin.script = answers(ok(b"hello"))
    with Gateway(snapshot(origin.url) | logs(path)) as gateway, gateway.client() as client:
        asked = get(b"/a%20b?x=1&y", b"User-Agent: tester", b"Referer: http://r/", b"X-Request-Id: my-id-1")
        answer = client.exchange(asked)
        (line,) = read(path, 1)
    assert list(line) == [
        *("time", "request_id", "client", "listener", "method", "host", "path", "query", "protocol", "referer"),
        *("user_agent", "route", "service", "target", "status", "bytes_in", "bytes_out", "body_bytes_out"),
        *("duration", "duration_upstream", "duration_own", "retries", "error", "reason"),
    ]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["request_id"] == answer.get("x-request-id").decode()  # type: ignore[union-attr]
    said = {key: line[key] for key in ("client", "listener", "method", "host", "path", "query", "protocol")}
    assert said == {
        "client": "127.0.0.1",
        "listener": "public",
        "method": "GET",
        "host": "example.test",
        "path": "/a%20b",
        "query": "x=1&y",
        "protocol": "HTTP/1.1",
    }
    assert (line["referer"], line["user_agent"]) == ("http://r/", "tester")
    assert (line["route"], line["service"], line["target"]) == ("all", "origin", origin.address)
    assert (line["status"], line["bytes_in"], line["body_bytes_out"]) == (200, len(asked), 5)
    assert line["bytes_out"] == len(answer.head) + 5
    assert (line["retries"], line["error"], line["reason"]) == (0, None, None)
    assert 0 < line["duration_upstream"] <= line["duration"] < 10
    assert line["duration_own"] == pytest.approx(line["duration"] - line["duration_upstream"], abs=2e-6)


def test_every_request_has_one_line(origin: Origin, path: Path) -> None:
    """Refused heads, no route, wrong methods, direct answers, uploads, HEAD, pipelines, aborts and time-outs."""

    def script(connection: OriginConnection, received: Received) -> None:
        if received.target == b"/wait":
            connection.wait_end()
        elif received.target == b"/junk":
            connection.read_body(received)
            connection.send(b"junk\r\n\r\n")
            connection.close()
        else:
            echo(connection, received)

    origin.script = script
    routes = [
        route("all", "origin", match(prefix="/up")),
        route("waits", "origin", match(path="/wait"), timeouts={"response_ms": 200}),
        route("junk", "origin", match(path="/junk")),
        route("hello", respond(200, "hello"), match(path="/hello", methods=["GET"])),
        route("moved", redirect("/elsewhere"), match(path="/moved")),
        route("hooked", "origin", match(path="/hooked"), on_request=True),
        route("dead", "dead", match(path="/dead")),
        route("small", "origin", match(path="/small"), max_body=3),
    ]
    with Origin() as gone:
        nobody = gone.url
    snap = snapshot(origin.url, routes=routes, services=[service("dead", nobody)])
    seen = []
    with Gateway(snap | logs(path)) as gateway:

        def ask(data: bytes, method: str = "GET", count: int = 1) -> None:
            with gateway.client() as client:
                client.send(data)
                seen.extend([client.final(method).status for _ in range(count)])

        ask(b"GET / HTTP/1.1\r\n\r\n")
        ask(b"\x16\x03\x01\x02\x00junk\r\n\r\n")
        ask(get(b"/nowhere"))
        ask(request(b"DELETE", b"/hello"))
        ask(get(b"/hello"))
        ask(get(b"/moved"))
        ask(request(b"HEAD", b"/up"), "HEAD")
        ask(post(b"body", b"/up/1"))
        ask(post_chunked(b"a", b"bc", target=b"/up/2"))
        ask(get(b"/up/3") + get(b"/up/4") + get(b"/hello"), count=3)
        ask(get(b"/junk"))
        ask(get(b"/dead"))
        ask(post(b"large", b"/small"))
        ask(get(b"/wait"))
        ask(get(b"/hooked"))
        with gateway.client() as client:
            client.send(get(b"/wait", b"X-Left: 1"))
            wait_for(lambda: sum(r.target == b"/wait" for r in origin.heads) == 2, "the second /wait")
            client.reset()
        lines = read(path, len(seen) + 1)
        assert gateway.stats()["requests"] + 2 == len(lines)
    by_path: dict[str | None, list[Json]] = {}
    for line in lines:
        by_path.setdefault(line["path"], []).append(line)
    assert sorted(line["status"] for line in lines) == sorted([*seen, 0])
    assert {(r["status"], r["error"], r["reason"]) for r in by_path[None]} == {
        (400, "refused", "host_missing"),
        (400, "refused", "request_line"),
    }

    def told(of: str) -> set[tuple[Any, ...]]:
        return {(line["status"], line["route"], line["error"], line["service"]) for line in by_path[of]}

    assert told("/nowhere") == {(404, None, "no_route", None)}
    assert told("/hello") == {(405, None, "method_not_allowed", None), (200, "hello", None, None)}
    assert told("/moved") == {(308, "moved", None, None)}
    assert told("/up/1") == {(200, "all", None, "origin")}
    assert told("/junk") == {(502, "junk", "upstream_protocol", "origin")}
    assert by_path["/junk"][0]["reason"] == "status_line"
    assert told("/dead") == {(502, "dead", "upstream_connect", "dead")}
    assert told("/small") == {(413, "small", "body_too_large", None)}
    assert told("/wait") == {
        (504, "waits", "upstream_response_timeout", "origin"),
        (0, "waits", "client_gone", "origin"),
    }
    assert told("/hooked") == {(500, "hooked", "hook_failed", None)}
    assert by_path["/up"][0]["body_bytes_out"] == 0
    assert {line["body_bytes_out"] for line in by_path["/hello"] if line["status"] == 200} == {5}
    assert by_path["/up/2"][0]["bytes_in"] == len(post_chunked(b"a", b"bc", target=b"/up/2"))


def test_a_client_that_leaves_in_the_middle_of_a_head_has_a_line(origin: Origin, path: Path) -> None:
    half = b"GET /half HTTP/1.1\r\nHost: exam"
    with Gateway(snapshot(origin.url) | logs(path)) as gateway:
        for said in (b"", b"\r\n", half):
            with gateway.client() as client:
                client.send(said)
        with gateway.client() as client:
            client.send(half + b"ple.test\r\n")
            client.half_close()
            assert client.rest() == b"", "nothing is owed to it"
        lines = read(path, 2)
    assert sorted(line["bytes_in"] for line in lines) == [len(half), len(half) + 10]
    for line in lines:
        assert (line["status"], line["error"], line["reason"], line["route"]) == (0, "client_gone", None, None)
        assert (line["bytes_out"], line["path"], line["client"]) == (0, None, "127.0.0.1")


def test_a_retried_request_says_so(origin: Origin, path: Path) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        echo(connection, received)
        if received.target == b"/first":
            # The next one on this connection finds it closed without an answer.
            connection.read_head()
            connection.close()

    origin.script = script
    with Gateway(snapshot(origin.url, workers=1) | logs(path)) as gateway, gateway.client() as client:
        client.exchange(get(b"/first"))
        assert client.exchange(get(b"/second")).status == 200
        lines = read(path, 2)
    assert [line["retries"] for line in lines] == [0, 1]


def test_a_tunnel_has_one_line_at_its_end(origin: Origin, path: Path) -> None:
    def script(connection: OriginConnection, received: Received) -> None:
        connection.read_body(received)
        connection.send(SWITCH)
        while data := connection.read_some():
            connection.send(data * 2)
        connection.close()

    origin.script = script
    with Gateway(snapshot(origin.url) | logs(path)) as gateway:
        with gateway.client() as client:
            assert client.send(websocket()).read().status == 101
            client.send(b"x" * 1000)
            assert client.receive(2000) == b"x" * 2000
            assert path.read_bytes() == b""
        (line,) = read(path, 1)
        assert (line["status"], line["path"], line["error"]) == (101, "/ws", None)
        assert line["bytes_in"] == len(websocket()) + 1000
        assert line["body_bytes_out"] == 2000
        assert line["bytes_out"] > 2000
        # One that is cut when the process ends is logged as well.
        cut = gateway.client()
        assert cut.send(websocket()).read().status == 101
        gateway.snapshot["shutdown"]["limit_ms"] = 0
        assert gateway.reload(gateway.snapshot)
        gateway.stop()
        cut.close()
    lines = read(path, 2)
    assert (lines[1]["status"], lines[1]["error"]) == (101, "shutdown")


def test_no_request_can_forge_a_line(origin: Origin, path: Path) -> None:
    hostile = b'"}\\ {"status":200} \xff\xc3\xa4\xe2\x80\xa8 \xc2\x85'
    for form in ("json", "combined", {"template": '"{user_agent}" {header.x-any} {status}'}):
        path.unlink(missing_ok=True)
        with Gateway(snapshot(origin.url) | logs(path, form)) as gateway, gateway.client() as client:
            for _ in range(3):
                client.exchange(get(b"/%22?%22%5c", b"User-Agent: " + hostile, b"X-Any: " + hostile))
        data = path.read_bytes()
        assert data.count(b"\n") == 3
        assert len(data.decode().splitlines()) == 3
        if form == "json":
            agents = {json.loads(line)["user_agent"] for line in data.decode().splitlines()}
            assert agents == {hostile.decode("utf-8", "replace")}
        else:
            assert data.isascii()
            assert rb"\"}\\ {\"status\":200} \xff\xc3\xa4\xe2\x80\xa8 \xc2\x85" in data


def test_combined(origin: Origin, path: Path) -> None:
    origin.script = answers(ok(b"hello"))
    with Gateway(snapshot(origin.url) | logs(path, "combined")) as gateway, gateway.client() as client:
        client.exchange(get(b"/x?y=1", b"User-Agent: a b", b"Referer: http://r/"))
        client.exchange(request(b"HEAD", b"/"), "HEAD")
    first, second = path.read_text().splitlines()
    # As the log analysers of this format read it.
    combined = r'(\S+) (\S+) (\S+) \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "(.*)" (\d{3}|-) (\d+|-) "(.*)" "(.*)"'
    found = re.fullmatch(combined, first)
    assert found is not None, first
    assert found.group(1, 2, 3, 5, 6, 7, 8, 9) == (
        *("127.0.0.1", "-", "-", "GET /x?y=1 HTTP/1.1", "200", "5", "http://r/", "a b"),
    )
    assert second.endswith('"HEAD / HTTP/1.1" 200 - "-" "-"')


def test_secrets_are_left_out(origin: Origin, path: Path) -> None:
    form = {"template": '{request} "{referer}" {header.authorization} {header.x-plain}'}
    hidden = {"redact_query": ["token"], "redact_headers": ["Authorization"]}
    with Gateway(snapshot(origin.url) | logs(path, form, **hidden)) as gateway, gateway.client() as client:
        lines = (b"Referer: http://r/?a=1&token=s3cret", b"Authorization: Bearer s3cret", b"X-Plain: shown")
        client.exchange(get(b"/?to%6ben=s3cret&a=1", *lines))
    assert path.read_text() == (
        'GET /?to%6ben=[redacted]&a=1 HTTP/1.1 "http://r/?a=1&token=[redacted]" [redacted] shown\n'
    )


def test_samples(origin: Origin, path: Path) -> None:
    """A share of 0 logs nothing, one between logs some of them and every error."""
    routes = [
        route("never", respond(503), match(path="/never"), access_log_sample=0.0),
        route("rare", respond(200), match(path="/rare"), access_log_sample=0.0001),
        route("half", respond(200), match(path="/half"), access_log_sample=0.5),
        route("broken", respond(503), match(path="/broken"), access_log_sample=0.0001),
        route("all", respond(200), match(path="/all")),
    ]
    snap = snapshot(routes=routes, workers=1) | logs(path)
    with Gateway(snap) as gateway, gateway.client() as client:
        for name in (b"never", b"rare", b"half", b"broken", b"all"):
            client.send(get(b"/" + name) * 200)
            for _ in range(200):
                client.final()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    counts = {name: sum(line["route"] == name for line in lines) for name in ("never", "rare", "half", "broken", "all")}
    # 200 throws of a coin: fewer than 50 or more than 150 heads happen once in 10^12.
    assert 50 < counts.pop("half") < 150
    assert counts.pop("rare") <= 5
    assert counts == {"never": 0, "broken": 200, "all": 200}


def test_what_cannot_run(tmp_path: Path) -> None:
    routes = [route("all", respond(200))]
    code, said = refused(snapshot(routes=routes) | logs(tmp_path / "no" / "such.log"))
    assert (code, "no/such.log cannot be written: its directory does not exist" in said) == (1, True), said
    code, said = refused(snapshot(routes=routes) | logs(tmp_path, {"template": "{stauts}"}))
    assert code == 1
    assert "logs.access.format: there is no {stauts}; allowed: time, request_id" in said
    code, said = refused(snapshot(routes=[route("all", respond(200), access_log_sample=2)]) | logs("stdout"))
    assert "routes.0.access_log_sample: 2 is no share" in said


def test_a_reload_moves_the_log(origin: Origin, tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    snap = snapshot(origin.url)
    with Gateway(snap | logs(first)) as gateway, gateway.client() as client:
        client.exchange(get(b"/1"))
        assert gateway.reload(snap | logs(second, "combined"))
        client.exchange(get(b"/2"))
        assert not gateway.reload(snap | logs(tmp_path))
        client.exchange(get(b"/3"))
        assert gateway.reload(snap)
        client.exchange(get(b"/4"))
    assert [line["path"] for line in read(first, 1)] == ["/1"]
    assert re.findall(r'"GET (\S+) ', second.read_text()) == ["/2", "/3"]

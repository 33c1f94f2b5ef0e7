"""Python hooks on real requests: a running gateway before an origin that answers with what it was sent."""

from __future__ import annotations

import http.client
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastgate import Gateway, Request, Response
from fastgate.errors import ConfigError, FastgateError

ROUNDS = 200


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        fields = [[name.lower(), value] for name, value in self.headers.items()]
        answer = json.dumps({"path": self.path, "fields": fields, "body": body.decode()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def gateway(echo: str) -> Iterator[Gateway]:
    gateway = Gateway().listener("main", bind="127.0.0.1:0").service("echo", echo).configure(workers=2)
    gateway.route("hooked", match={"path": "/users/{id}"}, service="echo")
    gateway.route("plain", match={"prefix": "/"}, service="echo")
    yield gateway
    assert gateway.stop()


def ask(gateway: Gateway, path: str = "/users/7", body: bytes | None = None, **headers: str):
    """One request on a connection of its own: status, fields of the answer, content."""
    connection = http.client.HTTPConnection(gateway.addresses["main"], timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET" if body is None else "POST", path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def sent(answer) -> dict[str, list[str]]:
    """The fields that the origin got."""
    status, _, content = answer
    assert status == 200
    fields: dict[str, list[str]] = {}
    for name, value in json.loads(content)["fields"]:
        fields.setdefault(name, []).append(value)
    return fields


def test_reads_and_changes(gateway):
    seen = {}

    @gateway.on_request(routes=["hooked"])
    def hook(request: Request) -> Response | None:
        for name in ("method", "path", "raw_path", "query", "host", "route", "client", "params", "request_id"):
            seen[name] = getattr(request, name)
        request.headers["x-tenant"] = request.headers["authorization"].split()[1]
        request.headers.add("x-more", "1")
        request.headers.add("x-more", "2")
        del request.headers["authorization"]
        return None

    gateway.start()
    answer = ask(gateway, "/users/caf%C3%A9?a=1", Authorization="Bearer t1", Host="Example.com:80")
    fields = sent(answer)
    assert (fields["x-tenant"], fields["x-more"], "authorization" in fields) == (["t1"], ["1", "2"], False)
    assert json.loads(answer[2])["path"] == "/users/caf%C3%A9?a=1"
    request_id = seen.pop("request_id")
    assert request_id == answer[1]["x-request-id"] == fields["x-request-id"][0]
    assert seen == {
        "method": "GET", "path": "/users/café", "raw_path": "/users/caf%C3%A9", "query": "a=1", "host": "example.com",
        "route": "hooked", "client": "127.0.0.1", "params": {"id": "café"},
    }  # fmt: skip


def test_a_body_passes_untouched(gateway):
    gateway.on_request(lambda request: request.headers.add("x-a", "1"))
    gateway.start()
    status, _, content = ask(gateway, body=b"x" * 200_000)
    assert (status, len(json.loads(content)["body"])) == (200, 200_000)


def test_answers_early(gateway):
    @gateway.on_request
    def hook(request: Request) -> Response | None:
        return Response.json({"title": "no tenant"}, status=403, headers={"x-why": "tenant"})

    gateway.start()
    status, headers, content = ask(gateway)
    assert (status, json.loads(content), headers["x-why"]) == (403, {"title": "no tenant"}, "tenant")
    assert headers["content-type"] == "application/json"
    assert gateway.stats()["forwarded"] == 0
    assert ask(gateway, body=b"y" * 1000)[0] == 403


def test_runs_in_order_and_only_on_its_routes(gateway):
    @gateway.on_request(routes=["hooked"])
    def first(request: Request) -> None:
        request.headers.add("x-order", "first")

    @gateway.on_request
    def second(request: Request) -> None:
        request.headers.add("x-order", "second")

    gateway.start()
    assert sent(ask(gateway))["x-order"] == ["first", "second"]
    assert sent(ask(gateway, "/other"))["x-order"] == ["second"]


def test_a_client_cannot_see_what_failed(gateway, caplog):
    @gateway.on_request(routes=["hooked"])
    def broken(request: Request) -> None:
        raise ValueError("the secret is 42")

    gateway.start()
    with caplog.at_level(logging.ERROR, "fastgate.hooks"):
        status, headers, content = ask(gateway)
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert b"secret" not in content
    (record,) = (r for r in caplog.records if r.name == "fastgate.hooks")
    assert "broken failed on route hooked" in record.getMessage()
    assert "the secret is 42" in str(record.exc_info[1])
    assert ask(gateway, "/other")[0] == 200
    assert gateway.stats()["answers"]["5xx"] == 1


def test_a_view_kept_too_long_raises(gateway):
    kept: list[Request] = []
    gateway.on_request(kept.append)
    gateway.start()
    assert ask(gateway)[0] == 200
    with pytest.raises(RuntimeError, match="used after its hook had returned"):
        _ = kept[0].path


def test_many_at_once_get_their_own(gateway):
    @gateway.on_request(routes=["hooked"])
    def hook(request: Request) -> Response | None:
        number = int(request.params["id"])
        if number % 7 == 0:
            raise ValueError(number)
        if number % 5 == 0:
            return Response.text(number, 202)
        request.headers["x-number"] = str(number)
        return None

    gateway.start()
    logging.getLogger("fastgate.hooks").disabled = True
    try:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: ask(gateway, f"/users/{n}"), range(400)))
    finally:
        logging.getLogger("fastgate.hooks").disabled = False
    for number, answer in enumerate(answers):
        if number % 7 == 0:
            assert answer[0] == 500
        elif number % 5 == 0:
            assert (answer[0], answer[2]) == (202, str(number).encode())
        else:
            assert sent(answer)["x-number"] == [str(number)]


def test_a_busy_hook_holds_up_hooks_only(gateway):
    entered, leave = threading.Event(), threading.Event()

    @gateway.on_request(routes=["hooked"])
    def slow(request: Request) -> None:
        entered.set()
        assert leave.wait(10)

    gateway.start()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask, gateway)
        assert entered.wait(10)
        assert ask(gateway, "/plain")[0] == 200
        assert not pending.done()
        leave.set()
        assert pending.result(10)[0] == 200


def test_reload_keeps_the_hooks(gateway, echo):
    gateway.on_request(lambda request: request.headers.add("x-a", "1"))
    gateway.start()
    gateway.route("new", match={"path": "/new"}, service="echo")
    gateway.reload()
    assert sent(ask(gateway, "/new"))["x-a"] == ["1"]
    gateway.route("bad", match={"path": "/{"}, service="echo")
    with pytest.raises(ConfigError, match="bad"):
        gateway.reload()
    assert sent(ask(gateway, "/new"))["x-a"] == ["1"]


async def asynchronous(request: Request) -> None: ...


class Asynchronous:
    async def __call__(self, request: Request) -> None: ...


@pytest.mark.parametrize("hook", [asynchronous, Asynchronous()])
def test_async_hooks_are_refused_by_name(hook):
    with pytest.raises(TypeError, match="is async: on_request hooks are plain functions in this version"):
        Gateway().on_request(hook)


@pytest.mark.parametrize("hook", [lambda: None, lambda a, b: None, 7])
def test_what_is_no_hook_is_refused(hook):
    with pytest.raises(TypeError, match="one argument"):
        Gateway().on_request(hook)


def test_wrong_registrations(gateway):
    with pytest.raises(TypeError, match=r"write routes=\['hooked'\]"):
        gateway.on_request(routes="hooked")
    gateway.on_request(routes=["hookd"])(lambda request: None)
    with pytest.raises(ConfigError, match="hookd"):
        gateway.start()


def test_only_a_running_gateway_has_addresses(gateway):
    with pytest.raises(FastgateError, match="does not run"):
        _ = gateway.addresses
    gateway.start()
    with pytest.raises(FastgateError, match="runs already"):
        gateway.start()
    with pytest.raises(FastgateError, match="runs already"):
        gateway.on_request(lambda request: None)
    assert gateway.stop()
    assert gateway.stop()
    gateway.start()
    assert ask(gateway)[0] == 200


def test_many_rounds_of_start_and_stop(gateway):
    gateway.on_request(lambda request: None)
    for number in range(ROUNDS):
        gateway.start()
        if number % 20 == 0:
            assert ask(gateway)[0] == 200
        assert gateway.stop()
    assert [t.name for t in threading.enumerate() if t.name == "fastgate-hooks"] == []


def test_guards_routes_that_answer_themselves(gateway, tmp_path):
    """A hook stands before every kind of route, and the route's response headers are on its own answers."""
    (tmp_path / "page.txt").write_text("a page")
    shown = {"response_headers": {"set": {"x-shown": "yes"}}}
    gateway.route("fixed", match={"path": "/fixed"}, respond={"status": 200, "body": "open"}, policies=shown)
    gateway.route("away", match={"path": "/away"}, redirect={"to": "/fixed"}, policies=shown)
    gateway.route("files", match={"prefix": "/files"}, static={"root": str(tmp_path)}, policies=shown)

    @gateway.on_request(routes=["fixed", "away", "files"])
    def guard(request: Request) -> Response | None:
        return None if request.headers.get("x-key") == "1" else Response(403, body=b"shut")

    gateway.start()
    for path, status in [("/fixed", 200), ("/away", 307), ("/files/page.txt", 200)]:
        for key, wanted in [("0", 403), ("1", status)]:
            got, headers, _ = ask(gateway, path, x_key=key)
            assert got == wanted, (path, key)
            assert (headers.get("x-shown") == "yes") == (key == "1"), (path, key)

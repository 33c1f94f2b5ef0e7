"""The view of a request: what it shows, how its headers change, and when it ends."""

from __future__ import annotations

import threading

import pytest

from fastgate._core import Headers, Request, Response

from .conftest import HEAD, Run


def test_parts_are_those_the_gateway_decides_on(look):
    assert look(lambda r: (r.method, r.path, r.raw_path)) == ("POST", "/api/café/x", "/api/caf%C3%A9//x;v=1")
    assert look(lambda r: (r.query, r.host, r.route)) == ("a=1&b=%20", "example.com", "route")
    assert look(lambda r: (r.client, r.params, dict(r.claims))) == (None, {}, {})
    assert look(repr) == "<Request POST /api/café/x on route 'route'>"


@pytest.mark.parametrize(("target", "query"), [(b"/", None), (b"/?", ""), (b"/?a?b", "a?b")])
def test_no_query_and_an_empty_one_differ(look, target, query):
    assert look(lambda r: r.query, head=b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n") == query


def test_a_second_line_never_hides(look):
    assert look(lambda r: r.headers["X-ROLE"]) == "user, admin"
    assert look(lambda r: r.headers.get_all("x-role")) == ["user", "admin"]
    assert look(lambda r: r.headers["cookie"]) == "a=1; b=2"


def test_headers_are_a_mapping_of_lower_case_names(look):
    names = ["host", "accept", "x-role", "cookie", "x-bytes"]
    assert look(lambda r: list(r.headers)) == names
    assert look(lambda r: len(r.headers)) == len(names)
    assert look(lambda r: r.headers.items())[2:] == [
        ("x-role", "user, admin"),
        ("cookie", "a=1; b=2"),
        ("x-bytes", "ü"),
    ]
    assert look(lambda r: dict(r.headers)["accept"]) == "text/html"
    assert look(lambda r: ("ACCEPT" in r.headers, "nothing" in r.headers, 7 in r.headers)) == (True, False, False)
    assert look(lambda r: (r.headers.get("nothing"), r.headers.get("nothing", "x"))) == (None, "x")
    assert look(lambda r: r.headers.lines()[2:5]) == [("x-role", "user"), ("cookie", "a=1"), ("x-role", "admin")]


def test_more_headers_than_fit_on_the_stack(look):
    lines = b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(60)) + b"X-Same: 1\r\n" * 30
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
    assert look(lambda r: r.headers.get_all("x-same"), head=head) == ["1"] * 30
    assert look(lambda r: len(r.headers.lines()), head=head) == 91
    assert look(lambda r: r.headers["x-59"], head=head) == "59"


def test_a_name_longer_than_the_table_s_buffer(look):
    name = "X-" + "n" * 100
    head = f"GET / HTTP/1.1\r\nHost: a\r\n{name}: 1\r\n\r\n".encode()
    assert look(lambda r: r.headers[name], head=head) == "1"


def test_changes_go_out_in_order_and_are_seen_at_once(run: Run):
    seen = []

    def first(request: Request) -> None:
        request.headers["X-Role"] = "guest"
        request.headers.add("x-role", "reader")
        request.headers.add("x-new", "1")
        request.headers.remove("cookie")
        request.headers.remove("never-there")
        del request.headers["accept"]

    def second(request: Request) -> None:
        seen.append(request.headers.lines())
        seen.append(request.headers.get_all("X-Role"))
        request.headers["x-role"] = "last"
        seen.append(request.headers["x-role"])

    outcome = run(first, second)
    assert outcome["edits"] == [
        ("set", b"X-Role", b"guest"),
        ("add", b"x-role", b"reader"),
        ("add", b"x-new", b"1"),
        ("remove", b"cookie", None),
        ("remove", b"never-there", None),
        ("remove", b"accept", None),
        ("set", b"x-role", b"last"),
    ]
    left = [("host", "Example.COM:8080"), ("x-bytes", "ü"), ("x-role", "guest"), ("x-role", "reader"), ("x-new", "1")]
    assert seen == [left, ["guest", "reader"], "last"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nb"), ("x", "a\nb"), ("x", "\0"), ("", "v"), ("a b", "v"), ("a:b", "v"), ("x\r\n", "v"), ("ü", "v"),
        ("Connection", "close"), ("transfer-encoding", "chunked"), ("content-length", "1"), ("x", "€"),
    ],
)  # fmt: skip
def test_what_may_not_be_written_is_refused_at_the_line_that_tries(look, name, value):
    def change(request: Request) -> None:
        for write in (request.headers.__setitem__, request.headers.add):
            with pytest.raises(ValueError, match="header"):
                write(name, value)

    look(change)
    with pytest.raises(ValueError, match="header"):
        Headers({name: value})


def test_wrong_types_are_named(look):
    def change(request: Request) -> None:
        with pytest.raises(TypeError, match="a header value is a str, not int"):
            request.headers["x"] = 1
        with pytest.raises(TypeError, match="a header name is a str, not bytes"):
            request.headers[b"x"] = "1"
        with pytest.raises(KeyError):
            request.headers["nothing"]
        with pytest.raises(KeyError):
            del request.headers["nothing"]
        with pytest.raises(AttributeError):
            request.method = "GET"

    look(change)


READS = [
    "method", "path", "raw_path", "query", "host", "route", "request_id", "client", "params", "identity", "claims",
    "tenant", "headers",
]  # fmt: skip


def test_every_use_after_the_hook_raises(run: Run):
    kept: list[Request] = []
    run(kept.append)
    for name in READS:
        with pytest.raises(RuntimeError, match="used after its hook had returned"):
            getattr(kept[0], name)
    assert repr(kept[0]) == "<Request (over)>"


def test_kept_headers_and_params_end_too(run: Run):
    kept = []
    run(lambda r: kept.append((r, r.headers, r.params)))
    request, headers, params = kept[0]
    for use in (
        lambda: headers["accept"], lambda: headers.get("a"), lambda: "a" in headers, lambda: list(headers),
        lambda: headers.lines(), lambda: headers.add("a", "b"), lambda: headers.remove("a"), lambda: len(headers),
        lambda: headers.__setitem__("a", "b"), lambda: request.params,
    ):  # fmt: skip
        if use is not None and params == {} and use.__code__.co_names[-1:] == ("params",):
            continue  # a copy: it lives on
        with pytest.raises(RuntimeError, match="used after its hook had returned"):
            use()


def test_a_thread_that_outlives_the_hook_gets_the_error_too(run: Run):
    result = []
    go = threading.Event()

    def later(request: Request) -> None:
        assert go.wait(10)
        try:
            result.append(request.headers["accept"])
        except RuntimeError as error:
            result.append(str(error))

    threads = []

    def hook(request: Request) -> None:
        threads.append(threading.Thread(target=later, args=(request,)))
        threads[0].start()

    run(hook)
    go.set()
    threads[0].join(10)
    assert result == ["this request was used after its hook had returned: copy what you need inside the hook"]


def test_views_cannot_be_made():
    with pytest.raises(TypeError, match="requests come from the gateway"):
        Request()


def test_a_head_that_is_refused_never_becomes_a_request(host):
    with pytest.raises(ValueError, match="bare_lf"):
        host.simulate(b"GET / HTTP/1.1\nHost: a\n\n", "route")
    with pytest.raises(ValueError, match="not complete"):
        host.simulate(HEAD[:-2], "route")
    assert Response(204).status == 204

"""Answers a hook gives, and the headers in them."""

from __future__ import annotations

import pytest

from fastgate._core import Headers, Response

from .conftest import Run


def test_an_answer_crosses_whole_and_ends_the_chain(run: Run):
    called = []
    answer = Response(418, {"X-A": "1"}, b"\0short")
    answer.headers.add("x-a", "ü")
    outcome = run(lambda r: None, lambda r: answer, called.append)
    assert outcome["answer"] == (418, [(b"x-a", b"1"), (b"x-a", b"\xfc")], b"\0short")
    assert called == []


def test_one_answer_serves_many_requests(run: Run):
    answer = Response.text("no", 403)
    outcomes = [run(lambda r: answer)["answer"] for _ in range(3)]
    assert outcomes == [(403, [(b"content-type", b"text/plain; charset=utf-8")], b"no")] * 3


def test_changes_before_the_answer_stay_with_it(run: Run):
    def hook(request):
        request.headers["x-seen"] = "1"
        return Response(204)

    outcome = run(hook)
    assert (outcome["edits"], outcome["answer"]) == ([("set", b"x-seen", b"1")], (204, [], b""))


def test_json():
    answer = Response.json({"title": "né"}, status=403, headers={"x-a": "1"})
    assert answer.body == '{"title":"né"}'.encode()
    assert answer.headers.lines() == [("x-a", "1"), ("content-type", "application/json")]
    assert Response.json([], headers={"Content-Type": "application/problem+json"}).headers.lines() == [
        ("content-type", "application/problem+json")
    ]
    with pytest.raises(ValueError, match="Out of range"):
        Response.json(float("nan"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        Response.json(object())


@pytest.mark.parametrize("status", [199, 600, 0, -1, 1 << 40, "200", None, 200.0])
def test_a_status_that_cannot_be_sent(status):
    with pytest.raises(ValueError, match="it must be a number from 200 to 599"):
        Response(status)


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_that_cannot_be_sent(status):
    with pytest.raises(ValueError, match="has no body"):
        Response(status, body=b"x")


@pytest.mark.parametrize("body", [b"x", bytearray(b"x"), memoryview(b"x"), "x"])
def test_bodies(body):
    assert Response(body=body).body == b"x"


def test_a_body_of_another_type():
    with pytest.raises(TypeError, match="body is int"):
        Response(body=7)


def test_headers_from_anything():
    pairs = [("X-A", "1"), ("x-a", "2")]
    assert Headers(pairs).lines() == [("x-a", "1"), ("x-a", "2")]
    assert Headers(Headers(pairs)) == Headers(pairs)
    assert Headers({"A": "1"}) != Headers()
    assert (Headers() == {}) is False
    assert repr(Headers({"A": "1"})) == "Headers([('a', '1')])"
    assert Headers(pairs)["x-A"] == "1, 2"


def test_headers_change():
    headers = Headers([("a", "1"), ("b", "2"), ("A", "3")])
    headers["A"] = "4"
    assert headers.lines() == [("b", "2"), ("a", "4")]
    del headers["B"]
    headers.remove("b")
    with pytest.raises(KeyError):
        del headers["b"]
    assert (headers.keys(), headers.values(), headers.get_all("b")) == (["a"], ["4"], [])
    with pytest.raises(TypeError, match="unhashable"):
        hash(headers)

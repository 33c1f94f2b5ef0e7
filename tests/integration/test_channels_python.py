"""Publishing from Python: what is taken, what is refused, from any thread, before and after the gateway runs."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from harness.websocket import WebSocket

from fastgate import Gateway, Request, Response, errors
from fastgate.testing import serve

MAX = 1024 * 1024


def gateway() -> Gateway:
    fresh = Gateway().configure(workers=2).listener("public", "127.0.0.1:0")
    fresh.endpoint("rooms", path="/r/{room}", channels=["room:{room}"], format="text")
    return fresh.route("all", match={"prefix": "/"}, respond={"status": 200})


def test_before_and_after_it_runs_the_error_is_clear() -> None:
    fresh = gateway()
    for _ in range(2):
        with pytest.raises(errors.FastgateError, match="the gateway does not run"):
            fresh.channels.publish("a", b"x")
        with pytest.raises(errors.FastgateError, match="the gateway does not run"):
            fresh.channels.publish_many([("a", b"x")])
        with serve(fresh):
            assert fresh.channels.publish("a", b"x") == 0
    with fresh:
        assert fresh.channels.publish("a", b"x") == 0


def test_what_may_be_published() -> None:
    fresh = gateway()
    with serve(fresh):
        publish = fresh.channels.publish
        for content in (b"", b"x", "text ü", bytearray(b"x"), memoryview(b"xyz")[::2], b"x" * MAX):
            assert publish("room:ü", content) == 0
        assert publish("x" * 255, b"") == 0
        assert fresh.channels.publish_many([]) == []
        assert fresh.channels.publish_many((str(i), "x") for i in range(1_000)) == [0] * 1_000
        assert fresh.channels.publish_many([("a", bytearray(b"x")), ("b", memoryview(b"y"))]) == [0, 0]


def test_members_get_it_in_order_and_are_counted() -> None:
    fresh = gateway()
    with serve(fresh) as served:
        address = served.url.removeprefix("http://")
        with WebSocket(address, "/r/1") as one, WebSocket(address, "/r/1") as two, WebSocket(address, "/r/2") as other:
            assert fresh.channels.publish("room:1", "first") == 2
            pairs = [("room:1", f"{i}") for i in range(100)]
            assert fresh.channels.publish_many([*pairs, ("room:2", b"there"), ("room:3", b"")]) == [2] * 100 + [1, 0]
            for member in (one, two):
                assert [member.message() for _ in range(101)] == [b"first", *(b"%d" % i for i in range(100))]
            assert other.message() == b"there"
            # One that is wrong keeps all from going out.
            with pytest.raises(errors.InvalidPublicationError):
                fresh.channels.publish_many([("room:1", b"never"), ("", b"x")])
            assert fresh.channels.publish("room:1", b"next") == 2
            assert [one.message(), two.message()] == [b"next"] * 2
        stats = served.stats()["realtime"]
        assert stats["publications"]["local"] == 104
        assert stats["deliveries"] == 205


@pytest.mark.parametrize(
    ("channel", "content", "error", "words"),
    [
        ("", b"", errors.InvalidPublicationError, "1 to 255 bytes"),
        ("x" * 256, b"", errors.InvalidPublicationError, "1 to 255 bytes"),
        ("ü" * 128, b"", errors.InvalidPublicationError, "1 to 255 bytes"),
        ("a\n", b"", errors.InvalidPublicationError, "no control characters"),
        ("\ud800", b"", errors.InvalidPublicationError, "channel"),
        ("a", b"x" * (MAX + 1), errors.InvalidPublicationError, "at most 1048576 bytes"),
        ("a", "\udfff", errors.InvalidPublicationError, "surrogate"),
        (b"a", b"", TypeError, "a channel is a str, not bytes"),
        (None, b"", TypeError, "a channel is a str, not NoneType"),
        ("a", None, TypeError, "bytes or str, not NoneType"),
        ("a", {"n": 1}, TypeError, "bytes or str, not dict"),
    ],
)
def test_what_may_not(channel: Any, content: Any, error: type[Exception], words: str) -> None:
    fresh = gateway()
    with serve(fresh):
        with pytest.raises(error, match=words):
            fresh.channels.publish(channel, content)
        with pytest.raises(error, match=words):
            fresh.channels.publish_many([("good", b"x"), (channel, content)])


def test_a_list_of_something_else_is_refused() -> None:
    fresh = gateway()
    with serve(fresh):
        for wrong in (["a"], [("a",)], [("a", b"x", 1)], [["a", b"x"]]):
            with pytest.raises(TypeError, match=r"publications\[0\] must be a tuple"):
                fresh.channels.publish_many(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="iterable"):
            fresh.channels.publish_many(7)  # type: ignore[arg-type]


def test_every_error_is_one_of_fastgate() -> None:
    assert issubclass(errors.InvalidPublicationError, (errors.PublishError, ValueError))
    assert issubclass(errors.PublishBusyError, errors.PublishError)
    assert issubclass(errors.PublishError, errors.FastgateError)
    assert errors.PublishBusyError("busy", 3).published == 3


def test_from_a_hook() -> None:
    fresh = gateway()
    told: list[int] = []

    @fresh.on_request
    def tell(request: Request) -> Response:
        told.append(fresh.channels.publish("requests", request.path))
        return Response.text("told")

    with serve(fresh) as served:
        import urllib.request

        with urllib.request.urlopen(served.url) as answer:
            assert answer.read() == b"told"
    assert told == [0]


def test_from_many_threads_while_it_ends() -> None:
    fresh = gateway()
    begun = threading.Barrier(5)
    ends: list[str] = []

    def run() -> None:
        begun.wait()
        try:
            while True:
                fresh.channels.publish("a", b"x")
                fresh.channels.publish_many([("a", b"x")] * 10)
        except errors.FastgateError as error:
            ends.append(str(error))

    with serve(fresh):
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait()
    for thread in threads:
        thread.join(30)
    assert ends == ["the gateway does not run: publish once it has started"] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told() -> None:
    fresh = gateway()
    with serve(fresh):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                fresh.channels.publish("a", b"x")
            except errors.FastgateError as error:
                code = 0 if "forked" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert fresh.channels.publish("a", b"x") == 0


def test_two_gateways_have_channels_of_their_own() -> None:
    first, second = gateway(), gateway()
    with serve(first):
        with serve(second):
            pass
        assert first.channels.publish("a", b"x") == 0
        with pytest.raises(errors.FastgateError):
            second.channels.publish("a", b"x")

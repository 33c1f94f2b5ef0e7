"""The compiled HTTP/1.1 codec beside httptools: the same heads, method, target and every field read out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

primitives = pytest.importorskip("fastgate.primitives", reason="the compiled package is not built: make dev")
httptools = pytest.importorskip("httptools")

SMALL = b"GET /b/128?x=1 HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
BROWSER = (
    b"GET /shop/items/4711?colour=green&page=2 HTTP/1.1\r\nHost: bench.example\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en,de;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nReferer: http://bench.example/shop/items\r\nConnection: keep-alive\r\n"
    + b"".join(b"Cookie: name%d=%s\r\n" % (i, b"v" * 40) for i in range(5))
    + b"Upgrade-Insecure-Requests: 1\r\nCache-Control: max-age=0\r\n\r\n"
)
HEADS = {"small": SMALL, "browser": BROWSER}


class Collector:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


def fields(head: bytes) -> int:
    """Field lines of a head."""
    return head.count(b"\r\n") - 2


@pytest.mark.parametrize("name", HEADS)
def test_fastgate(benchmark: Callable[..., Any], name: str) -> None:
    head = HEADS[name]

    def parse() -> tuple[Any, Any, int]:
        request = primitives.parse_request(head)
        return request.method, request.path, len(list(request.headers))

    method, path, count = benchmark(parse)
    assert method in ("GET", b"GET")
    assert (path if isinstance(path, bytes) else path.encode()).startswith(head.split(b" ")[1].split(b"?")[0])
    assert count == fields(head)


@pytest.mark.parametrize("name", HEADS)
def test_httptools(benchmark: Callable[..., Any], name: str) -> None:
    head = HEADS[name]

    def parse() -> tuple[bytes, bytes, int]:
        collector = Collector()
        parser = httptools.HttpRequestParser(collector)
        parser.feed_data(head)
        return parser.get_method(), collector.url, len(collector.headers)

    assert benchmark(parse) == (b"GET", head.split(b" ")[1], fields(head))

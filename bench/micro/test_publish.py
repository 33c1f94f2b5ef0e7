"""What publishing from Python costs: through the C table, one by one and in batches.

`extra_info` has nanoseconds a publication, minimum and median. The floor is what an empty method of a class costs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from fastgate import Gateway
from fastgate.testing import serve

COUNT = 10_000
BATCH = 100


class Empty:
    """What is paid for any call."""

    def publish(self, channel: str, content: bytes) -> int:
        """Nothing."""
        return 0


def measured(benchmark, call: Callable[[], object], per_call: int, rounds: int = 30) -> None:
    seconds: list[float] = []

    def run() -> None:
        begin = time.perf_counter()
        for _ in range(COUNT // per_call):
            call()
        seconds.append((time.perf_counter() - begin) / COUNT)

    benchmark.pedantic(run, rounds=rounds, warmup_rounds=2)
    benchmark.extra_info["ns_a_publication_min"] = round(min(seconds) * 1e9, 1)
    benchmark.extra_info["ns_a_publication_median"] = round(statistics.median(seconds) * 1e9, 1)


@pytest.fixture(scope="module")
def gateway():
    fresh = Gateway().configure(workers=1).listener("public", "127.0.0.1:0")
    fresh.route("all", match={"prefix": "/"}, respond={"status": 200})
    with serve(fresh):
        yield fresh


def test_an_empty_method(benchmark) -> None:
    publish = Empty().publish
    measured(benchmark, lambda: publish("room:1", b"hello"), 1)


def test_publish_to_nobody(benchmark, gateway) -> None:
    publish = gateway.channels.publish
    measured(benchmark, lambda: publish("room:1", b"hello"), 1)


def test_publish_a_batch_to_nobody(benchmark, gateway) -> None:
    publish_many = gateway.channels.publish_many
    publications = [(f"room:{i}", b"hello") for i in range(BATCH)]
    measured(benchmark, lambda: publish_many(publications), BATCH)

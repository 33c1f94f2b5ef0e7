"""`RateLimiter` beside pure-Python limiters in memory: 10,000 keys in turn, calls that pass and calls that do not.

`throttled-py` counts by the same algorithm (GCRA); `limits` by a sliding window counter, and by a fixed window, which
does less.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

primitives = pytest.importorskip("fastgate.primitives", reason="the compiled package is not built: make dev")

KEYS = [f"client-{number:05}" for number in range(10_000)]
PER = 3_600
# So much that nothing is refused while it is measured though every key has used some, or so little that all is.
OUTCOMES = {"allowed": 1_000_000, "refused": 1}


def measure(benchmark: Callable[..., Any], take: Callable[[str], bool], outcome: str) -> None:
    for key in KEYS:
        assert take(key), "what is seen first passes"
    rotating = itertools.cycle(KEYS)
    benchmark(lambda: take(next(rotating)))
    assert [take(key) for key in KEYS] == [outcome == "allowed"] * len(KEYS)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_fastgate(benchmark: Callable[..., Any], outcome: str) -> None:
    limiter = primitives.RateLimiter(OUTCOMES[outcome], per=PER)
    measure(benchmark, lambda key: limiter.take(key).allowed, outcome)
    assert limiter.keys == len(KEYS)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_throttled_py(benchmark: Callable[..., Any], outcome: str) -> None:
    throttled = pytest.importorskip("throttled")
    limiter = throttled.Throttled(
        using=throttled.RateLimiterType.GCRA.value,
        quota=throttled.per_duration(timedelta(seconds=PER), OUTCOMES[outcome], OUTCOMES[outcome]),
        store=throttled.MemoryStore(options={"MAX_SIZE": len(KEYS)}),
    )
    measure(benchmark, lambda key: not limiter.limit(key).limited, outcome)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("strategy", ["FixedWindowRateLimiter", "SlidingWindowCounterRateLimiter"])
def test_limits(benchmark: Callable[..., Any], strategy: str, outcome: str) -> None:
    limits = pytest.importorskip("limits")
    item = limits.RateLimitItemPerSecond(OUTCOMES[outcome], PER)
    limiter = getattr(limits.strategies, strategy)(limits.storage.MemoryStorage())
    measure(benchmark, lambda key: limiter.hit(item, key), outcome)

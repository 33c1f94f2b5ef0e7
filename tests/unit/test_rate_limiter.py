"""`RateLimiter` against a slow exact model, from many threads, at its bound of keys, and by what it refuses."""

from __future__ import annotations

import gc
import math
import sys
import threading
import time
import weakref
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate.primitives import RateLimiter


class Clock:
    """Seconds that stand still until a test moves them."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Exact:
    """A token bucket by its definition: no stretch of time that ends now has more than burst + rate * time."""

    def __init__(self, rate: int, per: Fraction, burst: int) -> None:
        self.speed = rate / per
        self.burst = burst
        self.passed: list[tuple[Fraction, int]] = []

    def take(self, now: Fraction, cost: int) -> bool:
        used, fits = cost, cost <= self.burst
        for at, had in reversed(self.passed):
            used += had
            fits = fits and used <= self.burst + self.speed * (now - at)
        if fits:
            self.passed.append((now, cost))
        return fits

    def left(self, now: Fraction) -> int:
        used, most = 0, Fraction(0)
        for at, had in reversed(self.passed):
            used += had
            most = max(most, used - self.speed * (now - at))
        return math.floor(self.burst - most)


# Times in 1/512 s are exact in a float and in nanoseconds (1953125 of them).
TICK = Fraction(1, 512)


@settings(deadline=None, max_examples=150)
@given(
    rate=st.integers(1, 20),
    ticks=st.integers(1, 64),
    burst=st.integers(1, 12),
    calls=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 14), st.sampled_from("abc")), min_size=1, max_size=40),
)
def test_it_decides_as_the_exact_model(rate: int, ticks: int, burst: int, calls: list[tuple[int, int, str]]) -> None:
    clock = Clock()
    per = TICK * ticks * rate  # whole ticks a unit, so that both reckon the same
    limiter = RateLimiter(rate, per=float(per), burst=burst, clock=clock)
    models = {key: Exact(rate, per, burst) for key in "abc"}
    now = Fraction(0)
    for pause, cost, key in calls:
        now += pause * TICK
        clock.now = 1_800_000_000.0 + float(now)
        seen = limiter.peek(key, cost)
        told = limiter.take(key, cost)
        assert told.allowed == seen.allowed == bool(told) == models[key].take(now, cost)
        assert told.remaining == models[key].left(now)
        if told.allowed:
            assert told.retry_after == 0
        elif cost > burst:
            assert told.retry_after == math.inf
        else:
            clock.now += told.retry_after
            assert limiter.peek(key, cost).allowed
            clock.now -= float(TICK)
            assert not limiter.peek(key, cost).allowed
        clock.now = 1_800_000_000.0 + float(now) + told.reset
        assert limiter.peek(key, burst).allowed
        if told.reset:
            clock.now -= float(TICK)
            assert not limiter.peek(key, burst).allowed


def in_threads(count: int, work: object) -> None:
    """Runs `work(number)` in so many threads that begin together; what one raises is raised here."""
    barrier = threading.Barrier(count)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)  # type: ignore[operator]
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@pytest.fixture
def often() -> object:
    """Threads take turns as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often")
def test_with_the_clock_held_threads_pass_exactly_the_burst() -> None:
    limiter = RateLimiter(10, burst=1_000, clock=Clock())
    passed = [[0] * 10 for _ in range(4)]

    def work(number: int) -> None:
        for call in range(6_000):
            # Every thread meets every key in its own order; keys seen once make the table grow meanwhile.
            who = (call * 7 + number * 3) % 10
            passed[number][who] += limiter.take(f"key {who}", 2).allowed
            if call % 5 == 0:
                limiter.take(f"once {number} {call}")
            if call % 1_000 == 0:
                limiter.sweep()

    in_threads(4, work)
    assert [sum(of) for of in zip(*passed, strict=True)] == [500] * 10
    assert limiter.keys == 10 + 4 * 1_200


@pytest.mark.usefixtures("often")
def test_while_time_runs_threads_never_pass_more_than_burst_and_rate() -> None:
    limiter = RateLimiter(2_000, burst=50)
    begin = time.monotonic()
    passed = [0] * 4

    def work(number: int) -> None:
        for _ in range(8_000):
            passed[number] += limiter.take("one").allowed

    in_threads(4, work)
    assert 50 <= sum(passed) <= 50 + 2_000 * (time.monotonic() - begin)


@settings(deadline=None, max_examples=60)
@given(
    rate=st.integers(1, 10**6),
    per=st.floats(1e-3, 1e4),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 1e3), min_size=1, max_size=60),
)
def test_a_rate_that_does_not_divide_is_never_exceeded(rate: int, per: float, burst: int, pauses: list[float]) -> None:
    clock = Clock(0.0)
    try:
        limiter = RateLimiter(rate, per=per, burst=burst, clock=clock)
    except ValueError:
        assert per * burst / rate > 4 * 365 * 86_400
        return
    times = []
    for pause in pauses:
        clock.now += pause
        times += [clock.now for _ in range(3) if limiter.take("a").allowed]
    for first in range(len(times)):
        for last in range(first, len(times)):
            # The clock's fractions of nanoseconds are rounded.
            time_between = times[last] - times[first] + 2e-9
            assert last - first + 1 <= burst + rate * time_between / per * (1 + 1e-9)


def test_keys_are_apart_and_text_is_its_bytes() -> None:
    limiter = RateLimiter(1, per=60, clock=Clock())
    assert limiter.take("é")
    assert not limiter.take("é".encode())
    for key in ("", b"\x00", "e", "\x00\x00", b"\xff"):
        assert limiter.peek(key)
        assert limiter.take(key)
        assert not limiter.take(key)
        assert not limiter.peek(key)
    assert limiter.keys == 6


def test_what_it_says() -> None:
    clock = Clock()
    limiter = RateLimiter(60, per=60, burst=5, clock=clock)
    told = limiter.take("a", cost=4)
    assert (told.allowed, told.remaining, told.retry_after, told.reset) == (True, 1, 0, 4)
    told = limiter.take("a", cost=3)
    assert (told.allowed, told.remaining, told.retry_after, told.reset) == (False, 1, 2, 4)
    assert repr(told) == "RateDecision(allowed=False, remaining=1, retry_after=2, reset=4)"
    told = limiter.take("a", cost=6)
    assert (told.allowed, told.remaining, told.retry_after, told.reset) == (False, 1, math.inf, 4)
    clock.now += 2.5
    told = limiter.take("a", cost=3)
    assert (told.allowed, told.remaining, told.retry_after, told.reset) == (True, 0, 0, 4.5)
    # A clock that goes back takes away, and never gives.
    clock.now -= 1
    assert not limiter.take("a")
    assert limiter.take("a").reset == 5.5
    clock.now -= 1_000_000
    assert not limiter.take("a")


def test_the_burst_is_the_rate_unless_given() -> None:
    limiter = RateLimiter(3, clock=Clock())
    assert [limiter.take("a").allowed for _ in range(4)] == [True, True, True, False]


def test_keys_are_bounded_and_at_the_bound_none_has_more() -> None:
    clock = Clock()
    limiter = RateLimiter(1, per=60, burst=2, max_keys=100, clock=clock)
    for number in range(100):
        assert limiter.take(f"known {number}")
    assert (limiter.keys, limiter.overflowed) == (100, 0)
    late = [[limiter.take(f"late {number}").allowed for _ in range(4)] for number in range(300)]
    assert limiter.keys == 100
    assert limiter.overflowed == 1_200
    # Those that share a count with another have less, and with 65,536 counts few do.
    assert all(sum(passed) <= 2 for passed in late)
    assert sum(passed == [True, True, False, False] for passed in late) > 280
    # Known ones go on as if nothing was; when time has passed there is room again.
    assert [limiter.take("known 7").allowed for _ in range(2)] == [True, False]
    clock.now += 600
    for number in range(90):
        assert limiter.take(f"fresh {number}")
    assert limiter.overflowed - 1_200 <= 1, "the first that finds it full looks for room for the others"
    clock.now += 600
    limiter.sweep()
    assert limiter.keys == 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"rate": 0}, "rate is 0; allowed: a whole number from 1"),
        ({"rate": -1}, "rate is -1"),
        ({"burst": 0}, "burst is 0"),
        ({"max_keys": 0}, "max_keys is 0"),
        ({"max_keys": 10**9}, "max_keys is 1000000000; allowed: at most 100000000"),
        ({"per": 0}, "per is 0; allowed: seconds from 1e-9"),
        ({"per": -1.0}, "per is -1"),
        ({"per": math.nan}, "per is NaN"),
        ({"per": math.inf}, "per is inf"),
        ({"per": 86_400, "burst": 10**9}, "more than four years"),
        ({"clock": lambda: math.nan}, "the clock says NaN; allowed: a finite number of seconds"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        RateLimiter(**({"rate": 1} | settings))  # type: ignore[arg-type]


def test_calls_that_cannot_be() -> None:
    clock = Clock()
    limiter = RateLimiter(1, clock=clock)
    for cost in (0, -1):
        with pytest.raises(ValueError, match=f"cost is {cost}; allowed: a whole number from 1"):
            limiter.take("a", cost)
    for key in (1, None, ("a",), bytearray(b"a")):
        with pytest.raises(TypeError, match=rf"the key is a {type(key).__name__}; allowed: str, bytes"):
            limiter.take(key)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        limiter.peek("\ud800")
    clock.now = math.inf
    with pytest.raises(ValueError, match="the clock says inf"):
        limiter.take("a")
    clock.now = 1e12
    with pytest.raises(ValueError, match="allowed: nine years"):
        limiter.take("a")
    with pytest.raises(TypeError, match="'str' object is not callable"):
        RateLimiter(1, clock="now")  # type: ignore[arg-type]
    clock.now = 1_800_000_000.0
    assert limiter.take("a"), "nothing of that was counted"


def test_what_a_clock_raises_is_raised_and_a_clock_may_ask_its_limiter() -> None:
    made: list[RateLimiter] = []

    def clock() -> float:
        if made and len(made) == 1:
            made.append(made[0])
            assert made[0].take("inside")
            raise KeyError("no time")
        return 0.0

    made.append(RateLimiter(1, clock=clock))
    with pytest.raises(KeyError, match="no time"):
        made[0].take("a")
    assert made[0].take("a")
    assert not made[0].take("inside")


def test_a_limiter_in_a_cycle_is_collected() -> None:
    clock = Clock()
    clock.limiter = RateLimiter(1, clock=clock)  # type: ignore[attr-defined]
    gone = weakref.ref(clock)
    del clock
    gc.collect()
    assert gone() is None

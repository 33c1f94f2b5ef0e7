"""The queue of reloads: one after another, coalesced, refused at the end."""

from __future__ import annotations

import threading

import pytest

from fastgate.errors import StartError
from fastgate.runtime.reloads import ReloadResult, Reloads
from fastgate.runtime.watch import Watch


class Slow:
    """A reload that waits to be let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.why: list[str] = []

    def __call__(self, why: str) -> ReloadResult:
        self.why.append(why)
        self.begun.release()
        assert self.go.acquire(timeout=20)
        return ReloadResult(True, float(len(self.why)))


def asking(reloads: Reloads, results: list[ReloadResult]) -> threading.Thread:
    thread = threading.Thread(target=lambda: results.append(reloads.now("asked")))
    thread.start()
    return thread


def test_what_comes_during_a_reload_is_served_by_one_more() -> None:
    slow = Slow()
    reloads = Reloads(slow, Watch(), gentle=False)
    reloads.start()
    first: list[ReloadResult] = []
    others: list[ReloadResult] = []
    threads = [asking(reloads, first)]
    assert slow.begun.acquire(timeout=20)
    threads += [asking(reloads, others) for _ in range(5)]
    while reloads._queue.qsize() < 5:
        pass
    for _ in range(20):
        reloads.soon("SIGHUP")
    slow.go.release()
    slow.go.release()
    for thread in threads:
        thread.join(20)
    reloads.stop()
    assert [result.seconds for result in first] == [1.0]
    assert [result.seconds for result in others] == [2.0] * 5
    assert len(slow.why) == 2


def test_the_end_refuses_who_waits_and_who_comes_later() -> None:
    slow = Slow()
    reloads = Reloads(slow, Watch(), gentle=False)
    reloads.start()
    first: list[ReloadResult] = []
    later: list[ReloadResult] = []
    threads = [asking(reloads, first)]
    assert slow.begun.acquire(timeout=20)
    threads.append(asking(reloads, later))
    while not reloads._queue.qsize():
        pass
    stopping = threading.Thread(target=reloads.stop)
    stopping.start()
    while not reloads.ended:
        pass
    slow.go.release()
    for thread in (*threads, stopping):
        thread.join(20)
    assert first[0].ok
    assert not later[0].ok
    assert isinstance(later[0].error, StartError)
    assert not reloads.now("late").ok
    assert len(slow.why) == 1


def test_a_reload_cannot_wait_for_itself() -> None:
    failures: list[Exception] = []

    def reload(why: str) -> ReloadResult:
        with pytest.raises(StartError, match="another") as caught:
            reloads.now("from within")
        failures.append(caught.value)
        return ReloadResult(True, 0.0)

    reloads = Reloads(reload, Watch(), gentle=False)
    reloads.start()
    assert reloads.now("asked").ok
    reloads.stop()
    assert len(failures) == 1

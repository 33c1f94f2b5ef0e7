"""The executor: batches, failures that stay alone, the log, and its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from fastgate import _core, _engine

from .conftest import HEAD, Run

ROUNDS = 200


def test_no_hook_goes_on(run: Run):
    assert run() == {"failed": False, "edits": [], "answer": None}


def test_thousands_in_order(host, run: Run):
    run()
    seen = []
    executor = _core.Executor(second := _engine.Host(), {"a": [lambda r: seen.append(r.route)], "b": [lambda r: None]})
    executor.start()
    assert len(second.simulate(HEAD, "a", count=5000).outcomes()) == 5000
    assert len(second.simulate(HEAD, "b", count=100).outcomes()) == 100
    assert seen == ["a"] * 5000
    assert executor.stop()


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("told"), Odd(), SystemExit(3), KeyboardInterrupt(), StopIteration()])
def test_an_exception_fails_its_request_alone(run: Run, caplog, error):
    def bad(request):
        request.headers["x-a"] = "1"
        raise error

    with caplog.at_level(logging.ERROR, "fastgate.hooks"):
        outcome = run(bad)
    assert outcome == {"failed": True, "edits": [], "answer": None}
    (record,) = caplog.records
    assert record.exc_info[1] is error
    assert "test_an_exception_fails_its_request_alone.<locals>.bad failed on route route" in record.getMessage()
    assert run(lambda r: None)["failed"] is False


async def coroutine(request):
    await asyncio.sleep(0)


@pytest.mark.parametrize(("hook", "said"), [(lambda r: 7, "returned int"), (coroutine, "hooks are synchronous")])
def test_a_wrong_result_is_a_failure_that_says_so(run: Run, caplog, hook, said):
    with caplog.at_level(logging.ERROR, "fastgate.hooks"):
        assert run(hook)["failed"]
    gc.collect()  # a coroutine never awaited would warn here
    assert said in str(caplog.records[0].exc_info[1])


def test_a_log_handler_that_fails_stops_nothing(run: Run):
    class Broken(logging.Handler):
        def handle(self, record):
            raise RuntimeError("the disk is full")

    logger, broken = logging.getLogger("fastgate.hooks"), Broken()
    logger.addHandler(broken)
    try:
        assert run(lambda r: 1 / 0)["failed"]
        assert run(lambda r: None)["failed"] is False
    finally:
        logger.removeHandler(broken)


def test_hooks_are_swapped_between_batches(run: Run):
    assert run(lambda r: _core.Response(201))["answer"][0] == 201
    assert run(lambda r: _core.Response(202))["answer"][0] == 202


def test_close_fails_what_waits_and_what_comes(host):
    entered, leave, outcomes = threading.Event(), threading.Event(), []

    def hook(request):
        entered.set()
        assert leave.wait(10)

    executor = _core.Executor(host, {"a": [hook]})
    executor.start()
    waiting = [
        threading.Thread(target=lambda n=n: outcomes.extend(host.simulate(HEAD, "a", count=n).outcomes()))
        for n in (1, 100)
    ]
    waiting[0].start()
    assert entered.wait(10)
    waiting[1].start()
    while host.waiting < 100:
        os.sched_yield()
    host.close()
    waiting[1].join(10)
    assert [o["failed"] for o in outcomes] == [True] * 100
    leave.set()
    waiting[0].join(10)
    assert len(outcomes) == 101
    assert not outcomes[-1]["failed"]
    assert executor.stop()
    assert host.simulate(HEAD, "a").outcomes()[0]["failed"]
    assert host.refused == 1


def test_the_queue_has_a_bound():
    host = _engine.Host()  # nobody takes anything
    with pytest.raises(TimeoutError):
        host.simulate(HEAD, "a", count=65_536, timeout=0)
    assert (host.waiting, host.refused) == (65_536, 0)
    assert host.simulate(HEAD, "a", count=10).outcomes()[0]["failed"]
    assert (host.waiting, host.refused) == (65_536, 10)
    with pytest.raises(ValueError, match="1 to 65536"):
        host.simulate(HEAD, "a", count=65_537)


def test_a_hook_that_does_not_return_is_told(host):
    leave = threading.Event()
    executor = _core.Executor(host, {"a": [lambda r: leave.wait(30) and None]})
    executor.start()
    with pytest.raises(TimeoutError):
        host.simulate(HEAD, "a", timeout=0.05)
    assert executor.stop(timeout=0.05) is False
    leave.set()
    assert executor.stop()


def test_it_starts_once(host):
    executor = _core.Executor(host)
    executor.start()
    with pytest.raises(RuntimeError, match="started before"):
        executor.start()
    assert executor.stop()
    assert executor.stop()


def test_many_rounds_leave_neither_threads_nor_descriptors():
    def rounds(count):
        for _ in range(count):
            host = _engine.Host()
            executor = _core.Executor(host, {"a": [lambda r: None]})
            executor.start()
            assert not host.simulate(HEAD, "a", count=3).outcomes()[2]["failed"]
            assert executor.stop()

    rounds(1)
    gc.collect()
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    rounds(ROUNDS)
    gc.collect()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter, which has to end by itself."""
    code = f"HEAD = {HEAD!r}\nfrom fastgate import _core, _engine\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)


EXITS = {
    "idle": "executor.start()",
    "in a hook that waits": """
        import threading
        entered = threading.Event()
        executor.set_hooks({"a": [lambda r: (entered.set(), threading.Event().wait(1)) and None]})
        executor.start()
        threading.Thread(target=lambda: host.simulate(HEAD, "a"), daemon=True).start()
        entered.wait()
    """,
    "under load": """
        import threading
        executor.set_hooks({"a": [lambda r: None]})
        executor.start()
        started = threading.Event()
        def load():
            while not host.simulate(HEAD, "a", count=1000).outcomes()[0]["failed"]:
                started.set()
        threading.Thread(target=load, daemon=True).start()
        started.wait()
    """,
    "never started": "",
    "stopped": "executor.start(); assert executor.stop()",
}


@pytest.mark.parametrize("how", EXITS)
def test_the_interpreter_ends_whatever_the_executor_does(how):
    code = "host = _engine.Host()\nexecutor = _core.Executor(host)\n" + textwrap.dedent(EXITS[how])
    for _ in range(3):
        done = python(code)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_is_refused_and_ends():
    done = python(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        host = _engine.Host()
        executor = _core.Executor(host, {"a": [lambda r: None]})
        executor.start()
        child = os.fork()
        if child == 0:
            for use in (lambda: host.simulate(HEAD, "a"), host.close, lambda: _core.Executor(host)):
                try:
                    use()
                except RuntimeError as error:
                    assert "a forked process has to start one of its own" in str(error), error
                else:
                    raise AssertionError("the child used its parent's host")
            assert executor.stop() is True
            own = _core.Executor(mine := _engine.Host(), {"a": [lambda r: None]})
            own.start()
            assert not mine.simulate(HEAD, "a").outcomes()[0]["failed"]
            del host, executor
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert not host.simulate(HEAD, "a").outcomes()[0]["failed"]
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_memory_stays_flat_over_many_requests():
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    def hook(request):
        request.headers["x-a"] = request.headers.get("accept", "") + request.method
        return _core.Response.text("no") if request.query is None else None

    host = _engine.Host()
    executor = _core.Executor(host, {"a": [hook, hook]})
    executor.start()
    for _ in range(3):
        host.simulate(HEAD, "a", count=10_000)
    before = resident()
    for _ in range(10):
        host.simulate(HEAD, "a", count=10_000)
    gc.collect()
    grown = resident() - before
    assert executor.stop()
    assert grown < 4 << 20, f"{grown} bytes after 100,000 requests"

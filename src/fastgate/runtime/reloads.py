"""Reloads, one after another on a thread of their own; those asked for while one runs are served by one more."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from fastgate.errors import FastgateError, Finding, StartError
from fastgate.runtime.watch import INTERVAL, Watch

GENTLE = 10
"""By how much the priority of reloads is lower than that of the process."""


@dataclass(slots=True)
class ReloadResult:
    """What a reload did: whether the new config runs, how long it took, and everything there is to say of it."""

    ok: bool
    seconds: float
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    error: FastgateError | None = None
    """The exception behind `errors`, for those who raise it."""


class _Wanted:
    """Somebody who waits for a reload."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.done = threading.Event()
        self.result: ReloadResult | None = None


class Reloads:
    """The thread that reloads, asked by signals, by the control socket and by its own watch over files.

    Args:
        reload: Does it; takes why, as one word or two.
        watch: The files to look at, or None.
        gentle: Run at low priority. Only for reloads that hold no Python lock for long.
    """

    def __init__(self, reload: Callable[[str], ReloadResult], watch: Watch, *, gentle: bool) -> None:
        self._reload, self._watch, self._gentle = reload, watch, gentle
        self.watching = False
        # A SimpleQueue may be filled from a signal handler, whatever the thread beneath was doing.
        self._queue: queue.SimpleQueue[_Wanted | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Begins to serve."""
        self._thread = threading.Thread(target=self._run, name="fastgate-reload", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serves nothing more; whoever waits is told so."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._queue.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._refuse()

    @property
    def ended(self) -> bool:
        """Whether stop() was called."""
        return self._ended.is_set()

    def soon(self, why: str) -> None:
        """Asks for a reload and returns at once; safe in a signal handler."""
        self._queue.put(_Wanted(why))

    def now(self, why: str) -> ReloadResult:
        """Has a reload that begins after this call, and waits for its end."""
        if threading.current_thread() is self._thread:
            raise StartError("a reload cannot wait for another one")
        wanted = _Wanted(why)
        self._queue.put(wanted)
        if self._ended.is_set():
            self._refuse()
        wanted.done.wait()
        assert wanted.result is not None
        return wanted.result

    def _refuse(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                if (wanted := self._queue.get_nowait()) is not None:
                    error = StartError("the gateway is ending")
                    wanted.result = ReloadResult(False, 0.0, [Finding(str(error))], error=error)
                    wanted.done.set()

    def _run(self) -> None:
        if self._gentle:
            with contextlib.suppress(OSError, AttributeError):
                lower = min(19, os.getpriority(os.PRIO_PROCESS, os.getpid()) + GENTLE)
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), lower)
        while not self._ended.is_set():
            try:
                first = self._queue.get(timeout=INTERVAL if self.watching else None)
            except queue.Empty:
                if not self._watch.poll():
                    continue
                first = _Wanted("files changed")
            if first is None:
                break
            wanted = [first]
            with contextlib.suppress(queue.Empty):
                while (more := self._queue.get_nowait()) is not None:
                    wanted.append(more)
            if self._ended.is_set():
                self._queue_back(wanted)
                break
            result = self._reload(first.why)
            for one in wanted:
                one.result = result
                one.done.set()
        self._refuse()

    def _queue_back(self, wanted: list[_Wanted]) -> None:
        for one in wanted:
            self._queue.put(one)

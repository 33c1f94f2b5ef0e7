"""A running engine with the executor of its hooks: started, swapped and stopped as one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastgate import _engine
from fastgate._core import Executor, Request, Response
from fastgate.config import Snapshot
from fastgate.errors import ConfigError, StartError

Hook = Callable[[Request], Response | None]
Hooks = Mapping[str, Sequence[Hook]]

_T = TypeVar("_T")


def validate(snapshot: Snapshot) -> None:
    """Asks the engine whether it can run a snapshot.

    Raises:
        ConfigError: it cannot; every finding has its place in the config.
    """
    if invalid := _engine.validate(snapshot.data):
        raise ConfigError(snapshot.findings(invalid))


class Running:
    """An engine and its executor; it runs from the constructor on.

    Args:
        snapshot: What to run.
        hooks: For every route's name its hooks, in order.

    Raises:
        ConfigError: the engine cannot run the snapshot.
        StartError: the system refuses what it asks for.
    """

    def __init__(self, snapshot: Snapshot, hooks: Hooks | None = None) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._hooks = dict(hooks or {})
        host = _engine.Host()
        self._executor = Executor(host, self._hooks)
        self._executor.start()
        try:
            self._engine = _translated(snapshot, lambda: _engine.Engine(snapshot.data, host))
        except BaseException:
            self._executor.stop()
            raise

    def addresses(self) -> dict[str, str]:
        """Every listener's name and the address it is bound to."""
        return dict(self._engine.addresses())

    def apply(self, snapshot: Snapshot, hooks: Hooks | None = None) -> None:
        """Swaps config and hooks; on any error the old ones stay. Raises as the constructor."""
        with self._lock:
            old, new = self._hooks, dict(hooks or {})
            # A request of the old snapshot may still come, and one of the new before the engine's `apply` returns.
            self._executor.set_hooks({**old, **new})
            try:
                _translated(snapshot, lambda: self._engine.apply(snapshot.data))
            except BaseException:
                self._executor.set_hooks(old)
                raise
            self._hooks = new

    def drain(self) -> None:
        """Begins a graceful end, within the snapshot's `shutdown`."""
        self._engine.drain()

    def end(self) -> None:
        """Cuts connections now; returns at once, `wait` tells when it is over."""
        self._engine.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the engine's end, at most `timeout` seconds; returns whether it came. Signal handlers run."""
        return self._engine.wait(timeout)

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends now: cuts connections, fails waiting hooks, joins every thread. Returns whether all ended in time."""
        with self._lock:
            if self._stopped:
                return True
            self._stopped = True
            self._engine.stop()
            ended = self._engine.wait(timeout)
            return self._executor.stop(timeout) and ended

    def stats(self) -> dict[str, Any]:
        """The engine's counters."""
        return self._engine.stats()


def _translated(snapshot: Snapshot, call: Callable[[], _T]) -> _T:
    try:
        return call()
    except _engine.InvalidSnapshot as error:
        raise ConfigError(snapshot.findings(error.args[0])) from None
    except _engine.StartError as error:
        raise StartError(str(error)) from None

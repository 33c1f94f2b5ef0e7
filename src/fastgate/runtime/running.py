"""A running engine with the executor of its hooks: started, swapped and stopped as one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fastgate import _engine
from fastgate._core import Channels as Channels
from fastgate._core import Executor, Request, Response
from fastgate.errors import ConfigError, Finding, StartError

if TYPE_CHECKING:
    from fastgate.config import Snapshot

Hook = Callable[[Request], Response | None]
Hooks = Mapping[str, Sequence[Hook]]

_T = TypeVar("_T")


class Runnable(Protocol):
    """A snapshot: its bytes, and the way from the engine's findings to ours."""

    @property
    def data(self) -> bytes:
        """The engine's input."""

    def findings(self, invalid: list[tuple[str, str]], /) -> list[Finding]:
        """The engine's findings with their places."""


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
        handed: Listening sockets opened before this process, name and descriptor; copies of them are used.
        channels: What publishes to this engine as long as it runs.

    Raises:
        ConfigError: the engine cannot run the snapshot.
        StartError: the system refuses what it asks for.
    """

    def __init__(
        self,
        snapshot: Runnable,
        hooks: Hooks | None = None,
        handed: Sequence[tuple[str, int]] = (),
        channels: Channels | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._hooks = dict(hooks or {})
        host = _engine.Host()
        self._executor = Executor(host, self._hooks)
        self._executor.start()
        try:
            self._engine = _translated(snapshot, lambda: _engine.Engine(snapshot.data, host, list(handed)))
        except BaseException:
            self._executor.stop()
            raise
        self._channels = Channels() if channels is None else channels
        self._channels._attach(self._engine)

    @property
    def log_settings(self) -> tuple[str, str]:
        """The level and the format of the diagnostic log, as configured."""
        return self._engine.log_settings()

    def rotate_logs(self) -> None:
        """Opens the access log's file anew, for whoever has moved it away; no line is lost or torn.

        Raises:
            StartError: it cannot be opened; the old file goes on.
        """
        try:
            self._engine.rotate_logs()
        except _engine.StartError as error:
            raise StartError(str(error)) from None

    def addresses(self) -> dict[str, str]:
        """Every listener's name and the address it is bound to."""
        return dict(self._engine.addresses())

    def internal_addresses(self) -> dict[str, str]:
        """Where the admin and the metrics listener listen, by name."""
        return dict(self._engine.internal_addresses())

    def apply(self, snapshot: Runnable, hooks: Hooks | None = None) -> None:
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
        """Begins a graceful end, within the snapshot's `shutdown`: readiness goes down first."""
        self._engine.set_ready(False, "draining")
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
            self._channels._detach(self._engine)
            self._engine.stop()
            ended = self._engine.wait(timeout)
            return self._executor.stop(timeout) and ended

    def stats(self) -> dict[str, Any]:
        """The engine's counters."""
        return self._engine.stats()

    def sessions(self, channel: str | None, limit: int) -> dict[str, Any]:
        """Who is subscribed: `total`, and at most `limit` of them as `sessions`."""
        return self._engine.sessions(channel, limit)

    def disconnect(self, session: str | None, channel: str | None, code: int, reason: str) -> int:
        """Ends a session, or every session of a channel; how many there were. Raises StartError where it cannot be."""
        try:
            return self._engine.disconnect(session, channel, code, reason)
        except ValueError as error:
            raise StartError(str(error)) from None

    def revoke_token(self, by: str, name: str, seconds: int) -> int:
        """Refuses tokens by `jti` or `sub` for so many seconds; how many revocations there are. Raises StartError."""
        try:
            return self._engine.revoke_token(by, name, seconds)
        except ValueError as error:
            raise StartError(str(error)) from None

    def alive(self, limit: float) -> bool:
        """Whether every worker answers within `limit` seconds."""
        return self._engine.alive(limit)

    def health(self) -> dict[str, Any]:
        """What /healthz says."""
        return self._engine.health()

    def audit_key(self, event: str, key: str, actor: str) -> bool:
        """Records that an API key was made or revoked (`key.created`, `key.revoked`); false: there is no such trail."""
        return self._engine.audit_key(event, key, actor)

    def reload_failed(self, reason: str) -> None:
        """Counts a reload whose config never reached the engine."""
        self._engine.reload_failed(reason)


def _translated(snapshot: Runnable, call: Callable[[], _T]) -> _T:
    try:
        return call()
    except _engine.InvalidSnapshot as error:
        raise ConfigError(snapshot.findings(error.args[0])) from None
    except _engine.StartError as error:
        raise StartError(str(error)) from None

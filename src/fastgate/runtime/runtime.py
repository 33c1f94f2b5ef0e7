"""The life of one engine, from its first snapshot to its end."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Any

from fastgate.errors import ConfigError, FastgateError, Finding, StartError
from fastgate.runtime import apart, logs
from fastgate.runtime.ahead import Ahead
from fastgate.runtime.control import Control
from fastgate.runtime.recipe import APART_BYTES, Compiled, Recipe, Unusable, compiled, follow
from fastgate.runtime.reloads import ReloadResult, Reloads
from fastgate.runtime.running import Channels, Hooks, Running
from fastgate.runtime.supervisor import Notifier, Watchdog, handed_sockets
from fastgate.runtime.watch import Watch

if TYPE_CHECKING:
    from fastgate.config.snapshot import Snapshot

log = logging.getLogger("fastgate")

Load = Callable[[], "Snapshot | tuple[Snapshot, Hooks]"]


class Runtime:
    """One engine and what its config is made of.

    Args:
        load: A recipe, which reloads follow in a child process, or one that a child follows already for the start; or
            a function that compiles in this process, called at start and for every reload, and names the hooks of its
            routes if there are any. It raises ConfigError.
        hooks: For a recipe whose routes have hooks: from the routes' names to their hooks.
        watch: Reload when the files change; None: as the config says. Only for a recipe.
        channels: What publishes as long as the engine runs.
    """

    def __init__(
        self,
        load: Recipe | Ahead | Load,
        *,
        hooks: Callable[[Sequence[str]], Hooks] | None = None,
        watch: bool | None = None,
        channels: Channels | None = None,
    ) -> None:
        self._load: Recipe | Load = load.recipe if isinstance(load, Ahead) else load
        self._ahead = load if isinstance(load, Ahead) else None
        self._hooks = hooks
        self._wants_watch = watch
        self._channels = channels
        self._watch = Watch()
        self._reloads = Reloads(self._reload, self._watch, gentle=isinstance(self._load, Recipe))
        self._running: Running | None = None
        self._compiled: Compiled | None = None
        self._notifier = Notifier({})
        self._watchdog: Watchdog | None = None
        self._control: Control | None = None
        self._state = "starting"
        self._ends = 0
        self._born = time.monotonic()
        self._generation = 0
        self._loaded_at: float | None = None
        self._last_reload: dict[str, Any] | None = None

    @property
    def running(self) -> Running:
        """The running engine; raises StartError before start()."""
        if self._running is None:
            raise StartError("the gateway has not been started")
        return self._running

    @property
    def snapshot(self) -> Compiled:
        """What the engine runs; raises StartError before start()."""
        if self._compiled is None:
            raise StartError("the gateway has not been started")
        return self._compiled

    @property
    def addresses(self) -> dict[str, str]:
        """The bound address of each listener, by name."""
        return self.running.addresses()

    @property
    def workers(self) -> int:
        """Worker threads: as configured, or the CPUs this process may use."""
        return self.snapshot.workers or int(self.running.stats().get("workers", 0)) or _cpus()

    def start(self) -> None:
        """Loads the config and starts the engine; returns once every listener accepts.

        The supervisor of the process is left to whoever runs the process; see run(). Raises ConfigError for a config
        that cannot run and StartError, one sentence, where the system refuses.
        """
        self._start({})

    def _start(self, environ: MutableMapping[str, str]) -> None:
        if self._running is not None:
            raise StartError("the gateway is running already")
        raise_descriptor_limit()
        self._notifier = Notifier(environ)
        handed = handed_sockets(environ)
        large = isinstance(self._load, Recipe) and self._load.bytes() > APART_BYTES
        made, hooks = self._make(apart_too=large, nice=0)
        self._running = Running(made, hooks, handed, self._channels)
        self._took(made)
        for _, descriptor in handed:
            os.close(descriptor)  # the engine has its own
        self._reloads.start()
        if self._notifier.watchdog:
            self._watchdog = Watchdog(self._notifier, self._running.alive)
            self._watchdog.start()
        if self._state == "starting":
            self._state = "ready"
        self._notifier.ready(self._summary())

    def _make(self, *, apart_too: bool, nice: int) -> tuple[Compiled, Hooks]:
        if not isinstance(self._load, Recipe):
            loaded = self._load()
            snapshot, hooks = loaded if isinstance(loaded, tuple) else (loaded, {})
            return compiled(snapshot), hooks
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            made = ahead.result(self._is_ending)
        elif apart_too and apart.possible(self._load):
            limit = apart.TIMEOUT if nice else apart.START_TIMEOUT
            made = apart.follow_apart(self._load, nice=nice, timeout=limit, cancelled=self._is_ending)
        else:
            made = follow(self._load)
        return made, self._hooks(made.routes) if self._hooks is not None else {}

    def _took(self, made: Compiled) -> None:
        """The engine runs it: what only its start needed goes."""
        made.snapshot, made.data = None, b""
        self._compiled = made
        self._generation += 1
        self._loaded_at = time.time()
        logs.follow(*self.running.log_settings)
        self._watch.follow(made.watched.files, made.watched.patterns)
        self._reloads.watching = made.watch if self._wants_watch is None else self._wants_watch
        for warning in made.warnings:
            log.warning("%s", warning)

    def reload(self) -> ReloadResult:
        """Loads, compiles and applies the config again, from any thread; on any error the old one goes on.

        One after another: a call that comes while a reload runs gets the next one, together with every other that
        came meanwhile. Raises StartError before start().
        """
        _ = self.running
        return self._reloads.now("asked")

    def _reload(self, why: str) -> ReloadResult:
        """On the thread of reloads."""
        begun, at = time.monotonic(), time.time()
        error: FastgateError | None = None
        warnings: tuple[Finding, ...] = ()
        reached = False
        self._notifier.reloading()
        try:
            if self._is_ending():
                raise StartError("the gateway is ending")
            made, hooks = self._make(apart_too=True, nice=10)
            workers = self.snapshot.workers
            reached = True
            self.running.apply(made, hooks)
            self._took(made)
            warnings = made.warnings
            if made.workers != workers:
                log.warning("workers: the number of workers changes with a restart, not with a reload")
        except FastgateError as failed:
            error = failed
        except Exception as failed:
            log.exception("%s: a fault of the gateway itself", why)
            error = StartError(f"a fault of the gateway itself: {type(failed).__name__}: {failed}")
        if isinstance(error, Unusable):
            # Its files as they were read: the correction of one of them is a change too.
            known = self.snapshot.watched
            self._watch.follow((*known.files, *error.watched.files), (*known.patterns, *error.watched.patterns))
        errors = list(error.findings) if isinstance(error, ConfigError) else [Finding(str(error))] if error else []
        result = ReloadResult(error is None, time.monotonic() - begun, errors, list(warnings), error)
        self._last_reload = {
            "at": at,
            "ok": result.ok,
            "seconds": round(result.seconds, 6),
            "errors": [asdict(one) for one in errors],
        }
        self._say(why, result)
        if not reached:
            self.running.reload_failed(str(errors[0]))
        if not self._is_ending():
            self._notifier.ready(self._summary() if result.ok else f"not reloaded: {_errors(errors)}")
        return result

    def _say(self, why: str, result: ReloadResult) -> None:
        if result.ok:
            count = len(self.snapshot.routes)
            log.info("reloaded: %d routes in %.0f ms (%s)", count, result.seconds * 1000, why)
            return
        head = f": {_errors(result.errors)}\n" if isinstance(result.error, ConfigError) else ": "
        log.error("not reloaded, the old config goes on%s%s", head, result.error)

    def status(self) -> dict[str, Any]:
        """Everything that `fastgate status` shows, as plain values."""
        from fastgate import __version__

        running, made = self.running, self.snapshot
        stats = running.stats()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "state": self._state,
            "uptime_seconds": round(time.monotonic() - self._born, 3),
            "config": {
                "files": list(made.files),
                "watch": self._reloads.watching,
                "loaded_at": self._loaded_at,
                "generation": self._generation,
                "last_reload": self._last_reload,
            },
            "listeners": {**running.internal_addresses(), **running.addresses()},
            "workers": self.workers,
            "stats": stats,
            "health": running.health(),
        }

    def drain(self) -> None:
        """Begins a graceful end, bounded by the config's `shutdown`; a second call changes nothing."""
        running = self.running
        if self._state == "draining":
            return
        self._state = "draining"
        self._notifier.stopping("draining")
        running.drain()

    def rotate_logs(self) -> None:
        """Opens the files of the logs anew, after somebody has moved them; raises StartError where that fails."""
        self.running.rotate_logs()

    def sessions(self, channel: str | None, limit: int) -> dict[str, Any]:
        """Who is subscribed, to a channel or at all: `total`, and at most `limit` of them as `sessions`."""
        return self.running.sessions(channel, limit)

    def disconnect(self, session: str | None, channel: str | None, code: int, reason: str) -> int:
        """Ends a session, or every session of a channel; how many there were.

        Raises StartError for a code or a reason that no close frame can have, and for what is no session's id.
        """
        return self.running.disconnect(session, channel, code, reason)

    def revoke_token(self, by: str, name: str, seconds: int) -> int:
        """Refuses tokens by `jti` or `sub` for so many seconds; how many revocations there are. Raises StartError."""
        return self.running.revoke_token(by, name, seconds)

    def audit_key(self, event: str, key: str, actor: str) -> bool:
        """Records in the audit trail that an API key was made or revoked; false where there is no trail."""
        return self.running.audit_key(event, key, actor)

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends now: open connections are cut; returns whether every thread ended within `timeout` seconds."""
        self._state = "draining"
        running = self.running
        # First the engine, so that a reload that is being applied does not wait for workers that are gone.
        running.end()
        if self._watchdog is not None:
            self._watchdog.stop()
        self._reloads.stop()
        return running.stop(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the engine has ended, at most `timeout` seconds; returns whether it has."""
        return self.running.wait(timeout)

    def stats(self) -> dict[str, Any]:
        """The engine's counters."""
        return self.running.stats()

    def run(self, ready: Callable[[Runtime], None] | None = None) -> None:
        """Starts, calls `ready`, and serves until a signal ends it.

        In the main thread, SIGTERM and SIGINT drain (a second one stops at once), SIGHUP reloads and SIGUSR1 opens
        the files of the logs anew. The supervisor that $NOTIFY_SOCKET, $WATCHDOG_USEC and $LISTEN_FDS speak of is
        told and obeyed. Raises what start() raises.
        """
        logs.set_up()
        with self._signals():
            try:
                self._start(os.environ)
                self._control = Control(self, self.snapshot.control)
                self._control.start()
                if ready is not None:
                    ready(self)
                # A signal that came while the engine was starting.
                if self._ends:
                    self.drain()
                self.wait()
            finally:
                if self._control is not None:
                    self._control.stop()
                if self._running is not None:
                    self.stop()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {
            signal.SIGTERM: self._on_end,
            signal.SIGINT: self._on_end,
            signal.SIGHUP: self._on_reload,
            signal.SIGUSR1: self._on_rotate,
        }
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        self._ends += 1
        if self._running is None:
            return
        name = signal.Signals(number).name
        if self._ends == 1:
            log.info("%s: draining; a second signal ends at once", name)
            self.drain()
        else:
            log.info("%s: stopping now", name)
            self._running.end()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        # One that comes before the start is over is served right after it.
        self._reloads.soon("SIGHUP")

    def _on_rotate(self, number: int, frame: FrameType | None) -> None:
        if self._running is None:
            return
        try:
            self._running.rotate_logs()
        except StartError as error:
            log.error("SIGUSR1: the old file goes on: %s", error)
        else:
            log.info("SIGUSR1: the log files are opened anew")

    def _is_ending(self) -> bool:
        return self._state == "draining" or self._reloads.ended

    def _summary(self) -> str:
        count = len(self.snapshot.routes)
        return f"serving {count} route{'s' * (count != 1)}"


def raise_descriptor_limit() -> int:
    """Raises the soft limit of open descriptors to the hard one; returns the limit that holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    if soft == resource.RLIM_INFINITY or soft >= hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    except (ValueError, OSError):
        return soft
    return hard


def _errors(errors: Sequence[Finding]) -> str:
    return f"{len(errors)} error{'s' * (len(errors) != 1)}"


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

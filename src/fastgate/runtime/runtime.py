"""The life of one engine, from its first snapshot to its end."""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from fastgate.config.snapshot import Snapshot
from fastgate.errors import ConfigError, StartError
from fastgate.runtime.running import Hooks, Running

log = logging.getLogger("fastgate")


class Runtime:
    """One engine and the function that loads its config.

    Args:
        load: Reads and compiles the config, and names the hooks of its routes if there are any; called at start and for
            every reload. Raises ConfigError.
    """

    def __init__(self, load: Callable[[], Snapshot | tuple[Snapshot, Hooks]]) -> None:
        self._load = load
        self._running: Running | None = None
        self._snapshot: Snapshot | None = None
        self._ends = 0
        self._reloads_wanted = 0
        self._reloading = threading.Lock()

    @property
    def running(self) -> Running:
        """The running engine; raises StartError before start()."""
        if self._running is None:
            raise StartError("the gateway has not been started")
        return self._running

    @property
    def snapshot(self) -> Snapshot:
        """What the engine runs; raises StartError before start()."""
        if self._snapshot is None:
            raise StartError("the gateway has not been started")
        return self._snapshot

    @property
    def addresses(self) -> dict[str, str]:
        """The bound address of each listener, by name."""
        return self.running.addresses()

    @property
    def workers(self) -> int:
        """Worker threads: as configured, or the CPUs this process may use."""
        return self.snapshot.loaded.config.workers or int(self.running.stats().get("workers", 0)) or _cpus()

    def start(self) -> None:
        """Loads the config and starts the engine; returns once every listener accepts.

        Raises ConfigError for a config that cannot run and StartError, one sentence, where the system refuses.
        """
        if self._running is not None:
            raise StartError("the gateway is running already")
        raise_descriptor_limit()
        snapshot, hooks = self._loaded()
        self._running = Running(snapshot, hooks)
        self._snapshot = snapshot

    def _loaded(self) -> tuple[Snapshot, Hooks]:
        loaded = self._load()
        return loaded if isinstance(loaded, tuple) else (loaded, {})

    def reload(self) -> None:
        """Loads, compiles and applies the config again; on any error the old one goes on.

        Raises ConfigError or StartError.
        """
        with self._reloading:
            snapshot, hooks = self._loaded()
            self.running.apply(snapshot, hooks)
            before, self._snapshot = self._snapshot, snapshot
        if before is not None and before.loaded.config.workers != snapshot.loaded.config.workers:
            log.warning("workers: the number of workers changes with a restart, not with a reload")

    def drain(self) -> None:
        """Begins a graceful end, bounded by the config's `shutdown`; a second call changes nothing."""
        self.running.drain()

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends now: open connections are cut; returns whether every thread ended within `timeout` seconds."""
        return self.running.stop(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the engine has ended, at most `timeout` seconds; returns whether it has."""
        return self.running.wait(timeout)

    def stats(self) -> dict[str, Any]:
        """The engine's counters."""
        return self.running.stats()

    def run(self, ready: Callable[[Runtime], None] | None = None) -> None:
        """Starts, calls `ready`, and serves until a signal ends it.

        In the main thread, SIGTERM and SIGINT drain (a second one stops at once) and SIGHUP reloads.
        Raises what start() raises.
        """
        previous: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            end, reload = self._on_end, self._on_reload
            handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
            previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            self.start()
            if ready is not None:
                ready(self)
            # A signal that came while the engine was starting.
            if self._ends:
                self.drain()
            self._reload_wanted()
            self.wait()
        finally:
            if self._running is not None:
                self._running.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        self._ends += 1
        if self._running is None:
            return
        name = signal.Signals(number).name
        if self._ends == 1:
            log.info("%s: draining; a second signal ends at once", name)
            self._running.drain()
        else:
            log.info("%s: stopping now", name)
            self._running.end()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self._reloads_wanted += 1
        if self._running is not None and self._reloads_wanted == 1:
            self._reload_wanted()

    def _reload_wanted(self) -> None:
        """Reloads until no SIGHUP has come meanwhile; a failure is one message and changes nothing."""
        while self._reloads_wanted:
            wanted = self._reloads_wanted
            if self._ends:
                log.warning("SIGHUP: not reloaded, the gateway is ending")
            else:
                self._reload_logged()
            self._reloads_wanted = 0 if self._reloads_wanted == wanted else 1

    def _reload_logged(self) -> None:
        begun = time.monotonic()
        try:
            self.reload()
        except ConfigError as error:
            count = len(error.findings)
            log.error("not reloaded, the old config goes on: %d error%s\n%s", count, "s" if count > 1 else "", error)
        except StartError as error:
            log.error("not reloaded, the old config goes on: %s", error)
        except Exception:
            log.exception("not reloaded, the old config goes on: a fault of the gateway itself")
        else:
            routes = len(self.snapshot.routes)
            log.info("reloaded: %d routes in %.0f ms", routes, (time.monotonic() - begun) * 1000)


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


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

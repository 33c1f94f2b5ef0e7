"""The class `Gateway`: a config from a file or built in Python, hooks beside it, and the running engine behind both."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from fastgate.config import Loaded, Snapshot, compile, from_mapping, load  # noqa: A004
from fastgate.config.findings import dotted
from fastgate.errors import ConfigError, FastgateError, Finding
from fastgate.runtime import Channels, Recipe, Runtime, validate
from fastgate.runtime.running import Hook

if TYPE_CHECKING:
    from typing import Self

# What errors call the part that Python wrote.
_ORIGIN = "Python"
_H = TypeVar("_H", bound=Hook)


class Gateway:
    """An API gateway: listeners, services, routes, and Python hooks on them.

    ```python
    gateway = Gateway().listener("public", bind="127.0.0.1:8000")
    gateway.route("projects", match={"prefix": "/api"}, to="http://127.0.0.1:9000")
    gateway.run()
    ```

    Args:
        allow_literal_secrets: Secrets written in the config itself become a warning.

    Attributes:
        channels: Publishes to subscribers while the gateway runs: `gateway.channels.publish("room:1", b"hello")`.
    """

    def __init__(self, *, allow_literal_secrets: bool = False) -> None:
        self._files: tuple[str | os.PathLike[str], ...] = ()
        self._written: dict[str, dict[str, Any]] = {}
        # The file and line of the call that wrote a key, by its dotted path.
        self._calls: dict[str, tuple[str, int]] = {}
        self._literal = allow_literal_secrets
        self._hooks: list[tuple[Hook, frozenset[str] | None]] = []
        self.channels = Channels()
        self._runtime: Runtime | None = None
        self._lock = threading.RLock()

    @classmethod
    def from_file(cls, *paths: str | os.PathLike[str], allow_literal_secrets: bool = False) -> Self:
        """A gateway from config files, each over the ones before it.

        Raises:
            ConfigError: every fault of every file, with its line.
        """
        gateway = cls(allow_literal_secrets=allow_literal_secrets)
        gateway._files = paths
        gateway.load()
        return gateway

    # The same model and the same validation as the file's: these write the mapping that the file would have.

    def listener(self, name: str, bind: str, **settings: Any) -> Self:
        """Adds a listener, with the keys of the config file."""
        return self._write("listeners", name, {"bind": bind, **settings})

    def service(self, name: str, *targets: str | Mapping[str, Any], **settings: Any) -> Self:
        """Adds a service with its targets, with the keys of the config file."""
        return self._write("services", name, {**({"targets": list(targets)} if targets else {}), **settings})

    def route(self, name: str, **settings: Any) -> Self:
        """Adds a route, with the keys of the config file: `match`, `service` or `to`, and the rest."""
        return self._write("routes", name, settings)

    def endpoint(self, name: str, path: str, channels: Sequence[str], **settings: Any) -> Self:
        """Adds an endpoint of the hub (`realtime.endpoints`): where subscribers of these channels connect.

        ```python
        gateway.endpoint("rooms", path="/r/{room}", channels=["room:{room}"], publish=True)
        ```

        Its name among the routes, in `on_request(routes=…)` for one, is `realtime.endpoints.NAME`.
        """
        return self._write("realtime.endpoints", name, {"path": path, "channels": channels, **settings})

    def configure(self, **settings: Any) -> Self:
        """Sets top-level keys of the config file: `limits`, `shutdown`, `workers`, `policies`, `realtime`, …."""
        for name, value in settings.items():
            endpoints = self._written.get("realtime", {}).get("endpoints", {}) if name == "realtime" else {}
            # Those that `endpoint` has added stay.
            if endpoints and isinstance(value, Mapping):
                value = {**value, "endpoints": {**endpoints, **value.get("endpoints", {})}}
            self._written[name] = value
            self._calls[name] = _caller()
        return self

    def _write(self, part: str, name: str, value: dict[str, Any]) -> Self:
        """Writes one named thing of a part; what the caller gave to `configure` is not changed."""
        above: dict[str, Any] = self._written
        *outer, last = part.split(".")
        for key in outer:
            above[key] = dict(above.get(key, {}))
            above = above[key]
        named = above[last] = dict(above.get(last, {}))
        if name in named:
            raise ValueError(f"{part}.{name} stands there already")
        named[name] = value
        self._calls[dotted((*part.split("."), name))] = _caller()
        return self

    @contextmanager
    def _calls_named(self) -> Iterator[None]:
        """Findings in what Python wrote get the file and line of the call that wrote it."""
        try:
            yield
        except ConfigError as error:
            raise ConfigError([self._named(finding) for finding in error.findings]) from None

    def _named(self, finding: Finding) -> Finding:
        if finding.file != _ORIGIN:
            return finding
        above = (call for call in self._calls if finding.path == call or finding.path.startswith(f"{call}."))
        best = max(above, key=len, default=None)
        if best is None:
            return finding
        file, line = self._calls[best]
        return replace(finding, file=file, line=line)

    @overload
    def on_request(self, hook: _H, /) -> _H: ...
    @overload
    def on_request(self, /, *, routes: Iterable[str] | None = None) -> Callable[[_H], _H]: ...
    def on_request(self, hook: _H | None = None, /, *, routes: Iterable[str] | None = None) -> _H | Callable[[_H], _H]:
        """Registers a hook that sees requests before a target is chosen; usable bare or with arguments.

        Hooks run in the order they were registered, on one thread. `None` goes on, a `Response` answers; an exception
        answers 500 and is logged. A hook that waits holds up every other hook, but never a route without one.

        Args:
            hook: Takes a `Request`, returns `None` or a `Response`.
            routes: Names of the routes it runs on; `None`: all. Unknown names are a `ConfigError` at the start.

        Raises:
            TypeError: it is no function of one argument, or it is `async def`, which comes in a later version.
        """
        if isinstance(routes, str):
            raise TypeError(f"routes is a list of names: write routes=[{routes!r}]")
        names = None if routes is None else frozenset(routes)

        def register(hook: _H) -> _H:
            _check_hook(hook)
            with self._lock:
                if self._runtime is not None:
                    raise FastgateError("the gateway runs already: register hooks before it starts")
                self._hooks.append((hook, names))
            return hook

        return register if hook is None else register(hook)

    def load(self) -> Loaded:
        """Reads and checks the config as it stands now.

        Raises:
            ConfigError: every fault, with its place.
        """
        with self._calls_named():
            if self._files:
                overrides = [self._written] if self._written else []
                return load(*self._files, overrides=overrides, origin=_ORIGIN, allow_literal_secrets=self._literal)
            return from_mapping(self._written, _ORIGIN, allow_literal_secrets=self._literal)

    def check(self) -> None:
        """Checks everything that a start would, the engine's own checks included. Raises `ConfigError`."""
        with self._calls_named():
            validate(self._compile()[0])

    def _compile(self) -> tuple[Snapshot, dict[str, Sequence[Hook]]]:
        loaded = self.load()
        snapshot = compile(loaded, hooks=self._hooked(), secrets=True)
        return snapshot, self._chains(snapshot.routes)

    def start(self) -> Self:
        """Starts the engine and returns once every listener accepts.

        Raises:
            ConfigError: the config cannot be run.
            StartError: the system refuses, a port that is taken for one.
        """
        runtime = self._claim()
        try:
            with self._calls_named():
                runtime.start()
        except BaseException:
            self._release()
            raise
        return self

    def _claim(self) -> Runtime:
        with self._lock:
            if self._runtime is not None:
                raise FastgateError("the gateway runs already")
            self._runtime = Runtime(self._recipe(), hooks=self._chains, channels=self.channels)
            return self._runtime

    def _recipe(self) -> Recipe:
        return Recipe(
            files=tuple(os.fspath(path) for path in self._files),
            overrides=(self._written,) if self._written or not self._files else (),
            origin=_ORIGIN,
            allow_literal_secrets=self._literal,
            hooks=self._hooked(),
        )

    def _hooked(self) -> tuple[str, ...]:
        """Routes that have hooks; "*" where a hook is for all."""
        named = sorted({name for _, names in self._hooks for name in names or ()})
        return (*named, "*") if any(names is None for _, names in self._hooks) else tuple(named)

    def _chains(self, routes: Sequence[str]) -> dict[str, Sequence[Hook]]:
        """For every route that has hooks those hooks, in order."""
        chains = {
            route: tuple(hook for hook, names in self._hooks if names is None or route in names) for route in routes
        }
        return {route: chain for route, chain in chains.items() if chain}

    def reload(self) -> None:
        """Reads the config again and swaps it in; on any error the old one stays. Raises as `start` does."""
        if (error := self._live().reload().error) is not None:
            raise error

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends now, in-flight requests included; returns whether every thread ended within `timeout` seconds each.

        Without a running engine nothing is done. Only a hook that does not return can outlive it.
        """
        runtime = self._release()
        return runtime is None or runtime.stop(timeout)

    def run(self, ready: Callable[[Runtime], None] | None = None) -> None:
        """Runs in the foreground: SIGTERM and SIGINT drain, a second one ends now, SIGHUP reloads.

        Args:
            ready: Called once every listener accepts.

        Raises:
            ConfigError, StartError: as `start`; a reload that fails is logged, and the old config stays.
        """
        runtime = self._claim()
        try:
            with self._calls_named():
                runtime.run(ready)
        finally:
            self._release()

    def _release(self) -> Runtime | None:
        with self._lock:
            runtime, self._runtime = self._runtime, None
        return runtime

    def _live(self) -> Runtime:
        runtime = self._runtime
        if runtime is None:
            raise FastgateError("the gateway does not run")
        return runtime

    @property
    def addresses(self) -> dict[str, str]:
        """Every listener's name and the address it is bound to. Raises `FastgateError` when it does not run."""
        return self._live().addresses

    def stats(self) -> dict[str, Any]:
        """The engine's counters. Raises `FastgateError` when it does not run."""
        return self._live().stats()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _caller() -> tuple[str, int]:
    """The file and line that called into this module."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return ("", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def _check_hook(hook: object) -> None:
    name = getattr(hook, "__qualname__", repr(hook))
    if not callable(hook):
        raise TypeError(f"on_request takes a function of one argument, not {type(hook).__name__}")
    inner = hook if inspect.isroutine(hook) else getattr(hook, "__call__", hook)  # noqa: B004
    for function in (inspect.unwrap(hook), inner):
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{name} is async: on_request hooks are plain functions in this version, asynchronous ones come later"
            )
    try:
        inspect.signature(hook).bind(None)
    except TypeError as error:
        raise TypeError(f"{name} must take one argument, the request: {error}") from None
    except ValueError:
        pass  # a builtin without a signature

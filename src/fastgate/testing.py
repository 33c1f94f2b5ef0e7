"""serve(): a gateway on a free port, for tests; pytest's fixture `fastgate_serve` is the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fastgate import config
from fastgate.config.snapshot import Snapshot
from fastgate.errors import StartError
from fastgate.gateway import Gateway
from fastgate.runtime import Runtime
from fastgate.runtime.running import Hooks

STOP_WAIT = 10.0
"""Seconds that the engine's threads have for their end."""


class Served:
    """A running gateway of a test."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    @property
    def addresses(self) -> dict[str, str]:
        """The bound address of each listener, by name."""
        return self.runtime.addresses

    @property
    def url(self) -> str:
        """http://HOST:PORT of the first listener that is not a Unix socket, or https where it has TLS.

        Raises StartError where there is none.
        """
        for name, address in self.addresses.items():
            if not address.startswith("unix:"):
                return f"{'https' if name in self.runtime.snapshot.secure else 'http'}://{address}"
        raise StartError("every listener is a Unix socket: there is no URL")

    def reload(self) -> None:
        """Reads files again, or takes what was added to the Gateway; ports stay. Raises what a reload raises."""
        if (error := self.runtime.reload().error) is not None:
            raise error

    def stats(self) -> dict[str, Any]:
        """The engine's counters."""
        return self.runtime.stats()


@contextmanager
def serve(gateway: Gateway | Mapping[str, Any] | str | os.PathLike[str]) -> Iterator[Served]:
    """Runs a Gateway, a config file or a config as a mapping; every TCP listener gets a free port of 127.0.0.1.

    Signals, the terminal and the application's logging are left alone: what the engine and the hooks have to say goes
    to the loggers below `fastgate`, where `caplog` finds it. At the end connections are cut and the engine's threads
    are waited for. Raises ConfigError or StartError.
    """

    def load() -> tuple[Snapshot, Hooks]:
        if isinstance(gateway, Gateway):
            snapshot, hooks = gateway._compile()
            return on_free_ports(snapshot), hooks
        loaded = config.from_mapping(gateway) if isinstance(gateway, Mapping) else config.load(gateway)
        return on_free_ports(config.compile(loaded, secrets=True)), {}

    runtime = Runtime(load, channels=gateway.channels if isinstance(gateway, Gateway) else None)
    runtime.start()
    try:
        yield Served(runtime)
    except BaseException:
        runtime.stop(STOP_WAIT)  # what the test raised says more than an end that took too long
        raise
    if not runtime.stop(STOP_WAIT):
        raise StartError(f"the gateway did not end within {STOP_WAIT:g} s: a hook that does not return?")


def on_free_ports(snapshot: Snapshot) -> Snapshot:
    """The same snapshot with every TCP listener, admin's and metrics' too, on a free port of 127.0.0.1."""
    plain = json.loads(snapshot.data)
    for listener in (*plain["listeners"], *plain.get("internal", ())):
        if not listener["bind"].startswith("unix:"):
            listener["bind"] = "127.0.0.1:0"
    return replace(snapshot, data=json.dumps(plain, ensure_ascii=False).encode())

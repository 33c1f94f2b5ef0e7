"""What routes are called: those of `routes` by their name, an endpoint's by its path in the config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastgate.config.source import KeyPath

if TYPE_CHECKING:
    from fastgate.config.models import Config

ENDPOINTS: KeyPath = ("realtime", "endpoints")


def endpoint_names(realtime: Any) -> Iterator[str]:
    """What endpoints are called among the routes: `realtime.endpoints.NAME`."""
    for name in realtime.endpoints if realtime is not None else ():
        yield f"realtime.endpoints.{name}"


def route_path(name: str, config: Config) -> KeyPath:
    """The path in the config of a route, which may be an endpoint's."""
    endpoint = name.removeprefix("realtime.endpoints.")
    if endpoint != name and name not in config.routes:
        return (*ENDPOINTS, endpoint)
    return ("routes", name)


def route_names(config: Config) -> set[str]:
    """The names of all routes, those of endpoints (`realtime.endpoints.NAME`) among them."""
    return {*config.routes, *endpoint_names(config.realtime)}

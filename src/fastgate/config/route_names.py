"""What routes are called: those of `routes` by their name, an endpoint's and the publish API's by what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastgate.config.source import KeyPath

if TYPE_CHECKING:
    from fastgate.config.models import Config

ENDPOINTS: KeyPath = ("realtime", "endpoints")
PUBLISHERS: KeyPath = ("realtime", "api_keys")
API_CALLS = {"realtime.api.publish": "publish", "realtime.api.broadcast": "broadcast"}
"""The routes of the publish API, which `realtime.api_keys` brings, and what each takes."""


def endpoint_names(realtime: Any) -> Iterator[str]:
    """What endpoints are called among the routes: `realtime.endpoints.NAME`."""
    for name in realtime.endpoints if realtime is not None else ():
        yield f"realtime.endpoints.{name}"


def route_path(name: str, config: Config) -> KeyPath:
    """The path in the config of a route, which may be an endpoint's, or the publish API's."""
    endpoint = name.removeprefix("realtime.endpoints.")
    if endpoint != name and name not in config.routes:
        return (*ENDPOINTS, endpoint)
    if name in API_CALLS and name not in config.routes:
        return PUBLISHERS
    return ("routes", name)


def route_names(config: Config) -> set[str]:
    """The names of all routes, those of endpoints (`realtime.endpoints.NAME`) among them."""
    return {*config.routes, *endpoint_names(config.realtime)}

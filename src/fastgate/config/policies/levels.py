"""The levels that policies stand at: gateway, service, route; the nearest one speaks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastgate.config.models import Config, Policies, Route
from fastgate.config.source import KeyPath


def levels(config: Config, route: Route) -> tuple[tuple[KeyPath | None, Policies | None], ...]:
    """The levels of policies of a route, nearest first; None stands for the path of the route itself."""
    top = (("policies",), config.policies)
    if route.service is None:
        return (None, route.policies), top
    service = config.services[route.service].policies
    return (None, route.policies), (("services", route.service, "policies"), service), top


def policy(config: Config, route: Route, name: str) -> Any:
    """A route's policy of that name; None: no level has one."""
    return nearest((policies for _, policies in levels(config, route)), name)


def nearest(found_at: Iterable[Policies | None], name: str) -> Any:
    """The policy of that name at the first level that has one."""
    for policies in found_at:
        if policies is not None and (found := getattr(policies, name)) is not None:
            return found
    return None


def policy_path(config: Config, base: KeyPath, route: Route, name: str) -> KeyPath:
    """Where a route's policy of that name stands in the config."""
    own: KeyPath = (*base, "policies")
    for path, policies in levels(config, route):
        if policies is not None and getattr(policies, name) is not None:
            return (*(path or own), name)
    return (*own, name)

"""Warnings: keys of a later version, and what their absence means."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastgate.config.findings import Draft
from fastgate.config.models import Config, Model, Route
from fastgate.config.models.services import Service, Target
from fastgate.config.policies.levels import nearest
from fastgate.config.realtime_values import IDENTITY, captures
from fastgate.config.secrets import Secret
from fastgate.config.source import KeyPath

_MEANING = {
    "tokens": "subscribers connect WITHOUT TOKENS",
}


def warnings(config: Config, routes: Mapping[str, Route]) -> list[Draft]:
    """One warning for each key in use that this version does not read yet, in the config and in these routes."""
    drafts: list[Draft] = []
    _model(config, (), drafts)
    for name, listener in config.listeners.items():
        _model(listener, ("listeners", name), drafts)
    for name, service in config.services.items():
        _model(service, ("services", name), drafts)
        _balance(service, ("services", name), drafts)
        if service.policies is not None:
            _model(service.policies, ("services", name, "policies"), drafts)
    drafts += route_warnings(routes)
    _unreached(config, drafts)
    if config.policies is not None:
        _model(config.policies, ("policies",), drafts)
    if config.logs is not None:
        _model(config.logs, ("logs",), drafts)
    if config.realtime is not None:
        _model(config.realtime, ("realtime",), drafts)
        _endpoints(config, drafts)
    return drafts


def route_warnings(routes: Mapping[str, Route]) -> list[Draft]:
    """The same for some routes alone."""
    drafts: list[Draft] = []
    for name, route in routes.items():
        _model(route, ("routes", name), drafts)
        if route.policies is not None:
            _model(route.policies, ("routes", name, "policies"), drafts)
    return drafts


def _unreached(config: Config, drafts: list[Draft]) -> None:
    listeners = config.listeners.values()
    if config.routes and listeners and not any(one.only is None or "http" in one.only for one in listeners):
        drafts.append(Draft(("routes",), "no listener serves http: none of them is reached", "key", "warning"))


def _endpoints(config: Config, drafts: list[Draft]) -> None:
    realtime: Any = config.realtime
    for name, endpoint in realtime.endpoints.items():
        path: KeyPath = ("realtime", "endpoints", name)
        if endpoint.policies is not None:
            _model(endpoint.policies, (*path, "policies"), drafts)
        known = nearest((endpoint.policies, config.policies), "auth")
        for number, channel in enumerate(endpoint.channels):
            if not known and IDENTITY in captures(channel):
                message = (
                    f"{{{IDENTITY}}} is who the client is, and nobody asks: this endpoint has no policy `auth`, "
                    "and answers 401"
                )
                drafts.append(Draft((*path, "channels", number), message, "value", "warning", found=channel))


def literal_secrets(model: Model, path: KeyPath = ()) -> list[Draft]:
    """One warning for each secret that stands in the config itself."""
    drafts: list[Draft] = []

    def visit(value: Any, here: KeyPath) -> None:
        if isinstance(value, Secret) and value.literal:
            message = "a secret is written here in plain text; allowed: env:NAME or file:/path"
            drafts.append(Draft(here, message, "value", "warning", found="a literal"))
        elif isinstance(value, Model):
            for name, info in type(value).model_fields.items():
                visit(getattr(value, name), (*here, info.alias or name))
        elif isinstance(value, Mapping):
            for name, item in value.items():
                visit(item, (*here, name))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                visit(item, (*here, number))

    visit(model, path)
    return drafts


@cache
def _later(model: type[Model]) -> dict[str, str]:
    """The keys of a model that a later version reads, and how strongly to say so."""
    marks: dict[str, str] = {}
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and "x-later" in extra:
            marks[name] = str(extra["x-later"])
    return marks


def _model(model: Model, path: KeyPath, drafts: list[Draft]) -> None:
    marks = _later(type(model))
    for name in sorted(model.model_fields_set & marks.keys()):
        value: Any = getattr(model, name)
        if value is None or value is False:
            continue
        message = "not in this version, ignored"
        if marks[name] == "security":
            message = f"not in this version, ignored: {_MEANING[name]}"
        drafts.append(Draft((*path, name), message, "key", "warning", found=name))


def _balance(service: Service, path: KeyPath, drafts: list[Draft]) -> None:
    if service.balance != "round_robin":
        message = f"{service.balance} is not in this version, ignored: round_robin is used"
        drafts.append(
            Draft((*path, "balance"), message, "value", "warning", found=service.balance, nearest="round_robin")
        )
    for number, target in enumerate(service.targets):
        if isinstance(target, Target) and target.weight != 1:
            message = "not in this version, ignored: every target gets the same share"
            drafts.append(Draft((*path, "targets", number, "weight"), message, "key", "warning"))

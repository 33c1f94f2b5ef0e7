"""The typed config: every key of every level, each documented once."""

from __future__ import annotations

from typing import Annotated

from fastgate.config.models.base import Model, Name, OneOrMany, SecretText, Text, field
from fastgate.config.models.listeners import Listener
from fastgate.config.models.policies import Policies
from fastgate.config.models.process import Admin, Consumer, Control, Limits, Logs, Metrics, Realtime, Shutdown, Store
from fastgate.config.models.routes import Match, Route
from fastgate.config.models.services import Pool, Service, Timeouts
from fastgate.config.scalars import whole

__all__ = [
    "Config",
    "Limits",
    "Listener",
    "Match",
    "Model",
    "Policies",
    "Pool",
    "Route",
    "Service",
    "Shutdown",
    "Timeouts",
]


class Config(Model):
    """A whole config."""

    listeners: dict[Name, Listener] = field("Where clients connect; 0.0.0.0:8000 unless given.", {})
    services: dict[Name, Service] = field("Where requests go.", {})
    routes: dict[Name, Route] = field("Which request goes where.", {})
    policies: Policies | None = field("Policies of every route.")
    limits: Limits = field("Ceilings of the process.", Limits.model_construct())
    shutdown: Shutdown = field("How the process ends.", Shutdown.model_construct())
    workers: Annotated[int, whole(0, 1024)] = field("Worker threads; 0: the CPUs this process may use.", 0)
    include: OneOrMany[Text] | None = field("Further files, as patterns relative to this one.")
    control: Control | None = field("The control socket.", later="plain")
    admin: Admin | None = field("The admin listener.", later="plain")
    metrics: Metrics | None = field("The metrics listener.", later="plain")
    store: Store | None = field("State shared between processes.", later="plain")
    consumers: dict[Name, Consumer] | None = field("Who uses the gateway.", later="plain")
    realtime: Realtime | None = field("The hub.", later="plain")
    logs: Logs | None = field("Logs.")
    key_pepper: dict[Name, SecretText] | None = field("Secrets that API keys are hashed with.", later="plain")

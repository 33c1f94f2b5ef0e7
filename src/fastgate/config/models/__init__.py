"""The typed config: every key of every level, each documented once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from fastgate.config.models.base import Model, Name, OneOrMany, OrOff, Rare, SecretText, Text, field
from fastgate.config.models.ceilings import Limits, Shutdown
from fastgate.config.models.listeners import Listener
from fastgate.config.models.policies import Policies
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


if TYPE_CHECKING:
    # Never changed, and where there are many no plain dict: see config/routes.py.
    NamedRoutes: TypeAlias = Mapping[str, Route]
else:
    NamedRoutes = dict[Name, Route]


class Config(Model):
    """A whole config."""

    listeners: dict[Name, Listener] = field(
        "Where clients connect, by name.", {}, unset="one listener, named default, on 0.0.0.0:8000"
    )
    services: dict[Name, Service] = field("Where requests go, by name.", {})
    routes: NamedRoutes = field("Which request goes where, by name.", {})
    policies: Policies | None = field("Policies of every route.")
    limits: Limits = field("Ceilings of the process.", Limits.model_construct())
    shutdown: Shutdown = field("How the process ends.", Shutdown.model_construct())
    workers: Annotated[int, whole(0, 1024)] = field(
        "Worker threads, fixed at start; 0 takes the CPUs this process may use.", 0
    )
    include: OneOrMany[Text] | None = field(
        "Further files of the same level, as paths or patterns relative to this file.", example=["routes/*.yaml"]
    )
    reload: Annotated[Any, Rare("process", "Reload")] | None = field("How a running gateway takes a changed config.")
    control: Annotated[Any, Rare("process", "Control")] | None = field(
        "The control socket, over which the command line talks to a running gateway."
    )
    admin: OrOff[Annotated[Any, Rare("process", "Admin")]] | None = field(
        "The admin listener; false opens none.", unset="127.0.0.1:8002, or the next free port"
    )
    metrics: OrOff[Annotated[Any, Rare("process", "Metrics")]] | None = field(
        "The metrics listener; false opens none.", unset="127.0.0.1:8003, or the next free port"
    )
    store: Annotated[Any, Rare("realtime", "Store")] | None = field(
        "State shared between processes: the hub's channels.", unset="state stays in this process"
    )
    consumers: dict[Name, Annotated[Any, Rare("consumers", "Consumer")]] | None = field("Who uses the gateway.")
    realtime: Annotated[Any, Rare("realtime", "Realtime")] | None = field("The hub: subscribers by channel.")
    logs: Annotated[Any, Rare("process", "Logs")] | None = field("Logs.")
    key_pepper: dict[Name, SecretText] | None = field("Secrets that API keys are hashed with.")

"""`services`: named groups of targets, and how they are reached."""

from typing import Annotated, Any, Literal

from fastgate.config.models.base import Flag, Model, Rare, TargetUrl, Text, TextOrMap, field
from fastgate.config.models.policies import Policies
from fastgate.config.scalars import choice, duration, whole

Positive = Annotated[int, duration(1)]

BALANCES = ("round_robin", "weighted", "least_requests", "power_of_two", "hash", "latency", "priority")
Balance = Literal["round_robin", "weighted", "least_requests", "power_of_two", "hash", "latency", "priority"]


class Target(Model):
    """One target in its long form."""

    url: TargetUrl = field("http://HOST[:PORT], https://HOST[:PORT] or unix:/path.", required=True)
    weight: Annotated[int, whole(1, 1000)] = field("Its share of the requests, against the other targets.", 1)


class Timeouts(Model):
    """Time-outs of an exchange with a target."""

    connect: Positive | None = field(
        "Until the connection to a target stands.", unset="the service's, else 5s", example="5s"
    )
    response: Positive | None = field(
        "From the last byte of the request to the head of the answer.", unset="the service's, else 60s"
    )
    idle: Positive | None = field(
        "Without a byte either way while bodies or a tunnel flow.", unset="the service's, else 60s"
    )


class Pool(Model):
    """Connections to each target."""

    max_per_target: Annotated[int, whole(1, 1_000_000)] = field("Connections to one target, all workers together.", 256)
    idle: Positive = field("Age at which an unused connection is closed.", 60_000)


class Service(Model):
    """A named group of targets."""

    targets: list[TextOrMap[TargetUrl, Target]] = field(
        "At least one URL, as text or {url, weight}.", [], example=["http://127.0.0.1:9000", "http://127.0.0.1:9001"]
    )
    balance: Annotated[Balance, choice(*BALANCES)] = field("How a target is chosen.", "round_robin")
    timeouts: Timeouts = field("Time-outs of an exchange.", Timeouts.model_construct())
    pool: Pool = field("Connections to each target.", Pool.model_construct())
    health: Annotated[Any, Rare("resilience", "Health")] | None = field("Active health checks.", later="plain")
    outlier: Annotated[Any, Rare("resilience", "Outlier")] | None = field(
        "Leave out targets that fail real requests.", later="plain"
    )
    breaker: Annotated[Any, Rare("resilience", "Breaker")] | None = field(
        "A circuit breaker for each target.", later="plain"
    )
    retries: Annotated[Any, Rare("resilience", "Retries")] | None = field(
        "Try another target while nothing was answered.", later="plain"
    )
    tls: Annotated[Any, Rare("resilience", "ServiceTls")] | None = field("TLS to the targets whose URL is https.")
    asgi: Text | None = field(
        "An ASGI application in this process, module:attribute, in the place of targets.",
        later="plain",
        example="myproject.asgi:application",
    )
    allow_link_local: Flag = field("Allow targets in 169.254.0.0/16 and fe80::/10 (metadata services).", False)
    policies: Policies | None = field("Policies of every route to this service.")

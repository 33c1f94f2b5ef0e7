"""`services`: named groups of targets, and how they are reached."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastgate.config.models.base import Flag, Model, PathText, Percent, TargetUrl, Text, TextOrMap, field
from fastgate.config.models.policies import Policies
from fastgate.config.scalars import Kind, choice, duration, refuse, whole

Positive = Annotated[int, duration(1)]
Count = Annotated[int, whole(1, 1_000_000)]

BALANCES = ("round_robin", "weighted", "least_requests", "power_of_two", "hash", "latency", "priority")
Balance = Literal["round_robin", "weighted", "least_requests", "power_of_two", "hash", "latency", "priority"]


class Target(Model):
    """One target in its long form."""

    url: TargetUrl = field("http://HOST[:PORT] or unix:/path.", required=True)
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


class Health(Model):
    """Active health checks."""

    path: PathText = field("What is asked for.", required=True)
    every: Positive = field("Time between two checks.", 5_000)
    timeout: Positive = field("Time a check may take.", 2_000)
    unhealthy_after: Count = field("Failed checks in a row until a target is left out.", 3)
    healthy_after: Count = field("Good checks in a row until it is used again.", 2)


class Outlier(Model):
    """Leaving out targets that fail real requests."""

    consecutive_errors: Count = field("Failed requests in a row until a target is left out.", 5)
    eject_for: Positive = field("Time it is left out.", 30_000)


class Breaker(Model):
    """A circuit breaker for each target."""

    failures: Count = field("Failures in a row that open the circuit.", 5)
    open_for: Positive = field("Time until one request tries again.", 60_000)


def _when(value: Any) -> str | int:
    words = ("connect_failure", "timeout", "reset")
    if value in words or (type(value) is int and 400 <= value <= 599):
        return value  # type: ignore[no-any-return]
    raise refuse(value, f"{', '.join(words)} or a status from 400 to 599")


class Retries(Model):
    """Trying another target while nothing was answered."""

    attempts: Annotated[int, whole(1, 10)] = field("Tries after the first one.", 1)
    when: list[Annotated[str | int, Kind(_when, "connect_failure, timeout, reset or a status", {})]] = field(
        "What leads to another try.", ["connect_failure"]
    )
    budget: Percent = field("The most that retries may add to the requests of a service.", 20.0)


class ServiceTls(Model):
    """TLS to the targets."""

    ca: Text | None = field(
        "Path of the authorities to trust (PEM).", unset="the system's", example="/etc/fastgate/targets.pem"
    )
    cert: Text | None = field("Path of a client certificate (PEM).", example="/etc/fastgate/client.crt")
    key: Text | None = field("Path of its key (PEM).", example="/etc/fastgate/client.key")
    server_name: Text | None = field("The name to ask for and to verify.", unset="the target's", example="api.internal")
    verify: Flag = field("Verify the target's certificate.", True)


class Service(Model):
    """A named group of targets."""

    targets: list[TextOrMap[TargetUrl, Target]] = field(
        "At least one URL, as text or {url, weight}.", [], example=["http://127.0.0.1:9000", "http://127.0.0.1:9001"]
    )
    balance: Annotated[Balance, choice(*BALANCES)] = field("How a target is chosen.", "round_robin")
    timeouts: Timeouts = field("Time-outs of an exchange.", Timeouts.model_construct())
    pool: Pool = field("Connections to each target.", Pool.model_construct())
    health: Health | None = field("Active health checks.", later="plain")
    outlier: Outlier | None = field("Leave out targets that fail real requests.", later="plain")
    breaker: Breaker | None = field("A circuit breaker for each target.", later="plain")
    retries: Retries | None = field("Try another target while nothing was answered.", later="plain")
    tls: ServiceTls | None = field("TLS to the targets.", later="security")
    asgi: Text | None = field(
        "An ASGI application in this process, module:attribute, in the place of targets.",
        later="plain",
        example="myproject.asgi:application",
    )
    allow_link_local: Flag = field("Allow targets in 169.254.0.0/16 and fe80::/10 (metadata services).", False)
    policies: Policies | None = field("Policies of every route to this service.")

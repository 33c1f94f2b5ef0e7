"""What a service does about targets that fail, and TLS to them; loaded when a config uses it."""

from typing import Annotated, Any

from fastgate.config.models.base import Flag, Model, PathText, Percent, Text, field
from fastgate.config.scalars import Kind, duration, nearest_word, refuse, whole

Positive = Annotated[int, duration(1)]
Count = Annotated[int, whole(1, 1_000_000)]


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
    nearest = nearest_word(value, words) if isinstance(value, str) else None
    raise refuse(value, f"{', '.join(words)} or a status from 400 to 599", nearest=nearest)


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
    verify: Flag = field("Verify the target's certificate; `false` trusts whoever answers.", True)

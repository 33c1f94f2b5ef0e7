"""How often, and how many at once; loaded when a config uses it."""

from typing import Annotated, Any, Literal

from fastgate.config.limit_values import COST, PER, STEP, SYNC
from fastgate.config.models.base import Duration, Flag, Model, OneOrMany, Rate, field
from fastgate.config.models.policies import Policy
from fastgate.config.scalars import choice, whole

Count = Annotated[int, whole(1, 1_000_000_000)]
Calendar = Annotated[Literal["minute", "hour", "day", "month"], choice("minute", "hour", "day", "month")]
StoreFailure = Annotated[Literal["local", "allow", "deny"], choice("local", "allow", "deny")]
Part = Annotated[Any, PER]


class Limit(Model):
    """One rate, or one quota."""

    rate: Rate = field("How many in which time.", required=True)
    burst: Count | None = field("How many at once.", unset="as many as the rate's number")
    per: OneOrMany[Part] | None = field(
        "What has a count of its own: consumer, client_ip (IPv6: its /64), tenant, key, subject, route, header:NAME, "
        "claim:PATH, or several of them together.",
        unset="all requests together",
        example="consumer",
    )
    cost: Annotated[Any, COST] = field("How much a request counts; by header or claim at least 1.", 1)
    dry_run: Flag = field("Count and report, let pass.", False)
    calendar: Calendar | None = field("A quota by minutes, hours, days or months of the calendar, in UTC.")
    rolling: Flag = field("A quota of any stretch of time that long.", False)
    then: list[Annotated[Any, STEP]] = field(
        "What happens over the limit, in order, each delay for one burst more.",
        [],
        example=["delay 200ms", "deny 10m"],
    )
    headers: Flag = field("Answers that pass say how much is left (RateLimit, RateLimit-Policy).", False)
    legacy_headers: Flag = field("X-RateLimit-Limit, -Remaining and -Reset, too.", False)
    keys_per_address: Annotated[int, whole(1, 1_000_000)] = field(
        "With header or claim in per: one client address may use as much as so many keys.", 10
    )
    sync: Annotated[Any, SYNC] | None = field(
        "How processes count together: exact asks the store for every request, a time leases shares for so long, local "
        "is each for itself.",
        unset="exact with a store, else local",
    )
    on_store_failure: StoreFailure | None = field("What counts while the store is down.", unset="local")


class Concurrency(Policy):
    """Requests at the same time."""

    max: Count = field("Requests at once.", required=True)
    queue: Annotated[int, whole(0, 1_000_000)] = field("Requests that may wait.", 0)
    wait: Duration | None = field("How long one may wait.", unset="5s")
    per: OneOrMany[Part] | None = field(
        "What has places of its own, in the words of limits.", unset="all requests together", example="consumer"
    )

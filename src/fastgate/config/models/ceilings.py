"""`limits` and `shutdown`: ceilings of the process, and how it ends."""

from typing import Annotated

from fastgate.config.models.base import ByteRate, Duration, Model, Rate, field
from fastgate.config.scalars import duration, size, whole


class Limits(Model):
    """Ceilings of the process."""

    max_connections: Annotated[int, whole(1, 10_000_000)] | None = field(
        "Client connections open at once.", unset="as many as one descriptor table holds", example=120000
    )
    headers: Annotated[int, size(1024, 1 << 20)] = field("Bytes of a request head, request line included.", 32 * 1024)
    header_count: Annotated[int, whole(1, 1000)] = field("Field lines of a request head.", 100)
    uri: Annotated[int, size(64, 1 << 20)] = field("Bytes of a request target.", 8 * 1024)
    header_timeout: Annotated[int, duration(100)] = field("Time a client has for a whole head.", 10_000)
    write_stall: Annotated[int, duration(100)] = field(
        "Time without progress after which a peer that does not read is dropped.", 30_000
    )
    body_min_rate: ByteRate = field(
        "Rate below which a request body is too slow, after its first 10 seconds; 0 for none.", 100
    )
    connection_age: Annotated[int, duration(1000)] = field(
        "Age at which a keep-alive connection is closed with an answer.", 3_600_000
    )
    accept_rate: Rate | None = field("Accepted connections, each worker.", unset="no limit", example="1000/s")


class Shutdown(Model):
    """How the process ends."""

    notice: Duration = field("Time between readiness going down and the listeners closing.", 0)
    limit: Duration = field("Time in-flight requests have before they are cut.", 30_000)

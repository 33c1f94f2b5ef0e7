"""Limits and concurrency in the engine's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastgate.config.models.limits import Concurrency, Limit
from fastgate.config.policies import Context, Plain
from fastgate.config.units import format_duration, format_rate

_CALENDAR = {"minute": 60, "hour": 3_600, "day": 86_400, "month": 2_592_000}
_WAIT_MS = 5_000
# What a rate has to bring in a sync interval to be leased, as the engine has it.
_LEASED = 10


def limits(value: Mapping[str, Limit], cx: Context) -> list[Plain]:
    """The limits of one level, in the order of the config."""
    return [_limit(name, limit, cx) for name, limit in value.items()]


def concurrency(value: Concurrency, cx: Context) -> Plain:
    """How many at once, at one level."""
    return {
        "scope": _scope(cx),
        "max": value.max,
        "queue": value.queue,
        "wait_ms": _WAIT_MS if value.wait is None else value.wait,
        "per": _parts(value.per),
    }


def _limit(name: str, limit: Limit, cx: Context) -> Plain:
    count, seconds = limit.rate
    window = "rolling" if limit.rolling else limit.calendar or "flowing"
    if limit.calendar is not None:
        if limit.rolling:
            cx.fault((name, "rolling"), "found calendar and rolling; allowed: one of them")
        if (unit := _CALENDAR[limit.calendar]) != seconds:
            message = f"found {limit.calendar} with {format_rate(count, seconds)}; allowed: a rate such as "
            cx.fault((name, "calendar"), message + format_rate(count, unit))
    if limit.burst is not None and window != "flowing":
        cx.fault((name, "burst"), "a quota has no burst; allowed: burst without calendar and rolling")
    if any("deny" in step for step in limit.then[:-1]):
        cx.fault((name, "then"), "found a step after a deny; allowed: deny as the last step")
    cost = limit.cost
    return {
        "name": name,
        "scope": _scope(cx),
        "count": count,
        "window_ms": seconds * 1_000,
        "burst": limit.burst or count,
        "per": _parts(limit.per),
        "cost": cost if isinstance(cost, int) else 1,
        "cost_from": None if isinstance(cost, int) else cost,
        "dry_run": limit.dry_run,
        "window": window,
        "then": limit.then,
        "sync_ms": sync(limit, cx.book.store),
        "on_store_failure": limit.on_store_failure or "local",
        "headers": limit.headers,
        "legacy_headers": limit.legacy_headers,
        "keys_per_address": limit.keys_per_address,
    }


def sync(limit: Limit, store: bool) -> int | None:
    """How often the store is asked, in milliseconds, 0 for every request; None: never."""
    if limit.sync is None:
        return 0 if store else None
    return None if limit.sync == "local" else int(limit.sync)


def counted(limit: Limit, store: bool) -> str:
    """Where and how a limit is counted, in words."""
    ms = sync(limit, store)
    if ms is None:
        return "counted in this process"
    count, seconds = limit.rate
    flows = not (limit.rolling or limit.calendar or limit.then)
    leased = flows and count * ms // (seconds * 1_000) >= _LEASED
    how = f"by leases of {format_duration(ms)}" if leased else "exactly"
    return f"counted in the store {how}; while it is down: {limit.on_store_failure or 'local'}"


def _parts(per: Any) -> list[Any]:
    return [] if per is None else per if isinstance(per, list) else [per]


def _scope(cx: Context) -> str:
    """Where it stands, so that the same name elsewhere is another count."""
    return "/".join(str(key) for key in cx.path[:-1] if key != "policies")

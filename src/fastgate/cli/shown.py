"""What a gateway says of itself (`Runtime.status`), as lines for people; `top` shows the same with rates."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from fastgate.cli.client import finding
from fastgate.cli.paint import BOLD, DIM, GREEN, RED, YELLOW, bytes_, colours, count, micros, paint, span, table

Plain = Mapping[str, Any]
_STATES = {"ready": GREEN, "starting": YELLOW, "draining": YELLOW}
_SHOWN_ERRORS = 5


def status_lines(status: Plain, on: bool | None = None, before: Plain | None = None) -> Iterator[str]:
    """All of it; with the status `before`, counts come with their rates since then."""
    on = colours() if on is None else on
    yield from _head(status, on)
    yield from config_lines(status.get("config") or {}, on)
    yield from _facts(status, before)
    yield from service_lines(status, on, before)


def _head(status: Plain, on: bool) -> Iterator[str]:
    state = str(status.get("state", "unknown"))
    up = span(float(status.get("uptime_seconds", 0)))
    name = paint(f"fastgate {status.get('version', '')}", BOLD, on)
    yield f"{name}  {paint(state, _STATES.get(state, RED), on)}  up {up}  pid {status.get('pid', '-')}"
    for reason in _reasons(status.get("health") or {}):
        yield f"  {paint(reason, YELLOW, on)}"


def _reasons(health: Plain) -> list[str]:
    """Why a gateway is not healthy, in the words of /healthz."""
    return [str(one) for one in health.get("reasons") or ()]


def config_lines(config: Plain, on: bool) -> Iterator[str]:
    """The config that runs, and what became of the last reload."""
    files = ", ".join(str(one) for one in config.get("files") or ()) or "no file"
    parts = [files]
    if (loaded := config.get("loaded_at")) is not None:
        parts.append(f"loaded {moment(loaded)}")
    if (generation := config.get("generation")) is not None:
        parts.append(f"generation {generation}")
    yield f"config       {', '.join(parts)}"
    last = config.get("last_reload")
    if not last:
        return
    ago = f"{span(max(0.0, time.time() - float(last['at'])))} ago" if isinstance(last.get("at"), (int, float)) else ""
    if last.get("ok"):
        yield f"last reload  {ago}, took {1000 * float(last.get('seconds', 0)):.0f} ms"
        return
    errors = last.get("errors") or []
    text = f"FAILED {ago}: {len(errors)} error{'s' * (len(errors) != 1)}, the old config goes on"
    yield f"last reload  {paint(text, RED, on)}"
    for one in errors[:_SHOWN_ERRORS]:
        yield f"  {finding(dict(one)) if isinstance(one, Mapping) else one}"
    if len(errors) > _SHOWN_ERRORS:
        yield f"  and {len(errors) - _SHOWN_ERRORS} more"


def moment(value: object) -> str:
    """A moment, given as seconds since 1970 or as text."""
    if isinstance(value, (int, float)):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
    return str(value)


def _facts(status: Plain, before: Plain | None) -> Iterator[str]:
    stats: Plain = status.get("stats") or {}
    earlier: Plain | None = (before or {}).get("stats")
    seconds = _between(status, before)
    listeners = status.get("listeners") or {}
    if listeners:
        shown = [f"{name} {_address(one)}" for name, one in listeners.items()]
        yield f"listeners    {'   '.join(shown)}"
    yield from _certificates((status.get("health") or {}).get("checks", {}).get("tls") or {})
    yield f"workers      {status.get('workers', stats.get('workers', '-'))}"
    accepted = stats.get("accepted", 0)
    line = f"connections  {count(stats.get('connections', 0))} open, {count(accepted)} accepted"
    line += _rate(accepted, (earlier or {}).get("accepted"), seconds)
    if turned := stats.get("turned_away"):
        line += f", {count(turned)} turned away"
    yield line
    answers: Plain = stats.get("answers") or {}
    old: Plain = (earlier or {}).get("answers") or {}
    total, was = sum(answers.values()), sum(old.values()) if earlier else None
    parts = [f"{count(total)} answered{_rate(total, was, seconds)}"]
    parts.extend(
        f"{name} {count(number)}{_rate(number, old.get(name, 0) if earlier else None, seconds)}"
        for name, number in answers.items()
        if number
    )
    yield f"requests     {'   '.join(parts)}"
    if tunnels := stats.get("tunnels"):
        yield f"tunnels      {count(tunnels)} opened"
    if isinstance(moved := stats.get("bytes"), Mapping):
        parts = [f"{name} {bytes_(n)}" for name, n in moved.items() if isinstance(n, (int, float))]
        if parts:
            yield f"bytes        {'   '.join(parts)}"
    for word in ("faults", "refused"):
        if some := stats.get(word):
            yield f"{word:<13}{'   '.join(f'{name} {count(number)}' for name, number in some.items())}"
    yield from _realtime(stats, earlier, seconds)
    yield from _access_log(stats, earlier, seconds)


def _certificates(tls: Plain) -> Iterator[str]:
    """Each listener's certificates: for whom, and until when."""
    rows = []
    for listener, certificates in (tls.get("listeners") or {}).items():
        for one in certificates:
            names = ", ".join(one["names"]) or "no name"
            if more := one.get("more_names"):
                names += f" and {more} more"
            left = one["not_after"] - time.time()
            until = time.strftime("%Y-%m-%d", time.gmtime(one["not_after"]))
            rows.append(
                [listener, names, f"until {until}", f"{span(left)} left" if left > 0 else "EXPIRED", one["file"]]
            )
    for number, line in enumerate(table(rows)):
        yield f"{'certificates' if number == 0 else '':<13}{line}"


def _realtime(stats: Plain, earlier: Plain | None, seconds: float) -> Iterator[str]:
    """The hub in figures; nothing while nobody has ever subscribed."""
    hub: Plain = stats.get("realtime") or {}
    old: Plain | None = (earlier or {}).get("realtime")
    if not hub.get("connections_total") and not hub.get("subscriptions"):
        return
    open_ = hub.get("connections") or {}
    kinds = ", ".join(f"{name} {count(n)}" for name, n in open_.items() if n)
    line = f"realtime     {count(sum(open_.values()))} subscribers{f' ({kinds})' if kinds else ''}"
    yield f"{line}, {count(hub.get('subscriptions', 0))} subscriptions to {count(hub.get('channels', 0))} channels"
    parts = []
    for name, key in (("published", "publications"), ("delivered", "deliveries"), ("dropped", "drops")):
        now, was = _sum(hub.get(key)), _sum(old.get(key)) if old is not None else None
        if now or name == "delivered":
            parts.append(f"{name} {count(now)}{_rate(now, was, seconds)}")
    reasons = [f"{name} {count(n)}" for name, n in (hub.get("drops") or {}).items() if n]
    if reasons:
        parts[-1] += f": {', '.join(reasons)}"
    parts.append(f"queued {bytes_(hub.get('queued_bytes', 0))}")
    if hub.get("deliveries"):
        lag = hub.get("lag") or {}
        parts.append(f"lag p50 {micros(lag.get('p50_us'))} p99 {micros(lag.get('p99_us'))}")
    yield f"             {'   '.join(parts)}"


def _sum(value: object) -> float:
    return sum(value.values()) if isinstance(value, Mapping) else value if isinstance(value, (int, float)) else 0


def _access_log(stats: Plain, earlier: Plain | None, seconds: float) -> Iterator[str]:
    """What became of the access log's lines; nothing while there were none."""
    log: Plain = stats.get("access_log") or {}
    old: Plain = (earlier or {}).get("access_log") or {}
    written, dropped = log.get("written", 0), log.get("dropped") or {}
    lost = sum(dropped.values())
    if not written and not lost:
        return
    line = f"access log   {count(written)} lines{_rate(written, old.get('written', 0) if earlier else None, seconds)}"
    if lost:
        was = sum((old.get("dropped") or {}).values()) if earlier else None
        reasons = ", ".join(f"{name.replace('_', ' ')} {count(n)}" for name, n in dropped.items() if n)
        line += f", {count(lost)} dropped{_rate(lost, was, seconds)}: {reasons}"
    yield line


def _address(one: object) -> str:
    return str(one.get("address", one)) if isinstance(one, Mapping) else str(one)


def _between(status: Plain, before: Plain | None) -> float:
    if before is None:
        return 0.0
    return max(0.001, float(status.get("uptime_seconds", 0)) - float(before.get("uptime_seconds", 0)))


def _rate(now: float, was: float | None, seconds: float) -> str:
    return f" ({count((now - was) / seconds)}/s)" if was is not None and seconds else ""


def service_lines(status: Plain, on: bool, before: Plain | None = None) -> Iterator[str]:
    """Each service with its latency, and its targets below it."""
    services: Plain = (status.get("stats") or {}).get("services") or {}
    if not services:
        return
    earlier: Plain = ((before or {}).get("stats") or {}).get("services") or {}
    seconds = _between(status, before)
    rows = [["SERVICE", "REQUESTS", *(["RATE"] if before else []), "P50", "P95", "P99", "OWN P50", "OWN P99"]]
    below: dict[int, list[str]] = {}
    for name, one in services.items():
        number = one.get("count", 0)
        row = [name, count(number)]
        if before:
            was = earlier.get(name, {}).get("count", 0)
            row.append(f"{count((number - was) / seconds)}/s")
        row.extend(micros(_quantile(one, "total", key) if number else None) for key in ("p50_us", "p95_us", "p99_us"))
        row.extend(micros(_quantile(one, "own", key) if number else None) for key in ("p50_us", "p99_us"))
        rows.append(row)
        targets = one.get("targets") or []
        shown = [_target(target) for target in targets]
        below[len(rows) - 1] = [paint(line, DIM, on) for line in table(shown, indent="  ")]
    lines = table(rows, right=frozenset(range(1, len(rows[0]))))
    yield ""
    for number, line in enumerate(lines):
        yield paint(line, BOLD, on) if number == 0 else line
        yield from below.get(number, ())


def _target(target: Plain) -> list[str]:
    cells = [
        str(target.get("address", "-")),
        f"{target.get('connections', 0)} connections",
        f"{target.get('idle', 0)} idle",
    ]
    cells.extend(f"{count(number)} {word}" for word in ("waiting", "failures") if (number := target.get(word)))
    return cells


def _quantile(service: Plain, of: str, key: str) -> float | None:
    """A quantile of a service: of the whole exchange (`total`), the target's share, or the gateway's own."""
    part = service.get(of)
    return part.get(key) if isinstance(part, Mapping) else None

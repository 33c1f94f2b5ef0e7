"""`fastgate sessions`: who is subscribed to a running gateway, and their end."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fastgate.cli.client import Client, Plain
from fastgate.cli.paint import BOLD, bytes_, colours, count, paint, span, table
from fastgate.errors import StartError, UsageError

_SHOWN_CHANNELS = 3


def list_(socket: str | None, ids: Sequence[str], *, channel: str | None, limit: int, as_json: bool) -> None:
    """Prints sessions."""
    if ids:
        raise UsageError(f"list takes no session: {ids[0]}; --channel narrows the list")
    with Client(socket) as client:
        answer = client.ask("sessions", channel=channel, limit=limit)
    if as_json:
        shown = {name: answer[name] for name in ("total", "sessions")}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    print("\n".join(_lines(answer)))


def _lines(answer: Plain) -> list[str]:
    sessions, total = answer["sessions"], answer["total"]
    if not sessions:
        return ["nobody is subscribed"]
    rows = [["ID", "ENDPOINT", "BY", "CLIENT", "CONNECTED", "QUEUED", "DROPS", "CHANNELS"]]
    rows.extend(_row(one) for one in sessions)
    lines = table(rows, right=frozenset((5, 6)))
    shown = [paint(line, BOLD, colours()) if number == 0 else line for number, line in enumerate(lines)]
    if total > len(sessions):
        shown.append(f"{count(total - len(sessions))} more: --limit {total} shows all")
    return shown


def _row(one: Plain) -> list[str]:
    channels = one["channels"]
    names = ", ".join(channels[:_SHOWN_CHANNELS])
    if len(channels) > _SHOWN_CHANNELS:
        names += f" and {len(channels) - _SHOWN_CHANNELS} more"
    return [
        one["id"],
        one["endpoint"],
        one["transport"],
        one["client"] or "-",
        span(float(one["connected_seconds"])),
        bytes_(one["queued_bytes"]),
        count(one["drops"]),
        names,
    ]


def disconnect(
    socket: str | None, ids: Sequence[str], *, channel: str | None, code: int, reason: str, as_json: bool
) -> None:
    """Ends sessions; raises StartError where one of them is not there."""
    if bool(ids) == (channel is not None):
        raise UsageError("say who is disconnected: sessions by their ids, or --channel")
    with Client(socket) as client:
        if channel is not None:
            done = int(client.ask("disconnect", channel=channel, code=code, reason=reason)["disconnected"])
            missing = []
        else:
            found = {one: client.ask("disconnect", session=one, code=code, reason=reason) for one in ids}
            done = sum(int(one["disconnected"]) for one in found.values())
            missing = [name for name, one in found.items() if not one["disconnected"]]
    print(json.dumps({"disconnected": done}) if as_json else f"{count(done)} disconnected")
    if missing:
        raise StartError(f"not connected: {', '.join(missing)}")

"""`status`, `top`, `reload`, `drain` and `sessions`: a running gateway, asked over its control socket."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fastgate.cli import doing
from fastgate.cli.commands.options import Plain, PlainFormat, Socket
from fastgate.cli.registry import command


@command("status", "fastgate status", "fastgate status --format json", "fastgate status --socket /run/gate.sock")
def status(
    format: PlainFormat = Plain.text,  # noqa: A002 - the option's name
    socket: Socket = None,
) -> None:
    """Show a running gateway: state, config and last reload, connections, requests, latency, targets."""
    raise typer.Exit(doing.status(format.value, socket))


@command("top", "fastgate top", "fastgate top --interval 5 --count 3 > figures.txt")
def top(
    interval: Annotated[
        float,
        typer.Option(
            "--interval", metavar="SECONDS", envvar="FASTGATE_INTERVAL", min=0.1, help="Time between two looks."
        ),
    ] = 1.0,
    count: Annotated[
        int,
        typer.Option("--count", metavar="N", envvar="FASTGATE_COUNT", min=0, help="Looks until it ends; 0: no end."),
    ] = 0,
    socket: Socket = None,
) -> None:
    """Watch a running gateway live; q ends. Without a terminal, one plain look after the other."""
    from fastgate.cli import live

    live.top(socket, interval=interval, count=count)


@command("reload", "fastgate reload", "fastgate check && fastgate reload")
def reload(socket: Socket = None) -> None:
    """Load the config of a running gateway again. A bad one changes nothing, is explained, and ends with 1."""
    raise typer.Exit(doing.reload(socket))


@command("drain", "fastgate drain")
def drain(socket: Socket = None) -> None:
    """Let a running gateway finish its requests and end, within the `shutdown` of its config."""
    raise typer.Exit(doing.drain(socket))


class Action(StrEnum):
    """What is done with sessions."""

    list = "list"
    disconnect = "disconnect"


@command(
    "sessions",
    "fastgate sessions list",
    "fastgate sessions list --channel room:1 --limit 20",
    "fastgate sessions disconnect 0-1f-3",
    "fastgate sessions disconnect --channel room:1 --reason 'the room is closed'",
)
def sessions(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="`list` or `disconnect`.", show_default=False)],
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Sessions to disconnect, as `list` names them.", show_default=False),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option("--channel", metavar="C", envvar="FASTGATE_CHANNEL", help="Only the members of this channel."),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", envvar="FASTGATE_LIMIT", min=1, max=100_000, help="At most so many are listed."
        ),
    ] = 1_000,
    code: Annotated[
        int,
        typer.Option(
            "--code",
            metavar="CODE",
            envvar="FASTGATE_CODE",
            min=1000,
            max=4999,
            help="The close code: 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999.",
        ),
    ] = 3503,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", metavar="TEXT", envvar="FASTGATE_REASON", help="Told to the client; at most 123 bytes."
        ),
    ] = "disconnected",
    json: Annotated[bool, typer.Option("--json", envvar="FASTGATE_JSON", help="Print JSON.")] = False,
    socket: Socket = None,
) -> None:
    """List who is subscribed to a running gateway, or disconnect them."""
    from fastgate.cli import sessions as asked

    if action is Action.list:
        asked.list_(socket, ids or [], channel=channel, limit=limit, as_json=json)
    else:
        asked.disconnect(socket, ids or [], channel=channel, code=code, reason=reason, as_json=json)

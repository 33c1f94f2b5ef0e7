"""`status`, `top`, `reload` and `drain`: a running gateway, asked over its control socket."""

from __future__ import annotations

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

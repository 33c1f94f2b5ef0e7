"""`bench` and `doctor`: what this machine does, and what it allows."""

from __future__ import annotations

from typing import Annotated

import typer

from fastgate.cli.commands.options import Plain, PlainFormat
from fastgate.cli.registry import command


@command("bench", "fastgate bench", "fastgate bench --rounds 3 --seconds 0.5", "fastgate bench --format json")
def bench(
    rounds: Annotated[
        int,
        typer.Option("--rounds", metavar="N", envvar="FASTGATE_ROUNDS", min=1, max=50, help="Measurements of each."),
    ] = 5,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            metavar="S",
            envvar="FASTGATE_SECONDS",
            min=0.1,
            max=60.0,
            help="Length of one measurement.",
        ),
    ] = 1.0,
    format: PlainFormat = Plain.text,  # noqa: A002 - the option's name
) -> None:
    """Measure the gateway on this machine, as ratios to a proxy that only copies bytes. Takes under a minute."""
    from fastgate.cli import benching

    raise typer.Exit(benching.bench(rounds=rounds, seconds=seconds, form=format.value))


@command("doctor", "fastgate doctor", "fastgate doctor --format json")
def doctor(format: PlainFormat = Plain.text) -> None:  # noqa: A002 - the option's name
    """Say what this machine allows a gateway, what connections cost, and what to change; 1 when something must."""
    from fastgate.cli import doctor as examining

    raise typer.Exit(examining.doctor(form=format.value))

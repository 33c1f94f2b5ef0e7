"""`certs`, `bench` and `doctor`: certificates for trying, what this machine does, and what it allows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fastgate.cli.commands.options import Plain, PlainFormat
from fastgate.cli.registry import command


class Certificates(StrEnum):
    """What certificates are for."""

    dev = "dev"


@command(
    "certs",
    "fastgate certs dev",
    "fastgate certs dev --dir certs --name localhost --name '*.example.test' --name 192.0.2.7",
    "fastgate certs dev --client spiffe://example.test/worker",
)
def certs(
    action: Annotated[Certificates, typer.Argument(metavar="ACTION", help="`dev`.", show_default=False)],
    dir: Annotated[  # noqa: A002 - the option's name
        str, typer.Option("--dir", metavar="DIR", envvar="FASTGATE_DIR", help="Where they are written.")
    ] = "certs",
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            envvar="FASTGATE_NAME",
            help="A name or address of the server; again for more. Default: localhost, 127.0.0.1 and ::1.",
            show_default=False,
        ),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(
            "--client",
            metavar="NAME",
            envvar="FASTGATE_CLIENT",
            help="A certificate for a client too: a name, a mail address or a URI; again for more names.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        int,
        typer.Option("--days", metavar="N", envvar="FASTGATE_DAYS", min=1, max=825, help="How long they are valid."),
    ] = 90,
) -> None:
    """Write a local certificate authority and certificates signed by it, for trying TLS; never for production."""
    from fastgate.cli import certificates

    certificates.dev(dir, names=name, client=client, days=days)


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

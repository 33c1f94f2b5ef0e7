"""`init`, `check`, `explain`, `routes` and `schema`: what can be known of a config without running it."""

from __future__ import annotations

from typing import Annotated

import typer

from fastgate.cli import doing
from fastgate.cli.commands.options import NO_FILE, Files, Format, Literals, Plain, PlainFormat
from fastgate.cli.registry import command


@command("init", "fastgate init", "fastgate init gateway/fastgate.yaml")
def init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where it is written.")] = "fastgate.yaml",
    force: Annotated[
        bool, typer.Option("--force", envvar="FASTGATE_FORCE", help="Write over a file that is there.")
    ] = False,
) -> None:
    """Write a commented config to start from. A file that is there is left alone."""
    from fastgate.cli import writing

    writing.init(file, force=force)


@command(
    "check",
    "fastgate check",
    "fastgate check --strict fastgate.yaml",
    "fastgate check --full fastgate.yaml",
    "fastgate check --format github fastgate.yaml",
)
def check(
    files: Files = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            envvar="FASTGATE_FULL",
            help="Print the whole config as YAML: every default, and for each value where it came from.",
        ),
    ] = False,
    print_merged: Annotated[
        bool,
        typer.Option(
            "--print-merged",
            envvar="FASTGATE_PRINT_MERGED",
            help="Print what is written once files, overlays and variables are merged, with file and line.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", envvar="FASTGATE_STRICT", help="A warning fails the check as an error does.")
    ] = False,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option("--format", envvar="FASTGATE_FORMAT", help="How findings are written.")
    ] = Format.text,
    allow_literal_secrets: Literals = False,
) -> None:
    """Check config files: every fault with file, line, column, key, what was found and what is allowed."""
    raise typer.Exit(doing.check(files or [], full, print_merged, strict, format.value, allow_literal_secrets))


@command(
    "explain",
    "fastgate explain GET /users/7",
    "fastgate explain fastgate.yaml POST 'https://a.example/projects?draft=1' -H 'X-Tenant: acme'",
    "fastgate explain --listener public --from 192.0.2.7 GET /admin",
)
def explain(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[FILE]... METHOD URL",
            help=f"Config files, then the method and the URL, or just its path. {NO_FILE}",
            show_default=False,
        ),
    ],
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            "-H",
            metavar="'NAME: VALUE'",
            help="A header of the request; may be repeated. ($FASTGATE_HEADERS: one a line.)",
            show_default=False,
        ),
    ] = None,
    listener: Annotated[
        str | None,
        typer.Option(
            "--listener",
            metavar="NAME",
            envvar="FASTGATE_LISTENER",
            help="The listener it comes to; the one with the URL's port, or the first, unless given.",
        ),
    ] = None,
    client: Annotated[
        str,
        typer.Option("--from", metavar="IP", envvar="FASTGATE_FROM", help="The address of the client."),
    ] = "127.0.0.1",
    format: PlainFormat = Plain.text,  # noqa: A002 - the option's name
    allow_literal_secrets: Literals = False,
) -> None:
    """Say which route a request meets, why each nearer one lost, and which policies run, with their level."""
    from fastgate.cli import explaining

    explaining.explain(
        words,
        headers=header or [],
        listener=listener,
        client=client,
        form=format.value,
        literal_secrets=allow_literal_secrets,
    )


@command("routes", "fastgate routes", "fastgate routes --format json fastgate.yaml")
def routes(
    files: Files = None,
    format: PlainFormat = Plain.text,  # noqa: A002 - the option's name
    allow_literal_secrets: Literals = False,
) -> None:
    """Print the table of routes in the order in which they are tried."""
    from fastgate.cli import routing

    routing.routes(files or [], form=format.value, literal_secrets=allow_literal_secrets)


@command("schema", "fastgate schema > fastgate.schema.json")
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    from fastgate.cli import writing

    writing.schema()

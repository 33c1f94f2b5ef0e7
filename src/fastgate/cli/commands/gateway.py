"""`run` and `demo`: a gateway in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from fastgate.cli import doing
from fastgate.cli.commands.options import NO_FILE, Literals
from fastgate.cli.registry import command


@command(
    "run",
    "fastgate run",
    "fastgate run fastgate.yaml local.yaml",
    "fastgate run --to http://127.0.0.1:9000",
    "fastgate run --dev myproject.gate:gateway",
)
def run(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help=f"Config files, later over earlier; or module:attribute of a Gateway. {NO_FILE}",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL", envvar="FASTGATE_TO", help="Send everything to this target; no file needed."
        ),
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            "--bind", metavar="ADDR", envvar="FASTGATE_BIND", help="Where to listen; 0.0.0.0:8000 unless given."
        ),
    ] = None,
    dev: Annotated[
        bool,
        typer.Option(
            "--dev",
            envvar="FASTGATE_DEV",
            help="For developing: reloads when the config changes, starts again when the code of a Gateway changes, "
            "and logs each request readably.",
        ),
    ] = False,
    allow_literal_secrets: Literals = False,
    socket: Annotated[
        str | None,
        typer.Option(
            "--socket",
            metavar="PATH",
            envvar="FASTGATE_CONTROL",
            help="Where the control socket is made; fastgate/control.sock under $XDG_RUNTIME_DIR, or under /run for "
            "root, unless given.",
        ),
    ] = None,
) -> None:
    """Run the gateway in the foreground.

    SIGTERM or Ctrl-C drains, a second one ends at once; SIGHUP reloads.
    """
    raise typer.Exit(doing.run(files or [], to, bind, dev, allow_literal_secrets, socket))


@command("demo", "fastgate demo", "fastgate demo --bind 127.0.0.1:8080")
def demo(
    bind: Annotated[
        str, typer.Option("--bind", metavar="ADDR", envvar="FASTGATE_BIND", help="Where to listen.")
    ] = "127.0.0.1:8000",
) -> None:
    """Run a gateway before example origins, with commands to try; nothing else is needed."""
    from fastgate.cli import demo as showcase

    showcase.run(bind)

"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    github = "github"


class Plain(StrEnum):
    """How a result is written."""

    text = "text"
    json = "json"


NO_FILE = "Without one: $FASTGATE_CONFIG, ./fastgate.yaml, [tool.fastgate] in pyproject.toml."

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help=f"Config files, later over earlier. {NO_FILE}", show_default=False),
]
Literals = Annotated[
    bool,
    typer.Option(
        "--allow-literal-secrets",
        envvar="FASTGATE_ALLOW_LITERAL_SECRETS",
        help="Let secrets stand in the config itself; a warning each.",
    ),
]
PlainFormat = Annotated[
    Plain, typer.Option("--format", envvar="FASTGATE_FORMAT", help="How the result is written.", show_choices=True)
]
Socket = Annotated[
    str | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        envvar="FASTGATE_CONTROL",
        help="The gateway's control socket; fastgate/control.sock under $XDG_RUNTIME_DIR, or under /run for root, "
        "unless given.",
    ),
]

"""`keys`: API keys and passwords, made, listed, imported and revoked."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fastgate.cli.commands.options import Literals, Plain, PlainFormat, Socket
from fastgate.cli.registry import command


class Action(StrEnum):
    """What is done with keys."""

    create = "create"
    list_ = "list"
    import_ = "import"
    revoke = "revoke"
    password = "password"  # noqa: S105 - the word of the command line


class Kind(StrEnum):
    """What a key is for."""

    api = "api"
    publish = "publish"


@command(
    "keys",
    "fastgate keys create acme-1 --consumer acme",
    "fastgate keys create acme-1 --consumer acme --expires 90d --scopes read,write --file keys.jsonl",
    "fastgate keys list --file keys.jsonl",
    "fastgate keys import --file keys.jsonl --pepper p1 < old-keys.txt",
    "fastgate keys revoke acme-1 --file keys.jsonl",
    "fastgate keys password anna --file users",
)
def keys(
    action: Annotated[
        Action,
        typer.Argument(
            metavar="ACTION", help="`create`, `list`, `import`, `revoke` or `password`.", show_default=False
        ),
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Names of keys; of the user for `password`.", show_default=False),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="PATH",
            envvar="FASTGATE_KEYS_FILE",
            help="The file of keys (`keys_file`), or of users (`users_file`) for `password`. Without it, `create` and "
            "`password` print what to write where, `list` shows the keys in the config.",
        ),
    ] = None,
    consumer: Annotated[
        str | None, typer.Option("--consumer", metavar="NAME", envvar="FASTGATE_CONSUMER", help="Whose key it is.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="WHEN", envvar="FASTGATE_EXPIRES", help="`90d`, or a time: `2027-01-01T00:00:00Z`."
        ),
    ] = None,
    scopes: Annotated[
        str | None, typer.Option("--scopes", metavar="A,B", envvar="FASTGATE_SCOPES", help="What the key is for.")
    ] = None,
    kind: Annotated[
        Kind, typer.Option("--kind", envvar="FASTGATE_KIND", help="`publish` makes a key for `realtime.api_keys`.")
    ] = Kind.api,
    pepper: Annotated[
        str | None,
        typer.Option(
            "--pepper",
            metavar="NAME",
            envvar="FASTGATE_PEPPER",
            help="Store the digest under this entry of `key_pepper`; a key that fastgate did not make needs one.",
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            "--config", metavar="FILE", envvar="FASTGATE_CONFIG", help="The config that has the pepper, or the keys."
        ),
    ] = None,
    socket: Socket = None,
    format: PlainFormat = Plain.text,  # noqa: A002 - the option's name
    allow_literal_secrets: Literals = False,
) -> None:
    """Make, list, import and revoke API keys, and hash passwords. A key is shown once; only its digest is stored."""
    from fastgate.cli import keys as doing

    wanted = doing.Wanted(
        names=names or [],
        file=file,
        consumer=consumer,
        expires=expires,
        scopes=tuple(one.strip() for one in scopes.split(",") if one.strip()) if scopes else (),
        kind=kind.value,
        pepper=pepper,
        config=config or [],
        socket=socket,
        as_json=format is Plain.json,
        literal_secrets=allow_literal_secrets,
    )
    getattr(doing, action.name)(wanted)

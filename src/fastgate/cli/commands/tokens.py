"""`token`: tokens for development, and the keys that verify them."""

from __future__ import annotations

from typing import Annotated

import typer

from fastgate.cli.commands.options import Socket
from fastgate.cli.registry import command


@command(
    "token",
    "fastgate token --sub me --role admin",
    "fastgate token --print-jwks > keys.json",
    "fastgate token --serve-jwks",
    "fastgate token --revoke sub=me --expires 24h",
)
def token(
    sub: Annotated[
        str, typer.Option("--sub", metavar="NAME", envvar="FASTGATE_SUB", help="Whom the token is for.")
    ] = "me",
    role: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", envvar="FASTGATE_ROLE", help="A role; may be given again."),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", envvar="FASTGATE_SCOPE", help="A scope; may be given again."),
    ] = None,
    audience: Annotated[
        str, typer.Option("--audience", metavar="NAME", envvar="FASTGATE_AUDIENCE", help="What it is meant for.")
    ] = "dev",
    issuer: Annotated[
        str | None,
        typer.Option(
            "--issuer", metavar="URL", envvar="FASTGATE_ISSUER", help="Who says so; http://BIND/ unless given."
        ),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            metavar="NAME=VALUE",
            envvar="FASTGATE_CLAIM",
            help="A claim: JSON, or else text; again for more.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="DURATION", envvar="FASTGATE_EXPIRES", help="How long it holds.")
    ] = "1h",
    key: Annotated[
        str,
        typer.Option(
            "--key", metavar="FILE", envvar="FASTGATE_KEY", help="The private key (PEM); made where there is none."
        ),
    ] = "fastgate-dev-key.pem",
    print_jwks: Annotated[
        bool,
        typer.Option("--print-jwks", envvar="FASTGATE_PRINT_JWKS", help="Print the key set that verifies them."),
    ] = False,
    serve_jwks: Annotated[
        bool,
        typer.Option(
            "--serve-jwks",
            envvar="FASTGATE_SERVE_JWKS",
            help="Be an identity provider for development: serve the key set and the discovery document.",
        ),
    ] = False,
    revoke: Annotated[
        str | None,
        typer.Option(
            "--revoke",
            metavar="jti=ID",
            envvar="FASTGATE_REVOKE",
            help="Let a running gateway refuse a token, or with sub=NAME all of a subject's until now, for --expires.",
        ),
    ] = None,
    socket: Socket = None,
    bind: Annotated[
        str, typer.Option("--bind", metavar="ADDR", envvar="FASTGATE_BIND", help="Where to serve: loopback only.")
    ] = "127.0.0.1:9400",
) -> None:
    """Print a token for development, signed with a key of this folder. Never for production."""
    from fastgate.cli import tokens

    if revoke is not None:
        tokens.revoke(socket, revoke, expires)
        return
    issued_by = issuer if issuer is not None else f"http://{bind}/"
    if print_jwks:
        tokens.print_jwks(key)
        return
    claims = tokens.claims(sub, role or [], scope or [], audience, issued_by, claim or [], expires)
    if serve_jwks:
        tokens.serve_jwks(key, claims, bind=bind)
    else:
        print(tokens.mint(key, claims))

"""What the everyday commands do with their options, whichever way these were read; each returns its exit code."""

from __future__ import annotations

from collections.abc import Sequence


def run(
    files: Sequence[str], to: str | None, bind: str | None, dev: bool, allow_literal_secrets: bool, socket: str | None
) -> int:
    """`fastgate run`."""
    from fastgate.cli import serve

    serve.run(files, to=to, bind=bind, dev=dev, allow_literal_secrets=allow_literal_secrets, socket=socket)
    return 0


def check(
    files: Sequence[str],
    full: bool,
    print_merged: bool,
    strict: bool,
    format: str,  # noqa: A002 - the option's name
    allow_literal_secrets: bool,
) -> int:
    """`fastgate check`."""
    from fastgate.cli import checking

    show = "full" if full else "merged" if print_merged else None
    return checking.check(files, strict=strict, form=format, show=show, literal_secrets=allow_literal_secrets)


def status(format: str, socket: str | None) -> int:  # noqa: A002 - the option's name
    """`fastgate status`."""
    from fastgate.cli import asking

    asking.status(socket, form=format)
    return 0


def reload(socket: str | None) -> int:
    """`fastgate reload`."""
    from fastgate.cli import asking

    return asking.reload(socket)


def drain(socket: str | None) -> int:
    """`fastgate drain`."""
    from fastgate.cli import asking

    asking.drain(socket)
    return 0

"""`fastgate status`, `reload` and `drain`: one question to a running gateway, and its answer as text."""

from __future__ import annotations

import json

from fastgate.cli.client import RELOAD_SECONDS, Client
from fastgate.cli.paint import RED, YELLOW, colours, paint
from fastgate.errors import ConfigError


def status(socket: str | None, *, form: str) -> None:
    """Prints what a gateway says of itself."""
    with Client(socket) as client:
        answer = client.ask("status")
    if form == "json":
        print(json.dumps({name: value for name, value in answer.items() if name != "ok"}, indent=2, ensure_ascii=False))
        return
    from fastgate.cli.shown import status_lines

    print("\n".join(status_lines(answer, colours())))


def reload(socket: str | None) -> int:
    """Tells a gateway to load its config again; returns the exit code."""
    on = colours()
    with Client(socket) as client:
        try:
            answer = client.ask("reload", RELOAD_SECONDS)
        except ConfigError as error:
            for finding in error.findings:
                print(paint(str(finding), RED, on))
            count = len(error.findings)
            print(f"{count} error{'s' * (count != 1)}: not reloaded, the old config goes on")
            return 1
    for warning in answer.get("warnings", ()):
        print(paint(_said(warning), YELLOW, on))
    print(f"reloaded in {1000 * float(answer['seconds']):.0f} ms")
    return 0


def _said(plain: dict[str, object]) -> str:
    from fastgate.cli.client import finding

    return str(finding(plain))


def drain(socket: str | None) -> None:
    """Tells a gateway to finish and end."""
    with Client(socket) as client:
        client.ask("drain")
    print("draining")

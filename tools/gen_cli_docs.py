"""Writes docs/user/cli.md from the commands themselves; a test compares.

`python tools/gen_cli_docs.py` writes the page.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from fastgate.cli.registry import COMMANDS, find  # noqa: E402

PAGE = ROOT / "docs" / "user" / "cli.md"

HEAD = """\
# Command line

Made from the commands by `tools/gen_cli_docs.py`: change them, not this page.

`python -m fastgate` is the same as `fastgate`; every command has `--help`, and `fastgate --install-completion` sets up
completion for bash, zsh or fish. Each option can come from its `FASTGATE_*` variable; the command line goes before it.
Colours and progress appear on terminals only, and never with `NO_COLOR`.

| exit code | means |
|---|---|
| 0 | done |
| 1 | the input is wrong: a config, a file, a gateway that does not answer |
| 2 | the command line is wrong |
| 70 | a fault of fastgate itself |
| 130 | Ctrl-C ended a command (a gateway that runs drains instead, and ends with 0) |
"""

SOCKET = """\
## The control socket

`status`, `top`, `reload` and `drain` ask a running gateway over a Unix socket. Only the user the gateway runs as and
root may ask: the file has mode 0600, the default folder 0700, and the kernel says who is at the other end.

- Where: `--socket` or `FASTGATE_CONTROL`, then `control: {socket: PATH}` in the config, then `fastgate/control.sock`
  under `$XDG_RUNTIME_DIR`, or under `/run` for root, or in `/tmp/fastgate-UID`.
- Taken: a second gateway with the same path warns and answers at `control-PID.sock` beside it; `--socket` says which
  one is meant.
- Left behind: a socket file that nobody answers at is replaced; a file that is no socket is never touched.
- Cannot be made: with a written path the gateway does not start; with the default one it warns and goes on.

It speaks lines of JSON, for scripts too: `{"op": "status"}` is answered by `{"ok": true, …}` or by `{"ok": false,
"error": "…", "findings": […]}`. The operations are `ping`, `status`, `stats`, `routes`, `reload`, `drain` and `rotate`
(open the log files anew). A line has at most 64 KiB, 32 connections may be open, and one that is silent for 30 s is
closed.
"""


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in COMMANDS:
        parts.append(_command(name))
        if name == "demo":
            parts.append(DEV)
    return "\n".join([*parts, SOCKET])


DEV = """\
### What `--dev` does

A change of a config file, of what it includes or of a secret file is loaded within a second; a config with a fault
changes nothing and says why. With `module:attribute`, a change of the application's own Python files starts the process
again, once they compile; open connections end. Requests are logged readably on stderr unless the config has a log of
its own, with the reason where the gateway answered by itself: the answers are the same as in use, so that nothing shows
in development what clients must not see later.
"""


@dataclass(frozen=True)
class Parameter:
    """One argument or option, as its command declares it."""

    names: tuple[str, ...]
    argument: bool
    metavar: str
    variable: str
    default: Any
    help: str


def parameters(name: str) -> list[Parameter]:
    """The arguments and options of a command."""
    function = find(name).function
    hints = get_type_hints(function, include_extras=True)
    found = []
    for key, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[key])[:2]
        argument = isinstance(info, ArgumentInfo)
        # Inside Annotated, typer takes the first name for a default until the command is built.
        names = () if argument else tuple(n for n in (info.default, *(info.param_decls or ())) if isinstance(n, str))
        choices = [one.value for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []
        metavar = info.metavar or " or ".join(choices)
        default = getattr(parameter.default, "value", parameter.default)
        found.append(Parameter(names, argument, metavar, str(info.envvar or ""), default, info.help or ""))
    return found


def _command(name: str) -> str:
    lines = [f"## fastgate {name}", ""]
    paragraphs = (find(name).function.__doc__ or "").strip().split("\n\n")
    lines += [" ".join(paragraph.split()) + "\n" for paragraph in paragraphs]
    rows = [_row(one) for one in parameters(name)]
    if rows:
        lines += ["| | variable | default | |", "|---|---|---|---|", *rows, ""]
    lines += ["```text", *find(name).examples, "```", ""]
    return "\n".join(lines)


def _row(one: Parameter) -> str:
    what = one.metavar if one.argument else " ".join(filter(None, [", ".join(one.names), one.metavar]))
    plain = isinstance(one.default, (str, int, float)) and one.default is not False
    shown = f"`{one.default}`" if plain else ""
    cells = [f"`{what}`", f"`{one.variable}`" if one.variable else "", shown, " ".join(one.help.split())]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Writes the page."""
    PAGE.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

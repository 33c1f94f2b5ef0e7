"""The everyday commands without the library for commands, whose import takes longer than what they do.

Only plain words are read here. Whatever is not plain (help, an unknown option, a value that may be wrong) is left to
the whole command line. A test holds these tables against the options of the commands themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


class Quick(NamedTuple):
    """The options of a command: from the option to its name as an argument and its variable."""

    values: Mapping[str, tuple[str, str]] = {}
    flags: Mapping[str, tuple[str, str]] = {}
    # Allowed values of `--format`; the first is the default.
    formats: tuple[str, ...] = ()
    takes_files: bool = False


_SOCKET = {"--socket": ("socket", "FASTGATE_CONTROL")}
_FORMAT = {"--format": ("format", "FASTGATE_FORMAT")}
_LITERALS = {"--allow-literal-secrets": ("allow_literal_secrets", "FASTGATE_ALLOW_LITERAL_SECRETS")}

TABLE = {
    "run": Quick(
        {"--to": ("to", "FASTGATE_TO"), "--bind": ("bind", "FASTGATE_BIND"), **_SOCKET},
        {"--dev": ("dev", "FASTGATE_DEV"), **_LITERALS},
        takes_files=True,
    ),
    "check": Quick(
        _FORMAT,
        {
            "--full": ("full", "FASTGATE_FULL"),
            "--print-merged": ("print_merged", "FASTGATE_PRINT_MERGED"),
            "--strict": ("strict", "FASTGATE_STRICT"),
            **_LITERALS,
        },
        formats=("text", "json", "github"),
        takes_files=True,
    ),
    "status": Quick(_FORMAT | _SOCKET, formats=("text", "json")),
    "reload": Quick(_SOCKET),
    "drain": Quick(_SOCKET),
}


def options(command: str, words: Sequence[str], environ: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """The arguments of a command of the table for these words; None: not plain, ask the whole command line."""
    known = TABLE[command]
    found: dict[str, Any] = {"files": []} if known.takes_files else {}
    for name, variable in known.values.values():
        found[name] = environ.get(variable) or None
    for name, variable in known.flags.values():
        value = environ.get(variable, "").lower()
        if value not in _ON + _OFF:
            return None
        found[name] = value in _ON
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if word in known.flags:
            found[known.flags[word][0]] = True
        elif option in known.values:
            given = value if equals else next(rest, None)
            if not given or given.startswith("-"):
                return None
            found[known.values[option][0]] = given
        elif word.startswith("-") or not word or not known.takes_files:
            return None
        else:
            found["files"].append(word)
    if known.formats:
        found["format"] = found["format"] or known.formats[0]
        if found["format"] not in known.formats:
            return None
    return found

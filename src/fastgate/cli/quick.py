"""`fastgate run` without the library for commands: its plain forms are read here, which makes the start 0.1 s shorter.

Whatever is not plain (help, an unknown option, a value that may be wrong) is left to the whole command line. A test
holds this table against the options of the command itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

# Option: (its name as an argument, its variable).
VALUES = {
    "--to": ("to", "FASTGATE_TO"),
    "--bind": ("bind", "FASTGATE_BIND"),
    "--socket": ("socket", "FASTGATE_CONTROL"),
}
FLAGS = {
    "--dev": ("dev", "FASTGATE_DEV"),
    "--allow-literal-secrets": ("allow_literal_secrets", "FASTGATE_ALLOW_LITERAL_SECRETS"),
}
_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


def run_options(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """The arguments of `fastgate run` for these words; None: not plain, ask the whole command line."""
    found: dict[str, Any] = {"files": []}
    for name, variable in VALUES.values():
        found[name] = environ.get(variable) or None
    for name, variable in FLAGS.values():
        value = environ.get(variable, "").lower()
        if value not in _ON + _OFF:
            return None
        found[name] = value in _ON
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if word in FLAGS:
            found[FLAGS[word][0]] = True
        elif option in VALUES:
            given = value if equals else next(rest, None)
            if not given or given.startswith("-"):
                return None
            found[VALUES[option][0]] = given
        elif word.startswith("-") or not word:
            return None
        else:
            found["files"].append(word)
    return found

"""The command line: reads arguments, presents results; everything it does is a call into the packages beside it."""

from __future__ import annotations

import sys

from fastgate import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE, INTERNAL, INTERRUPTED = 2, 70, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 done, 1 the input is wrong, 2 usage, 70 a fault of fastgate."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--version"], ["-V"]):
        # Before anything slow is imported.
        from fastgate import __version__

        print(f"fastgate {__version__}")
        return 0
    from fastgate.cli.app import run_words

    return run_words(words)

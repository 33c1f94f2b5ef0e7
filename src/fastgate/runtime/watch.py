"""Watching files by their signatures: what kind of change it was does not matter, only that it has come to rest.

Signatures are asked for, not told by the kernel: that works on every file system, for files that do not exist yet,
and for a mounted ConfigMap, whose files are symlinks that are swapped elsewhere. A config has tens of files, so that
twice a second costs microseconds.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

INTERVAL = 0.5
"""Seconds between two looks."""
MAX_RESTLESS = 10
"""Looks after which a change counts although the files still change."""

Signature = tuple[int, int, int, int] | None


class Watch:
    """The files of a config; poll() says when they have changed and come to rest."""

    def __init__(self) -> None:
        self._files: tuple[str, ...] = ()
        self._patterns: tuple[str, ...] = ()
        self._good: dict[str, Signature] = {}
        self._last: dict[str, Signature] = {}
        self._restless = 0

    def follow(self, files: Iterable[str], patterns: Iterable[str]) -> None:
        """Watches these from now on; what was on disk when the last change was reported stays the measure."""
        self._files, self._patterns = tuple(files), tuple(patterns)
        now = self._look()
        # A file that is new to us has no past; one that changed since it was read is found at the next look.
        self._good = {name: self._good.get(name, signature) for name, signature in now.items()}
        self._last = now

    def poll(self) -> bool:
        """Whether something has changed and is the same as at the last look; true once for each change."""
        now = self._look()
        if now == self._good:
            self._last, self._restless = now, 0
            return False
        resting = now == self._last
        self._last = now
        self._restless += 1
        if not resting and self._restless < MAX_RESTLESS:
            return False
        self._good, self._restless = now, 0
        return True

    def _look(self) -> dict[str, Signature]:
        found = dict.fromkeys(self._files)
        for pattern in self._patterns:
            found.update(dict.fromkeys(sorted(glob.glob(pattern, recursive=True))))
        return {name: _signature(name) for name in found}


def _signature(name: str) -> Signature:
    """What changes with the file behind a name, symlinks followed; None where there is none."""
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

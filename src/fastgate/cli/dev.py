"""`fastgate run --dev module:attribute`: starts the process again when the code of the application changes."""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import threading
from collections.abc import Iterable
from pathlib import Path

EVERY_SECONDS = 0.5

log = logging.getLogger("fastgate")


def start_again_on_change() -> None:
    """Watches from a thread; a change that does not compile is told and waited out."""
    threading.Thread(target=_watch, name="fastgate-dev", daemon=True).start()


def application_files() -> list[Path]:
    """The Python files of what has been imported, without installed packages and the standard library."""
    installed = [
        Path(place).resolve() for place in {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    ]
    own = Path(__file__).resolve().parents[1]
    found = []
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if not name or not name.endswith(".py"):
            continue
        path = Path(name).resolve()
        if not path.is_relative_to(own) and not any(path.is_relative_to(place) for place in installed):
            found.append(path)
    return found


def signatures(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """What tells whether a file has changed; a file that is gone for a moment is left out."""
    found = {}
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            continue
        found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def _watch() -> None:
    wait = threading.Event()
    before = signatures(application_files())
    told: dict[Path, tuple[int, int]] = {}
    while not wait.wait(EVERY_SECONDS):
        now = signatures(application_files())
        changed = [path for path, one in now.items() if path in before and one != before[path]]
        before |= {path: one for path, one in now.items() if path not in before}
        if not changed:
            continue
        if (broken := _broken(changed)) is None:
            log.info("%s changed: starting again", ", ".join(path.name for path in changed))
            _again()
        elif told != {path: now[path] for path in changed}:
            told = {path: now[path] for path in changed}
            log.error("not started again, the old code goes on: %s", broken)


def _broken(files: Iterable[Path]) -> str | None:
    for path in files:
        try:
            compile(path.read_bytes(), str(path), "exec")
        except (SyntaxError, ValueError, OSError) as error:
            return f"{path.name}: {error}"
    return None


def _again() -> None:
    """The same command in the same process; descriptors of sockets are closed by it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "fastgate", *sys.argv[1:]])  # noqa: S606 - our own words again

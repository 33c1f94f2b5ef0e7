"""Where the control socket of a gateway is: the same answer for the gateway and for those who ask it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

VARIABLE = "FASTGATE_CONTROL"
NAME = "control.sock"


def default_path() -> Path:
    """`fastgate/control.sock` under $XDG_RUNTIME_DIR, or under /run for root, or in a folder of one's own in /tmp."""
    uid = os.geteuid()
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return Path(base) / "fastgate" / NAME
    if uid == 0:
        return Path("/run/fastgate") / NAME
    return Path(f"/tmp/fastgate-{uid}") / NAME  # noqa: S108 - mode and owner of the folder are checked before its use


def beside(path: Path, pid: int) -> Path:
    """The path of a gateway that found `path` taken: `control-PID.sock`."""
    return path.with_name(f"{path.stem}-{pid}{path.suffix}")


def candidates(path: Path) -> list[Path]:
    """The sockets that may be meant by `path`: itself, then those of gateways that found it taken."""
    found = [path] if _is_socket(path) else []
    return found + sorted(one for one in path.parent.glob(f"{path.stem}-*{path.suffix}") if _is_socket(one))


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False

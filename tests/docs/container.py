"""Runs a command as a container would: PID 1, uid 10001, no capabilities, a read-only root; started by `unshare`.

`unshare --pid --fork --mount --mount-proc python container.py CONFIG WORDS…`, as root. What the command needs to
read is bound below /run, a fresh tmpfs, because the folders of a developer are often closed to other users.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

USER = "10001"


def main() -> None:
    """Prepares the mounts and becomes the command."""
    config, words = Path(sys.argv[1]).read_bytes(), sys.argv[2:]
    source = Path(__file__).resolve().parents[2] / "src"
    bound = {"python": sys.base_prefix, "site": sysconfig.get_path("purelib"), "src": str(source)}
    staged = Path("/run")
    held = {name: os.open(path, os.O_RDONLY) for name, path in bound.items()}
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(staged))
    for name, descriptor in held.items():
        (staged / name).mkdir()
        mount("--bind", f"/proc/self/fd/{descriptor}", str(staged / name), pass_fds=(descriptor,))
        os.close(descriptor)
    (staged / "config.yaml").write_bytes(config)
    (staged / "runtime").mkdir()
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(staged / "runtime"))
    mount("-o", "remount,bind,ro", str(staged))
    mount("-o", "remount,bind,ro", "/")
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    rights = ["--reuid", USER, "--regid", USER, "--clear-groups", "--no-new-privs", "--bounding-set", "-all"]
    command = ["setpriv", *rights, f"/run/python/bin/{python}", "-m", "fastgate", *words]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": "/run/src:/run/site",
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_RUNTIME_DIR": "/run/runtime",
    }
    os.chdir("/")
    os.execvpe("setpriv", command, environment)


def mount(*words: str, pass_fds: tuple[int, ...] = ()) -> None:
    """Runs the program of that name."""
    subprocess.run(["mount", *words], check=True, pass_fds=pass_fds)


if __name__ == "__main__":
    main()

"""What the packaging tests share: commands that must work, and what a release consists of."""

from __future__ import annotations

import os
import subprocess
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILE = os.environ.get("FASTGATE_PROFILE", "release")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "rust_ext" / "target"))
BUILD_TIME = 1500
"""Seconds for one build: a warm target takes a few, a cold one is optimised as a whole."""


def absent(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and in CI everything must run", pytrace=False)
    pytest.skip(what)


def run(*words: str | Path, cwd: Path, env: dict[str, str] | None = None, check: bool = True) -> str:
    """Runs a command to its end; returns what it printed, errors included. A failure shows all of it."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIME,
        check=False,
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout[-8000:]}", pytrace=False)
    return done.stdout


@dataclass
class Built:
    """What a release consists of, in a folder of its own."""

    folder: Path
    clone: Path
    """A copy of every file that git knows: what a clean clone has."""
    sdist: Path
    unpacked: Path
    """The sdist, unpacked."""
    wheel: Path
    """Built from the clone."""
    from_sdist: Path
    tracked: list[str] = field(default_factory=list)
    """The names of the clone's files."""
    names: list[str] = field(default_factory=list)
    """The names of the wheel's files."""

    def read(self, name: str) -> bytes:
        """A file of the wheel; `*` stands for the folder of its metadata."""
        with zipfile.ZipFile(self.wheel) as archive:
            found = next(n for n in archive.namelist() if n == name.replace("*", self.metadata))
            return archive.read(found)

    @property
    def metadata(self) -> str:
        """The folder of the wheel's metadata."""
        return "-".join(self.wheel.name.split("-")[:2]) + ".dist-info"


def tracked() -> list[str]:
    """Every file that git knows and that is there."""
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return [name for name in listed if name and (ROOT / name).exists()]

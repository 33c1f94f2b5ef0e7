"""The stubs say what the binaries have: names, signatures, properties."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

SRC = Path(__file__).parents[2] / "src" / "fastgate"
# Names of the binaries that are nobody's business.
PRIVATE = """
fastgate._engine.__all__
fastgate._engine._C_API
fastgate._engine._stop_all
fastgate._engine.Host._address
fastgate._core._stop_all
fastgate._core._running
fastgate._core.__test__
fastgate._core.__pyx_capi__
# Cython's own: pickling is refused, reflected operators are None.
fastgate._core.*.__(reduce|setstate|reduce_cython|setstate_cython)__
fastgate._core.*.__pyx_vtable__
# The sentence about whom to ask for one; they take no arguments to refuse.
fastgate._core.(Identity|Request|RequestHeaders).__init__
fastgate._core.Headers.__hash__
"""


def stubtest(module: str, tmp_path: Path, more: str = "") -> subprocess.CompletedProcess[str]:
    """Compares one stub, with `more` at its end, in a package that holds nothing but the stubs."""
    stubs = tmp_path / "fastgate"
    stubs.mkdir()
    (stubs / "__init__.pyi").touch()
    for name in ("_core", "_engine"):
        shutil.copy(SRC / f"{name}.pyi", stubs)
    with (stubs / f"{module.removeprefix('fastgate.')}.pyi").open("a") as file:
        file.write(more)
    allowed = tmp_path / "allowed"
    allowed.write_text("\n".join(line for line in PRIVATE.splitlines() if line.startswith(module)) + "\n")
    command = [sys.executable, "-m", "mypy.stubtest", module, "--allowlist", str(allowed), "--ignore-unused-allowlist"]
    environment = {**os.environ, "MYPYPATH": str(tmp_path)}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=100, check=False
    )


@pytest.mark.parametrize("module", ["fastgate._core", "fastgate._engine"])
def test_stub_matches_the_binary(module, tmp_path):
    done = stubtest(module, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_name_too_many_is_found(tmp_path):
    done = stubtest("fastgate._engine", tmp_path, "\ndef never_there(n: int) -> int: ...\n")
    assert done.returncode == 1
    assert "never_there" in done.stdout

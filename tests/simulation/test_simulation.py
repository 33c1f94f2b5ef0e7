"""The deterministic simulation and its planted faults, built with their features and run as one cargo test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

COMMAND = [
    *("cargo", "test", "--locked", "--manifest-path", str(ROOT / "rust_ext" / "Cargo.toml")),
    *("--package", "fastgate-engine", "--features", "simulation,planted", "--test", "simulation", "--", "--nocapture"),
]


@pytest.mark.timeout(1200)
def test_every_seed_holds_and_every_planted_fault_is_found() -> None:
    if shutil.which("cargo") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("cargo is not installed, and in CI the simulation must run", pytrace=False)
        pytest.skip("cargo is not installed")
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    assert "3 passed" in done.stdout

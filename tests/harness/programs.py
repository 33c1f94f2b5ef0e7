"""Programs of other people that a test needs."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """Where it is; missing it skips the test by name, and fails where CI says that everything must run."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} must be there in CI", pytrace=False)
        pytest.skip(f"{name} is not there")
    return found

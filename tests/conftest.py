"""Fixtures of every test folder: the recording origin and the engine binary, found or skipped by name."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # `harness` and `conformance` import the same way under every import mode

from harness import EngineMissing, Origin, engine_binary

if TYPE_CHECKING:
    from harness.tokens import Provider

# A shell that starts this run in the background has it ignore SIGINT, and so would every program that is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def engine() -> Path:
    """The engine binary; missing it skips by name, and fails where CI says that everything must run."""
    try:
        return engine_binary()
    except EngineMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A fresh recording origin; anything it was sent that is not strict HTTP/1.1 fails the test."""
    with Origin() as fresh:
        yield fresh
        fresh.check()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A fresh identity provider."""
    from harness.tokens import Provider

    one = Provider()
    yield one
    one.close()

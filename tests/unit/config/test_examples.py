"""Every example of the repository loads without a warning and is accepted by the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastgate import config
from fastgate.runtime import validate

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path: Path) -> None:
    loaded = config.load(path, environ={})
    assert loaded.warnings == ()
    validate(config.compile(loaded))

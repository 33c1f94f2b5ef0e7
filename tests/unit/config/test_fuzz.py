"""The fuzz targets of tools/fuzz_config.py, some thousand inputs each from a fixed seed; and that they can fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

import fuzz_config


@pytest.mark.parametrize(("name", "count"), [("yaml", 2500), ("toml", 2500), ("units", 10_000)])
def test_replay(name: str, count: int) -> None:
    assert fuzz_config.run(name, 20, count=count) == count


def test_a_property_that_fails_names_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(fuzz_config, "load_yaml", broken)
    with pytest.raises(AssertionError, match=r"yaml, seed 1, input 1: b"):
        fuzz_config.run("yaml", 1, count=3)


def test_a_lost_position_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    read = fuzz_config.load_yaml
    monkeypatch.setattr(fuzz_config, "load_yaml", lambda *a: (read(*a)[0], read(*a)[1][:-8]))
    with pytest.raises(AssertionError):
        fuzz_config.yaml(b"a: [1, 2]\n")


def test_json_read_as_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    read = fuzz_config.load_yaml
    monkeypatch.setattr(fuzz_config, "load_yaml", lambda *a: ({**read(*a)[0], "a": 2}, read(*a)[1]))
    with pytest.raises(AssertionError, match="something else"):
        fuzz_config.yaml(b'{"a": 1}')

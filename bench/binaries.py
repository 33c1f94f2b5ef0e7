"""Finds what the crates build: the load client, the test origin, the floor proxy, the bare engine."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Missing(Exception):
    """A program that a measurement needs is not there; the message says how to get it."""


def find(name: str) -> Path:
    """The release build of a binary, else the debug build; FASTGATE_ENGINE_BIN and CARGO_TARGET_DIR are honoured."""
    named = os.environ.get("FASTGATE_ENGINE_BIN") if name == "fastgate-engine" else None
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "rust_ext" / "target")
    places = [Path(named)] if named else [target / profile / name for profile in ("release", "debug")]
    for place in places:
        if place.is_file():
            return place
    raise Missing(f"no {name} at {' or '.join(map(str, places))}: run `make bins`")

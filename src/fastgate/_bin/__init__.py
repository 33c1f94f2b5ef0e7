"""The programs that `fastgate bench` runs: the load client, the test origin, the floor proxy and the bare engine."""

from __future__ import annotations

import os
from pathlib import Path

NAMES = ("fastgate-load", "fastgate-origin", "fastgate-floor", "fastgate-engine")


def find(name: str) -> Path | None:
    """The program of that name: from $FASTGATE_BIN_DIR, beside this file (in a wheel), or built in a checkout.

    None where it is not there; raises ValueError for a name that is none of them.
    """
    if name not in NAMES:
        raise ValueError(f'there is no program "{name}"; there are {", ".join(NAMES)}')
    here = Path(__file__).resolve().parent
    checkout = here.parents[2] / "rust_ext"
    if (named := os.environ.get("FASTGATE_BIN_DIR")) is not None:
        folders = [Path(named)]
    else:
        folders = [here]
        if (checkout / "Cargo.toml").is_file():
            target = Path(os.environ.get("CARGO_TARGET_DIR") or checkout / "target")
            folders += [target / "release", target / "debug"]
    return next((place for folder in folders if os.access(place := folder / name, os.X_OK) and place.is_file()), None)

"""`fastgate init` and `fastgate schema`: what is generated from the models of the config."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fastgate import config
from fastgate.errors import StartError


def init(file: str, *, force: bool) -> None:
    """Writes the starter file; raises StartError where it cannot, or where a file is there and `force` is not given."""
    path = Path(file)
    # Exclusively: a file that somebody makes at the same moment is not written over either.
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o644)
    except FileExistsError:
        raise StartError(f"{file} is there and is left as it is; --force writes over it") from None
    except OSError as error:
        raise StartError(f"{file} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(config.starter())
    name = "" if file == "fastgate.yaml" else f" {file}"
    print(f"{file} written\n  fastgate check{name}\n  fastgate run{name}")


def schema() -> None:
    """Prints the JSON Schema."""
    print(json.dumps(config.schema(), indent=2, ensure_ascii=False))

"""The child that compiles a config: reads a recipe, writes the snapshot's bytes with what there is to say of it."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import Any

from fastgate.errors import ConfigError, FastgateError
from fastgate.runtime.apart import HEADER, MAGIC
from fastgate.runtime.recipe import Recipe, Unusable, follow

MAX_MEMORY = 1024 * 1024 * 1024
MAX_CPU = 60


def main(asked: dict[str, Any]) -> None:
    """Answers on the descriptor that was passed; whatever goes wrong becomes an answer too."""
    out = int(asked["out"])
    # Ctrl-C and a closed terminal reach the whole group: the parent decides what becomes of us.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _bound(int(asked["priority"]))
    data = b""
    try:
        about, data = _follow(asked["recipe"])
    except MemoryError:
        about = {"fault": f"the config needs more than {MAX_MEMORY >> 20} MiB to compile"}
    except FastgateError as error:
        about = {"fault": str(error)}
    except Exception as error:
        sys.excepthook(*sys.exc_info())
        about = {"fault": f"{type(error).__name__}: {error}"}
    told = json.dumps(about, ensure_ascii=False).encode(errors="surrogatepass")
    with open(out, "wb") as pipe:
        pipe.write(MAGIC + HEADER.pack(len(told), len(data)) + told)
        pipe.write(data)
    # Nothing here needs an orderly end, and a config of 10,000 routes takes time to take apart.
    os._exit(0)


def _follow(plain: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
    recipe = Recipe(**fields)
    try:
        made = follow(recipe)
    except Unusable as error:
        return {"errors": [asdict(one) for one in error.findings], "watched": asdict(error.watched)}, b""
    from fastgate import _engine

    # What only the engine can judge is asked here, where a finding still has its line.
    if invalid := _engine.validate(made.data):
        findings = ConfigError(made.findings(invalid)).findings
        return {"errors": [asdict(one) for one in findings], "watched": asdict(made.watched)}, b""
    about = {
        "errors": [],
        "warnings": [asdict(one) for one in made.warnings],
        "routes": list(made.routes),
        "listeners": list(made.listeners),
        "workers": made.workers,
        "control": made.control,
        "watch": made.watch,
        "files": list(made.files),
        "watched": asdict(made.watched),
    }
    return about, made.data


def _bound(priority: int) -> None:
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, MAX_CPU), (resource.RLIMIT_DATA, MAX_MEMORY)]
    for kind, value in limits:
        hard = resource.getrlimit(kind)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (bound, hard))
        except (ValueError, OSError):
            continue  # a platform without it
    try:
        os.setpriority(os.PRIO_PROCESS, 0, max(priority, os.getpriority(os.PRIO_PROCESS, 0)))
    except OSError:
        return

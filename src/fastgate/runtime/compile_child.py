"""The child that compiles a config: reads a recipe, writes the snapshot's bytes with what there is to say of it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import Any

from fastgate.errors import ConfigError, FastgateError
from fastgate.runtime.apart import HEADER, MAGIC, MODEST
from fastgate.runtime.recipe import Recipe, Unusable, follow

MAX_MEMORY = 1024 * 1024 * 1024
MAX_CPU = 60


def main(asked: dict[str, Any]) -> None:
    """For a process of its own: answers on the descriptor that was passed."""
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in asked["recipe"].items()}
    # Ctrl-C and a closed terminal reach the whole group: the parent decides what becomes of us.
    _end_by_ourselves(signal.SIGINT, signal.SIGHUP)
    _bound(int(asked["priority"]))
    if asked["idle"]:
        # Whoever else wants a processor has it at once. Refused somewhere, the low priority has to do.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _answer(Recipe(**fields), int(asked["out"]))


def copied(recipe: Recipe, out: int) -> None:
    """For a copy of the process that starts: the same, with what was imported already."""
    # Also the end of a start is the parent's affair, which serves what is due and ends in order.
    _end_by_ourselves(signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    _bound(os.getpriority(os.PRIO_PROCESS, 0))
    os.environ.update(MODEST)
    _answer(recipe, out)


def _end_by_ourselves(*ignored: signal.Signals) -> None:
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _answer(recipe: Recipe, out: int) -> None:
    """Whatever goes wrong becomes an answer too. Ends the process."""
    data = b""
    try:
        _without_plugins()
        about, data = _follow(recipe)
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


def _without_plugins() -> None:
    """No plugins of pydantic are looked for, which reads the metadata of every package: only our models are here."""
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


def _follow(recipe: Recipe) -> tuple[dict[str, Any], bytes]:
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
        "secure": list(made.secure),
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

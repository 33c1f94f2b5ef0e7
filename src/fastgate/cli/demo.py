"""`fastgate demo`: a gateway before example origins in the same process, its config in a file, commands to copy."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

from fastgate._demo.commands import COMMANDS
from fastgate._demo.origins import Origin, nowhere
from fastgate.cli.serve import log_to_stderr, start_page, url
from fastgate.errors import StartError
from fastgate.runtime import Recipe, Runtime

_WIDTH = 58


def run(bind: str) -> None:
    """Runs the demo until a signal ends it; raises ConfigError for a bad address and StartError for a taken one."""
    log_to_stderr()
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastgate-demo-")))
            one, two, live = (stack.enter_context(Origin(name)) for name in ("one", "two", "live"))
        except OSError as error:
            raise StartError(f"the demo needs a folder for temporary files and free ports: {error}") from None
        file = folder / "fastgate.yaml"
        file.write_text(demo_config(bind, one.url, two.url, live.url, nowhere()), encoding="utf-8")

        recipe = Recipe((str(file),), allow_literal_secrets=True)
        try:
            Runtime(recipe).run(lambda runtime: _page(runtime, file))
        except StartError as error:
            raise StartError(f"{error}; another address: fastgate demo --bind 127.0.0.1:8080") from None


def demo_config(bind: str, one: str, two: str, live: str, gone: str) -> str:
    """The config the demo runs, as a user reads it."""
    text = files("fastgate._demo").joinpath("fastgate.yaml").read_text(encoding="utf-8")
    values = {"BIND": bind, "ONE": one, "TWO": two, "LIVE": live, "GONE": gone, "RELOAD": f"kill -HUP {os.getpid()}"}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _page(runtime: Runtime, file: Path) -> None:
    start_page(runtime)
    base = url(next(iter(runtime.addresses.values())))
    print(f"  config: {file}\n\ntry:")
    for command in COMMANDS:
        line = command.line(base)
        gap = "\n" + " " * _WIDTH if len(line) > _WIDTH - 4 else ""
        print(f"  {line}".ljust(_WIDTH) + f"{gap}# {command.shows}", flush=True)

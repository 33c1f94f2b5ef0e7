"""`fastgate demo`: a gateway before example origins in the same process, its config in a file, commands to copy."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

from fastgate._demo.commands import COMMANDS, LOOKS
from fastgate._demo.origins import Origin, nowhere
from fastgate.cli.serve import log_to_stderr, start_page
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
        www = folder / "www"
        www.mkdir()
        (www / "index.html").write_bytes(files("fastgate._demo").joinpath("index.html").read_bytes())
        values = {"BIND": bind, "ONE": one.url, "TWO": two.url, "LIVE": live.url, "GONE": nowhere(), "WWW": str(www)}
        file.write_text(demo_config(values), encoding="utf-8")

        recipe = Recipe((str(file),), allow_literal_secrets=True)
        try:
            Runtime(recipe).run(lambda runtime: _page(runtime, file))
        except StartError as error:
            raise StartError(f"{error}; another address: fastgate demo --bind 127.0.0.1:8080") from None


def demo_config(values: Mapping[str, str]) -> str:
    """The config the demo runs, as a user reads it, with the addresses and the folder of this run."""
    text = files("fastgate._demo").joinpath("fastgate.yaml").read_text(encoding="utf-8")
    for name, value in {**values, "RELOAD": f"kill -HUP {os.getpid()}"}.items():
        # An address like [::1]:8000 is a list to YAML unless it stands in quotes.
        plain = name in ("RELOAD", "ONE", "TWO", "LIVE", "GONE")
        text = text.replace(f"@{name}@", value if plain else json.dumps(value, ensure_ascii=False))
    return text


def _page(runtime: Runtime, file: Path) -> None:
    start_page(runtime)
    address = next(iter(runtime.addresses.values()))
    print(f"  config: {file}\n\ntry:")
    for words, shows in LOOKS:
        _line(f"fastgate {words.replace('@FILE@', shlex.quote(str(file)))}", shows)
    for command in COMMANDS:
        _line(command.line(address), command.shows)


def _line(command: str, shows: str) -> None:
    gap = "\n" + " " * _WIDTH if len(command) > _WIDTH - 4 else ""
    print(f"  {command}".ljust(_WIDTH) + f"{gap}# {shows}", flush=True)

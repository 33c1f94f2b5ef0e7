"""`fastgate run`: from arguments to a running gateway, and the page it shows at start."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastgate.cli.files import default_files, is_module
from fastgate.errors import StartError, UsageError
from fastgate.runtime import ahead
from fastgate.runtime.control_path import VARIABLE
from fastgate.runtime.recipe import Recipe

if TYPE_CHECKING:
    from fastgate.runtime import Runtime

DEFAULT_BIND = "0.0.0.0:8000"
# Why an answer is the gateway's own stands here and not in the answer, which is the same in development and in use.
DEV_LOG = "{method} {path} {status} {duration} s, route {route}, error {error} {reason}"
_SHOWN_LISTENERS = 4


def run(
    files: Sequence[str],
    *,
    to: str | None = None,
    bind: str | None = None,
    dev: bool = False,
    allow_literal_secrets: bool = False,
    socket: str | None = None,
) -> None:
    """Runs a gateway until a signal ends it; raises what Runtime.run raises."""
    log_to_stderr()
    if socket is not None:
        os.environ[VARIABLE] = socket
    literal_secrets = allow_literal_secrets or to is not None
    names = list(files) if files or to is not None else default_files()
    if len(names) == 1 and is_module(names[0]):
        if to is not None or bind is not None:
            raise UsageError("--to and --bind do not go with module:attribute; its own config says where")
        run_module(names[0], dev=dev)
        return
    overrides: list[dict[str, Any]] = []
    if to is not None:
        overrides.append({"routes": {"default": {"match": {"prefix": "/"}, "to": to}}})
    if bind is not None or (to is not None and not names):
        name = _listener_name(names, literal_secrets) if names else "default"
        overrides.append({"listeners": {name: {"bind": bind or DEFAULT_BIND}}})

    if dev:
        overrides.extend(_readable_log(names, overrides, literal_secrets))
    recipe = Recipe(tuple(names), tuple(overrides), allow_literal_secrets=literal_secrets)
    # Before the engine is loaded, so that both take place at once.
    first = ahead.begin(recipe) or recipe
    from fastgate.runtime import Runtime

    Runtime(first, watch=True if dev else None).run(start_page)


def _readable_log(names: Sequence[str], overrides: Sequence[dict[str, Any]], literal_secrets: bool) -> list[Any]:
    """An access log for people, unless the config has one of its own."""
    from fastgate import config

    logs = config.load(*names, overrides=overrides, allow_literal_secrets=literal_secrets).config.logs
    if logs is not None and "access" in logs.model_fields_set:
        return []
    return [{"logs": {"access": {"to": "stderr", "format": DEV_LOG}}}]


def _listener_name(names: Sequence[str], literal_secrets: bool) -> str:
    """The listener that --bind moves."""
    from fastgate import config

    listeners = list(config.load(*names, allow_literal_secrets=literal_secrets).config.listeners)
    if len(listeners) > 1:
        raise UsageError(f"--bind needs a config with one listener; this one has {', '.join(listeners)}")
    return listeners[0] if listeners else "default"


def run_module(reference: str, *, dev: bool = False) -> None:
    """Imports module:attribute and calls its run(); raises StartError with one sentence where that is not possible.

    With `dev`, a change of the code it is made of starts the process again.
    """
    name, _, attribute = reference.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise StartError(
                f"{reference}: there is no module {error.name} in this folder or the environment"
            ) from None
        raise
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise StartError(f"{reference}: {name} has no attribute {attribute}")
        found = getattr(found, part)
    if not callable(getattr(found, "run", None)):
        raise StartError(f"{reference}: found a {type(found).__name__}; allowed: a fastgate.Gateway")
    if dev:
        from fastgate.cli.dev import start_again_on_change

        start_again_on_change()
    from fastgate import Gateway

    found.run(*((start_page,) if isinstance(found, Gateway) else ()))


def start_page(runtime: Runtime) -> None:
    """At most ten lines: where it listens, what it serves, how it is stopped and reloaded."""
    from fastgate import __version__

    addresses = runtime.addresses
    lines = [f"fastgate {__version__}"]
    secure = runtime.snapshot.secure
    width = max(len(name) for name in addresses)
    for name, address in list(addresses.items())[:_SHOWN_LISTENERS]:
        lines.append(f"  {name:<{width}}  {url(address, secure=name in secure)}")
    if len(addresses) > _SHOWN_LISTENERS:
        lines.append(f"  and {len(addresses) - _SHOWN_LISTENERS} more listeners")
    routes = len(runtime.snapshot.routes)
    workers = runtime.workers
    lines.append(f"  {routes} route{'s' * (routes != 1)}, {workers} worker{'s' * (workers != 1)}")
    lines.append(f"  stop: Ctrl-C or kill {os.getpid()} (drains)   reload: kill -HUP {os.getpid()}")
    print("\n".join(lines), flush=True)


def url(address: str, *, secure: bool = False) -> str:
    """An address as one would type it into a client."""
    return address if address.startswith("unix:") else f"{'https' if secure else 'http'}://{address}"


def log_to_stderr() -> None:
    """Sends fastgate's own messages to stderr, one a line, unless the application has set logging up."""
    from fastgate.runtime.logs import set_up

    set_up()

"""The list of commands: where each stands, so that a start imports no more than the one it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

# In the order of the help page. The module is one of `fastgate.cli.commands`.
COMMANDS = {
    "run": "gateway",
    "demo": "gateway",
    "init": "config",
    "check": "config",
    "explain": "config",
    "routes": "config",
    "schema": "config",
    "status": "control",
    "top": "control",
    "reload": "control",
    "drain": "control",
    "sessions": "control",
    "keys": "keys",
    "token": "tokens",
    "certs": "machine",
    "bench": "machine",
    "doctor": "machine",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its function, whose parameters are its options, and examples to copy."""

    function: Callable[..., Any]
    examples: Sequence[str]

    @property
    def summary(self) -> str:
        """The first sentence of the help, for the list of commands."""
        first = " ".join((self.function.__doc__ or "").partition("\n\n")[0].split())
        return first.partition(". ")[0].rstrip(".")

    @property
    def epilog(self) -> str:
        """The examples as they stand under the help; a backspace in front keeps their lines apart."""
        return "\b\nExamples:\n" + "\n".join(f"  {one}" for one in self.examples)


_REGISTERED: dict[str, Command] = {}
_F = TypeVar("_F", bound=Callable[..., Any])


def command(name: str, *examples: str) -> Callable[[_F], _F]:
    """Registers a function as the command of that name."""

    def register(function: _F) -> _F:
        _REGISTERED[name] = Command(function, examples)
        return function

    return register


def find(name: str) -> Command:
    """The command of that name; imports its module."""
    import_module(f"fastgate.cli.commands.{COMMANDS[name]}")
    return _REGISTERED[name]

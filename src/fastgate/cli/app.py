"""From words to a command, and from every way a command can end to an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fastgate.cli import INTERNAL, INTERRUPTED, USAGE, doing, quick
from fastgate.cli.registry import COMMANDS, find
from fastgate.errors import ConfigError, FastgateError, UsageError

if TYPE_CHECKING:
    import typer

_COMPLETE = "_FASTGATE_COMPLETE"


def run_words(words: Sequence[str]) -> int:
    """Runs the command line; every way it can end becomes an exit code."""
    if _COMPLETE in os.environ:
        # A help text that is wrapped would be a candidate a line in fish.
        os.environ["COLUMNS"] = "1000"
        return ended(lambda: build()(args=list(words), prog_name="fastgate"))
    if not words:
        run_words(["--help"])
        return USAGE
    first = words[0]
    if not first.startswith("-") and first not in COMMANDS:
        say(f"fastgate: {unknown_command(first)}")
        return USAGE
    if first in quick.TABLE:
        options = quick.options(first, words[1:])
        if options is not None:
            return ended(lambda: getattr(doing, first)(**options))
    only = [first] if first in COMMANDS else list(COMMANDS)
    return ended(lambda: build(only)(args=list(words), prog_name="fastgate"))


def build(names: Sequence[str] = tuple(COMMANDS)) -> typer.Typer:
    """The command line with these commands."""
    import typer

    app = typer.Typer(
        name="fastgate",
        help="An API gateway: strict HTTP, decided in a YAML file and in Python.",
        epilog="\b\nExamples:\n"
        "  fastgate run --to http://127.0.0.1:9000    a gateway before one address, on port 8000\n"
        "  fastgate init                              a first config to edit\n"
        "  fastgate demo                              a gateway with example origins to play with\n"
        "\n"
        "Exit codes: 0 done, 1 the input is wrong, 2 usage, 70 a fault of fastgate itself.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )

    @app.callback(invoke_without_command=True)
    def _root(
        version: bool = typer.Option(False, "--version", "-V", help="Print the version and end."),
    ) -> None:
        if version:
            from fastgate import __version__

            typer.echo(f"fastgate {__version__}")
            raise typer.Exit

    for name in names:
        command = find(name)
        app.command(name, short_help=command.summary, epilog=command.epilog)(command.function)
    return app


def unknown_command(word: str) -> str:
    """The sentence for a command that is none."""
    from difflib import get_close_matches

    near = get_close_matches(word, COMMANDS, 1, 0.6)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    return f'there is no command "{word}"; {hint}allowed: {", ".join(COMMANDS)}'


def ended(call: Callable[[], object]) -> int:
    """Calls, and says what went wrong; returns the exit code."""
    try:
        code = call()
        # Here and not at the interpreter's end, where nobody could catch it.
        sys.stdout.flush()
    except SystemExit as end:
        # The library for commands makes 1 of it.
        if isinstance(end.__context__, BrokenPipeError):
            return 0
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except UsageError as error:
        say(f"fastgate: {error}")
        return USAGE
    except ConfigError as error:
        say(str(error))
        count = len(error.findings)
        say(f"{count} error{'s' if count != 1 else ''}: not started")
        return 1
    except FastgateError as error:
        say(f"fastgate: {error}")
        return 1
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); the interpreter must not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        import traceback

        traceback.print_exc()
        say(f"fastgate: a fault of fastgate itself, please report it: {type(error).__name__}: {error}")
        return INTERNAL
    return code if isinstance(code, int) else 0


def say(text: str) -> None:
    """One message on stderr."""
    print(text, file=sys.stderr)

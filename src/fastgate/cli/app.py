"""The commands, their options and help texts."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fastgate.cli import INTERNAL, USAGE
from fastgate.errors import ConfigError, FastgateError, UsageError

app = typer.Typer(
    name="fastgate",
    help="An API gateway: strict HTTP, decided in a YAML file and in Python.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


class Format(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    github = "github"


Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="Config files, later over earlier; or module:attribute of a Gateway. "
        "Without one: $FASTGATE_CONFIG, ./fastgate.yaml, [tool.fastgate] in pyproject.toml.",
        show_default=False,
    ),
]
Literals = Annotated[
    bool,
    typer.Option(
        "--allow-literal-secrets",
        envvar="FASTGATE_ALLOW_LITERAL_SECRETS",
        help="Let secrets stand in the config itself; a warning each.",
    ),
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and end.")] = False) -> None:
    if version:
        from fastgate import __version__

        typer.echo(f"fastgate {__version__}")
        raise typer.Exit


@app.command(
    epilog="Examples:  fastgate run  |  fastgate run fastgate.yaml local.yaml  |  "
    "fastgate run --to http://127.0.0.1:9000  |  fastgate run myproject.gate:gateway"
)
def run(
    files: Files = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL", envvar="FASTGATE_TO", help="Send everything to this target; no file needed."
        ),
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            "--bind", metavar="ADDR", envvar="FASTGATE_BIND", help="Where to listen; 0.0.0.0:8000 unless given."
        ),
    ] = None,
    allow_literal_secrets: Literals = False,
) -> None:
    """Run the gateway in the foreground. SIGTERM or Ctrl-C drains, a second one ends at once, SIGHUP reloads."""
    from fastgate.cli import serve

    serve.run(files or [], to=to, bind=bind, literal_secrets=allow_literal_secrets or to is not None)


@app.command(
    epilog="Examples:  fastgate check  |  fastgate check --strict fastgate.yaml  |  "
    "fastgate check --format github *.yaml"
)
def check(
    files: Files = None,
    strict: Annotated[
        bool, typer.Option("--strict", envvar="FASTGATE_STRICT", help="A warning fails the check as an error does.")
    ] = False,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option("--format", envvar="FASTGATE_FORMAT", help="How findings are written.")
    ] = Format.text,
    allow_literal_secrets: Literals = False,
) -> None:
    """Check config files: every fault with file, line, column, key, what was found and what is allowed."""
    from fastgate.cli import checking

    raise typer.Exit(
        checking.check(files or [], strict=strict, form=format.value, literal_secrets=allow_literal_secrets)
    )


@app.command(epilog="Example:  fastgate demo --bind 127.0.0.1:8080")
def demo(
    bind: Annotated[
        str, typer.Option("--bind", metavar="ADDR", envvar="FASTGATE_BIND", help="Where to listen.")
    ] = "127.0.0.1:8000",
) -> None:
    """Run a gateway before example origins, with commands to try; nothing else is needed."""
    from fastgate.cli import demo as showcase

    showcase.run(bind)


def default_files() -> list[str]:
    """The config to use where none is named; raises UsageError where there is none."""
    import os

    named = os.environ.get("FASTGATE_CONFIG")
    if named:
        return [named]
    if Path("fastgate.yaml").is_file():
        return ["fastgate.yaml"]
    project = Path("pyproject.toml")
    if project.is_file() and b"[tool.fastgate" in project.read_bytes():
        return [str(project)]
    raise UsageError(
        "no config: name a FILE, use --to URL, set FASTGATE_CONFIG, "
        "or write fastgate.yaml or [tool.fastgate] in pyproject.toml"
    )


def run_app(words: Sequence[str]) -> int:
    """Runs the command line; every way it can end becomes an exit code."""
    try:
        app(args=list(words), prog_name="fastgate")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except KeyboardInterrupt:
        return 130
    except UsageError as error:
        _say(f"fastgate: {error}")
        return USAGE
    except ConfigError as error:
        _say(str(error))
        count = len(error.findings)
        _say(f"{count} error{'s' if count != 1 else ''}: not started")
        return 1
    except FastgateError as error:
        _say(f"fastgate: {error}")
        return 1
    except BrokenPipeError:
        return 0
    except Exception as error:
        traceback.print_exc()
        _say(f"fastgate: a fault of fastgate itself, please report it: {type(error).__name__}: {error}")
        return INTERNAL
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)

"""Writes docs/user/config-reference.md from the config models: every key, its values, its default, what it means."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastgate.config.describe import (
    Key,
    Keys,
    ListOf,
    MapOf,
    Off,
    OneOf,
    Scalar,
    Shape,
    doc,
    keys,
    models,
    title,
    written,
)
from fastgate.config.merged import flow
from fastgate.config.models import Config, Model

PAGE = Path(__file__).resolve().parents[1] / "docs" / "user" / "config-reference.md"

HEAD = """\
# Configuration reference

Every key of a config. This page is generated from the models that check it (`tools/gen_config_docs.py`);
[Configuration](configuration.md) explains how the parts work together.

- **Durations** are numbers with a unit, `ms`, `s`, `m`, `h` or `d`: `250ms`, `5s`, `1h30m`.
- **Sizes** are bytes with a unit, `B`, `KiB`, `MiB`, `GiB` (powers of 1024) or `kB`, `MB`, `GB` (of 1000): `64KiB`.
- **Rates** are a number and a time, `/s`, `/m`, `/h` or `/d`: `100/s`, `10000/d`.
- **Secrets** are references: `env:NAME` or `file:/path`. One that is written out is refused, unless
  `--allow-literal-secrets` makes it a warning.
- **Variables**, `${NAME}` or `${NAME:-default}`, may stand in any value, never in a key; `$${` is a plain `${`.
- A key marked *later* is accepted and ignored with a warning (an error under `--strict`): a later version reads it.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(model) for model in models())])


def _section(model: type[Model]) -> str:
    heading = "Top level" if model is Config else title(model).capitalize()
    said = [f"## {heading}", "", doc(model), ""]
    if used := _used_by(model):
        said += [f"Stands at {used}.", ""]
    rows = ["| key | value | default | meaning |", "|---|---|---|---|", *(_row(key) for key in keys(model))]
    return "\n".join([*said, *rows, ""])


def _used_by(model: type[Model]) -> str:
    """Which keys hold a mapping of this model."""
    places = [
        f"`{key.name}{'.NAME' * _by_name(key.shape)}`"
        + (f" of a [{title(owner)}]({_anchor(owner)})" * (owner is not Config))
        for owner in models()
        for key in keys(owner)
        if any(held is model for held in _held(key.shape))
    ]
    return ", ".join(dict.fromkeys(places))


def _anchor(model: type[Model]) -> str:
    return f"#{title(model).replace(' ', '-')}"


def _by_name(shape: Shape) -> bool:
    return isinstance(shape, MapOf) or (isinstance(shape, OneOf) and any(_by_name(one) for one in shape.options))


def _held(shape: Shape) -> list[type[Model]]:
    match shape:
        case Keys(model):
            return [model]
        case ListOf(inner) | MapOf(_, inner):
            return _held(inner)
        case OneOf(options):
            return [model for one in options for model in _held(one)]
        case _:
            return []


def _row(key: Key) -> str:
    default = written(key.shape, key.default)
    if key.required:
        shown = "required"
    elif default not in (None, [], {}):
        shown = f"`{flow(default)}`"
    else:
        held = isinstance(key.shape, Keys) and default is not None
        shown = "its defaults" if held else key.unset or "none"
    meaning = f"*Later.* {key.doc}" if key.later else key.doc
    if key.example is not None and _worth_showing(key, default):
        meaning += f" Example: `{flow(key.example)}`."
    return (
        " | ".join(["|", f"`{key.name}`", _value(key.shape), shown, meaning, "|"])
        .replace("| | ", "| ")
        .replace(" | |", " |")
    )


def _worth_showing(key: Key, default: object) -> bool:
    shape = key.shape.options[0] if isinstance(key.shape, OneOf) else key.shape
    telling = isinstance(shape, Scalar) and flow(key.example).strip('"') in shape.kind.allowed
    return key.example not in (default, "text", ["text"]) and not telling


def _value(shape: Shape) -> str:
    match shape:
        case Scalar(kind):
            return _escaped(kind.allowed)
        case ListOf(item):
            return f"a list: {_value(item)}"
        case MapOf(_, value):
            return f"a mapping by name: {_value(value)}"
        case Keys(model):
            return f"[{title(model)}]({_anchor(model)})"
        case OneOf(options):
            return ", or ".join(_value(one) for one in options)
        case Off():
            return "`false`"
        case _:
            return "anything"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("`", "\\`").replace("<", "&lt;")


def main(arguments: list[str]) -> int:
    """Writes the page, or says whether it is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is not current")
    check = parser.parse_args(arguments).check
    text = page()
    current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
    if check:
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

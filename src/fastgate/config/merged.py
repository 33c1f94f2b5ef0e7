"""Every value of a loaded config with where it came from: a file and line, the environment, an overlay, a default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from fastgate.config.describe import Key, Keys, ListOf, MapOf, Scalar, Shape, choose, keys, written
from fastgate.config.findings import dotted, where
from fastgate.config.load import Loaded
from fastgate.config.models import Config, Model
from fastgate.config.scalars import Kind, Substituted
from fastgate.config.secrets import SecretKind
from fastgate.config.source import KeyPath

Origin = Literal["file", "default", "unset"]
# What stands in the place of a secret that is written out.
HIDDEN = "(literal, not shown)"
_COMMENT_COLUMN = 56


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a config.

    `value` is plain data as people write it; an empty list or mapping is a value of its own.
    """

    path: KeyPath
    value: Any
    origin: Origin
    file: str = ""
    line: int | None = None
    # Variables of the environment that the value was made of.
    variables: tuple[str, ...] = ()
    # What an absent key means, where it has no value.
    note: str = ""

    @property
    def key(self) -> str:
        """The path with dots."""
        return dotted(self.path)

    @property
    def where(self) -> str:
        """Where it came from, in words: `fastgate.yaml:3`, `default`, `fastgate.yaml:3, from $PORT`."""
        if self.origin != "file":
            return f"default: {self.note}" if self.note else "default"
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}, from {' '.join(f'${name}' for name in self.variables)}" if self.variables else place


def explain_defaults(loaded: Loaded) -> list[Setting]:
    """Every value a config has, the defaults of what is not written included."""
    return _placed(loaded, _mapping(Config, loaded.value, (), defaults=True))


def print_merged(loaded: Loaded) -> list[Setting]:
    """Every value that is written, once all files, overlays and variables are merged."""
    return _placed(loaded, _mapping(Config, loaded.value, (), defaults=False))


def _placed(loaded: Loaded, found: Iterator[Setting]) -> list[Setting]:
    settings = list(found)
    places = where([one.path for one in settings if one.origin == "file"], loaded.sources)
    done = []
    for one in settings:
        if one.origin == "file":
            file, line = places.get(one.path, ("", None))
            done.append(replace(one, file=file, line=line))
        else:
            done.append(one)
    return done


def _mapping(model: type[Model], value: dict[str, Any], path: KeyPath, *, defaults: bool) -> Iterator[Setting]:
    if path and not value:
        yield Setting(path, {}, "file")
        return
    for key in keys(model):
        here = (*path, key.name)
        if key.name in value:
            yield from _value(key.shape, value[key.name], here, defaults=defaults)
        elif defaults:
            yield from _default(key, here)


def _value(shape: Shape, value: Any, path: KeyPath, *, defaults: bool) -> Iterator[Setting]:
    match choose(shape, value):
        case Keys(model) if isinstance(value, dict):
            yield from _mapping(model, value, path, defaults=defaults)
        case MapOf(_, inner) if isinstance(value, dict) and value:
            for name, item in value.items():
                yield from _value(inner, item, (*path, name), defaults=defaults)
        case ListOf(item) if isinstance(value, list) and any(isinstance(one, dict) for one in value):
            for number, one in enumerate(value):
                yield from _value(item, one, (*path, number), defaults=defaults)
        case Scalar(kind) if isinstance(kind, SecretKind):
            reference = isinstance(value, str) and value.startswith(("env:", "file:"))
            yield Setting(path, str(value) if reference else HIDDEN, "file", variables=_variables(value))
        case Scalar(Kind() as kind) if isinstance(value, Substituted):
            yield Setting(path, kind.write(kind.read(value)), "file", variables=value.names)
        case _:
            yield Setting(path, _plain(value), "file", variables=_variables(value))


def _default(key: Key, path: KeyPath) -> Iterator[Setting]:
    """An absent key. Sections that do nothing unless they are written stay out, as do keys of a later version."""
    if key.later:
        return
    if isinstance(key.default, Model):
        for inner in keys(type(key.default)):
            yield from _default(inner, (*path, inner.name))
    elif key.default is not None:
        yield Setting(path, written(key.shape, key.default), "default", note=key.unset or "")
    elif key.unset:
        yield Setting(path, None, "unset", note=key.unset)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _variables(value: Any) -> tuple[str, ...]:
    if isinstance(value, Substituted):
        return value.names
    items = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return tuple(dict.fromkeys(name for item in items for name in _variables(item)))


Line: TypeAlias = tuple[str, str]
# Keys and list positions down to settings.
Tree: TypeAlias = "dict[str | int, Tree | Setting]"


def to_yaml(settings: Iterable[Setting]) -> str:
    """Settings as one YAML document in block style; each line says where its value came from.

    The document loads to the same config: values that are not set stand as comments, secrets stay references.
    """
    tree: Tree = {}
    for one in settings:
        node = tree
        for part in one.path[:-1]:
            below = node.setdefault(part, {})
            assert isinstance(below, dict)
            node = below
        node[one.path[-1]] = one
    lines = list(_block(tree))
    width = min(_COMMENT_COLUMN, max((len(text) for text, where in lines if where), default=0))
    return "".join(f"{text:<{width}}  # {where}\n" if where else f"{text}\n" for text, where in lines)


def _block(tree: Tree) -> Iterator[Line]:
    """The lines of a mapping or a list; what is not set comes last, as comments."""
    if 0 in tree:
        for item in tree.values():
            (first, where), *rest = [(flow(item.value), item.where)] if isinstance(item, Setting) else _block(item)
            yield f"- {first}", where
            yield from ((f"  {text}", where) for text, where in rest)
        return
    absent = [(name, one) for name, one in tree.items() if isinstance(one, Setting) and one.origin == "unset"]
    for name, item in tree.items():
        if isinstance(item, Setting):
            if item.origin != "unset":
                yield f"{scalar(name)}: {flow(item.value)}", item.where
            continue
        written_below = any(not (isinstance(one, Setting) and one.origin == "unset") for one in item.values())
        yield f"{scalar(name)}:" if written_below else f"{scalar(name)}: {{}}", ""
        yield from ((f"  {text}", where) for text, where in _block(item))
    for name, one in absent:
        yield f"# {scalar(name)}:", one.where


def flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, list):
        return f"[{', '.join(flow(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{scalar(name)}: {flow(item)}' for name, item in value.items())}}}"
    return scalar(value)


_BARE = re.compile(
    r"[A-Za-z/][A-Za-z0-9_./+-]*(?::(?:/{2})?[A-Za-z0-9_./+-]+)*\Z|\d+(?:ms|s|m|h|d|B|[kKMG]i?B)(?:/s)?\Z|\d+/[smhd]\Z"
    r"|\d+\.\d+\.\d+\.\d+(?::\d+|/\d+)\Z"
)
_SOUNDING = re.compile(r"(?:true|false|null|yes|no|on|off|y|n)\Z", re.IGNORECASE)


def scalar(value: Any) -> str:
    """A scalar in YAML, in quotes where it would be read as something else."""
    if isinstance(value, str):
        return value if _BARE.match(value) and not _SOUNDING.match(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)

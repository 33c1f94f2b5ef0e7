"""What the models say of themselves, as plain data: for the reference, the JSON Schema, the starter file and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from fastgate.config.models import Config, Model
from fastgate.config.models.base import Rare
from fastgate.config.scalars import Kind
from fastgate.config.secrets import SecretKind


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value."""

    kind: Kind | SecretKind


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping whose keys the user names."""

    key: Scalar
    value: Shape


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping with the keys of a model."""

    model: type[Model]


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several shapes; which one shows by what is written."""

    options: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Off:
    """The word false."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Not described yet."""


Shape: TypeAlias = Scalar | ListOf | MapOf | Keys | OneOf | Off | Anything


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a model and everything that is said of it."""

    # The key as written, and the attribute of the model.
    name: str
    attribute: str
    doc: str
    shape: Shape
    required: bool
    # As read; None where an absent key is no value: then `unset` says what it means, if there is more to say.
    default: Any
    unset: str | None
    # "plain" or "security" for a key of a later version.
    later: str | None
    # As written.
    example: Any


@cache
def keys(model: type[Model]) -> tuple[Key, ...]:
    """The keys of a model, in their order."""
    return tuple(_key(name, info) for name, info in model.model_fields.items())


def _key(attribute: str, info: FieldInfo) -> Key:
    notes = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    shape = shape_of(_annotation(info))
    later, unset = notes.get("x-later"), notes.get("x-unset")
    return Key(
        info.alias or attribute,
        attribute,
        info.description or "",
        shape,
        info.is_required(),
        None if info.is_required() else info.get_default(call_default_factory=True),
        None if unset is None else str(unset),
        None if later is None else str(later),
        info.examples[0] if info.examples else _example(shape),
    )


def _annotation(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _example(shape: Shape) -> Any:
    match shape:
        case Scalar(kind):
            return kind.example
        case ListOf(item):
            example = _example(item)
            return None if example is None else [example]
        case OneOf(options):
            return next((example for one in options if (example := _example(one)) is not None), None)
        case _:
            return None


def shape_of(annotation: Any) -> Shape:
    """The shape a type annotation of the models stands for."""
    metadata: tuple[Any, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        metadata = (*inner, *metadata)
    kind = next((item for item in metadata if isinstance(item, (Kind, SecretKind))), None)
    if kind is not None:
        return Scalar(kind)
    rare = next((item for item in metadata if isinstance(item, Rare)), None)
    if rare is not None:
        return Keys(rare.model())
    origin = get_origin(annotation)
    if origin is Union or type(annotation).__name__ == "UnionType":
        options = tuple(shape_of(one) for one in get_args(annotation) if one is not type(None))
        return options[0] if len(options) == 1 else OneOf(options)
    if origin is list:
        return ListOf(shape_of(get_args(annotation)[0]))
    if origin is dict:
        key, value = get_args(annotation)
        shape = shape_of(key)
        return MapOf(shape if isinstance(shape, Scalar) else Scalar(_KEY), shape_of(value))
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return Keys(annotation)
    return Off() if annotation == Literal[False] else Anything()


_KEY = Kind(str, "text", {"type": "string"}, "name")


def choose(shape: Shape, value: Any) -> Shape:
    """The one of several shapes that a written value has."""
    if not isinstance(shape, OneOf):
        return shape
    wanted: tuple[type, ...] = (
        (ListOf,)
        if isinstance(value, list)
        else (Keys, MapOf)
        if isinstance(value, dict)
        else (Off,)
        if value is False
        else (Scalar,)
    )
    flat = tuple(_flat(shape))
    return next((one for one in flat if isinstance(one, wanted)), flat[0])


def _flat(shape: Shape) -> Iterator[Shape]:
    if isinstance(shape, OneOf):
        for one in shape.options:
            yield from _flat(one)
    else:
        yield shape


def at(loc: Sequence[str | int]) -> Shape:
    """The shape of what stands at a place of pydantic's; its `<…>` parts say which arm of a union was meant."""
    shape: Shape = Keys(Config)
    for part in loc:
        options = list(_flat(shape))
        if part in ARMS:
            shape = next((one for one in options if isinstance(one, ARMS[str(part)])), shape)
            continue
        shape = next((inner for one in options if (inner := _inside(one, part)) is not None), Anything())
    return shape


# The tags of the models' unions.
ARMS: dict[str, tuple[type, ...]] = {
    "<list>": (ListOf,),
    "<item>": (Scalar, Keys, MapOf),
    "<map>": (Keys, MapOf),
    "<off>": (Off,),
    "<text>": (Scalar,),
}


def _inside(shape: Shape, part: str | int) -> Shape | None:
    match shape:
        case Keys(model):
            return next((key.shape for key in keys(model) if part in (key.name, key.attribute)), None)
        case MapOf(_, value):
            return value
        case ListOf(item) if isinstance(part, int):
            return item
        case _:
            return None


def names(shape: Shape) -> list[str]:
    """The keys allowed in a mapping of this shape; none where the user names them, or where there is no mapping."""
    return next(([key.name for key in keys(one.model)] for one in _flat(shape) if isinstance(one, Keys)), [])


def allowed(shape: Shape) -> str | None:
    """What is allowed as a value of this shape, in words."""
    flat = list(_flat(shape))
    scalar = next((one for one in flat if isinstance(one, Scalar)), None)
    if scalar is not None:
        return scalar.kind.allowed
    if words := names(shape):
        return f"a mapping with {', '.join(sorted(words))}"
    return "a list" if any(isinstance(one, ListOf) for one in flat) else None


def written(shape: Shape, value: Any) -> Any:
    """A value of the models as people write it, as plain data; absent keys stay absent."""
    if isinstance(value, Model):
        return {
            key.name: written(key.shape, getattr(value, key.attribute))
            for key in keys(type(value))
            if key.attribute in value.model_fields_set
        }
    match choose(shape, value):
        case ListOf(item) if isinstance(value, (list, tuple)):
            return [written(item, one) for one in value]
        case MapOf(_, inner) if isinstance(value, dict):
            return {name: written(inner, one) for name, one in value.items()}
        case Scalar(kind) if value is not None:
            return kind.write(value)
        case _:
            return value


@cache
def models() -> tuple[type[Model], ...]:
    """Every model that a config can hold, each once, in the order in which a reader meets them."""
    found: dict[type[Model], None] = {}

    def visit(shape: Shape) -> None:
        match shape:
            case Keys(model) if model not in found:
                found[model] = None
                for key in keys(model):
                    visit(key.shape)
            case ListOf(inner) | MapOf(_, inner):
                visit(inner)
            case OneOf(options):
                for one in options:
                    visit(one)

    visit(Keys(Config))
    return tuple(found)


def title(model: type[Model]) -> str:
    """The name of a model as a heading: `HeaderChanges` is "header changes"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", model.__name__).lower()


def doc(model: type[Model]) -> str:
    """The first line of a model's docstring."""
    return (model.__doc__ or "").strip().split("\n")[0]

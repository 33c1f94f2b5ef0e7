"""The JSON Schema of the config, made from the models, for editors."""

from __future__ import annotations

from typing import Any

from fastgate.config.describe import Key, Keys, ListOf, MapOf, Off, OneOf, Scalar, Shape, doc, keys, models, written
from fastgate.config.models import Config, Model

Plain = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Stands wherever a value that is no free text may come out of the environment.
_VARIABLE = "variable"


def schema() -> Plain:
    """The JSON Schema (2020-12) of a config file; every description, default and pattern comes from the models."""
    definitions: Plain = {
        _VARIABLE: {
            "type": "string",
            "pattern": r"(^|[^$])\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
            "description": "A value out of the environment: ${NAME} or ${NAME:-default}.",
        }
    }
    for model in models():
        if model is not Config:
            definitions[model.__name__] = _model(model)
    return {"$schema": DIALECT, "title": "A fastgate config", **_model(Config), "$defs": definitions}


def _model(model: type[Model]) -> Plain:
    described = keys(model)
    plain: Plain = {
        "type": "object",
        "description": doc(model),
        "additionalProperties": False,
        "properties": {key.name: _key(key, nullable=model is Config) for key in described},
    }
    if required := [key.name for key in described if key.required]:
        plain["required"] = required
    return plain


def _key(key: Key, *, nullable: bool) -> Plain:
    plain = _shape(key.shape)
    # An empty section of the top level is an empty mapping.
    if nullable and not isinstance(key.shape, Scalar):
        plain = {"anyOf": [*plain.get("anyOf", [plain]), {"type": "null"}]}
    absent = f" Absent: {key.unset}." if key.unset else ""
    later = " Not in this version: accepted with a warning, and ignored." if key.later else ""
    plain["description"] = key.doc + absent + later
    default = written(key.shape, key.default)
    if default is not None:
        plain["default"] = default
    if key.example is not None:
        plain["examples"] = [key.example]
    if key.later:
        plain["x-later"] = key.later
    return plain


def _shape(shape: Shape) -> Plain:
    match shape:
        case Scalar(kind):
            own = dict(kind.schema)
            free = own.get("type") == "string" and "pattern" not in own
            return own if free else {"anyOf": [own, {"$ref": f"#/$defs/{_VARIABLE}"}]}
        case ListOf(item):
            return {"type": "array", "items": _shape(item)}
        case MapOf(key, value):
            names = dict(key.kind.schema)
            return {"type": "object", "propertyNames": names, "additionalProperties": _shape(value)}
        case Keys(model):
            return {"$ref": f"#/$defs/{model.__name__}"}
        case OneOf(options):
            return {"anyOf": [_shape(one) for one in options]}
        case Off():
            return {"const": False}
        case _:
            return {}

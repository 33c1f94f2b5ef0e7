"""What every model shares: strictness, one doc line a field, marks for keys of a later version, unions by shape."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.config import JsonDict
from pydantic_core import core_schema

from fastgate.config import addresses, log_targets, scalars
from fastgate.config.secrets import SECRET, Secret

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

__all__ = [
    "Bind",
    "ByteRate",
    "Cidr",
    "Duration",
    "Flag",
    "HeaderName",
    "HeaderValue",
    "HostPattern",
    "HostPolicy",
    "LogTarget",
    "Model",
    "Name",
    "OneOrMany",
    "OrOff",
    "PathText",
    "Percent",
    "Rare",
    "Rate",
    "SecretText",
    "Size",
    "TargetUrl",
    "Text",
    "TextOrMap",
    "field",
]

# A key of a later version. "plain": ignoring it changes comfort only; "security": ignoring it leaves a door open.
Later = Literal["plain", "security"]


class Model(BaseModel):
    """A mapping of the config: unknown keys are errors, nothing is coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Rare:
    """A model that few configs use: imported and built when a value of it is met, so that no other start pays for it.

    Stands in an annotation, `Annotated[Any, Rare("auth", "Jwt")]`: the module beside this one, and the class in it.
    """

    module: str
    name: str

    def model(self) -> type[Model]:
        """The model itself."""
        model: type[Model] = getattr(import_module(f"fastgate.config.models.{self.module}"), self.name)
        return model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any, info: ValidationInfo) -> Model:
            # What is wrong inside keeps its place: pydantic takes the errors of the inner model over.
            return self.model().model_validate(value, context=info.context)

        return core_schema.with_info_plain_validator_function(read)


def field(
    doc: str,
    default: Any = None,
    *,
    later: Later | None = None,
    required: bool = False,
    unset: str | None = None,
    example: Any = None,
    alias: str | None = None,
) -> Any:
    """A field: all that is said of it, once; errors, reference, schema and starter file are made from it.

    Args:
        doc: One sentence.
        default: The value that stands for an absent key, as it is read (milliseconds, bytes).
        later: A later version will read it.
        required: The key must be written.
        unset: What an absent key means, where that is no value of the field.
        example: A value as people write it, where the one of its kind says too little.
        alias: The key, where it is no Python name.
    """
    notes: JsonDict = {}
    if later:
        notes["x-later"] = later
    if unset:
        notes["x-unset"] = unset
    said: dict[str, Any] = {"description": doc, "alias": alias, "json_schema_extra": notes or None}
    if example is not None:
        said["examples"] = [example]
    if required:
        return Field(**said)
    if isinstance(default, (list, dict)):
        return Field(default_factory=lambda: type(default)(default), **said)
    return Field(default, **said)


Text = Annotated[str, scalars.text()]
Flag = Annotated[bool, scalars.FLAG]
Name = Annotated[str, addresses.NAME]
Duration = Annotated[int, scalars.duration()]
Size = Annotated[int, scalars.size()]
ByteRate = Annotated[int, scalars.BYTE_RATE]
Rate = Annotated[tuple[int, int], scalars.RATE]
Percent = Annotated[float, scalars.PERCENT]
Bind = Annotated[str, addresses.BIND]
TargetUrl = Annotated[str, addresses.TARGET]
Cidr = Annotated[str, addresses.CIDR]
HeaderName = Annotated[str, addresses.HEADER_NAME]
HeaderValue = Annotated[str, addresses.HEADER_VALUE]
HostPattern = Annotated[str, addresses.HOST_PATTERN]
HostPolicy = Annotated[str, addresses.HOST_POLICY]
LogTarget = Annotated[str, log_targets.TARGET]
PathText = Annotated[str, addresses.PATH]
SecretText = Annotated[Secret, SECRET]


_T = TypeVar("_T")
_S = TypeVar("_S")


def _list_or_item(value: Any) -> str:
    return "<list>" if isinstance(value, list) else "<item>"


def _map_or_off(value: Any) -> str:
    return "<off>" if value is False else "<map>"


def _text_or_map(value: Any) -> str:
    return "<map>" if isinstance(value, (dict, BaseModel)) else "<text>"


# Unions choose their branch by what the value looks like, so that one fault gives one error.
# One value, or a list of them.
OneOrMany: TypeAlias = Annotated[
    Annotated[_T, Tag("<item>")] | Annotated[list[_T], Tag("<list>")], Discriminator(_list_or_item)
]
# A mapping, or `false` to switch it off.
OrOff: TypeAlias = Annotated[
    Annotated[_T, Tag("<map>")] | Annotated[Literal[False], Tag("<off>")], Discriminator(_map_or_off)
]
# The short form as text, or the long one as a mapping.
TextOrMap: TypeAlias = Annotated[
    Annotated[_S, Tag("<text>")] | Annotated[_T, Tag("<map>")], Discriminator(_text_or_map)
]

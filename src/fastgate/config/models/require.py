"""What an identity must have, and whose tenant it is; loaded when a config uses it."""

from typing import Annotated, Any

from fastgate.config.addresses import METHOD
from fastgate.config.models.base import Cidr, HeaderName, Model, Text, field
from fastgate.config.models.policies import Policy
from fastgate.config.scalars import Kind, refuse

ALLOWED = "text, a number, true, false, a list of them, or {present: true}"


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _rule(value: Any) -> Any:
    if _scalar(value):
        return [value]
    if isinstance(value, list) and value and all(map(_scalar, value)):
        return value
    if isinstance(value, dict) and list(value) == ["present"] and isinstance(value["present"], bool):
        return value
    raise refuse(value, ALLOWED)


_JSON = {"type": ["string", "number", "boolean"]}
CLAIM = Kind(
    _rule,
    ALLOWED,
    {
        "anyOf": [
            _JSON,
            {"type": "array", "items": _JSON, "minItems": 1},
            {
                "type": "object",
                "properties": {"present": {"type": "boolean"}},
                "required": ["present"],
                "additionalProperties": False,
            },
        ]
    },
    "acme",
)
Claim = Annotated[Any, CLAIM]
Method = Annotated[str, METHOD]


class Names(Model):
    """Names asked for; both parts must hold."""

    any: list[Text] | None = field("At least one of them.", example=["editor", "admin"])
    all: list[Text] | None = field("All of them.", example=["editor"])


class Require(Policy):
    """What the identity must have: everything here must hold."""

    roles: Names | None = field("Roles.")
    scopes: Names | None = field("Scopes.")
    groups: Names | None = field("Groups.")
    claims: dict[Text, Claim] = field(
        "Claims by path: a value, one of several, or whether it is there.", {}, example={"tenant": "acme"}
    )
    methods: list[Method] = field("Methods.", [], unset="every method", example=["GET", "POST"])
    expression: Text | None = field(
        "A CEL expression over request, identity and claims that must be true.", example='request.method == "GET"'
    )


class Tenant(Policy):
    """The tenant of a request."""

    header: HeaderName | None = field(
        "The header that names it.", unset="the claim of must_equal names it", example="x-tenant"
    )
    trusted_from: list[Cidr] = field("Peers that may set the header.", [])
    must_equal: Text | None = field("The claim that the header must equal.", example="tenant")

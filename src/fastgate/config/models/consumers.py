"""Who uses the gateway; loaded when a config names somebody."""

from typing import Annotated, Any

from fastgate.config.key_values import KEY_HASH, TIME
from fastgate.config.models.base import Model, Name, Rare, Text, field
from fastgate.config.models.policies import Policies

Limits = dict[Name, Annotated[Any, Rare("limits", "Limit")]]


class ConsumerKey(Model):
    """One API key of a consumer; several may be live at once."""

    hash: Annotated[str, KEY_HASH] = field(
        "What is stored of the key: sha256:HEX, or hmac-sha256:PEPPER:HEX.", required=True, example="sha256:…"
    )
    expires: Annotated[str, TIME] | None = field("When it ends, RFC 3339.", example="2027-01-01T00:00:00Z")
    scopes: list[Text] = field("What it is for.", [], example=["read"])
    limits: Limits = field("Rates of this key, besides its consumer's.", {})


class Consumer(Model):
    """Someone who uses the gateway."""

    groups: list[Name] = field("Groups.", [])
    roles: list[Name] = field("Roles.", [])
    tenant: Text | None = field("The tenant.", example="acme")
    certificates: list[Text] = field(
        "Names of client certificates that are its own, as auth by mtls finds them.",
        [],
        example=["spiffe://example.org/billing"],
    )
    api_keys: dict[Name, ConsumerKey] = field("API keys by name.", {})
    limits: Limits = field("Rates, each replacing the same-named one.", {})
    policies: Policies | None = field("Policies of this consumer.")

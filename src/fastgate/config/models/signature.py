"""Signed requests (RFC 9421); loaded when a config uses it."""

from typing import Annotated

from fastgate.config.models.base import Flag, Model, SecretText, Text, field
from fastgate.config.scalars import duration


class Signature(Model):
    """Signed requests (RFC 9421)."""

    keys: dict[Text, SecretText] = field(
        "Keys by `keyid`: a public key as PEM or JWK, or a secret of at least 32 characters for HMAC.",
        required=True,
        example={"partner-1": "file:/etc/fastgate/partner-1.pem"},
    )
    components: list[Text] = field(
        "What a signature must cover.",
        ["@method", "@authority", "@path", "@query"],
        example=["@method", "@authority", "@path", "@query", "content-digest"],
    )
    max_age: Annotated[int, duration(1_000, 86_400_000)] = field("The oldest signature accepted, by created.", 300_000)
    skew: Annotated[int, duration(0, 60_000)] = field("Difference of clocks that is forgiven.", 30_000)
    nonce: Flag = field("Each must have a nonce, which counts once.", False)

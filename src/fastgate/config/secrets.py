"""Secrets by reference: `env:NAME` and `file:/path`; a literal is refused unless the user allowed it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

from fastgate.config.scalars import refuse

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

ALLOWED = "a reference: env:NAME or file:/path"
_ENV = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A reference to a secret, or (where allowed) a literal one; printing it never shows a literal."""

    reference: str

    @property
    def literal(self) -> bool:
        """Whether the secret itself stands in the config."""
        return not self.reference.startswith(("env:", "file:"))

    def __repr__(self) -> str:
        return "Secret(…)" if self.literal else f"Secret({self.reference!r})"

    def resolve(self, environ: Mapping[str, str]) -> str:
        """The secret; one trailing newline of a file is removed.

        Raises LookupError with one sentence if the variable is not set or the file cannot be read.
        """
        kind, _, rest = self.reference.partition(":")
        if kind == "env":
            if rest not in environ:
                raise LookupError(f"the environment variable {rest} is not set")
            return environ[rest]
        if kind == "file":
            try:
                return Path(rest).read_text(encoding="utf-8").removesuffix("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise LookupError(f"{rest} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return self.reference


def _read(value: Any, info: ValidationInfo) -> Secret:
    if isinstance(value, str) and (_ENV.match(value) or value.startswith("file:/")):
        return Secret(value)
    if isinstance(value, str) and value.startswith(("env:", "file:")):
        raise refuse(value, ALLOWED)
    context = info.context or {}
    if isinstance(value, str) and value and context.get("literal_secrets"):
        context["literals"] = context.get("literals", 0) + 1
        return Secret(value)
    # The literal itself must not reach a terminal or a log.
    why = "a literal secret is refused; --allow-literal-secrets makes it a warning" if isinstance(value, str) else None
    raise refuse("a literal" if isinstance(value, str) else value, ALLOWED, why=why)


class SecretKind:
    """The pydantic side of a secret-typed field."""

    allowed = ALLOWED
    # A literal may be allowed on the command line, so that the schema only hints.
    schema: Mapping[str, Any] = {"type": "string", "minLength": 1}
    example = "env:REDIS_PASSWORD"

    @staticmethod
    def write(secret: Secret) -> str:
        """The reference; never a literal."""
        return "(literal, not shown)" if secret.literal else secret.reference

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(_read)


SECRET = SecretKind()

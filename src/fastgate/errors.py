"""The exception tree: everything fastgate raises on purpose, and the findings a config error is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ConfigError",
    "FastgateError",
    "Finding",
    "InvalidPublicationError",
    "PublishBusyError",
    "PublishError",
    "StartError",
    "UsageError",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong (or worth saying) in a config: where it is, what was found, what is allowed."""

    message: str
    path: str = ""
    file: str = ""
    line: int | None = None
    column: int | None = None
    severity: Literal["error", "warning"] = "error"
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part not in ("", None))
        mark = "warning: " if self.severity == "warning" else ""
        text = f"{self.path}: {mark}{self.message}" if self.path else f"{mark}{self.message}"
        return f"{where}: {text}" if where else text


class FastgateError(Exception):
    """Base of every error fastgate raises on purpose."""


class ConfigError(FastgateError):
    """A config that cannot be used: one finding a fault, all of them at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(findings)
        self.findings: tuple[Finding, ...] = tuple(findings)

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


class StartError(FastgateError):
    """The gateway cannot start or go on: one clear sentence."""


class UsageError(FastgateError):
    """The command line is used in a way that cannot be meant: one clear sentence."""


class PublishError(FastgateError):
    """A publication was refused: nobody got it.

    `published` says how many before it in the same `publish_many` went out.
    """

    def __init__(self, message: str, published: int = 0) -> None:
        super().__init__(message)
        self.published = published


class InvalidPublicationError(PublishError, ValueError):
    """No name of a channel (1 to 255 bytes without control characters), or a content of more than 1 MiB."""


class PublishBusyError(PublishError):
    """Too many publications wait for delivery: try again later."""

"""Semantic versions and the requirements that advisories are written in (semver.org 2.0.0, Cargo's operators)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import total_ordering

_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|\^|~)?\s*(\S+)$")


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A version; a pre-release sorts before its release, build metadata does not count."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> tuple[Version, int]:
        """The version and how many of its three numbers were written.

        Raises:
            ValueError: the text is no version.
        """
        match = _VERSION.match(text)
        if match is None:
            raise ValueError(f"{text!r} is not a version")
        written = [int(n) for n in match.groups()[:3] if n is not None]
        major, minor, patch = (*written, 0, 0)[:3]
        return cls((major, minor, patch), tuple((match[4] or "").split(".")) if match[4] else ()), len(written)

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[object, ...]:
        # Numeric identifiers sort by number and before words; a release sorts after all of its pre-releases.
        pre = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in self.pre)
        return (self.numbers, not self.pre, pre)


def matches(version: str, requirement: str) -> bool:
    """Whether the version meets every comma-separated comparator of the requirement.

    Raises:
        ValueError: the version or the requirement cannot be read.
    """
    found, _ = Version.parse(version)
    return all(_meets(found, comparator.strip()) for comparator in requirement.split(","))


def _meets(version: Version, comparator: str) -> bool:
    match = _COMPARATOR.match(comparator)
    if match is None:
        raise ValueError(f"{comparator!r} is not a version requirement")
    operator, (bound, written) = match[1] or "^", Version.parse(match[2])
    if operator == ">=":
        return version >= bound
    if operator == "<=":
        return version <= bound
    if operator == ">":
        return version > bound
    if operator == "<":
        return version < bound
    if operator == "=":
        return version.numbers[:written] == bound.numbers[:written] and (written < 3 or version.pre == bound.pre)
    return version >= bound and version.numbers < _ceiling(operator, bound.numbers, written)


def _ceiling(operator: str, numbers: tuple[int, int, int], written: int) -> tuple[int, int, int]:
    major, minor, patch = numbers
    if operator == "~":
        return (major, minor + 1, 0) if written > 1 else (major + 1, 0, 0)
    if major or written == 1:
        return (major + 1, 0, 0)
    if minor or written == 2:
        return (0, minor + 1, 0)
    return (0, 0, patch + 1)

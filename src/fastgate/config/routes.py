"""Many routes without keeping their models: slices to check them by, and a mapping that makes a model when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from fastgate.config.models import Route

SLICE = 200


def slices(raw: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The routes, some at a time, in their order."""
    items = iter(raw.items())
    while some := dict(islice(items, SLICE)):
        yield some


class Routes(Mapping[str, Route]):
    """Routes that are known to be good, as written; each becomes a model whenever it is looked up."""

    def __init__(self, raw: Mapping[str, Any], read: Callable[[Any], Route]) -> None:
        self._raw, self._read = raw, read

    def __getitem__(self, name: str) -> Route:
        return self._read(self._raw[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, name: object) -> bool:
        return name in self._raw

"""The fixture `fastgate_serve`, which pytest finds by itself; nothing else of fastgate is imported until it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fastgate.testing import Served


@pytest.fixture
def fastgate_serve() -> Iterator[Callable[..., Served]]:
    """A function that runs a gateway until the test ends, as `fastgate.testing.serve` does, as often as it is called.

    `served = fastgate_serve(gateway)`; the last one ends first. Raises what `serve` raises.
    """
    from fastgate.testing import serve

    with ExitStack() as gateways:
        yield lambda gateway: gateways.enter_context(serve(gateway))

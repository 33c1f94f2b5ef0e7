"""The compiled parts alone: the route trie and the strict HTTP/1.1 and WebSocket codecs, without a gateway around them.

```python
router = Router([("/users/{id}", show_user), ("/files/{rest:path}", send_file)])
router.match("GET", "/users/7")  # (show_user, {"id": "7"})
```
"""

from __future__ import annotations

import json
from typing import Any

from fastgate import _engine
from fastgate._engine import (
    ParsedRequest,
    Router,
    WebSocketParser,
    WebSocketViolation,
    YamlError,
    load_yaml,
    websocket_deflate,
    websocket_extensions,
    websocket_frame,
)
from fastgate.errors import FastgateError

__all__ = [
    "ParsedRequest",
    "RequestRefused",
    "Router",
    "WebSocketParser",
    "WebSocketViolation",
    "YamlError",
    "explain",
    "load_yaml",
    "parse_request",
    "precedence",
    "websocket_deflate",
    "websocket_extensions",
    "websocket_frame",
]


class RequestRefused(FastgateError, ValueError):
    """A request head that the gateway refuses, with the reason's name and the status it is answered with."""

    def __init__(self, reason: str, status: int, detail: str) -> None:
        super().__init__(reason, status, detail)
        self.reason = reason
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.reason}, {self.status})"


def parse_request(data: bytes) -> ParsedRequest | None:
    """Reads one request head as strictly as the gateway does (RFC 9112 §3); `None` while it is not complete.

    Args:
        data: The bytes received so far; what follows the head is not looked at. At most 32 KiB of head, 100 fields
            and 8 KiB of target are taken.

    Raises:
        RequestRefused: as soon as a complete line is one that the gateway refuses.
    """
    try:
        return _engine.parse_request(data)
    except _engine.RequestRefused as error:
        raise RequestRefused(*error.args) from None


def explain(snapshot: bytes, head: bytes, listener: str, client: str | None = None) -> dict[str, Any]:
    """Says what a snapshot would do with one request: the route, what it captures, and why other candidates lost.

    Args:
        snapshot: The engine's input, as `Snapshot.data` of a compiled config.
        head: A whole request head.
        listener: The name of the listener it comes to.
        client: The client's IP address; without it, no `client_ip` predicate holds.

    Raises:
        RequestRefused: the listener refuses the head before any route is looked for.
        ValueError: no such listener, half a head, an address that is none, or a snapshot the engine cannot run.
    """
    try:
        told: dict[str, Any] = json.loads(_engine.explain(snapshot, head, listener, client))
    except _engine.RequestRefused as error:
        raise RequestRefused(*error.args) from None
    return told


def precedence(snapshot: bytes) -> list[tuple[int, int]]:
    """Every match of a snapshot as (number of the route, number of the match), in the order in which they are tried.

    Raises:
        ValueError: a snapshot the engine cannot run.
    """
    return _engine.precedence(snapshot)

"""The compiled parts alone: the route trie and the strict HTTP/1.1 codec, without a gateway around them.

```python
router = Router([("/users/{id}", show_user), ("/files/{rest:path}", send_file)])
router.match("GET", "/users/7")  # (show_user, {"id": "7"})
```
"""

from __future__ import annotations

from fastgate import _engine
from fastgate._engine import ParsedRequest, Router, YamlError, load_yaml
from fastgate.errors import FastgateError

__all__ = ["ParsedRequest", "RequestRefused", "Router", "YamlError", "load_yaml", "parse_request"]


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

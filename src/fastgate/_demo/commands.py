"""The commands that `fastgate demo` shows; its tests run every one of them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

_HANDSHAKE = (
    *("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13"),
    *("-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: curl's words before the URL, the URL's path, the status of the answer, what it shows."""

    path: str
    status: int
    shows: str
    words: tuple[str, ...] = ()
    endless: bool = False
    """It shows a tunnel, and curl ends it after a second."""

    def line(self, address: str) -> str:
        """As one types it into a shell, for the address of a listener."""
        options = "-iN" if self.endless or self.path == "/events" else "-i"
        limit = ("-m", "1") if self.endless else ()
        socket = ("--unix-socket", address.removeprefix("unix:")) if address.startswith("unix:") else ()
        # What listens everywhere is asked on this machine.
        host = "localhost" if socket else address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
        return shlex.join(("curl", options, *limit, *socket, *self.words, f"http://{host}{self.path}"))


COMMANDS = (
    Command("/", 200, "what the origin sees; twice, and the other target answers"),
    Command("/ping", 200, "answered by the gateway itself"),
    Command("/users/7", 200, "a template; header fields set and removed"),
    Command("/teams/blue/members/7", 200, "a path rewritten from its captures"),
    Command("/api/anything?x=1", 200, "a prefix stripped"),
    Command("/hello", 200, "a header decides: another service", ("-H", "X-Beta: 1")),
    Command("/", 200, "a host decides", ("-H", "Host: admin.example.com")),
    Command("/files/", 200, "a folder of files; open it in a browser"),
    Command("/files/index.html", 206, "a part of a file", ("-H", "Range: bytes=0-14")),
    Command("/v1/x", 308, "a redirect"),
    Command("/admin", 403, "refused, as a problem document (RFC 9457)"),
    Command("/notes", 200, "a body", ("-d", "short")),
    Command("/notes", 413, "a body over the route's limit", ("-d", "much longer than this")),
    Command("/hello", 405, "a method that no route takes", ("-X", "DELETE")),
    Command("/%2e%2e/admin", 400, "a path that two servers could read differently"),
    Command("/fail", 500, "a failing origin, passed on"),
    Command("/down", 502, "an origin that is not there"),
    Command("/too-slow", 504, "an origin that takes longer than the route's second"),
    Command("/chat", 101, "a WebSocket; the page of /files/ speaks to it too", _HANDSHAKE, endless=True),
    Command(
        "/live/lobby", 101, "a room: subscribers of a channel that the gateway itself serves", _HANDSHAKE, endless=True
    ),
    Command("/live/lobby", 426, "a room takes WebSockets and event streams, nothing else"),
    Command("/events", 200, "a stream of server-sent events"),
)
LOOKS = (
    ("routes @FILE@", "the table of routes, the nearest match first"),
    ("explain @FILE@ GET /teams/blue/members/7", "why a request takes the route it takes"),
    ("status", "what the running gateway does"),
)
"""Commands of fastgate itself, beside curl's."""

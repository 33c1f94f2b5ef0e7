"""What a WebSocket costs here, measured: a part of `fastgate doctor`."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from fastgate.cli.doctor import Finding, text_of
from fastgate.cli.doctor_network import MANY, SOCKET_BYTES
from fastgate.cli.paint import bytes_, count

NAME = "a WebSocket"
NUMBER, WARM = 300, 100
"""Connections that are measured, and those before them, which pay for what is there once."""
LEAST = 256
"""Bytes below which what the process grew by says nothing of one connection."""
SETTLE_SECONDS = 0.2
_CONFIG = {
    "listeners": {"public": {"bind": "127.0.0.1:0"}},
    "workers": 1,
    "admin": False,
    "metrics": False,
    "realtime": {"endpoints": {"doctor": {"path": "/doctor", "channels": ["doctor"]}}},
}
_HELLO = (
    b"GET /doctor HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def websocket(available: int) -> Finding:
    """Opens some against a gateway in this process and looks at the memory before and after."""
    # There before the first look, so that what is measured is the gateway's alone.
    clients = [socket.socket() for _ in range(WARM + NUMBER)]
    try:
        process, kernel = _measure(clients)
    except Exception as error:
        return Finding(NAME, "note", f"cannot be measured here: {error}", "the gateway's own log may say why")
    finally:
        for client in clients:
            client.close()
    # Beside much other work what the kernel holds cannot be told from what others make it hold.
    known = SOCKET_BYTES // 2 <= kernel <= 4 * SOCKET_BYTES
    each = process + (kernel if known else SOCKET_BYTES)
    in_kernel = f"{bytes_(kernel)} in the kernel" if known else f"about {bytes_(SOCKET_BYTES)} in the kernel"
    # A process that gives memory back meanwhile hides what it takes.
    in_process = f"{bytes_(process)} in the gateway" if process >= LEAST else "less in the gateway than shows here"
    value = f"{in_process}, {in_kernel}, measured with {NUMBER}"
    value += f"; {count(MANY)} take {bytes_(each * MANY)}"
    if available and each * MANY > available:
        return Finding(NAME, "note", value, f"{bytes_(available)} are available: {count(available // each)} fit")
    return Finding(NAME, "ok", value)


def _measure(clients: list[socket.socket]) -> tuple[int, int]:
    """Bytes of one connection in the process and in the kernel."""
    from fastgate.testing import serve

    with serve(_CONFIG) as served:
        host, _, port = served.url.removeprefix("http://").rpartition(":")
        for client in clients[:WARM]:
            _join(client, (host, int(port)))
        time.sleep(SETTLE_SECONDS)
        before = _resident(), _slab()
        for client in clients[WARM:]:
            _join(client, (host, int(port)))
        time.sleep(SETTLE_SECONDS)
        after = _resident(), _slab()
        held = served.stats()["realtime"]["connections"]["websocket"]
        if held != len(clients):
            raise OSError(f"{held} of {len(clients)} connections were held")
    # Both ends of each connection are on this machine.
    return max(after[0] - before[0], 0) // NUMBER, max(after[1] - before[1], 0) // (2 * NUMBER)


def _join(client: socket.socket, address: tuple[str, int]) -> None:
    client.settimeout(5)
    client.connect(address)
    client.sendall(_HELLO)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = client.recv(1024)
        if not more:
            raise OSError("the gateway ended a connection")
        head += more
    if not head.startswith(b"HTTP/1.1 101 "):
        raise OSError(f"no WebSocket but {head.splitlines()[0].decode('latin-1')}")


def _resident() -> int:
    return int((text_of(Path("/proc/self/statm")) or "0 0").split()[1]) * 4096


def _slab() -> int:
    lines = (text_of(Path("/proc/meminfo")) or "").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Slab:")), 0)

"""Addresses as text (`127.0.0.1:80`, `[::1]:80`, `unix:/path`) and sockets for them."""

from __future__ import annotations

import contextlib
import socket
import struct


def dial(address: str, timeout: float) -> socket.socket:
    """A connected stream socket to `address`."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def listen(bind: str, backlog: int = 512) -> tuple[socket.socket, str]:
    """A listening socket and its address; a port of 0 is replaced by the one the system chose."""
    if bind.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(bind.removeprefix("unix:"))
        sock.listen(backlog)
        return sock, bind
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, int(port)))
    sock.listen(backlog)
    bound = sock.getsockname()[1]
    return sock, f"[{host}]:{bound}" if family == socket.AF_INET6 else f"{host}:{bound}"


def reset(sock: socket.socket) -> None:
    """Ends a connection with a TCP reset in the place of a FIN; one already gone is left alone."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)  # wakes a thread that reads: its call would keep the socket alive
    sock.close()


def shut(sock: socket.socket) -> None:
    """Wakes every thread that waits on the socket, then closes it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()

"""TLS from the client's side: a connection, one request over it, and a gateway's config around a listener's TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509

DEADLINE = 20.0
REFUSED = (ssl.SSLError, ConnectionError, EOFError)
"""How a handshake that was refused shows: with TLS 1.3 only once something is read."""


class Answer:
    """One answer as it was read."""

    def __init__(self, sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                raise EOFError(data)
            data += more
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        while len(self.body) < int(self.fields.get("content-length", 0)):
            more = sock.recv(65536)
            if not more:
                raise EOFError(data)
            self.body += more


def ask(sock: socket.socket, host: str = "localhost", path: str = "/", *lines: str) -> Answer:
    """A GET and its answer."""
    sock.sendall("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode())
    return Answer(sock)


@contextlib.contextmanager
def connected(
    address: str,
    context: ssl.SSLContext,
    name: str | None = "localhost",
    session: ssl.SSLSession | None = None,
    before: bytes = b"",
    flags: int = 0,
) -> Iterator[ssl.SSLSocket]:
    """A connection whose handshake is done; `before` is said in the clear first."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw:
        raw.sendall(before, flags)
        with context.wrap_socket(raw, server_hostname=name, session=session) as sock:
            yield sock


def hello(context: ssl.SSLContext, name: str = "localhost") -> bytes:
    """The first bytes of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def config(tls: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A config with one listener, `secure`, that has this TLS; everything is answered `hello`."""
    return {
        "admin": False,
        "metrics": False,
        "workers": 2,
        "listeners": {"secure": {"bind": "127.0.0.1:0", "tls": tls}},
        "routes": {"all": {"match": {"prefix": "/"}, "respond": {"status": 200, "body": "hello"}}},
    } | more


def serial(sock: ssl.SSLSocket) -> int:
    """The serial number of the certificate that the server showed."""
    der = sock.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def serial_of(pair: dict[str, str]) -> int:
    """The serial number of a certificate as a config names it."""
    return x509.load_pem_x509_certificate(Path(pair["cert"]).read_bytes()).serial_number

"""Headers of the PROXY protocol, both versions (haproxy/doc/proxy-protocol.txt)."""

from __future__ import annotations

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source: str, family: str = "TCP4", to: str = "198.51.100.1") -> bytes:
    """Version 1: a line of text."""
    return f"PROXY {family} {source} {to} 4711 443\r\n".encode()


def v2(source: str | None, *, command: int = 0x21, tlvs: bytes = b"") -> bytes:
    """Version 2: binary; without a source it names nobody."""
    body, family = tlvs, 0
    if source is not None:
        address = ipaddress.ip_address(source)
        family = 0x11 if address.version == 4 else 0x21
        body = address.packed * 2 + struct.pack(">HH", 4711, 443) + tlvs
    return SIGNATURE + struct.pack(">BBH", command, family, len(body)) + body

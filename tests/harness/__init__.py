"""Parts that tests and benchmarks share: recording origin, raw-byte client, fault proxy, DNS server, gateway builder.

Nothing here imports fastgate: the parts speak bytes, so that they can judge it.
"""

from harness.client import BadResponse, Client, Response, connect
from harness.dns import DnsServer
from harness.fault import FaultProxy
from harness.gateway import EngineMissing, Gateway, engine_binary, snapshot
from harness.origin import Origin, OriginConnection, Received, Violation

__all__ = [
    "BadResponse",
    "Client",
    "DnsServer",
    "EngineMissing",
    "FaultProxy",
    "Gateway",
    "Origin",
    "OriginConnection",
    "Received",
    "Response",
    "Violation",
    "connect",
    "engine_binary",
    "snapshot",
]

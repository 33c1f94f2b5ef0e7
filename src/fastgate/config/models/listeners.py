"""`listeners`: where clients connect."""

from typing import Annotated, Any, Literal

from fastgate.config.models.base import Bind, Cidr, Model, Rare, field
from fastgate.config.scalars import choice

Serve = Annotated[Literal["http", "realtime", "publish"], choice("http", "realtime", "publish")]


class Listener(Model):
    """One listening address."""

    bind: Bind = field("The address: 0.0.0.0:8000, [::]:8000 or unix:/path; port 0 takes a free one.", required=True)
    tls: Annotated[Any, Rare("tls", "ListenerTls")] | None = field("Serve TLS here.")
    only: list[Serve] | None = field("What this listener serves.", unset="everything")
    trusted_proxies: list[Cidr] = field("Peers whose X-Forwarded-* headers are believed.", [])
    proxy_protocol: Annotated[Any, Rare("tls", "ProxyProtocol")] | None = field(
        "Take the client's address from the PROXY protocol of these peers; others are cut."
    )
    redirect: Annotated[Literal["https"], choice("https")] | None = field("Redirect every request to https (308).")
    encoded_slash: Annotated[Literal["refuse", "keep"], choice("refuse", "keep")] = field(
        "What becomes of %2F in a path: refused with 400, or kept encoded within its segment.", "refuse"
    )
    dot_segments: Annotated[Literal["refuse", "resolve"], choice("refuse", "resolve")] = field(
        "What becomes of . and .. in a path: refused with 400, or resolved (RFC 3986 §5.2.4).", "refuse"
    )
    underscore_headers: Annotated[Literal["drop", "pass", "refuse"], choice("drop", "pass", "refuse")] = field(
        "What becomes of header names with an underscore: left out, passed on, or refused with 400.", "drop"
    )

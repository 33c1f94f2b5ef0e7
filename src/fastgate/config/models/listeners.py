"""`listeners`: where clients connect."""

from __future__ import annotations

from typing import Annotated, Literal

from fastgate.config.models.base import Bind, Cidr, Model, Text, field
from fastgate.config.scalars import choice

Serve = Annotated[Literal["http", "realtime", "publish"], choice("http", "realtime", "publish")]


class Certificate(Model):
    """A certificate chain and its key."""

    cert: Text = field("Path of the certificate chain (PEM).", required=True, example="/etc/fastgate/tls.crt")
    key: Text = field("Path of the private key (PEM).", required=True, example="/etc/fastgate/tls.key")


class ClientAuth(Model):
    """Client certificates (mTLS)."""

    ca: Text = field(
        "Path of the authorities that sign client certificates (PEM).",
        required=True,
        example="/etc/fastgate/clients.pem",
    )
    crl: Text | None = field("Path of a revocation list (PEM).", unset="no list", example="/etc/fastgate/revoked.pem")
    mode: Annotated[Literal["required", "optional"], choice("required", "optional")] = field(
        "Whether a client must show a certificate.", "required"
    )


class ListenerTls(Model):
    """TLS of a listener."""

    certificates: list[Certificate] = field("Certificates, chosen by server name.", required=True)
    client_auth: ClientAuth | None = field("Ask clients for a certificate.")
    min_version: Annotated[Literal["1.2", "1.3"], choice("1.2", "1.3")] = field("The oldest TLS version.", "1.2")


class ProxyProtocol(Model):
    """The PROXY protocol before the first request."""

    from_: list[Cidr] = field("Peers that send it.", required=True, alias="from")


class Listener(Model):
    """One listening address."""

    bind: Bind = field("The address: 0.0.0.0:8000, [::]:8000 or unix:/path; port 0 takes a free one.", required=True)
    tls: ListenerTls | None = field("Serve TLS here.", later="security")
    only: list[Serve] | None = field("What this listener serves.", unset="everything")
    trusted_proxies: list[Cidr] = field("Peers whose X-Forwarded-* headers are believed.", [])
    proxy_protocol: ProxyProtocol | None = field("Read the PROXY protocol from these peers.", later="security")
    redirect: Annotated[Literal["https"], choice("https")] | None = field(
        "Redirect every request to https.", later="security"
    )
    encoded_slash: Annotated[Literal["refuse", "keep"], choice("refuse", "keep")] = field(
        "What becomes of %2F in a path: refused with 400, or kept encoded within its segment.", "refuse"
    )
    dot_segments: Annotated[Literal["refuse", "resolve"], choice("refuse", "resolve")] = field(
        "What becomes of . and .. in a path: refused with 400, or resolved (RFC 3986 §5.2.4).", "refuse"
    )
    underscore_headers: Annotated[Literal["drop", "pass", "refuse"], choice("drop", "pass", "refuse")] = field(
        "What becomes of header names with an underscore: left out, passed on, or refused with 400.", "drop"
    )

"""TLS and the PROXY protocol of a listener; loaded when a config uses them."""

from typing import Annotated, Literal

from fastgate.config.models.base import Cidr, Model, Text, field
from fastgate.config.scalars import choice


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

"""What is judged by where a request comes from, and what browsers are told; loaded when a config uses it."""

from typing import Annotated

from fastgate.config.models.base import (
    Cidr,
    Duration,
    Flag,
    HeaderName,
    HeaderValue,
    Model,
    OrOff,
    Text,
    field,
)
from fastgate.config.models.policies import Policy
from fastgate.config.models.routes import Method
from fastgate.config.scalars import duration

_YEARS = 100 * 366 * 86_400_000


class Ip(Policy):
    """Client addresses; the longest prefix wins."""

    allow: list[Cidr] = field("Only these.", [])
    deny: list[Cidr] = field("None of these.", [])
    files: list[Text] = field(
        "Files of further networks to deny, one a line; read again when they change.",
        [],
        example=["/etc/fastgate/denied.txt"],
    )
    allow_files: list[Text] = field("Files of further networks to allow.", [], example=["/etc/fastgate/offices.txt"])


class Cors(Policy):
    """Cross-origin requests: preflights are answered here, and the origin's own Access-Control headers removed."""

    origins: list[Text] = field(
        "Origins allowed: exact ones, https://*.HOST, null, or * alone.",
        required=True,
        example=["https://app.example.com"],
    )
    methods: list[Method] | None = field("Methods allowed.", unset="those of the route", example=["GET", "POST"])
    headers: list[HeaderName] | None = field(
        "Request headers allowed.", unset="those that are asked for", example=["content-type"]
    )
    expose: list[HeaderName] = field("Response headers shown to scripts.", [], example=["x-total-count"])
    credentials: Flag = field("Allow cookies and credentials.", False)
    max_age: Duration | None = field("How long a browser may remember the answer.", example="10m")


class Csrf(Policy):
    """Cross-site request forgery: unsafe methods need a page of this host or of a listed origin."""

    origins: list[Text] = field("Origins allowed besides the own one.", [], example=["https://app.example.com"])


class Hsts(Model):
    """Strict-Transport-Security (RFC 6797): browsers come back by TLS only."""

    max_age: Annotated[int, duration(0, _YEARS)] = field("How long a browser remembers it.", 365 * 86_400_000)
    subdomains: Flag = field("Names below this host too.", False)
    preload: Flag = field("Consent to the lists that browsers are shipped with.", False)


class SecurityHeaders(Policy):
    """Headers that make browsers stricter; one that the origin sends stays as it is."""

    hsts: OrOff[Hsts] | None = field("Strict-Transport-Security, over TLS only, never for localhost.", unset="off")
    csp: HeaderValue | None = field("Content-Security-Policy.", unset="off", example="default-src 'self'")
    referrer_policy: HeaderValue = field("Referrer-Policy.", "strict-origin-when-cross-origin")
    frame_ancestors: HeaderValue = field(
        "Who may show answers in a frame: frame-ancestors on the gateway's own answers; for 'self' and 'none' also "
        "X-Frame-Options on every answer.",
        "'self'",
    )

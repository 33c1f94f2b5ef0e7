"""`routes`: which request goes where, and what happens to it on the way."""

from typing import Annotated, Any, Literal

from fastgate.config import addresses
from fastgate.config.models.base import (
    Cidr,
    Flag,
    HeaderName,
    HeaderValue,
    HostPattern,
    HostPolicy,
    Model,
    Name,
    OneOrMany,
    PathText,
    Rare,
    Size,
    TargetUrl,
    Text,
    TextOrMap,
    field,
)
from fastgate.config.models.policies import Policies
from fastgate.config.models.services import Timeouts
from fastgate.config.scalars import Kind, Substituted, choice, fraction, refuse, size, text, whole


def _redirect_status(value: Any) -> int:
    status = int(value) if isinstance(value, Substituted) and value in ("301", "302", "303", "307", "308") else value
    if type(status) is int and status in (301, 302, 303, 307, 308):
        return status
    raise refuse(value, "301, 302, 303, 307, 308")


REDIRECT_STATUS = Kind(_redirect_status, "301, 302, 303, 307, 308", {"enum": [301, 302, 303, 307, 308]})
Method = Annotated[str, addresses.METHOD]
Protocol = Annotated[str, text("a protocol name such as websocket", r"^[A-Za-z0-9][A-Za-z0-9./_+-]{0,63}\Z")]


class ValueMatch(Model):
    """How a value is matched: exactly one key."""

    exact: Text | None = field("Byte for byte.", example="1")
    present: Flag | None = field("There (true) or not there (false).")
    regex: Text | None = field("A linear-time expression on the whole value.", example="v[0-9]+")


class Match(Model):
    """One way to match; what is not given matches everything."""

    prefix: PathText | None = field("Whole segments from the start; captures the remainder as {rest}.")
    path: PathText | None = field(
        "The whole path, exact or a template: {id} one segment, {rest:path} the remainder.", example="/users/{id}"
    )
    regex: Text | None = field("A linear-time expression on the whole path, tried last.", example="/v[0-9]+/.*")
    hosts: list[HostPattern] = field(
        "Host names, exact or with a leading `*.`.", [], unset="every host", example=["*.example.org"]
    )
    methods: list[Method] = field("Methods.", [], unset="every method", example=["GET", "POST"])
    headers: dict[HeaderName, TextOrMap[Text, ValueMatch]] = field(
        "Headers by name; all must hold.", {}, example={"x-version": "1"}
    )
    query: dict[Text, TextOrMap[Text, ValueMatch]] = field(
        "Query parameters by name; all must hold.", {}, example={"debug": {"present": True}}
    )
    client_ip: list[Cidr] = field("Client addresses; any of them.", [], unset="every address")


class Respond(Model):
    """A fixed answer."""

    status: Annotated[int, whole(200, 599)] = field("The status.", required=True, example=403)
    headers: dict[HeaderName, HeaderValue] = field("Header fields.", {}, example={"cache-control": "no-store"})
    body: Text | None = field(
        "The content, verbatim.", unset="4xx and 5xx get a problem document (RFC 9457)", example="pong"
    )


class Redirect(Model):
    """A redirect."""

    to: Text = field("A template over the captures, {host}, {path} and {query}.", required=True, example="/v2{rest}")
    status: Annotated[int, REDIRECT_STATUS] = field("The status of the redirect.", 307)


class Static(Model):
    """Files of a folder: what is behind the route's prefix is looked up below the root."""

    root: Text = field(
        "The folder; a relative path counts from where the gateway is started.", required=True, example="/srv/www"
    )
    index: OneOrMany[Text] = field("What a folder's path shows; the first one that is there.", "index.html")
    precompressed: list[Annotated[Literal["br", "gzip", "zstd"], choice("br", "gzip", "zstd")]] = field(
        "Codings to look for beside a file (.br, .gz, .zst), the preferred one first.", [], example=["br", "gzip"]
    )
    cache_control: HeaderValue | None = field(
        "The value of Cache-Control.", unset="none", example="public, max-age=3600"
    )
    types: dict[Text, Text] = field(
        "Media types by extension, before the known ones.", {}, example={"wasm": "application/wasm"}
    )
    reads: Annotated[Literal["auto", "threads"], choice("auto", "threads")] = field(
        "Where files are read: on the worker what is in memory (auto), or always on threads (network file systems).",
        "auto",
    )


class Rewrite(Model):
    """A change of the path before it goes upstream: exactly one key."""

    strip_prefix: PathText | None = field("Remove this prefix (whole segments).")
    replace: PathText | None = field("Put this in the place of the matched prefix.")
    path: PathText | None = field("A template over the captures.", example="/people/{id}")


class RouteAccessLog(Model):
    """The access log of one route."""

    sample: Annotated[float, fraction(0, 1)] = field("The share of requests that is logged.", 1.0)


class Route(Model):
    """One route: what it matches and what it does (one of service, to, respond, redirect, static)."""

    match: OneOrMany[Match] = field("What it matches; a list means any of them.", required=True)
    service: Name | None = field("Proxy to this service.")
    to: TargetUrl | None = field("Proxy to this URL: an inline service of one target.")
    respond: Respond | None = field("Answer directly.")
    redirect: Redirect | None = field("Answer with a redirect.")
    static: Static | None = field("Answer with files of a folder.")
    rewrite: Rewrite | None = field("Change the path before it goes upstream.")
    host: HostPolicy = field("What the upstream sees as Host: keep, target or a name.", "keep")
    half_close: Annotated[Literal["cancel", "keep"], choice("cancel", "keep")] = field(
        "When a client ends its side while an answer is pending: cancel the work, or answer first.", "cancel"
    )
    upgrade: list[Protocol] = field(
        "Protocols passed on in Upgrade; any other is dropped.", ["websocket"], example=["websocket"]
    )
    timeouts: Timeouts = field(
        "Time-outs of the exchange; each key replaces the service's.", Timeouts.model_construct()
    )
    retries: Annotated[Any, Rare("resilience", "Retries")] | None = field(
        "In the place of the service's.", later="plain", unset="the service's"
    )
    max_body: Size | None = field("Bytes of a request body; more is 413.", unset="no limit")
    max_held_body: Annotated[int, size(1024, 1 << 30)] | None = field(
        "Bytes the gateway holds of a body for a peer that does not read.", unset="256KiB"
    )
    access_log: RouteAccessLog | None = field("The access log of this route.")
    histogram: Flag = field("Histograms of this route in the metrics, beside those of its service.", False)
    priority: Annotated[int, whole(-1_000_000, 1_000_000)] = field("Higher wins before anything else is compared.", 0)
    listeners: list[Name] | None = field("The listeners that serve it.", unset="every listener", example=["public"])
    policies: Policies | None = field("Policies of this route.")

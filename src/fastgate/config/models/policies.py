"""Policies, at every level: gateway, service, route and consumer."""

from typing import Annotated, Any

from fastgate.config.models.base import Flag, HeaderName, HeaderValue, Model, Name, OrOff, Rare, field


class Policy(Model):
    """What every policy has."""

    final: Flag = field("No lower level may replace this policy or switch it off.", False)


class HeaderChanges(Policy):
    """Changes to headers: remove, then set, then add."""

    set: dict[HeaderName, HeaderValue] = field(
        "Replaces every field line of that name.", {}, example={"x-tenant": "acme"}
    )
    add: dict[HeaderName, HeaderValue] = field("Adds a field line.", {}, example={"vary": "accept-language"})
    remove: list[HeaderName] = field("Removes every field line of that name.", [], example=["server"])


class Policies(Model):
    """Policies of one level; the nearest level's replaces the whole policy of that name, `false` switches it off."""

    auth: OrOff[Annotated[Any, Rare("auth", "Auth")]] | None = field("Who is asking.")
    require: OrOff[Annotated[Any, Rare("require", "Require")]] | None = field("What the identity must have.")
    limits: OrOff[dict[Name, Annotated[Any, Rare("limits", "Limit")]]] | None = field("Rates, by name.")
    concurrency: OrOff[Annotated[Any, Rare("limits", "Concurrency")]] | None = field("Requests at the same time.")
    ip: OrOff[Annotated[Any, Rare("network", "Ip")]] | None = field("Client addresses.")
    cors: OrOff[Annotated[Any, Rare("network", "Cors")]] | None = field("Cross-origin requests.")
    csrf: OrOff[Annotated[Any, Rare("network", "Csrf")]] | None = field(
        "Cross-site request forgery.", unset="on where a cookie proves who is asking"
    )
    security_headers: OrOff[Annotated[Any, Rare("network", "SecurityHeaders")]] | None = field(
        "Headers that make browsers stricter."
    )
    request_headers: OrOff[HeaderChanges] | None = field("Changes to the request's headers.")
    response_headers: OrOff[HeaderChanges] | None = field("Changes to the response's headers.")
    tenant: OrOff[Annotated[Any, Rare("require", "Tenant")]] | None = field("The tenant of a request.")
    forward_credentials: Flag | None = field("Pass API keys and Basic credentials on to the target.")

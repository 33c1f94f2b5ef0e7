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

    auth: OrOff[Annotated[Any, Rare("guards", "Auth")]] | None = field("Who is asking.", later="security")
    require: OrOff[Annotated[Any, Rare("guards", "Require")]] | None = field(
        "What the identity must have.", later="security"
    )
    limits: OrOff[dict[Name, Annotated[Any, Rare("guards", "Limit")]]] | None = field(
        "Rates, by name.", later="security"
    )
    concurrency: OrOff[Annotated[Any, Rare("guards", "Concurrency")]] | None = field(
        "Requests at the same time.", later="security"
    )
    ip: OrOff[Annotated[Any, Rare("guards", "Ip")]] | None = field("Client addresses.", later="security")
    cors: OrOff[Annotated[Any, Rare("guards", "Cors")]] | None = field("Cross-origin requests.", later="security")
    csrf: OrOff[Annotated[Any, Rare("guards", "Csrf")]] | None = field("Cross-site request forgery.", later="security")
    security_headers: OrOff[Annotated[Any, Rare("guards", "SecurityHeaders")]] | None = field(
        "Headers that make browsers stricter.", later="security"
    )
    request_headers: OrOff[HeaderChanges] | None = field("Changes to the request's headers.")
    response_headers: OrOff[HeaderChanges] | None = field("Changes to the response's headers.")
    tenant: OrOff[Annotated[Any, Rare("guards", "Tenant")]] | None = field("The tenant of a request.", later="security")
    forward_credentials: Flag | None = field("Pass API keys and Basic credentials on to the target.", later="plain")

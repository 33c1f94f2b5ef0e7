"""The hub's part of a snapshot: a route for each endpoint, publishers' keys, the broker; secrets are read here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastgate.config.findings import Draft
from fastgate.config.models.realtime import ClientPublish, Endpoint, Realtime, Store
from fastgate.config.realtime_values import ANY_ORIGIN
from fastgate.config.route_names import API_CALLS
from fastgate.config.secrets import Secret
from fastgate.config.source import KeyPath

if TYPE_CHECKING:
    from fastgate.config.models import Config

Plain = dict[str, Any]
PATH: KeyPath = ("realtime", "endpoints")


def unresolved(config: Config, environ: Mapping[str, str]) -> Iterator[Draft]:
    """One draft for each secret of the hub that cannot be had, or that nobody could send."""
    for path, secret, what in _secrets(config):
        problem = None
        try:
            text = secret.resolve(environ)
        except LookupError as error:
            problem = str(error)
        else:
            if not text or not text.isprintable():
                problem = f"{what} is empty" if not text else f"{what} holds a control character"
        if problem is not None:
            yield Draft(path, f"{problem}; the gateway does not start without it", "value")


def _secrets(config: Config) -> Iterator[tuple[KeyPath, Secret, str]]:
    store: Store | None = config.store
    if store is not None and store.password is not None:
        yield ("store", "password"), store.password, "the password"
    realtime: Realtime | None = config.realtime
    for name, one in realtime.api_keys.items() if realtime is not None else ():
        if one.key is not None:
            yield ("realtime", "api_keys", name, "key"), one.key, "the key"


def settings(config: Config, environ: Mapping[str, str]) -> Plain:
    """What holds for the whole hub; a secret that cannot be had is left out."""
    realtime: Realtime = config.realtime or Realtime()
    keys = []
    for name, one in realtime.api_keys.items():
        digest = one.hash.removeprefix("sha256:") if one.hash is not None else _digest(one.key, environ)
        if digest is not None:
            keys.append({"name": name, "sha256": digest})
    return {
        "ping_ms": realtime.ping,
        "pong_ms": realtime.pong,
        "keys": keys,
        "redis": None if config.store is None else _redis(config.store, environ),
    }


def _digest(key: Secret | None, environ: Mapping[str, str]) -> str | None:
    text = _text(key, environ)
    return hashlib.sha256(text.encode()).hexdigest() if text else None


def _text(secret: Secret | None, environ: Mapping[str, str]) -> str | None:
    try:
        return None if secret is None else secret.resolve(environ)
    except LookupError:
        return None


def _redis(store: Store, environ: Mapping[str, str]) -> Plain:
    return {
        "url": store.url,
        "username": store.username,
        "password": _text(store.password, environ),
        "cluster": store.cluster,
        "ca": store.ca,
        "prefix": store.prefix,
    }


def routes(
    config: Config, listeners: Sequence[str], route: Callable[[str, Any, Plain, list[str] | None], Plain]
) -> Iterator[Plain]:
    """One route for each endpoint, those left out that no open listener serves, and those of the publish API.

    `route` writes what all routes have.
    """
    realtime: Realtime = config.realtime or Realtime()
    for name, endpoint in realtime.endpoints.items():
        wanted = endpoint.listeners
        serving = None if wanted is None else [one for one in wanted if one in listeners]
        if serving != []:
            match = {
                "path": {"path": endpoint.path},
                "hosts": endpoint.hosts,
                "methods": ["GET"],
                "headers": {},
                "query": {},
                "client_ip": [],
            }
            plain = route(f"realtime.endpoints.{name}", endpoint.policies, match, serving)
            yield {
                **plain,
                "priority": endpoint.priority,
                "action": {"realtime": _endpoint(endpoint, config.store is not None)},
            }
    for name, call in API_CALLS.items() if realtime.api_keys else ():
        match = {
            "path": {"path": f"/api/{call}"},
            "hosts": [],
            "methods": ["POST"],
            "headers": {},
            "query": {},
            "client_ip": [],
        }
        yield {**route(name, None, match, None), "action": {"publish": call}}


def _endpoint(one: Endpoint, has_store: bool) -> Plain:
    binary = one.format == "binary"
    transport = one.transport or (["websocket"] if binary else ["websocket", "sse"])
    return {
        "channels": one.channels,
        "source": one.source or ("redis" if has_store else "local"),
        "format": one.format,
        "wrap": one.wrap,
        "websocket": "websocket" in transport,
        "sse": "sse" in transport,
        "publish": _publish(one.publish),
        "max_members": one.max_members or 0,
        "max_message": one.max_message,
        "queue": {"bytes": one.queue.bytes, "when_full": one.queue.when_full},
        "origins": _origins(one.origins),
        "deflate": one.deflate,
    }


def _publish(publish: bool | ClientPublish) -> Plain | None:
    if publish is False:
        return None
    one = ClientPublish() if publish is True else publish
    return {"rate": one.rate, "burst": one.burst, "echo": one.echo}


def _origins(origins: str | list[str] | None) -> str | Plain:
    if origins is None:
        return "same"
    many = origins if isinstance(origins, list) else [origins]
    return "any" if ANY_ORIGIN in many else {"list": many}


def locate(endpoint: Endpoint, rest: list[str]) -> KeyPath:
    """Where in an endpoint of the config a path in its route stems from."""
    match rest:
        case ["matches", _, "hosts", *inner]:
            return ("hosts", *inner)
        case ["matches", *_]:
            return ("path",)
        case ["action", "realtime", "websocket" | "sse", *_]:
            return ("transport",)
        case ["action", "realtime", *inner]:
            return tuple(inner)
        case ["request_headers" | "response_headers" as policy, *_]:
            own = endpoint.policies is not None and getattr(endpoint.policies, policy) is not None
            return ("policies", policy) if own else ()
        case ["listeners", *inner]:
            return ("listeners", *inner) if endpoint.listeners is not None else ()
        case ["priority"]:
            return ("priority",)
        case _:
            return ()

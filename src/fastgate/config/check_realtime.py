"""What no single value of `realtime` and `store` shows: captures, references, keys that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import PydanticCustomError

from fastgate.config import realtime_values
from fastgate.config.findings import Draft, wrong_value
from fastgate.config.realtime_values import ANY_ORIGIN, IDENTITY
from fastgate.config.scalars import nearest_word
from fastgate.config.source import KeyPath

Plain = dict[str, Any]
_PARTS = ("http", "realtime", "publish")


def check(value: Plain) -> Iterator[Draft]:
    """Every fault between the parts of `realtime` and `store`, and between them and the rest, of the merged values."""
    store = value.get("store")
    if isinstance(store, dict):
        yield from _store(store)
    realtime = value.get("realtime")
    if not isinstance(realtime, dict):
        return
    listeners = value.get("listeners")
    listeners = listeners if isinstance(listeners, dict) else {}
    routes = value.get("routes")
    for name, endpoint in _maps(realtime.get("endpoints")):
        path: KeyPath = ("realtime", "endpoints", name)
        yield from _channels(path, endpoint)
        yield from _choices(path, endpoint, _there(value, "store"))
        yield from _listeners(path, endpoint, listeners)
        twin = f"realtime.endpoints.{name}"
        if isinstance(routes, dict) and twin in routes:
            message = f"found the name that the endpoint {name} ({{0}}) has among the routes; allowed: another name"
            yield Draft(("routes", twin), message, "key", others=(path,))
    for name, key in _maps(realtime.get("api_keys")):
        there = [one for one in ("hash", "key") if one in key]
        if len(there) != 1 and not any(nearest_word(str(one), ("hash", "key")) for one in key if one not in there):
            found = "hash and key" if there else "nothing"
            yield Draft(("realtime", "api_keys", name), f"found {found}; allowed: one of hash, key", "key", found=found)


def _maps(value: Any) -> Iterator[tuple[str, Plain]]:
    for name, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, dict):
            yield name, item


def _there(item: Plain, key: str) -> bool:
    """Whether a key stands there; one that looks like it has its own error."""
    return key in item or any(nearest_word(str(one), (key,)) for one in item)


def _store(store: Plain) -> Iterator[Draft]:
    try:
        url = realtime_values.REDIS_URL.read(store.get("url"))
    except PydanticCustomError:
        return
    if store.get("cluster") is True:
        if url.startswith("unix:"):
            message = "found beside a Unix socket: a cluster is reached over TCP; allowed: with redis:// or rediss://"
            yield Draft(("store", "cluster"), message, "key")
        elif number := realtime_values.database(url):
            near = url.rpartition("/")[0]
            why = f"a cluster has no database {number}"
            yield wrong_value(("store", "url"), url, "database 0 with cluster: true", nearest=near, why=why)
    if store.get("ca") is not None and not url.startswith("rediss://"):
        yield Draft(("store", "ca"), "found without TLS; allowed: with a url that begins with rediss://", "key")
    if store.get("username") is not None and not _there(store, "password"):
        yield Draft(("store", "username"), "found without a password; allowed: with password: env:NAME", "key")


def _channels(path: KeyPath, endpoint: Plain) -> Iterator[Draft]:
    template, channels = endpoint.get("path"), endpoint.get("channels")
    readable = isinstance(template, str) and template.startswith("/")
    names = realtime_values.path_captures(str(template)) if readable else []
    if IDENTITY in names:
        why = f"{{{IDENTITY}}} is who the client is, as its authentication says"
        near = str(template).replace(f"{{{IDENTITY}", "{id")
        near_path = near if names.count("id") == 0 else None
        yield wrong_value((*path, "path"), template, f"captures other than {{{IDENTITY}}}", nearest=near_path, why=why)
    if channels == []:
        yield Draft((*path, "channels"), "found an empty list; allowed: at least one channel")
    seen: dict[str, int] = {}
    for number, channel in enumerate(channels if isinstance(channels, list) else ()):
        if not isinstance(channel, str):
            continue
        if channel in seen:
            yield Draft((*path, "channels", number), f'found "{channel}" twice; allowed: each channel once')
        seen[channel] = number
        for name in realtime_values.captures(channel):
            if readable and name not in (*names, IDENTITY):
                known = (
                    ", ".join(f"{{{one}}}" for one in names) or f"plain names, as the path {template} captures nothing"
                )
                nearest = nearest_word(name, names)
                yield wrong_value(
                    (*path, "channels", number),
                    channel,
                    f"{known}, or {{{IDENTITY}}} for who the client is",
                    nearest=channel.replace(f"{{{name}}}", f"{{{nearest}}}") if nearest else None,
                    why=f"the path captures no {{{name}}}",
                )
                break


def _choices(path: KeyPath, endpoint: Plain, has_store: bool) -> Iterator[Draft]:
    if endpoint.get("source") == "redis" and not has_store:
        message = "found redis without a Redis to ask; allowed: with store: {url: redis://…}, or source: local"
        yield Draft((*path, "source"), message, found="redis")
    transport = endpoint.get("transport")
    binary = endpoint.get("format") == "binary"
    if transport == []:
        yield Draft((*path, "transport"), "found an empty list; allowed: websocket, sse, or no key")
    if isinstance(transport, list) and binary and "sse" in transport:
        message = "found sse with format: binary: an event stream is text; allowed: websocket, or another format"
        yield Draft((*path, "transport", transport.index("sse")), message, found="sse")
    if endpoint.get("wrap") is True and binary:
        message = "found with format: binary, which has no place for an envelope; allowed: with format: json or text"
        yield Draft((*path, "wrap"), message, "key")
    if transport == ["sse"]:
        for key in ("publish", "max_message", "deflate"):
            if endpoint.get(key) not in (None, False):
                message = "found with event streams alone, over which a client sends nothing; allowed: with websocket"
                yield Draft((*path, key), message, "key")
    origins = endpoint.get("origins")
    if origins == []:
        yield Draft((*path, "origins"), 'found an empty list; allowed: at least one origin, "*", or no key')
    if isinstance(origins, list) and len(origins) > 1 and ANY_ORIGIN in origins:
        number = origins.index(ANY_ORIGIN)
        yield Draft((*path, "origins", number), f'found "{ANY_ORIGIN}" beside others; allowed: "{ANY_ORIGIN}" alone')


def _listeners(path: KeyPath, endpoint: Plain, listeners: Plain) -> Iterator[Draft]:
    wanted = endpoint.get("listeners")
    if wanted == []:
        yield Draft((*path, "listeners"), "found an empty list; allowed: at least one listener, or no key")
    serving = [name for name, one in listeners.items() if serves(one, "realtime")]
    if not isinstance(wanted, list):
        if listeners and not serving:
            yield Draft(
                path, "no listener serves it; allowed: a listener with realtime in its only, or without only", "key"
            )
        return
    for number, name in enumerate(wanted):
        if isinstance(name, str) and name not in serving:
            why = "it does not serve realtime" if name in listeners else "there is no such listener"
            known = ", ".join(serving) or "none: no listener serves realtime"
            yield wrong_value((*path, "listeners", number), name, known, nearest=nearest_word(name, serving), why=why)


def serves(listener: Any, part: str) -> bool:
    """Whether a listener as written serves a part; a word that is none has its own error."""
    only = listener.get("only") if isinstance(listener, dict) else None
    return not isinstance(only, list) or part in only or not all(one in _PARTS for one in only)

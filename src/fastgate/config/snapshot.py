"""compile(): a checked config into the engine's snapshot, and the way back from its findings to lines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from fastgate.config.addresses import parse_target
from fastgate.config.collector import collector_off
from fastgate.config.findings import Draft
from fastgate.config.models import Config, Limits, Listener, Policies, Route, Service, Timeouts
from fastgate.config.models.policies import HeaderChanges
from fastgate.config.models.process import Logs
from fastgate.config.models.routes import Static
from fastgate.config.models.services import Target
from fastgate.config.policies import Book
from fastgate.config.policies.levels import levels, nearest, policy, policy_path
from fastgate.config.route_names import API_CALLS, ENDPOINTS, PUBLISHERS, endpoint_names, route_names, route_path
from fastgate.config.snapshot_logs import logs
from fastgate.config.snapshot_match import match_plain
from fastgate.config.source import KeyPath
from fastgate.errors import ConfigError, Finding

if TYPE_CHECKING:
    from fastgate.config.load import Loaded

VERSION = 1
CONNECT_MS, RESPONSE_MS, IDLE_MS = 5_000, 60_000, 60_000
HELD_BYTES = 256 * 1024
DEFAULT_LISTENER = "default"
DEFAULT_BIND = "0.0.0.0:8000"

Plain = dict[str, Any]


@dataclass(slots=True)
class Snapshot:
    """The engine's input as JSON bytes, and what maps the engine's findings back to the config."""

    data: bytes
    loaded: Loaded
    listeners: Sequence[str]
    services: Sequence[KeyPath]
    routes: Sequence[str]
    policies: Book

    def findings(self, invalid: Iterable[tuple[str, str]]) -> list[Finding]:
        """The engine's findings, (path in the snapshot, message), with the place in the config each stems from."""
        return self.loaded.place([self._draft(path, message) for path, message in invalid])

    def locate(self, path: str) -> KeyPath:
        """The path in the config of a path in the snapshot."""
        parts: list[str] = path.split(".") if path else []
        if len(parts) >= 2 and parts[1].isdecimal():
            number, rest = int(parts[1]), parts[2:]
            if parts[0] == "routes" and number < len(self.routes):
                where = route_path(self.routes[number], self.loaded.config)
                if where == PUBLISHERS:
                    return where
                return self._endpoint(where, rest) if where[:2] == ENDPOINTS else self._route(self.routes[number], rest)
            if parts[0] == "policies":
                return self.policies.locate(number, rest)
            if parts[0] == "services" and number < len(self.services):
                return _service_path(self.services[number], rest)
            if parts[0] == "internal" and number < len(internal := _internal(self.loaded.config)):
                return (internal[number]["name"], *_numbers(rest))
            if parts[0] == "listeners" and number < len(self.listeners):
                return ("listeners", self.listeners[number], *_numbers(rest))
        if parts[:1] == ["consumers"]:
            from fastgate.config.policies import consumers as guests

            return guests.locate(self.loaded.config, parts[1:])
        if parts[:2] == ["realtime", "redis"]:
            return ("store", *parts[2:])
        return _numbers([part.removesuffix("_ms") for part in parts])

    def _route(self, name: str, rest: list[str]) -> KeyPath:
        base: KeyPath = ("routes", name)
        route = self.loaded.config.routes[name]
        match rest:
            case ["matches", number, *inner] if number.isdecimal():
                many = isinstance(route.match, list)
                base = (*base, "match", int(number)) if many else (*base, "match")
                one = route.match[int(number)] if isinstance(route.match, list) else route.match
                if inner[:1] == ["path"]:
                    inner = [next((k for k in ("prefix", "path", "regex") if getattr(one, k) is not None), "path")]
                return (*base, *_numbers(inner))
            case ["matches", *_]:
                return (*base, "match")
            case ["action", *inner]:
                kind = next(
                    (k for k in ("service", "to", "respond", "redirect", "static") if getattr(route, k) is not None),
                    "service",
                )
                return (*base, kind, *_numbers(inner[1:]))
            case ["rewrite", *_] if route.rewrite is not None:
                return (
                    *base,
                    "rewrite",
                    *(k for k in ("strip_prefix", "replace", "path") if getattr(route.rewrite, k)),
                )
            case ["request_headers" | "response_headers" as policy, *inner]:
                return self._headers(base, route, policy, inner)
            case ["held_bytes", *_]:
                return (*base, "max_held_body")
            case ["access_log_sample", *_]:
                return (*base, "access_log", "sample")
            case ["half_close_keep", *_]:
                return (*base, "half_close")
            case _:
                return (*base, *_numbers([part.removesuffix("_ms") for part in rest]))

    def _endpoint(self, base: KeyPath, rest: list[str]) -> KeyPath:
        from fastgate.config import snapshot_realtime

        realtime: Any = self.loaded.config.realtime
        within = snapshot_realtime.locate(realtime.endpoints[base[2]], rest)
        return (*base, *_numbers(str(part) for part in within))

    def _headers(self, base: KeyPath, route: Route, name: str, inner: list[str]) -> KeyPath:
        path = policy_path(self.loaded.config, base, route, name)
        edits = policy(self.loaded.config, route, name)
        if len(inner) >= 2 and inner[1].isdecimal() and inner[0] in ("set", "add") and isinstance(edits, HeaderChanges):
            names = list(getattr(edits, inner[0]))
            return (*path, inner[0], *names[int(inner[1]) : int(inner[1]) + 1])
        return (*path, *_numbers(inner))

    def _draft(self, path: str, message: str) -> Draft:
        """A sentence that names another route gets that route's line."""
        where = self.locate(path)
        whole = self.loaded.config
        own = where[:3] if where[:2] == ENDPOINTS else where[:2]
        known = (
            {*whole.routes, *API_CALLS, *endpoint_names(whole.realtime)} if "'" in message or '"' in message else set()
        )
        others: list[KeyPath] = []
        braces = message.replace("{", "\0").replace("}", "\1")

        def line(match: re.Match[str]) -> str:
            if match[1] not in known or (path := route_path(match[1], whole)) == own:
                return match[0]
            others.append(path)
            return f"{match[0]} ({{{len(others) - 1}}})"

        # The engine counts routes, people name them.
        text = re.sub(r" \(routes\.\d+\)", "", braces)
        text = re.sub(r"""(?<!\w)["'`]([A-Za-z0-9_.-]+)["'`]""", line, text)
        text = text.replace("\0", "{").replace("\1", "}")
        return Draft(where, text, "key" if where == own else "value", others=tuple(others))


def _numbers(parts: Iterable[str]) -> KeyPath:
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _service_path(base: KeyPath, rest: list[str]) -> KeyPath:
    if base[0] == "routes":
        return base
    if rest[:1] == ["targets"]:
        return (*base, *_numbers(rest[:2]))
    return (*base, *_numbers([part.removesuffix("_ms") for part in rest]))


def compile(  # noqa: A001
    loaded: Loaded,
    hooks: Iterable[str] | str | None = None,
    *,
    private_descriptors: bool = False,
    secrets: bool = False,
) -> Snapshot:
    """Compiles a config; every default is resolved here.

    `hooks` names the routes whose requests pass Python hooks, "*" among them for all. With `secrets` one that cannot
    be had is an error, as at a start; else it is left out: a config can be checked where its secrets are not.
    Raises ConfigError where nothing would listen.
    """
    with collector_off():
        return _compile(loaded, hooks, private_descriptors, secrets)


def _compile(loaded: Loaded, hooks: Iterable[str] | str | None, private_descriptors: bool, secrets: bool) -> Snapshot:
    config = loaded.config
    hooked = {hooks} if isinstance(hooks, str) else set(hooks or ())
    if "*" in hooked:
        hooked = (hooked | route_names(config)) - {"*"}
    if hooked and (unknown := sorted(hooked - route_names(config))):
        named = [*config.routes, *endpoint_names(config.realtime)]
        message = f"on_request: there is no such route; allowed: {', '.join(named) or 'none, no routes are written'}"
        raise ConfigError([Finding(message, path=name) for name in unknown])
    listeners = _open_listeners(config)
    book = loaded.policies or Book(loaded.environ, store=config.store is not None)
    services = [_service(name, one) for name, one in config.services.items() if one.targets]
    service_paths: list[KeyPath] = [("services", name) for name, one in config.services.items() if one.targets]
    names: list[str] = []
    routes: list[bytes] = []
    for route in compile_routes(config, config.routes, book) if loaded.compiled is None else loaded.compiled:
        if route.inline is not None:
            services.append(route.inline)
            service_paths.append(("routes", route.name, "to"))
        names.append(route.name)
        routes.append(b'%s,"on_request":%s}' % (route.data, b"true" if route.name in hooked else b"false"))
    hub: Plain = {}
    if config.realtime is not None or config.store is not None:
        from fastgate.config import snapshot_realtime  # most configs have neither

        if secrets and (missing := list(snapshot_realtime.unresolved(config, loaded.environ))):
            raise ConfigError(loaded.place(missing))
        hub["realtime"] = snapshot_realtime.settings(config, loaded.environ)
        for plain in snapshot_realtime.routes(config, list(listeners), partial(_endpoint_route, config, book)):
            names.append(plain["name"])
            routes.append(_json({**plain, "on_request": plain["name"] in hooked}))
    known: Plain = {}
    if config.consumers or config.key_pepper:
        from fastgate.config.policies import consumers as guests  # most configs have neither

        known = {"consumers": guests.consumers(config, book), "key_pepper": guests.peppers(config, book)}
    if faults := [*book.faults, *(book.missing if secrets else ())]:
        raise ConfigError(loaded.place(faults))
    snapshot = {
        "version": VERSION,
        "workers": config.workers,
        "private_descriptors": private_descriptors,
        "limits": _limits(config.limits),
        "shutdown": {"notice_ms": config.shutdown.notice, "limit_ms": config.shutdown.limit},
        "listeners": [_listener(name, one) for name, one in listeners.items()],
        "services": services,
        "reserved_headers": sorted(book.reserved),
        "internal": _internal(config),
        **logs(config.logs or Logs()),
        **hub,
        **known,
    }
    policies = b',"policies":[%s]' % b",".join(book.entries) if book.entries else b""
    data = b'%s%s,"routes":[%s]}' % (_json(snapshot)[:-1], policies, b",".join(routes))
    return Snapshot(data, loaded, list(listeners), service_paths, names, book)


class Compiled(NamedTuple):
    """One route in the engine's words."""

    name: str
    # JSON without its closing brace: whether the route has hooks is told later.
    data: bytes
    # The service of a route that has a URL in its place.
    inline: Plain | None


def compile_routes(config: Config, routes: Mapping[str, Route], book: Book) -> Iterator[Compiled]:
    """Compiles routes of a config; those of a later version, or with no listener left to serve them, stay out."""
    listeners = _open_listeners(config)
    for name, route in routes.items():
        serving = None if route.listeners is None else [one for one in route.listeners if one in listeners]
        action = _action(name, route, config)
        if serving == [] or action is None:
            continue
        inline = None if route.to is None else _inline(action["service"], route.to)
        yield Compiled(name, _json(_route(name, route, config, action, serving, book))[:-1], inline)


INTERNAL = {"admin": "127.0.0.1:8002", "metrics": "127.0.0.1:8003"}


def _internal(config: Config) -> list[Plain]:
    """Where the engine says how it is: a bind that was written must be had, a default one may give way."""
    found: list[Plain] = []
    for name, default in INTERNAL.items():
        one: Any = getattr(config, name)
        if one is not False:
            written = one is not None and "bind" in one.model_fields_set
            bind = one.bind if written else default
            found.append({"name": name, "bind": bind, "written": written, "serves": name})
            if getattr(one, "tenants", False):
                found[-1]["tenants"] = True
    return found


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _json(value: Plain) -> bytes:
    return _encode(value).encode()


def _open_listeners(config: Config) -> dict[str, Listener]:
    """The listeners; without any, the default one."""
    return config.listeners or {DEFAULT_LISTENER: Listener.model_validate({"bind": DEFAULT_BIND})}


def _limits(limits: Limits) -> Plain:
    rate = limits.accept_rate
    return {
        "max_connections": limits.max_connections or 0,
        "headers": limits.headers,
        "header_count": limits.header_count,
        "uri": limits.uri,
        "header_timeout_ms": limits.header_timeout,
        "write_stall_ms": limits.write_stall,
        "body_min_rate": limits.body_min_rate,
        "connection_age_ms": limits.connection_age,
        "accept_rate": 0 if rate is None else max(1, rate[0] // rate[1]),
    }


def _listener(name: str, listener: Listener) -> Plain:
    only = listener.only
    tls = None if listener.tls is None else listener.tls.model_dump()
    return {
        "name": name,
        "bind": listener.bind,
        "trusted_proxies": listener.trusted_proxies,
        "encoded_slash": listener.encoded_slash,
        "dot_segments": listener.dot_segments,
        "underscore_headers": listener.underscore_headers,
        "serves": {part: only is None or part in only for part in ("http", "realtime", "publish")},
        "tls": tls,
        "redirect_https": listener.redirect == "https",
        **({} if listener.proxy_protocol is None else {"proxy_protocol": listener.proxy_protocol.from_}),
    }


def _service(name: str, service: Service) -> Plain:
    return {
        "name": name,
        "targets": [_target(t.url, t.weight) if isinstance(t, Target) else _target(t, 1) for t in service.targets],
        "balance": "round_robin",
        "pool": {"max_per_target": service.pool.max_per_target, "idle_ms": service.pool.idle},
        **({} if service.tls is None else {"tls": service.tls.model_dump()}),
    }


def _inline(name: str, url: str) -> Plain:
    pool = {"max_per_target": 256, "idle_ms": 60_000}
    return {"name": name, "targets": [_target(url, 1)], "balance": "round_robin", "pool": pool}


def _target(url: str, weight: int) -> Plain:
    parsed = parse_target(url)
    tls = {"tls": True} if parsed.tls else {}
    address: Plain
    if parsed.unix is not None:
        address = {"unix": parsed.unix}
    elif parsed.ip is not None:
        address = {"ip": {"ip": parsed.ip, "port": parsed.port}}
    else:
        address = {"name": {"name": parsed.name, "port": parsed.port}}
    return {"url": url, "address": address, "authority": parsed.authority, "weight": weight, **tls}


def _action(name: str, route: Route, config: Config) -> Plain | None:
    """None: an action of a later version."""
    if route.service is not None:
        return {"service": route.service} if config.services[route.service].targets else None
    if route.to is not None:
        return {"service": name if name not in config.services else f"{name}@route"}
    if route.respond is not None:
        fields = [[field, value] for field, value in route.respond.headers.items()]
        return {"respond": {"status": route.respond.status, "headers": fields, "body": route.respond.body}}
    if route.redirect is not None:
        return {"redirect": {"to": route.redirect.to, "status": route.redirect.status}}
    if route.static is not None:
        return {"static": _static(route.static)}
    return None


def _static(static: Static) -> Plain:
    return {
        "root": os.path.abspath(static.root),
        "index": static.index if isinstance(static.index, list) else [static.index],
        "precompressed": static.precompressed,
        "cache_control": static.cache_control,
        "types": {extension.lower().removeprefix("."): name for extension, name in static.types.items()},
        "reads": static.reads,
    }


def _route(name: str, route: Route, config: Config, action: Plain, listeners: list[str] | None, book: Book) -> Plain:
    matches = route.match if isinstance(route.match, list) else [route.match]
    rewrite = route.rewrite
    number = book.number(((path or ("routes", name, "policies"), own) for path, own in levels(config, route)), kept=1)
    return {
        "name": name,
        "priority": route.priority,
        "matches": [match_plain(one) for one in matches],
        "listeners": listeners,
        "action": action,
        "rewrite": None
        if rewrite is None
        else {"strip_prefix": rewrite.strip_prefix}
        if rewrite.strip_prefix is not None
        else {"replace_prefix": rewrite.replace}
        if rewrite.replace is not None
        else {"path": rewrite.path},
        "host": route.host if route.host in ("keep", "target") else {"name": route.host},
        "half_close_keep": route.half_close == "keep",
        "upgrade": [protocol.lower() for protocol in route.upgrade],
        "timeouts": _timeouts(route.timeouts, config.services[route.service].timeouts if route.service else None),
        "max_body": route.max_body,
        "request_headers": _edits(policy(config, route, "request_headers")),
        "response_headers": _edits(policy(config, route, "response_headers")),
        "held_bytes": HELD_BYTES if route.max_held_body is None else route.max_held_body,
        **({"histogram": True} if route.histogram else {}),
        **({} if route.access_log is None else {"access_log_sample": route.access_log.sample}),
        **({} if number is None else {"policies": number}),
    }


def _endpoint_route(
    config: Config, book: Book, name: str, policies: Policies | None, match: Plain, listeners: list[str] | None
) -> Plain:
    """What all routes have, for an endpoint, which proxies nothing."""
    both = (policies, config.policies)
    number = book.number([((*route_path(name, config), "policies"), policies), (("policies",), config.policies)])
    return {
        "name": name,
        "priority": 0,
        "matches": [match],
        "listeners": listeners,
        "rewrite": None,
        "host": "keep",
        "half_close_keep": False,
        "upgrade": [],
        "timeouts": _timeouts(Timeouts(), None),
        "max_body": None,
        "request_headers": _edits(nearest(both, "request_headers")),
        "response_headers": _edits(nearest(both, "response_headers")),
        "held_bytes": HELD_BYTES,
        **({} if number is None else {"policies": number}),
    }


def _timeouts(route: Timeouts, service: Timeouts | None) -> Plain:
    def pick(key: str, default: int) -> int:
        own, below = getattr(route, key), getattr(service, key, None)
        return int(own if own is not None else below if below is not None else default)

    return {
        "connect_ms": pick("connect", CONNECT_MS),
        "response_ms": pick("response", RESPONSE_MS),
        "idle_ms": pick("idle", IDLE_MS),
    }


_NO_EDITS: Plain = {"set": [], "add": [], "remove": []}


def _edits(changes: Any) -> Plain:
    if not isinstance(changes, HeaderChanges):
        return _NO_EDITS
    return {
        "set": [[*pair] for pair in changes.set.items()],
        "add": [[*pair] for pair in changes.add.items()],
        "remove": changes.remove,
    }

"""`fastgate explain`: one request against a config, without a gateway: the route, what lost and why, the policies."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from fastgate import config
from fastgate.cli.files import default_files
from fastgate.cli.paint import BOLD, DIM, GREEN, RED, colours, paint, table
from fastgate.cli.routing import compiled, said_action, said_match
from fastgate.config.findings import Draft
from fastgate.config.realtime_values import IDENTITY, captures, render
from fastgate.config.route_names import PUBLISHERS, route_path
from fastgate.config.source import KeyPath
from fastgate.errors import UsageError

Plain = dict[str, Any]
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BEHIND = {
    "priority": "its priority is lower",
    "hosts": "its hosts are less specific",
    "path": "its path is less specific",
    "methods": "it names fewer methods",
    "headers": "it asks for fewer headers",
    "query": "it asks for fewer query parameters",
    "client_ip": "it asks for no client address",
    "name": "equal in all else, its name comes later",
}


def explain(
    words: Sequence[str],
    *,
    headers: Sequence[str],
    listener: str | None,
    client: str,
    form: str,
    literal_secrets: bool,
) -> None:
    """Explains one request; raises UsageError and ConfigError."""
    from fastgate.primitives import RequestRefused
    from fastgate.primitives import explain as ask

    if len(words) < 2:
        raise UsageError("explain takes a method and a URL: fastgate explain [FILE]... METHOD URL")
    *files, method, url = words
    if not _METHOD.match(method) or method.startswith("-"):
        raise UsageError(f'found "{method}" where the method stands: fastgate explain [FILE]... METHOD URL')
    split = _url(url)
    snapshot = compiled(files or default_files(), literal_secrets)
    plain = json.loads(snapshot.data)
    listener = _listener(plain, listener, split)
    head = _head(method, split, [*os.environ.get("FASTGATE_HEADERS", "").splitlines(), *headers])
    answer: Plain
    try:
        answer = ask(snapshot.data, head, listener, client)
    except RequestRefused as error:
        answer = {"outcome": "refused", "status": error.status, "reason": error.reason, "detail": error.detail}
    except ValueError as error:
        raise UsageError(f"--from: {error}") from None
    answer["listener"] = listener
    answer["tls"] = next(one for one in plain["listeners"] if one["name"] == listener).get("tls")
    if "route" in answer:
        answer["policies"] = list(policies(snapshot, answer["route"]))
        answer["place"] = _place(snapshot, route_path(answer["route"], snapshot.loaded.config))
        endpoint = next(one for one in plain["routes"] if one["name"] == answer["route"])["action"].get("realtime")
        if endpoint is not None:
            answer["channels"] = [render(one, answer["captures"]) for one in endpoint["channels"]]
    if form == "json":
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_text(answer, plain, f"{method} {url}")))


def _url(url: str) -> SplitResult:
    """A URL, or just its path; raises UsageError."""
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError as error:
        raise UsageError(f'"{url}": {error}') from None
    absolute = split.scheme in ("http", "https", "ws", "wss") and split.hostname
    if not absolute and not url.startswith("/") and url != "*":
        raise UsageError(f'found "{url}"; allowed: http://HOST/PATH, or /PATH')
    if not absolute and url.startswith("/"):
        path, mark, query = url.partition("?")
        return SplitResult("", "", path, query if mark else "", "")
    return split


def _head(method: str, url: SplitResult, headers: Sequence[str]) -> bytes:
    """The request as a client would send it; raises UsageError for what no client could send."""
    lines = [f"{method} {url.path or '/'}{'?' if url.query else ''}{url.query} HTTP/1.1"]
    wanted = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not _METHOD.match(name):
            raise UsageError(f"-H: found \"{header}\"; allowed: 'NAME: VALUE'")
        wanted.append((name, value.strip()))
    if not any(name.lower() == "host" for name, _ in wanted):
        wanted.insert(0, ("Host", url.netloc.rpartition("@")[2] or "localhost"))
    lines.extend(f"{name}: {value}" for name, value in wanted)
    if any("\r" in line or "\n" in line for line in lines):
        raise UsageError("a line break cannot stand in a method, a URL or a header")
    return "\r\n".join([*lines, "", ""]).encode()


def _listener(plain: Plain, wanted: str | None, url: SplitResult) -> str:
    names = [one["name"] for one in plain["listeners"]]
    if wanted is not None:
        if wanted not in names:
            raise UsageError(f'--listener: there is no "{wanted}"; allowed: {", ".join(names)}')
        return wanted
    port = url.port or {"http": 80, "https": 443, "ws": 80, "wss": 443}.get(url.scheme)
    on_port = [one["name"] for one in plain["listeners"] if one["bind"].rpartition(":")[2] == str(port)]
    return str((on_port or names)[0])


def policies(snapshot: config.Snapshot, route: str) -> Iterator[Plain]:
    """The policies that stand for a route: name, the level that decides, its place, whether this version runs it."""
    whole = snapshot.loaded.config
    path = route_path(route, whole)
    endpoints: Any = whole.realtime.endpoints if whole.realtime is not None else {}
    one: Any = whole.routes[route] if path[0] == "routes" else endpoints[path[2]] if path != PUBLISHERS else None
    level = "route" if path[0] == "routes" else "endpoint"
    levels: list[tuple[str, KeyPath, Any]] = [(level, (*path, "policies"), getattr(one, "policies", None))]
    if getattr(one, "service", None) is not None:
        levels.append(("service", ("services", one.service, "policies"), whole.services[one.service].policies))
    levels.append(("gateway", ("policies",), whole.policies))
    written = {name for _, _, level in levels if level is not None for name in level.model_fields_set}
    fields: Mapping[str, Any] = next((type(level).model_fields for _, _, level in levels if level is not None), {})
    for name in (name for name in fields if name in written):
        level, path, value = next(
            (level, path, getattr(model, name))
            for level, path, model in levels
            if model is not None and getattr(model, name) is not None
        )
        extra = fields[name].json_schema_extra
        later = isinstance(extra, dict) and "x-later" in extra
        state = "off" if value is False else "not in this version, ignored" if later else "on"
        said: Plain = {"name": name, "level": level, "state": state, "place": _place(snapshot, (*path, name))}
        if name == "limits" and value:
            from fastgate.config.policies.limits import counted

            has_store = whole.store is not None
            said["limits"] = {limit: counted(model, has_store) for limit, model in value.items()}
        yield said


def _place(snapshot: config.Snapshot, path: KeyPath) -> str:
    finding = snapshot.loaded.place([Draft(path, "", "key")])[0]
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def _text(answer: Plain, plain: Plain, asked: str) -> Iterator[str]:
    on = colours()
    yield paint(f"{asked} on listener {answer['listener']}", BOLD, on)
    outcome = answer["outcome"]
    if answer["tls"] is not None:
        yield f"  {_tls(answer['tls'])}"
    if outcome == "refused":
        yield paint(
            f"  refused with {answer['status']} before any route: {answer['detail']} ({answer['reason']})", RED, on
        )
        return
    if outcome == "route":
        yield from _chosen(answer, plain, on)
    elif outcome == "not_found":
        yield paint("  404: no route matches", RED, on)
    else:
        yield paint(f"  405: only the method is missing; Allow: {answer['allow']}", RED, on)
    told = answer["candidates"]["told"]
    headings = {
        "nearer": "nearer candidates that lost:",
        "further": "also matching, but tried later:",
        "nearest": "the nearest routes:",
    }
    for kind, heading in headings.items():
        rows = [_lost(one, answer) for one in told if one["kind"] == kind]
        if rows:
            yield heading
            yield from table(rows, indent="  ")
            if (more := answer["candidates"].get(kind, 0) - len(rows)) > 0:
                yield paint(f"  and {more} more", DIM, on)


def _tls(tls: Plain) -> str:
    """What a client meets before its request is read."""
    oldest = {"1.2": "TLS 1.2 or 1.3", "1.3": "TLS 1.3"}[tls["min_version"]]
    said = f"{oldest}; certificates: {', '.join(one['cert'] for one in tls['certificates'])}"
    if (clients := tls.get("client_auth")) is not None:
        how = "a client certificate is needed" if clients["mode"] == "required" else "a client certificate may be shown"
        said += f"; {how}, of {clients['ca']}"
    return said


def _chosen(answer: Plain, plain: Plain, on: bool) -> Iterator[str]:
    route = next(one for one in plain["routes"] if one["name"] == answer["route"])
    rows = [
        ["route", f"{answer['route']}  ({answer['place']})"],
        ["matched", said_match(route["matches"][answer["match"]])],
        ["action", said_action(route)],
    ]
    if captured := ", ".join(f"{name} = {value}" for name, value in answer["captures"].items()):
        rows.append(["captured", captured])
    if leads := answer["leads_to"]:
        where = leads["to"] if "to" in leads else f"nowhere: 400, {leads['refused']}"
        query = f"?{answer['query']}" if answer["query"] and "service" in route["action"] and "to" in leads else ""
        rows.append(["location" if "redirect" in route["action"] else "upstream", where + query])
    if "service" in route["action"]:
        service = next((one for one in plain["services"] if one["name"] == route["action"]["service"]), None)
        rows.append(["targets", ", ".join(one["url"] for one in service["targets"]) if service else "none"])
    if (endpoint := route["action"].get("realtime")) is not None:
        asked = any(p["name"] == "auth" and p["state"] == "on" for p in answer["policies"])
        rows += _endpoint(endpoint, answer["channels"], asked)
    first, *rest = table(rows, indent="  ")
    yield paint(first, GREEN, on)
    yield from rest
    if answer["policies"]:
        yield "policies:"
        rows = []
        for p in answer["policies"]:
            rows.append([p["name"], p["level"], p["place"], p["state"]])
            rows += [[f"  {name}", "", "", how] for name, how in p.get("limits", {}).items()]
        yield from table(rows, indent="  ")
    else:
        yield "policies: none"


def _endpoint(endpoint: Plain, channels: Sequence[str], asked: bool) -> Iterator[list[str]]:
    """What an endpoint does with a connection to this URL; `asked`: clients have to say who they are."""
    said = f"; {{{IDENTITY}}} is who the client is" + ("" if asked else ", and nobody asks: 401")
    yield ["channels", ", ".join(channels) + (said if any(IDENTITY in captures(one) for one in channels) else "")]
    yield ["source", endpoint["source"]]
    origins = endpoint["origins"]
    words = {"same": "pages of the host that is asked", "any": "every page"}
    yield ["origins", words[origins] if isinstance(origins, str) else ", ".join(origins["list"])]
    if publish := endpoint["publish"]:
        echo = "" if publish["echo"] else ", without echo"
        yield ["publish", f"{publish['rate']}/s, bursts of {publish['burst']}{echo}"]


def _lost(one: Plain, answer: Plain) -> list[str]:
    why = "; ".join(_lacks(missing, answer) for missing in one["missing"]) or _BEHIND[one["differs_in"]]
    return [one["route"], why]


def _lacks(missing: Plain, answer: Plain) -> str:
    what, name, wanted = missing["what"], missing["name"], missing["wanted"]
    if what == "methods":
        return f"method {answer['method']}, wanted {wanted}"
    if what == "hosts":
        return f"host {answer['host'] or 'empty'}, wanted {wanted}"
    if what == "listeners":
        return f"listener {answer['listener']}, wanted {wanted}" if wanted else f"listener {answer['listener']}"
    if what == "headers":
        return f"header {name}: wanted {wanted}"
    if what == "query":
        return f"query parameter {name}: wanted {wanted}"
    if what == "client_ip":
        return f"client address, wanted {wanted}"
    return f"path {answer['path']}, wanted {what} {wanted}"

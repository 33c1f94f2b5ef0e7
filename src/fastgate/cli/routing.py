"""`fastgate routes`: the table of routes in the order in which they are tried."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from fastgate import config
from fastgate.cli.files import default_files
from fastgate.cli.paint import BOLD, colours, paint, table

Plain = dict[str, Any]


def compiled(names: Sequence[str], literal_secrets: bool) -> config.Snapshot:
    """A config, loaded, compiled and judged by the engine; warnings go to stderr. Raises ConfigError."""
    from fastgate.runtime import validate

    loaded = config.load(*names, allow_literal_secrets=literal_secrets)
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    snapshot = config.compile(loaded)
    validate(snapshot)
    return snapshot


def routes(files: Sequence[str], *, form: str, literal_secrets: bool) -> None:
    """Prints one line a match; raises ConfigError."""
    from fastgate.primitives import precedence

    snapshot = compiled(list(files) or default_files(), literal_secrets)
    plain = json.loads(snapshot.data)
    order = precedence(snapshot.data)
    if form == "json":
        print(json.dumps([_row(plain, route, match) for route, match in order], indent=2, ensure_ascii=False))
        return
    rows = [["ROUTE", "MATCH", "ACTION", "PRIORITY", "LISTENERS"]]
    for route, match in order:
        row = _row(plain, route, match)
        listeners = "all" if row["listeners"] is None else ", ".join(row["listeners"]) or "none"
        rows.append([row["name"], row["match"], row["action"], str(row["priority"]), listeners])
    head, *lines = table(rows)
    print(paint(head, BOLD, colours()))
    for line in lines:
        print(line)


def _row(plain: Plain, number: int, match: int) -> Plain:
    route = plain["routes"][number]
    return {
        "name": route["name"],
        "match": said_match(route["matches"][match]),
        "action": said_action(route),
        "priority": route["priority"],
        "listeners": route["listeners"] or _serving(route, plain["listeners"]),
    }


def _serving(route: Plain, listeners: Sequence[Plain]) -> list[str] | None:
    """The listeners that serve what the route does, as their `only` says; None for all."""
    (kind,) = route["action"]
    part = kind if kind in ("realtime", "publish") else "http"
    names = [one["name"] for one in listeners if one["serves"][part]]
    return names if len(names) < len(listeners) else None


def said_match(match: Plain) -> str:
    """A match of a snapshot in one line: `GET,POST api.example.com /api/…`."""
    parts = [",".join(match["methods"])] if match["methods"] else []
    if match["hosts"]:
        parts.append(",".join(match["hosts"]))
    for kind, text in (match["path"] or {}).items():
        parts.append({"prefix": f"{text.rstrip('/')}/…", "regex": f"~ {text}"}.get(kind, text))
    for what in ("headers", "query"):
        parts.extend(f"{what}[{name}]{_said_value(value)}" for name, value in match[what].items())
    if match["client_ip"]:
        parts.append(f"from {','.join(match['client_ip'])}")
    return " ".join(parts) or "everything"


def _said_value(value: Plain) -> str:
    if "exact" in value:
        return f"={value['exact']}"
    return f"~{value['regex']}" if "regex" in value else " present" if value["present"] else " absent"


def said_action(route: Plain) -> str:
    """What a route of a snapshot does, in a few words."""
    ((kind, what),) = route["action"].items()
    if kind == "respond":
        return f"respond {what['status']}"
    if kind == "redirect":
        return f"redirect {what['status']} {what['to']}"
    if kind == "realtime":
        return f"realtime {', '.join(what['channels'])}"
    if kind == "publish":
        return f"publish API: {what}"
    if kind == "static":
        return f"static {what.get('root', '')}".rstrip()
    rewrite = "".join(f", {name} {text}" for name, text in (route["rewrite"] or {}).items())
    return f"service {what}{rewrite}"

"""`fastgate check`: findings as text, JSON or GitHub annotations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fastgate import config
from fastgate.cli.app import say
from fastgate.cli.files import default_files
from fastgate.cli.paint import RED, YELLOW, colours, paint
from fastgate.errors import ConfigError, Finding


def check(files: Sequence[str], *, strict: bool, form: str, show: str | None, literal_secrets: bool) -> int:
    """Checks files and prints what was found; returns the exit code.

    `show` prints the config too, where it is good: "full" with every default, "merged" what is written.
    """
    names = list(files) or default_files()
    found = _findings(names, literal_secrets)
    errors, warnings, routes = found.errors, found.warnings, found.routes
    failed = bool(errors) or (strict and bool(warnings))
    if form == "json":
        report: dict[str, object] = {"ok": not failed, "errors": _plain(errors), "warnings": _plain(warnings)}
        if show and found.loaded is not None:
            report["settings"] = _settings(found.loaded, show)
        print(json.dumps(report, indent=2, ensure_ascii=False))
    elif show and form == "text" and found.loaded is not None:
        # The config alone on stdout, so that it can go into a file.
        for finding in (*errors, *warnings):
            say(str(finding))
        print(config.to_yaml(_chosen(found.loaded, show)), end="")
    elif form == "github":
        for finding in (*errors, *warnings):
            print(_annotation(finding, "error" if strict else finding.severity))
    else:
        _text(names, errors, warnings, routes, failed)
    return 1 if failed else 0


@dataclass
class _Found:
    """What a check found, and the config where there is one."""

    errors: list[Finding]
    warnings: list[Finding]
    routes: int = 0
    loaded: config.Loaded | None = None


def _findings(names: Sequence[str], literal_secrets: bool) -> _Found:
    """What the engine judges comes once the config itself is good."""
    try:
        loaded = config.load(*names, allow_literal_secrets=literal_secrets)
        snapshot = config.compile(loaded)
    except ConfigError as error:
        return _Found(list(error.findings), [])
    from fastgate.runtime import validate

    warnings, routes = list(loaded.warnings), len(snapshot.routes)
    try:
        validate(snapshot)
    except ConfigError as error:
        return _Found(list(error.findings), warnings, routes)
    return _Found([], warnings, routes, loaded)


def _chosen(loaded: config.Loaded, show: str) -> list[config.Setting]:
    return config.explain_defaults(loaded) if show == "full" else config.print_merged(loaded)


def _settings(loaded: config.Loaded, show: str) -> list[dict[str, object]]:
    return [
        {"key": one.key, "value": one.value, "origin": one.origin, "where": one.where} for one in _chosen(loaded, show)
    ]


def _plain(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [asdict(finding) for finding in findings]


def _text(names: Sequence[str], errors: list[Finding], warnings: list[Finding], routes: int, failed: bool) -> None:
    on = colours()
    for finding in (*errors, *warnings):
        print(paint(str(finding), RED if finding.severity == "error" else YELLOW, on))
    counts = [
        f"{len(some)} {word}{'s' * (len(some) != 1)}"
        for some, word in ((errors, "error"), (warnings, "warning"))
        if some
    ]
    what = ", ".join(counts)
    if failed:
        print(what)
    else:
        print(f"{', '.join(names)}: ok, {routes} route{'s' * (routes != 1)}{f', {what}' if what else ''}")


def _annotation(finding: Finding, kind: str) -> str:
    """A workflow command of GitHub Actions, with its escapes."""
    places = {"file": finding.file, "line": finding.line, "col": finding.column}
    pairs = ",".join(
        f"{name}={_escaped(str(value), ',:')}" for name, value in places.items() if value not in ("", None)
    )
    text = f"{finding.path}: {finding.message}" if finding.path else finding.message
    return f"::{kind} {pairs}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text

"""`fastgate check`: findings as text, JSON or GitHub annotations."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from fastgate import config
from fastgate.cli.app import default_files
from fastgate.errors import ConfigError, Finding


def check(files: Sequence[str], *, strict: bool, form: str, literal_secrets: bool) -> int:
    """Checks files and prints what was found; returns the exit code."""
    names = list(files) or default_files()
    errors, warnings, routes = _findings(names, literal_secrets)
    failed = bool(errors) or (strict and bool(warnings))
    if form == "json":
        report = {"ok": not failed, "errors": _plain(errors), "warnings": _plain(warnings)}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    elif form == "github":
        for finding in (*errors, *warnings):
            print(_annotation(finding, "error" if strict else finding.severity))
    else:
        _text(names, errors, warnings, routes, failed)
    return 1 if failed else 0


def _findings(names: Sequence[str], literal_secrets: bool) -> tuple[list[Finding], list[Finding], int]:
    """Errors, warnings, and how many routes; what the engine judges comes once the config itself is good."""
    try:
        loaded = config.load(*names, allow_literal_secrets=literal_secrets)
        snapshot = config.compile(loaded)
    except ConfigError as error:
        return list(error.findings), [], 0
    from fastgate.runtime import validate

    try:
        validate(snapshot)
    except ConfigError as error:
        return list(error.findings), list(loaded.warnings), len(snapshot.routes)
    return [], list(loaded.warnings), len(snapshot.routes)


def _plain(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [asdict(finding) for finding in findings]


def _text(names: Sequence[str], errors: list[Finding], warnings: list[Finding], routes: int, failed: bool) -> None:
    paint = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    for finding in (*errors, *warnings):
        colour = "31" if finding.severity == "error" else "33"
        print(f"\x1b[{colour}m{finding}\x1b[0m" if paint else str(finding))
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

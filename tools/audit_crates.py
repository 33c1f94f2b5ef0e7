"""Audits the locked crates by the policy of `rust_ext/deny.toml`: advisories, licences, duplicates, bans, sources.

`cargo deny` reads the same policy; this program needs nothing but Python and cargo, and its advisories come from the
copy in `tests/advisories`, so that it runs everywhere and says the same tomorrow. A check that looked at nothing fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import semver

ROOT = Path(__file__).resolve().parents[1]
ADVISORIES = ROOT / "tests" / "advisories" / "rustsec.json"
LEAST_ADVISORIES = 500  # the database has over a thousand: fewer means that the copy is damaged


class AuditError(Exception):
    """The audit could not look at what it must look at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One crate that breaks the policy, and how."""

    kind: str
    crate: str
    message: str

    def __str__(self) -> str:
        return f"{self.crate}: [{self.kind}] {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how much was looked at."""

    findings: list[Finding]
    crates: int
    advisories: int


def read_advisories(path: Path = ADVISORIES) -> dict[str, list[dict[str, Any]]]:
    """The compact copy of the advisory database, by crate.

    Raises:
        AuditError: it is missing or too small to be whole.
    """
    if not path.is_file():
        raise AuditError(f"{path} is missing")
    advisories = json.loads(path.read_text(encoding="utf-8"))["advisories"]
    if len(advisories) < LEAST_ADVISORIES:
        raise AuditError(f"{path} holds {len(advisories)} advisories, at least {LEAST_ADVISORIES} are expected")
    by_crate: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for advisory in advisories:
        by_crate[advisory["package"]].append(advisory)
    return by_crate


def locked(lock: Path) -> list[dict[str, Any]]:
    """The crates of a Cargo.lock that come from elsewhere.

    Raises:
        AuditError: the file is missing or names none.
    """
    if not lock.is_file():
        raise AuditError(f"{lock} is missing")
    packages = [p for p in tomllib.loads(lock.read_text(encoding="utf-8")).get("package", []) if "source" in p]
    if not packages:
        raise AuditError(f"{lock} names no crate")
    return packages


def metadata(manifest: Path, target: str) -> list[dict[str, Any]]:
    """The crates that a build for the target uses, with licence and source, as cargo resolves them.

    Raises:
        AuditError: cargo could not say.
    """
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    command += ["--manifest-path", str(manifest)]
    # Without the network first: only a platform nobody has built for here needs a download.
    for extra in (["--offline"], []):
        run = subprocess.run([*command, *extra], capture_output=True, text=True, check=False)
        if run.returncode == 0:
            found = json.loads(run.stdout)
            used = {node["id"] for node in found["resolve"]["nodes"]}
            return [package for package in found["packages"] if package["id"] in used]
    raise AuditError(f"cargo metadata for {target}: {run.stderr.strip()}")


def check_advisories(
    packages: list[dict[str, Any]], advisories: dict[str, list[dict[str, Any]]], policy: dict[str, Any]
) -> Iterator[Finding]:
    """Every locked version that an advisory names, informational ones included, unless the policy says why not."""
    ignored = {entry["id"]: entry for entry in policy["advisories"]["ignore"]}
    used: set[str] = set()
    for package in packages:
        for advisory in advisories.get(package["name"], []):
            safe = [*advisory["patched"], *advisory["unaffected"]]
            if any(semver.matches(package["version"], requirement) for requirement in safe):
                continue
            if advisory["id"] in ignored:
                used.add(advisory["id"])
                continue
            kind = advisory.get("informational", "vulnerability")
            yield Finding(kind, _name(package), f"{advisory['id']}: {advisory['title']} ({_fix(advisory)})")
    for gone in sorted(set(ignored) - used):
        yield Finding("policy", gone, "is ignored in deny.toml but concerns no locked crate: remove it")


def _fix(advisory: dict[str, Any]) -> str:
    return f"patched in {', '.join(advisory['patched'])}" if advisory["patched"] else "no patched version"


def check_licences(packages: list[dict[str, Any]], policy: dict[str, Any]) -> Iterator[Finding]:
    """Every crate's licence expression against the allowed ones."""
    allowed = set(policy["licenses"]["allow"])
    for package in packages:
        extra = {
            licence
            for entry in policy["licenses"].get("exceptions", [])
            if entry["crate"] == package["name"]
            for licence in entry["allow"]
        }
        expression = package.get("license")
        if not expression:
            yield Finding("licence", _name(package), "says no licence")
        elif not licence_allowed(expression, allowed | extra):
            yield Finding("licence", _name(package), f"{expression} is not allowed by deny.toml")


def licence_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with the allowed licences; `A/B` is Cargo's old way to write `A OR B`.

    Raises:
        ValueError: the expression cannot be read.
    """
    tokens = re.findall(r"[()]|[\w.+-]+", expression.replace("/", " OR "))
    value, rest = _either(tokens, allowed)
    if rest:
        raise ValueError(f"{expression!r} is not a licence expression")
    return value


def _either(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _both(tokens, allowed)
    while tokens and tokens[0] == "OR":
        other, tokens = _both(tokens[1:], allowed)
        value = value or other
    return value, tokens


def _both(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _one(tokens, allowed)
    while tokens and tokens[0] == "AND":
        other, tokens = _one(tokens[1:], allowed)
        value = value and other
    return value, tokens


def _one(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    if not tokens:
        raise ValueError("a licence expression ends too early")
    if tokens[0] == "(":
        value, tokens = _either(tokens[1:], allowed)
        if not tokens or tokens[0] != ")":
            raise ValueError("a licence expression misses a )")
        return value, tokens[1:]
    if len(tokens) > 2 and tokens[1] == "WITH":
        return f"{tokens[0]} WITH {tokens[2]}" in allowed, tokens[3:]
    return tokens[0] in allowed, tokens[1:]


def check_bans(packages: list[dict[str, Any]], policy: dict[str, Any]) -> Iterator[Finding]:
    """One version of each crate unless the policy says why, and none of the banned ones."""
    banned = {entry["crate"]: entry["reason"] for entry in policy["bans"]["deny"]}
    skipped = {entry["crate"] for entry in policy["bans"]["skip"]}
    versions: dict[str, set[str]] = defaultdict(set)
    for package in packages:
        versions[package["name"]].add(package["version"])
        if package["name"] in banned:
            yield Finding("ban", _name(package), banned[package["name"]])
    used = {f"{name}@{version}" for name, found in versions.items() for version in found if len(found) > 1}
    for name, found in sorted(versions.items()):
        kept = sorted(version for version in found if f"{name}@{version}" not in skipped)
        if len(kept) > 1:
            yield Finding("duplicate", name, f"versions {', '.join(kept)}: keep one, or say why in deny.toml")
    for gone in sorted(skipped - used):
        yield Finding("policy", gone, "is skipped in deny.toml but is no duplicate: remove it")


def check_sources(packages: list[dict[str, Any]], policy: dict[str, Any]) -> Iterator[Finding]:
    """Crates come from the allowed registries only."""
    allowed = {f"registry+{url}" for url in policy["sources"]["allow-registry"]}
    for package in packages:
        if package["source"] is not None and package["source"] not in allowed:
            yield Finding("source", _name(package), f"comes from {package['source']}")


def _name(package: dict[str, Any]) -> str:
    return f"{package['name']} {package['version']}"


def audit(workspace: Path, advisories: Path = ADVISORIES) -> Report:
    """Everything about the workspace's locked crates.

    Raises:
        AuditError: there was nothing to look at.
    """
    policy = tomllib.loads((workspace / "deny.toml").read_text(encoding="utf-8"))
    known = read_advisories(advisories)
    lock = locked(workspace / "Cargo.lock")
    built: dict[str, dict[str, Any]] = {}
    for target in policy["graph"]["targets"]:
        built |= {package["id"]: package for package in metadata(workspace / "Cargo.toml", target)}
    packages = list(built.values())
    if not any(package["source"] for package in packages):
        raise AuditError("cargo metadata names no crate from elsewhere")
    findings = [
        *check_advisories(lock, known, policy),
        *check_licences(packages, policy),
        *check_bans(packages, policy),
        *check_sources(packages, policy),
    ]
    concerned = sum(len(known.get(name, [])) for name in {package["name"] for package in lock})
    if not concerned:
        raise AuditError("no advisory names any locked crate, not even an old version: the copy does not fit")
    return Report(findings, len(lock), concerned)


def import_database(database: Path) -> str:
    """The compact form of a checkout of the RustSec advisory database: what a check needs.

    Raises:
        AuditError: a file of it holds no advisory.
    """
    advisories = []
    for path in sorted(database.glob("crates/*/RUSTSEC-*.md")):
        block = re.match(r"\s*```toml\n(.*?)\n```\n+(?:#\s*(.*))?", path.read_text(encoding="utf-8"), re.DOTALL)
        if block is None:
            raise AuditError(f"{path} holds no advisory")
        data = tomllib.loads(block[1])
        head, versions = data["advisory"], data["versions"]
        if "withdrawn" in head:
            continue
        kept = {
            "id": head["id"],
            "package": head["package"],
            "title": (block[2] or "").split("\n")[0].strip(),
            "patched": versions.get("patched", []),
            "unaffected": versions.get("unaffected", []),
        }
        if head.get("license", "CC0-1.0") != "CC0-1.0":
            kept |= {"license": head["license"], "url": head["url"]}
        if "informational" in head:
            kept["informational"] = head["informational"]
        advisories.append(kept)
    rows = ",\n".join(json.dumps(advisory, ensure_ascii=False) for advisory in advisories)
    return f'{{"advisories": [\n{rows}\n]}}\n'


def main() -> int:
    """Prints every finding and how much was looked at; 1 when there is a finding, 2 when it could not look."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workspace", nargs="?", type=Path, default=ROOT / "rust_ext")
    parser.add_argument("--import", dest="database", type=Path, help="rewrite the copy from a checkout of the database")
    options = parser.parse_args()
    try:
        if options.database:
            ADVISORIES.write_text(import_database(options.database), encoding="utf-8")
            return 0
        report = audit(options.workspace)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    for finding in report.findings:
        print(finding)
    print(f"{len(report.findings)} findings: {report.crates} crates, {report.advisories} advisories that name them")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())

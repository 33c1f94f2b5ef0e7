"""Locked crates: no known advisory, an allowed licence, one version, the registry as source; each check can fail."""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import audit_crates  # noqa: E402
import semver  # noqa: E402

WORKSPACE = ROOT / "rust_ext"
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def test_the_locked_crates_pass() -> None:
    if shutil.which("cargo") is None:
        assert os.environ.get("CI") != "true", "cargo must be there in CI"
        pytest.skip("cargo is not installed")
    report = audit_crates.audit(WORKSPACE)
    assert not report.findings, "\n".join(map(str, report.findings))
    assert report.crates > 20
    assert report.advisories > 10


@pytest.fixture
def policy() -> dict[str, Any]:
    """A small policy of the shape of deny.toml."""
    return {
        "advisories": {"ignore": []},
        "licenses": {"allow": ["MIT", "Apache-2.0"]},
        "bans": {"deny": [{"crate": "openssl", "reason": "rustls is the TLS library"}], "skip": []},
        "sources": {"allow-registry": [REGISTRY.removeprefix("registry+")]},
    }


def crate(name: str, version: str, licence: str | None = "MIT", source: str | None = REGISTRY) -> dict[str, Any]:
    return {"id": f"{name}@{version}", "name": name, "version": version, "license": licence, "source": source}


def test_a_real_advisory_is_found_in_an_old_version(policy: dict[str, Any]) -> None:
    known = audit_crates.read_advisories()
    old, new = crate("h2", "0.4.3"), crate("h2", "99.0.0")
    found = [f.message.partition(":")[0] for f in audit_crates.check_advisories([old], known, policy)]
    assert "RUSTSEC-2024-0332" in found
    assert list(audit_crates.check_advisories([new], known, policy)) == []


@pytest.mark.parametrize("kind", ["vulnerability", "unmaintained", "unsound"])
def test_a_planted_advisory_is_found_until_it_is_ignored(policy: dict[str, Any], kind: str) -> None:
    advisory = {
        "id": "RUSTSEC-0000-0001",
        "package": "tokio",
        "title": "Bad",
        "patched": [">= 2"],
        "unaffected": ["< 1"],
    }
    if kind != "vulnerability":
        advisory["informational"] = kind
    planted = {"tokio": [advisory]}
    found = list(audit_crates.check_advisories([crate("tokio", "1.54.0")], planted, policy))
    assert [(f.kind, f.crate) for f in found] == [(kind, "tokio 1.54.0")]
    assert list(audit_crates.check_advisories([crate("tokio", "2.0.0")], planted, policy)) == []
    assert list(audit_crates.check_advisories([crate("tokio", "0.3.0")], planted, policy)) == []
    ignoring = copy.deepcopy(policy)
    ignoring["advisories"]["ignore"] = [{"id": "RUSTSEC-0000-0001", "reason": "not reached"}]
    assert list(audit_crates.check_advisories([crate("tokio", "1.54.0")], planted, ignoring)) == []
    assert [f.kind for f in audit_crates.check_advisories([crate("tokio", "2.0.0")], planted, ignoring)] == ["policy"]


def test_a_planted_advisory_fails_the_whole_audit(tmp_path: Path) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    lock = tomllib.loads((WORKSPACE / "Cargo.lock").read_text(encoding="utf-8"))
    victim = next(p for p in lock["package"] if "source" in p)
    data = json.loads(audit_crates.ADVISORIES.read_text(encoding="utf-8"))
    bad = {"id": "RUSTSEC-0000-0001", "package": victim["name"], "title": "Bad", "patched": [], "unaffected": []}
    data["advisories"].append(bad)
    (tmp_path / "db.json").write_text(json.dumps(data), encoding="utf-8")
    report = audit_crates.audit(WORKSPACE, tmp_path / "db.json")
    assert any("RUSTSEC-0000-0001" in f.message for f in report.findings)


def test_an_audit_of_nothing_fails(tmp_path: Path) -> None:
    with pytest.raises(audit_crates.AuditError, match="missing"):
        audit_crates.read_advisories(tmp_path / "none.json")
    (tmp_path / "small.json").write_text('{"advisories": []}', encoding="utf-8")
    with pytest.raises(audit_crates.AuditError, match="0 advisories"):
        audit_crates.read_advisories(tmp_path / "small.json")
    with pytest.raises(audit_crates.AuditError, match="missing"):
        audit_crates.locked(tmp_path / "Cargo.lock")
    (tmp_path / "Cargo.lock").write_text(
        'version = 4\n[[package]]\nname = "own"\nversion = "1.0.0"\n', encoding="utf-8"
    )
    with pytest.raises(audit_crates.AuditError, match="names no crate"):
        audit_crates.locked(tmp_path / "Cargo.lock")


def test_a_licence_outside_the_policy_is_found(policy: dict[str, Any]) -> None:
    found = audit_crates.check_licences(
        [crate("a", "1.0.0", "GPL-3.0"), crate("b", "1.0.0", None), crate("c", "1.0.0")], policy
    )
    assert [f.crate for f in found] == ["a 1.0.0", "b 1.0.0"]


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT/Apache-2.0", True),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0 AND MIT", False),
        ("(GPL-3.0 OR MIT) AND Apache-2.0", True),
        ("GPL-3.0 OR (MIT AND ISC)", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("Apache-2.0 WITH LLVM-exception OR MIT", True),
    ],
)
def test_licence_expressions(expression: str, allowed: bool) -> None:
    assert audit_crates.licence_allowed(expression, {"MIT", "Apache-2.0"}) is allowed


def test_a_broken_licence_expression_is_an_error() -> None:
    for expression in ("(MIT", "MIT)", "MIT OR", ""):
        with pytest.raises(ValueError, match="licence expression"):
            audit_crates.licence_allowed(expression, {"MIT"})


def test_duplicates_bans_and_sources_are_found(policy: dict[str, Any]) -> None:
    twice = [crate("syn", "1.0.0"), crate("syn", "2.0.0")]
    assert [f.kind for f in audit_crates.check_bans(twice, policy)] == ["duplicate"]
    policy["bans"]["skip"] = [{"crate": "syn@1.0.0", "reason": "why"}]
    assert list(audit_crates.check_bans(twice, policy)) == []
    assert [f.kind for f in audit_crates.check_bans(twice[1:], policy)] == ["policy"], "a skip that nobody needs"
    policy["bans"]["skip"] = []
    assert [f.kind for f in audit_crates.check_bans([crate("openssl", "0.10.0")], policy)] == ["ban"]
    git = crate("x", "1.0.0", source="git+https://example.org/x")
    assert [f.kind for f in audit_crates.check_sources([git, crate("own", "1.0.0", source=None)], policy)] == ["source"]


@pytest.mark.parametrize(
    ("version", "requirement", "expected"),
    [
        ("0.3.17", ">= 0.3.17", True),
        ("0.3.16", ">= 0.3.17", False),
        ("0.3.26", "^0.3.24", True),
        ("0.4.0", "^0.3.24", False),
        ("1.9.0", "^1.2", True),
        ("2.0.0", "1.2.3", False),
        ("0.0.4", "^0.0.3", False),
        ("1.2.9", "~1.2.3", True),
        ("1.3.0", "~1.2.3", False),
        ("1.5.0", ">= 1.2.0, < 1.6", True),
        ("1.6.0", ">= 1.2.0, <1.6", False),
        ("1.2.3", "=1.2.3", True),
        ("1.2.3", "=1.2", True),
        ("1.0.0-alpha.1", ">= 1.0.0", False),
        ("1.0.0-alpha.10", ">= 1.0.0-alpha.9", True),
        ("1.0.0-rc.1", "> 1.0.0-beta.11", True),
        ("1.0.0-alpha.beta", "> 1.0.0-alpha.9", True),
        ("1.0.0+wasi", "<= 1.0.0", True),
    ],
)
def test_version_requirements(version: str, requirement: str, expected: bool) -> None:
    assert semver.matches(version, requirement) is expected


def test_every_requirement_of_the_copy_can_be_read() -> None:
    read = 0
    for advisories in audit_crates.read_advisories().values():
        for advisory in advisories:
            for requirement in (*advisory["patched"], *advisory["unaffected"]):
                semver.matches("1.0.0", requirement)
                read += 1
    assert read > 500

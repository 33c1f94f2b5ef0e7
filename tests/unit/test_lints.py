"""The linters as tests: ruff, mypy, rustfmt, clippy, workflows; a missing one skips by name and fails in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = str(ROOT / "rust_ext" / "Cargo.toml")


def run(command: list[str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # One target directory with `make test`, so that nothing is compiled twice.
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "rust_ext" / "target"))
    environment = os.environ | {"CARGO_TARGET_DIR": target}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def passes(command: list[str]) -> None:
    done = run(command)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8000:]}{done.stderr[-8000:]}"


def absent(tool: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{tool} is not installed, and in CI every lint must run", pytrace=False)
    pytest.skip(f"{tool} is not installed")


def python_tool(name: str) -> list[str]:
    if find_spec(name) is None:
        absent(name)
    return [sys.executable, "-m", name]


def cargo_tool(name: str) -> list[str]:
    # `cargo NAME --version` asks rustup as well, which may have cargo but not the component.
    if shutil.which("cargo") is None or run(["cargo", name, "--version"]).returncode != 0:
        absent(f"cargo {name}")
    return ["cargo", name, "--manifest-path", MANIFEST]


def test_ruff() -> None:
    passes([*python_tool("ruff"), "check", "."])


def test_ruff_format() -> None:
    passes([*python_tool("ruff"), "format", "--check", "."])


@pytest.mark.timeout(300)
def test_mypy() -> None:
    passes(python_tool("mypy"))


def test_rustfmt() -> None:
    passes([*cargo_tool("fmt"), "--all", "--check"])


@pytest.mark.timeout(900)
def test_clippy() -> None:
    passes([*cargo_tool("clippy"), "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])


def test_workflows() -> None:
    zizmor = shutil.which("zizmor", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if zizmor is None:
        absent("zizmor")
    passes([str(zizmor), "--offline", "--persona", "pedantic", ".github/workflows"])


def test_the_ruff_of_this_run_finds_a_planted_fault(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text('"""Bad."""\nimport os\n', encoding="utf-8")
    command = [*python_tool("ruff"), "check", "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(bad)]
    assert "F401" in run(command).stdout


def test_the_mypy_of_this_run_is_strict(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f(x):\n    return x\n", encoding="utf-8")
    command = [*python_tool("mypy"), "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", os.devnull, str(bad)]
    assert "no-untyped-def" in run(command, tmp_path).stdout


def test_the_clippy_of_this_workspace_bans_what_it_says(tmp_path: Path) -> None:
    command = cargo_tool("clippy")[:2]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.rs").write_text(
        "//! Planted.\n/// Planted.\npub fn f() { std::thread::sleep(std::time::Duration::ZERO) }\n", encoding="utf-8"
    )
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "planted"\nedition = "2024"\n', encoding="utf-8")
    shutil.copy(ROOT / "rust_ext" / "clippy.toml", tmp_path)
    found = run([*command, "--target-dir", str(tmp_path / "target"), "--", "-D", "warnings"], tmp_path)
    assert found.returncode != 0
    assert "std::thread::sleep" in found.stderr


def test_every_action_is_pinned_by_commit() -> None:
    uses = [
        line.strip()
        for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    assert uses
    for line in uses:
        name, _, commit = line.partition("uses: ")[2].partition(" ")[0].partition("@")
        assert name.startswith("./") or (len(commit) == 40 and int(commit, 16)), line
    assert (ROOT / "wheels.yml").read_text(encoding="utf-8").startswith("# "), "the link to the workflow is broken"

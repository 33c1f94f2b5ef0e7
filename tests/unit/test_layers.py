"""The fences of the house hold, and each rule of `tools/check_layers.py` can fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
sys.path.insert(0, str(TOOLS))

import check_layers  # noqa: E402
import source_text  # noqa: E402


def test_the_tree_crosses_no_fence() -> None:
    findings = check_layers.check(ROOT)
    assert not findings, "\n".join(map(str, findings))
    assert sum(1 for _ in source_text.code_files(ROOT)) > 10, "the check walked no tree"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree without a crossing: one Python package with its parts, and every crate."""
    monkeypatch.setattr(check_layers, "LONG_FILES", {})  # they name files of the real tree
    write = _writer(tmp_path)
    write("src/fastgate/__init__.py", '"""The public names of it."""\n')
    for part in ("config", "runtime", "discovery", "plugins", "admin", "cli"):
        write(f"src/fastgate/{part}/__init__.py", f'"""The {part} of the house."""\n')
    write("src/fastgate/primitives.py", '"""The compiled parts alone."""\nfrom fastgate import _engine\n')
    write("src/fastgate/runtime/start.py", '"""Starts the engine here."""\nfrom fastgate import _core, _engine\n')
    write("src/fastgate/config/load.py", '"""Loads config from files."""\nimport fastgate.primitives\n')
    write("src/fastgate/_core.pyx", '"""The hot Python layer."""\nfrom fastgate._engine_api cimport Api\n')
    write("src/fastgate/_engine_api.pxd", '"""The C table, declared."""\nctypedef struct EngineApi:\n    int abi\n')
    for crate in check_layers.CRATE_NEVER:
        write(f"rust_ext/{crate}/Cargo.toml", f'[package]\nname = "fastgate-{crate}"\n[dependencies]\n')
        write(f"rust_ext/{crate}/src/lib.rs", "//! One crate of it.\n#![forbid(unsafe_code)]\n")
    write("rust_ext/engine/src/rt/mod.rs", "//! The runtime's own room.\nuse tokio::time;\n")
    write("rust_ext/engine/src/sys.rs", "//! System calls without wrapper.\npub fn f() { unsafe { g() } }\n")
    assert check_layers.check(tmp_path) == []
    return tmp_path


def _writer(root: Path) -> Callable[[str, str], None]:
    def write(name: str, text: str) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return write


PY = '"""A module that says."""\n'
RS = "//! A module that says.\n"
PLANTED = {
    "config imports runtime": ("import", "src/fastgate/config/a.py", PY + "from fastgate.runtime import start\n"),
    "config imports runtime relatively": ("import", "src/fastgate/config/a.py", PY + "from .. import runtime\n"),
    "config imports _engine": ("import", "src/fastgate/config/a.py", PY + "import fastgate._engine\n"),
    "config imports a socket": ("import", "src/fastgate/config/a.py", PY + "import socket\n"),
    "config imports inside a function": (
        "import",
        "src/fastgate/config/a.py",
        PY + "def f():\n    import urllib.request\n",
    ),
    "config imports by name": (
        "import",
        "src/fastgate/config/a.py",
        PY + "import importlib\nimportlib.import_module('fastgate._engine')\n",
    ),
    "discovery imports admin": ("import", "src/fastgate/discovery/a.py", PY + "import fastgate.admin\n"),
    "plugins import _engine": ("import", "src/fastgate/plugins/a.py", PY + "from fastgate import _engine\n"),
    "plugins import cli": ("import", "src/fastgate/plugins/a.py", PY + "from ..cli import run\n"),
    "admin imports _core": ("import", "src/fastgate/admin/a.py", PY + "from fastgate._core import Request\n"),
    "cli imports _engine": ("import", "src/fastgate/cli/a.py", PY + "from fastgate import _engine\n"),
    "errors import the package": ("import", "src/fastgate/errors.py", PY + "from fastgate import config\n"),
    "_core imports config": ("import", "src/fastgate/_core.pyx", PY + "from fastgate.config import load\n"),
    "the C table declared twice": (
        "c-declaration",
        "src/fastgate/_core.pyx",
        PY + "ctypedef struct EngineApi:\n    int abi\n",
    ),
    "foreign C declared": ("c-declaration", "src/fastgate/_core.pyx", PY + 'cdef extern from "x.h":\n    pass\n'),
    "core depends on tokio": ("crate", "rust_ext/core/Cargo.toml", '[dependencies]\ntokio = "1"\n'),
    "core depends on the engine": (
        "crate",
        "rust_ext/core/Cargo.toml",
        '[dependencies]\nother = { package = "fastgate-engine", path = "../engine" }\n',
    ),
    "engine depends on pyo3": (
        "crate",
        "rust_ext/engine/Cargo.toml",
        '[target."cfg(unix)".build-dependencies]\npyo3-build-config = "1"\n',
    ),
    "engine depends on loadgen": (
        "crate",
        "rust_ext/engine/Cargo.toml",
        '[dev-dependencies]\nfastgate-loadgen = { path = "../loadgen" }\n',
    ),
    "an unknown crate": ("crate", "rust_ext/extra/Cargo.toml", "[dependencies]\n"),
    "unsafe in the engine": ("unsafe", "rust_ext/engine/src/pool.rs", RS + "fn f() { unsafe { g() } }\n"),
    "unsafe in a test of core": (
        "unsafe",
        "rust_ext/core/src/route.rs",
        RS + "#[cfg(test)]\nmod tests { fn f() { unsafe { g() } } }\n",
    ),
    "core without forbid": ("unsafe", "rust_ext/core/src/lib.rs", RS + "// #![forbid(unsafe_code)]\n"),
    "tokio outside its room": ("runtime", "rust_ext/engine/src/lifecycle.rs", RS + "use tokio::net::TcpStream;\n"),
    "a clock in the engine": ("clock", "rust_ext/engine/src/pool.rs", RS + "fn f() { std::time::Instant::now(); }\n"),
    "a clock in core": ("sans-io", "rust_ext/core/src/limit.rs", RS + "fn f() { std::time::Instant::now(); }\n"),
    "a socket in core": ("sans-io", "rust_ext/core/src/limit.rs", RS + "use std::net::TcpStream;\n"),
    "a long file": ("size", "rust_ext/core/src/long.rs", RS + "fn f() {}\n" * 401),
    "a long Python file": ("size", "src/fastgate/config/long.py", PY + "x = 1\n" * 401),
    "a file without a job": ("first-line", "rust_ext/core/src/route.rs", "fn f() {}\n"),
    "a placeholder": ("first-line", "src/fastgate/config/a.py", '"""placeholder for the loader"""\n'),
    "a folder without a job": ("first-line", "bench/load/run.py", PY),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_crossing_is_found(house: Path, name: str) -> None:
    rule, path, text = PLANTED[name]
    _writer(house)(path, text)
    found = check_layers.check(house)
    assert [f.rule for f in found] == [rule], found
    assert path.startswith(found[0].place.rstrip("/").partition(":")[0]), found


ALLOWED = {
    "words in comments and strings": (
        "rust_ext/engine/src/pool.rs",
        RS
        + '// unsafe tokio\n/* tokio /* unsafe */ tokio */ const A: &str = "unsafe \\" tokio"; const B: char = \'"\';\n'
        'const C: &str = r#"unsafe " tokio"#;\n',
    ),
    "a lifetime is not a character": (
        "rust_ext/engine/src/pool.rs",
        RS + "fn f<'a>(x: &'a str) -> &'a str { x } // unsafe\n",
    ),
    "a clock in a test of core": (
        "rust_ext/core/src/limit.rs",
        RS + "#[cfg(test)]\nmod tests { fn f() { std::time::Instant::now(); } }\n",
    ),
    "long tests beside short code": (
        "rust_ext/core/src/limit.rs",
        RS + "fn f() {}\n#[cfg(test)]\nmod tests {\n" + "fn g() {}\n" * 900 + "}\n",
    ),
    "long comments": ("rust_ext/core/src/limit.rs", RS + "// words\n" * 900),
    "runtime imports the engine": ("src/fastgate/runtime/a.py", PY + "from fastgate import _engine\n"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_not_reported(house: Path, name: str) -> None:
    _writer(house)(*ALLOWED[name])
    assert check_layers.check(house) == []


def test_the_ratchet_only_turns_one_way(house: Path) -> None:
    name = "rust_ext/core/src/long.rs"
    write = _writer(house)
    write(name, RS + "fn f() {}\n" * 450)
    assert list(check_layers.check_sizes(house, {name: (450, "why")})) == []
    assert len(list(check_layers.check_sizes(house, {name: (449, "why")}))) == 1, "may not grow"
    assert len(list(check_layers.check_sizes(house, {name: (600, "why")}))) == 1, "must be lowered"
    write(name, RS + "fn f() {}\n" * 300)
    assert len(list(check_layers.check_sizes(house, {name: (450, "why")}))) == 1, "must be removed"
    assert len(list(check_layers.check_sizes(house, {"gone.rs": (450, "why")}))) == 1, "names no file"


def test_the_program_fails_on_a_crossing(house: Path) -> None:
    run = [sys.executable, str(TOOLS / "check_layers.py"), str(house)]
    # The exceptions of the real tree name files that this small one has not, so only the words are compared.
    before = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "may never import" not in before.stdout
    _writer(house)("src/fastgate/config/a.py", PY + "import socket\n")
    after = subprocess.run(run, capture_output=True, text=True, check=False)
    assert after.returncode == 1
    assert "src/fastgate/config/a.py:2: [import] config may never import socket" in after.stdout

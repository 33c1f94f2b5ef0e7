"""Checks the fences of the house: which part may use which, where unsafe may stand, how long a file may be.

The rules stand in `docs/developer/house.md`; the tables below are their only mechanical form.
Exit code 1 when something crosses a fence. The files allowed to be long are printed with their reasons.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from source_text import code_files, code_lines, first_words, strip_rust, without_rust_tests

NETWORK = (
    "socket", "ssl", "http", "urllib.request", "asyncio", "socketserver", "httpx", "requests", "aiohttp", "urllib3",
    "websockets", "redis",
)  # fmt: skip

# What a part of src/fastgate may never import. A part is a package, or a module beside the packages.
NEVER: dict[str, tuple[str, ...]] = {
    "config": ("fastgate.runtime", "fastgate.admin", "fastgate.cli", "fastgate.discovery", *NETWORK),
    "discovery": ("fastgate.runtime", "fastgate.admin", "fastgate.cli"),
    "plugins": ("fastgate.admin", "fastgate.discovery", "fastgate.cli"),
    "runtime": ("fastgate.admin", "fastgate.cli"),
    "admin": ("fastgate.cli",),
    "gateway": ("fastgate.admin", "fastgate.cli"),
    "errors": ("fastgate",),
    "primitives": ("fastgate.config", "fastgate.runtime", "fastgate.admin", "fastgate.cli", "fastgate.discovery"),
    "_core": (
        "fastgate.config", "fastgate.runtime", "fastgate.admin", "fastgate.cli", "fastgate.discovery", *NETWORK,
    ),
}  # fmt: skip
# The compiled modules and the only parts that may import them.
COMPILED: dict[str, tuple[str, ...]] = {
    "fastgate._engine": ("runtime", "primitives", "_core"),  # _core takes the C table
    "fastgate._core": ("runtime", "plugins", "__init__"),
}
# What a crate of rust_ext may never depend on (any kind of dependency).
CRATE_NEVER: dict[str, tuple[str, ...]] = {
    "core": ("fastgate-engine", "fastgate-py", "fastgate-loadgen", "pyo3", "tokio", "rustix", "libc", "socket2", "mio"),
    "engine": ("fastgate-py", "fastgate-loadgen", "pyo3"),
    "loadgen": ("fastgate-engine", "fastgate-py", "pyo3"),
    "fuzz": ("fastgate-engine", "fastgate-py", "fastgate-loadgen", "pyo3", "tokio"),
    "py": ("tokio",),
}
UNSAFE_ROOMS = ("rust_ext/py/", "rust_ext/engine/src/sys.rs", "rust_ext/loadgen/src/sys.rs")
RUNTIME_ROOM = "rust_ext/engine/src/rt/"
# Core is sans-I/O: no sockets, no threads, no clock; the caller passes them in.
CORE_NEVER = re.compile(
    r"\b(std::thread|thread::spawn|Tcp(?:Stream|Listener)|UdpSocket|Unix(?:Stream|Listener)|std::fs|Instant::now|SystemTime::now)\b"
)
# The engine asks for the time here only; dns.rs because the resolver tells a TTL as a moment.
CLOCK_ROOMS = (RUNTIME_ROOM, "rust_ext/engine/src/clock.rs", "rust_ext/engine/src/dns.rs")
CLOCK = re.compile(r"\b(Instant|SystemTime)::now\b")
C_DECLARATIONS = "src/fastgate/_engine_api.pxd"

MAX_LINES = 400
MAX_TEST_LINES = 600
# Longer files, each with its present length and why. The list may only shrink: a file that has become short enough,
# or shorter than its entry by a tenth, must leave or lower it.
LONG_FILES: dict[str, tuple[int, str]] = {}

FOLDER_VOICES = ("__init__.py", "mod.rs", "lib.rs", "main.rs", "README.md", "conftest.py", "src/lib.rs", "src/main.rs")


@dataclass(frozen=True, slots=True)
class Finding:
    """One crossing of a fence: the rule, the place (path, and line when there is one), and what to do."""

    rule: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: [{self.rule}] {self.message}"


def python_imports(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import, inside functions too; `importlib.import_module("…")` counts."""
    if path.suffix in (".pyx", ".pxd"):
        yield from _cython_imports(path, package)
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", node.level, package)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if called in ("import_module", "importlib.import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def _cython_imports(path: Path, package: str) -> Iterator[tuple[int, str]]:
    pattern = re.compile(r"\s*(?:from\s+(\.*)([\w.]*)\s+c?import\s+([\w., ()]+)|c?import\s+([\w.]+))")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := pattern.match(line):
            if match[4]:
                yield number, match[4]
            else:
                base = _absolute(match[2], len(match[1]), package)
                for name in match[3].strip("() ").split(","):
                    yield number, f"{base}.{name.split(' as ')[0].strip()}"


def _absolute(module: str, level: int, package: str) -> str:
    if level == 0:
        return module
    parents = package.split(".")[: len(package.split(".")) - (level - 1)]
    return ".".join([*parents, module] if module else parents)


def _names(imported: str, banned: str) -> bool:
    return imported == banned or imported.startswith(banned + ".")


def check_python(root: Path) -> Iterator[Finding]:
    """Imports of `src/fastgate` against the table of what each part may never use."""
    home = root / "src" / "fastgate"
    for path in sorted([*home.rglob("*.py"), *home.rglob("*.pyi"), *home.rglob("*.pyx"), *home.rglob("*.pxd")]):
        relative = path.relative_to(home)
        part = relative.parts[0] if len(relative.parts) > 1 else relative.stem
        package = ".".join(["fastgate", *relative.parts[:-1]])
        for line, imported in python_imports(path, package):
            place = f"{path.relative_to(root)}:{line}"
            for banned in NEVER.get(part, ()):
                if _names(imported, banned):
                    yield Finding("import", place, f"{part} may never import {imported}")
            for compiled, allowed in COMPILED.items():
                if _names(imported, compiled) and part not in allowed and part != compiled.rpartition(".")[2]:
                    yield Finding("import", place, f"{imported}: only {' and '.join(allowed)} may import {compiled}")


def check_c_declarations(root: Path) -> Iterator[Finding]:
    """The C table has one declaration, and the package declares nothing foreign but CPython."""
    for path in sorted((root / "src" / "fastgate").rglob("*.p[yx][xd]")):
        relative = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            foreign = re.match(r'\s*cdef extern\b(?! from "Python.h")', line)
            table = re.match(r"\s*(ctypedef|cdef) struct EngineApi\b", line) and relative != C_DECLARATIONS
            if foreign or table:
                yield Finding("c-declaration", f"{relative}:{number}", f"C declarations belong in {C_DECLARATIONS}")


def check_crates(root: Path) -> Iterator[Finding]:
    """Each crate's dependencies against the table; a crate cannot use what its Cargo.toml does not list."""
    for crate, banned in CRATE_NEVER.items():
        manifest = root / "rust_ext" / crate / "Cargo.toml"
        if not manifest.exists():
            yield Finding("crate", manifest.relative_to(root).as_posix(), "the crate is missing")
            continue
        for name in sorted(_dependencies(tomllib.loads(manifest.read_text(encoding="utf-8")))):
            if name in banned or (name.startswith("pyo3-") and "pyo3" in banned):
                yield Finding("crate", manifest.relative_to(root).as_posix(), f"{crate} may never depend on {name}")
    for manifest in sorted((root / "rust_ext").glob("*/Cargo.toml")):
        if manifest.parent.name not in CRATE_NEVER:
            yield Finding("crate", manifest.relative_to(root).as_posix(), "a new crate needs a row in CRATE_NEVER")


def _dependencies(table: dict[str, object]) -> set[str]:
    found: set[str] = set()
    for key, value in table.items():
        if key.endswith("dependencies") and isinstance(value, dict):
            for name, spec in value.items():
                found.add(str(spec.get("package", name)) if isinstance(spec, dict) else name)
        elif key == "target" and isinstance(value, dict):
            for inner in value.values():
                found |= _dependencies(inner)
    return found


def check_rust(root: Path) -> Iterator[Finding]:
    """Words that only one room may use: `unsafe`, `tokio`, and in core anything that touches the outside."""
    lib = root / "rust_ext" / "core" / "src" / "lib.rs"
    if not lib.exists() or "#![forbid(unsafe_code)]" not in strip_rust(lib.read_text(encoding="utf-8")):
        yield Finding("unsafe", "rust_ext/core/src/lib.rs", "core must hold #![forbid(unsafe_code)]")
    for path in code_files(root):
        relative = path.relative_to(root).as_posix()
        if path.suffix != ".rs":
            continue
        text = strip_rust(path.read_text(encoding="utf-8"))
        if not relative.startswith(UNSAFE_ROOMS):
            yield from _words(relative, text, re.compile(r"\bunsafe\b"), "unsafe", f"only in {', '.join(UNSAFE_ROOMS)}")
        if relative.startswith("rust_ext/engine/src/") and not relative.startswith(RUNTIME_ROOM):
            yield from _words(relative, text, re.compile(r"\btokio\b"), "runtime", f"only {RUNTIME_ROOM} names tokio")
        if relative.startswith("rust_ext/engine/src/") and not relative.startswith(CLOCK_ROOMS):
            yield from _words(relative, without_rust_tests(text), CLOCK, "clock", f"only in {', '.join(CLOCK_ROOMS)}")
        if relative.startswith("rust_ext/core/src/"):
            yield from _words(relative, without_rust_tests(text), CORE_NEVER, "sans-io", "core gets it passed in")


def _words(relative: str, text: str, pattern: re.Pattern[str], rule: str, message: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := pattern.search(line):
            yield Finding(rule, f"{relative}:{number}", f"{match[0]}: {message}")


def check_sizes(root: Path, long_files: dict[str, tuple[int, str]] | None = None) -> Iterator[Finding]:
    """Files stay under 400 lines of code (tests 600); the exceptions are a ratchet."""
    allowed = LONG_FILES if long_files is None else long_files
    seen: set[str] = set()
    for path in code_files(root):
        relative = path.relative_to(root).as_posix()
        length, limit = code_lines(path), MAX_TEST_LINES if _is_test(relative) else MAX_LINES
        if relative in allowed:
            seen.add(relative)
            ceiling = allowed[relative][0]
            if length > ceiling:
                yield Finding("size", relative, f"{length} lines of code; its exception is {ceiling}: split by meaning")
            elif length <= limit or length < ceiling * 0.9:
                yield Finding("size", relative, f"{length} lines of code; lower or remove its exception of {ceiling}")
        elif length > limit:
            yield Finding("size", relative, f"{length} lines of code, {limit} at most: split by meaning")
    for gone in sorted(set(allowed) - seen):
        yield Finding("size", gone, "has an exception but does not exist")


def _is_test(relative: str) -> bool:
    name = relative.rpartition("/")[2]
    return relative.startswith("tests/") or "/tests/" in relative or name.endswith("_tests.rs") or name == "tests.rs"


def check_first_lines(root: Path) -> Iterator[Finding]:
    """Every file, and every folder that holds code, says its job in its first line."""
    folders: set[Path] = set()
    for path in code_files(root):
        folders.add(path.parent)
        if path.name in ("__init__.py", "__init__.pyi") and not path.read_text(encoding="utf-8").strip():
            continue  # judged as its folder
        if path.suffix == ".pyi":
            continue  # a stub's module says it
        if not _says_something(first_words(path)):
            yield Finding("first-line", path.relative_to(root).as_posix(), "its first line does not say its job")
    for folder in sorted(folders):
        voices = [folder / name for name in FOLDER_VOICES] + [folder.with_suffix(".rs")]
        spoken = any(_says_something(first_words(voice)) for voice in voices if voice.is_file())
        # A crate's own tests/, benches/ and bin/ have their job by Cargo's convention.
        if not spoken and folder.name not in ("src", "tests", "benches", "bin", "fuzz_targets", "examples"):
            yield Finding("first-line", folder.relative_to(root).as_posix() + "/", "no file here says the folder's job")


def _says_something(words: str) -> bool:
    return len(words.split()) >= 3 and "placeholder" not in words.lower()


def check(root: Path) -> list[Finding]:
    """All rules over one tree."""
    return [
        *check_python(root),
        *check_c_declarations(root),
        *check_crates(root),
        *check_rust(root),
        *check_sizes(root),
        *check_first_lines(root),
    ]


def main() -> int:
    """Prints every crossing; 1 when there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    root = parser.parse_args().root
    findings = check(root)
    for finding in findings:
        print(finding)
    for name, (length, reason) in sorted(LONG_FILES.items()):
        print(f"allowed: {name}: {length} lines of code: {reason}")
    print(f"{len(findings)} crossings in {sum(1 for _ in code_files(root))} files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

"""Reads source files for the checks: what is code, what is comment, how long a file is, what its first line says."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

CODE_SUFFIXES = (".py", ".pyi", ".pyx", ".pxd", ".rs", ".c", ".h")
SKIPPED_FOLDERS = {
    "target", "build", "dist", "site", "wheelhouse", "corpus", "vectors", "advisories", "node_modules", "__pycache__",
    ".git", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis",
}  # fmt: skip
ROOTS = ("src", "rust_ext", "tools", "tests", "bench")

_RUST_TOKEN = re.compile(
    r"""
    (?P<line>//[^\n]*)
  | (?P<block>/\*)
  | (?P<raw>\b[bc]?r(?P<hashes>\#*)"(?:.|\n)*?"(?P=hashes))
  | (?P<string>\b[bc]?"(?:\\.|[^"\\])*"|"(?:\\.|[^"\\])*")
  | (?P<char>\bb?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])'|'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])')
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_TEST_ITEM = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]")


def code_files(root: Path) -> Iterator[Path]:
    """Every source file under the project's code folders, in a stable order; generated C of Cython is left out."""
    for top in ROOTS:
        for path in sorted((root / top).rglob("*")):
            relative = path.relative_to(root)
            if path.suffix not in CODE_SUFFIXES or not path.is_file():
                continue
            if any(part in SKIPPED_FOLDERS or part.endswith(".egg-info") for part in relative.parts):
                continue
            if path.suffix == ".c" and top == "src":
                continue
            yield path


def strip_rust(text: str) -> str:
    """The text without comments and without what string and character literals hold; lines keep their number."""
    out: list[str] = []
    at = 0
    while match := _RUST_TOKEN.search(text, at):
        out.append(text[at : match.start()])
        end = match.end()
        if match["block"]:
            end = _block_comment_end(text, match.end())
            out.append("\n" * text.count("\n", match.start(), end))
        elif not match["line"]:
            out.append('""' + "\n" * text.count("\n", match.start(), end))
        at = end
    out.append(text[at:])
    return "".join(out)


def _block_comment_end(text: str, at: int) -> int:
    depth = 1  # Rust's block comments nest
    while depth and (edge := _BLOCK_EDGE.search(text, at)):
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()
    return at if depth == 0 else len(text)


def without_rust_tests(stripped: str) -> str:
    """Stripped Rust without its `#[cfg(test)]` items; lines keep their number."""
    while match := _TEST_ITEM.search(stripped):
        end = _item_end(stripped, match.end())
        stripped = stripped[: match.start()] + "\n" * stripped.count("\n", match.start(), end) + stripped[end:]
    return stripped


def _item_end(text: str, at: int) -> int:
    depth = 0
    for i in range(at, len(text)):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth <= 0:
                return i + 1
        elif text[i] == ";" and depth == 0:
            return i + 1
    return len(text)


def code_lines(path: Path) -> int:
    """How many lines of the file hold code: comments, blank lines, docstrings and inline Rust tests do not count."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".rs", ".c", ".h"):
        return _filled(without_rust_tests(strip_rust(text)))
    if path.suffix in (".py", ".pyi"):
        return _python_code_lines(text)
    text = re.sub(r'^[ \t]*"""(?:.|\n)*?"""', "", text, flags=re.MULTILINE)  # Cython: docstrings begin a line
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def _filled(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip())


def _python_code_lines(text: str) -> int:
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    idle = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in idle:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def first_words(path: Path) -> str:
    """What the file says first: a docstring's first line, a `//!` line, a leading comment, a README's first line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".py", ".pyi"):
        return (ast.get_docstring(ast.parse(text)) or _first_comment(text, "#")).split("\n")[0].strip()
    if path.suffix == ".rs":
        return _first_comment(text, "//!")
    if path.suffix == ".md":
        return next((line.lstrip("# ").strip() for line in text.splitlines() if line.strip()), "")
    if path.suffix in (".c", ".h"):
        return _first_comment(text, "//") or _first_comment(text, "/*").removesuffix("*/").strip()
    quoted = re.match(r'(?:\s|#[^\n]*\n)*"""(.*)', text)
    return quoted[1].strip().removesuffix('"""') if quoted else _first_comment(text, "#")


def _first_comment(text: str, mark: str) -> str:
    for line in text.splitlines():
        words = line.strip()
        if not words or words.startswith(("#!", "# cython:", "# distutils:")):
            continue
        return words[len(mark) :].strip() if words.startswith(mark) else ""
    return ""

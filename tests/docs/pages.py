"""Reads a page of the documentation as its reader does: files to save, commands to type, output that is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PART = re.compile(
    r"(?:^<!-- (?P<mark>file|copy): (?P<name>\S+) -->\n)?^```(?P<language>\w*)\n(?P<content>.*?)^```$"
    r"|(?P<indented>(?:(?<=\n\n)|\A)    \S[^\n]*\n(?:    [^\n]+\n)*)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class File:
    """A block that the reader saves under a name (`<!-- file: NAME -->` stands above it)."""

    place: str
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the lines of its output that the page shows."""

    place: str
    text: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Any fenced block, with what the comment above it says of it."""

    place: str
    language: str
    content: str
    mark: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What a page asks its reader to do, in order, and its fenced blocks."""

    name: str
    steps: list[File | Command] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    @property
    def commands(self) -> list[Command]:
        """The commands alone."""
        return [step for step in self.steps if isinstance(step, Command)]


def every_page() -> list[Path]:
    """The pages people read: of the repository, the site and the examples."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*.md")])


def read(path: Path) -> Page:
    """Takes a page apart.

    Indented lines are commands without output; in a `console` block a line that begins with `$ ` is a command and what
    follows it is output. A backslash at the end of a line continues the command.
    """
    text = path.read_text(encoding="utf-8")
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    page = Page(name)
    for match in _PART.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["indented"]:
            lines = [part[4:] for part in match["indented"].splitlines()]
            page.steps.extend(Command(f"{name}:{line + at}", command) for at, command in _joined(lines))
            continue
        block = Block(f"{name}:{line}", match["language"], match["content"], match["mark"], match["name"])
        page.blocks.append(block)
        if block.mark == "file" and block.name is not None:
            page.steps.append(File(block.place, block.name, block.content))
        elif block.language == "console":
            page.steps.extend(_typed(name, line + (block.mark is not None) + 1, block.content))
    return page


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Commands with their line, continued lines as one."""
    begun, parts = 0, []
    for at, line in enumerate(lines):
        if not parts:
            begun = at
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        yield begun, "".join([*parts, line])
        parts = []


def _typed(name: str, first: int, content: str) -> list[Command]:
    found: list[Command] = []
    lines = content.splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise ValueError(f"{name}:{first + at}: a console block begins with a command")
        begun, text = at, lines[at][2:]
        while text.endswith("\\"):
            at += 1
            text = text[:-1] + lines[at].lstrip("> ")
        at += 1
        shown = []
        while at < len(lines) and not lines[at].startswith("$ "):
            shown.append(lines[at])
            at += 1
        found.append(Command(f"{name}:{first + begun}", text, tuple(shown)))
    return found


def missing(shown: tuple[str, ...], output: str) -> str | None:
    """The first shown line that the output does not have after the ones before it; `...` stands for anything."""
    lines = iter([line.rstrip() for line in output.replace("\r", "").splitlines()])
    for line in shown:
        if line.strip() in ("", "..."):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("...")))
        if not any(pattern.fullmatch(candidate) for candidate in lines):
            return line
    return None

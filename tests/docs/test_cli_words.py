"""Every `fastgate …` of the documentation, in an example or a sentence, is one that the command line takes."""

from __future__ import annotations

import re
import shlex

import pytest
import typer
from pages import every_page, read

from fastgate.cli.app import build

GROUP = typer.main.get_command(build())
SPAN = re.compile(r"`(fastgate(?: [^`\n]*)?)`")


def written() -> list[str]:
    """Code in sentences, commands, and examples in `text` blocks."""
    found: set[str] = set()
    for path in every_page():
        page = read(path)
        found |= set(SPAN.findall(path.read_text(encoding="utf-8")))
        found |= {command.text for command in page.commands if command.text.startswith("fastgate")}
        examples = [block.content for block in page.blocks if block.language == "text"]
        found |= {line for text in examples for line in text.splitlines() if line.startswith("fastgate ")}
    return sorted(found)


WRITTEN = written()


def wrong(text: str) -> str | None:
    """What the command line has against these words; None if nothing."""
    words = shlex.split(re.split(r" (?:&&|\|\||[|>&]) ?", text)[0].removesuffix("&"), comments=True)[1:]
    if not words or words[0] in ("--version", "--help", "--install-completion", "…"):
        return None
    command = GROUP.commands.get(words[0])
    if command is None:
        return f"there is no command {words[0]}"
    if words[1:] in (["--help"], ["-h"]):
        return None
    try:
        # A missing argument is no fault in a sentence: `fastgate explain` may be spoken of.
        command.make_context(words[0], [word for word in words[1:] if word != "…"]).close()
    except Exception as error:
        return None if len(words) == 1 and "Missing" in str(error) else f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("text", WRITTEN)
def test_the_command_line_takes_it(text: str) -> None:
    assert wrong(text) is None


def test_enough_was_found_and_a_wrong_one_is_seen() -> None:
    assert len(WRITTEN) > 20
    assert wrong("fastgate chek") == "there is no command chek"
    assert wrong("fastgate check --strikt x.yaml") is not None
    assert wrong("fastgate run --bind") is not None
    assert wrong("fastgate status --format xml") is not None

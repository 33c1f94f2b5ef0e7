"""Every command of the documentation is typed, page by page, in a folder and a network namespace of its own."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import fault, is_static
from pages import ROOT, Command, File, every_page, missing, read

READ = {str(path.relative_to(ROOT)): read(path) for path in every_page()}
SESSIONS = {name: page for name, page in READ.items() if any(not is_static(command.text) for command in page.commands)}
STATIC = [command for page in READ.values() for command in page.commands if is_static(command.text)]
TOOLS = ("bash", "curl", "unshare")
ROOTLESS = ("--user", "--map-current-user", "--keep-caps")


def isolated() -> list[str]:
    """The words that start a program in a network of its own; skips by name where the machine does not allow it."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    options: tuple[tuple[str, ...], ...] = ((), ROOTLESS)
    if not lacking:
        for more in options:
            command = ["unshare", *more, "--net"]
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    why = f"{', '.join(lacking)} missing" if lacking else "no network namespace of its own is allowed here"
    if os.environ.get("CI") == "true" and sys.platform == "linux":
        pytest.fail(f"the commands of the documentation cannot be run: {why}", pytrace=False)
    pytest.skip(why)


def environment(folder: Path) -> dict[str, str]:
    """What a reader's fresh terminal has, and nothing else."""
    (folder / ".runtime").mkdir(mode=0o700)
    (folder / ".curlrc").write_text("no-progress-meter\nmax-time = 20\n", encoding="utf-8")
    kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder / ".runtime"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


@pytest.mark.parametrize("name", SESSIONS)
def test_a_page_does_what_it_says(name: str, tmp_path: Path) -> None:
    program = [sys.executable, str(Path(__file__).with_name("session.py")), str(ROOT / name), str(tmp_path)]
    run = subprocess.run(
        [*isolated(), *program],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout}{run.stderr}"


@pytest.mark.parametrize("command", STATIC, ids=lambda command: f"{command.place} {command.text[:40]}")
def test_what_is_not_run_names_what_exists(command: Command) -> None:
    assert fault(command.text) is None


def test_every_python_example_is_run() -> None:
    """Each has a name to save it under, and a later command of the page that runs it."""
    for page in READ.values():
        for block in page.blocks:
            if block.language != "python" or page.name.startswith("docs/developer/"):
                continue
            ast.parse(block.content)
            assert block.mark == "file", f"{block.place}: say `<!-- file: NAME -->` above it"
            assert block.name is not None
            stem = Path(block.name).stem
            step = File(block.place, block.name, block.content)
            later = [step.text for step in page.steps[page.steps.index(step) :] if isinstance(step, Command)]
            assert any(stem in text or text.startswith("pytest") for text in later), f"{block.place} is never run"


def test_a_departure_is_found(tmp_path: Path) -> None:
    """The session itself can fail: a wrong line, a failing command, a server that does not start."""
    for text, why in (
        ("```console\n$ echo one\ntwo\n```\n", "does not say 'two'"),
        ("text\n\n    false\n\ntext\n", "ended with 1"),
        ("```console\n$ fastgate run none.yaml\n```\n", "does not serve"),
    ):
        page = tmp_path / "page.md"
        page.write_text(text, encoding="utf-8")
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        program = [sys.executable, str(Path(__file__).with_name("session.py")), str(page), str(folder)]
        run = subprocess.run(
            [*isolated(), *program], env=environment(folder), capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 1
        assert why in run.stderr, run.stderr


def test_pages_are_read_as_people_read_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# T\n\n    one \\\n      two\n    three\n\n<!-- file: a.yaml -->\n```yaml\nk: v\n```\n\n"
        "```console\n$ four \\\n>   five\nshown\n$ six\n```\n",
        encoding="utf-8",
    )
    steps = read(page).steps
    assert [step.text if isinstance(step, Command) else step.name for step in steps] == [
        "one   two",
        "three",
        "a.yaml",
        "four five",
        "six",
    ]
    assert steps[3] == Command("page.md:13", "four five", ("shown",))
    assert missing(("a ... c", "d"), "x\na b c\r\ny\nd\n") is None
    assert missing(("d", "a"), "a\nd\n") == "a"


@pytest.mark.parametrize(
    "text",
    [
        "make nothing-of-the-kind",
        "pip install some-other-thing",
        "pip install fastgate[nothing]",
        "cargo test -p nothing",
        "docker build -f deploy/None .",
        "docker run fastgate",
        "kubectl apply -f deploy/none.yaml",
        "kubectl explode",
        "sudo systemctl start nothing",
        "sudo install -m 644 deploy/none /etc",
        "python -m pytest tests/none",
    ],
)
def test_a_command_that_names_what_is_not_there_is_found(text: str) -> None:
    assert is_static(text)
    assert fault(text) is not None

"""Words and what becomes of them: help pages, variables, examples, exit codes, near misses, completion, start time."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastgate import cli
from fastgate.cli import doing, quick
from fastgate.cli.app import build
from fastgate.cli.registry import COMMANDS, find

from .conftest import DEADLINE, Shell, clean_environment

ROOT = Path(__file__).resolve().parents[3]
HELP = Path(__file__).parent / "help"
sys.path.insert(0, str(ROOT / "tools"))

gen_cli_docs = importlib.import_module("gen_cli_docs")


def help_of(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([*([name] if name else []), "--help"]) == 0
    return capsys.readouterr().out


# help


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_pages_are_the_golden_ones(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`FASTGATE_TEST_WRITE_GOLDEN=1` writes them anew."""
    write = os.environ.get("FASTGATE_TEST_WRITE_GOLDEN")
    for variable in [one for one in os.environ if one.startswith("FASTGATE_")]:
        monkeypatch.delenv(variable)
    page, file = help_of(name, monkeypatch, capsys), HELP / f"{name or 'fastgate'}.txt"
    if write:
        HELP.mkdir(exist_ok=True)
        file.write_text(page, encoding="utf-8")
    # How lines are broken belongs to the library for commands and differs between its versions.
    assert page.split() == file.read_text(encoding="utf-8").split()
    assert max(len(line) for line in page.splitlines()) <= 100
    assert "Examples:" in page
    assert "\x1b[" not in page


def test_golden_pages_of_no_command_are_gone() -> None:
    assert {file.stem for file in HELP.iterdir()} == {"fastgate", *COMMANDS}


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert gen_cli_docs.PAGE.read_text(encoding="utf-8") == gen_cli_docs.render(), "run tools/gen_cli_docs.py"


def test_every_option_has_a_variable() -> None:
    for name in COMMANDS:
        for one in gen_cli_docs.parameters(name):
            if not one.argument:
                assert one.variable.startswith("FASTGATE_") or "$FASTGATE_" in one.help, (name, one.names)
            assert one.help.endswith((".", ".)")), (name, one)


def test_every_example_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example is understood as it stands; nothing is run."""
    from typer.main import get_command

    ran = []
    for name in COMMANDS:
        for example in find(name).examples:
            first = re.split(r" (?:>|&&) ", example)[0]
            program, *words = shlex.split(first)
            assert program == "fastgate"
            assert words[0] in COMMANDS
            group: Any = get_command(build([words[0]]))
            context = group.commands[words[0]].make_context(words[0], words[1:])
            ran.append(context.params)
    assert {"to", "bind"} <= set(ran[0])
    assert any(params.get("to") == "http://127.0.0.1:9000" for params in ran)


# words


def test_nothing_at_all_is_help_and_2(shell: Shell) -> None:
    done = shell()
    assert done.returncode == 2
    assert done.stdout.startswith("Usage: fastgate [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("statu", 'did you mean "status"? '), ("chekc", 'did you mean "check"? '), ("xyzzy", "")],
)
def test_an_unknown_command_names_the_nearest(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word]) == 2
    said = capsys.readouterr().err
    assert said == f'fastgate: there is no command "{word}"; {hint}allowed: {", ".join(COMMANDS)}\n'


def test_an_unknown_option_names_the_nearest(shell: Shell) -> None:
    done = shell("check", "--stict")
    assert done.returncode == 2
    assert "--strict" in done.stderr


def test_python_m_is_the_same(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("fastgate")
    if not program.exists():
        pytest.skip("the script fastgate is not installed beside this Python")
    both = [
        subprocess.run([*words, "--help"], capture_output=True, text=True, timeout=DEADLINE, check=True, cwd=tmp_path)
        for words in ([str(program)], [sys.executable, "-m", "fastgate"])
    ]
    assert both[0].stdout == both[1].stdout


def test_a_reader_that_leaves_is_no_fault(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shlex.quote(sys.executable)} -m fastgate schema | head -n 1"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_exit_codes(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("routes: 7\n")
    assert shell("--version").returncode == 0
    assert shell("check", "bad.yaml").returncode == 1
    assert shell("run", "bad.yaml").returncode == 1
    assert shell("explain", "GET").returncode == 2
    assert shell("top", "--interval", "0").returncode == 2


def test_a_fault_is_70_and_an_interrupt_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for fault, code in ((ValueError("planted"), 70), (KeyboardInterrupt(), 130)):

        def fail(*_: object, fault: BaseException = fault, **__: object) -> None:
            raise fault

        monkeypatch.setattr("fastgate.cli.asking.status", fail)
        assert cli.main(["status"]) == code
    assert "a fault of fastgate itself, please report it: ValueError: planted" in capsys.readouterr().err


# the quick way into the everyday commands


@pytest.mark.parametrize("name", quick.TABLE)
def test_the_quick_way_knows_every_option(name: str) -> None:
    known = quick.TABLE[name]
    options = {one.names[0]: one for one in gen_cli_docs.parameters(name) if not one.argument}
    assert set(options) == {*known.values, *known.flags}
    for option, one in options.items():
        assert len(one.names) == 1
        assert one.variable == {**known.values, **known.flags}[option][1]
        assert (one.default is False) == (option in known.flags)
        if option == "--format":
            assert one.metavar.split(" or ") == list(known.formats)
            assert one.default == known.formats[0]
    assert known.takes_files == any(one.argument for one in gen_cli_docs.parameters(name))


@pytest.mark.parametrize(
    ("name", "words", "environ"),
    [
        ("run", [], {}),
        ("run", ["a.yaml", "b.yaml"], {}),
        ("run", ["--to", "http://h:1", "--bind", "127.0.0.1:1"], {}),
        ("run", ["--to=http://h:1", "a.yaml", "--dev"], {}),
        ("run", ["a.yaml", "--allow-literal-secrets", "--socket=s.sock"], {}),
        ("run", ["m:a"], {"FASTGATE_DEV": "yes", "FASTGATE_BIND": "[::]:1", "FASTGATE_CONTROL": "x.sock"}),
        ("run", ["--bind", "a", "--bind", "b"], {"FASTGATE_BIND": "c", "FASTGATE_DEV": "0"}),
        ("run", [], {"FASTGATE_TO": "http://h:1", "FASTGATE_ALLOW_LITERAL_SECRETS": "TRUE"}),
        ("run", [], {"FASTGATE_TO": "", "FASTGATE_DEV": ""}),
        ("check", [], {}),
        ("check", ["--strict", "a.yaml", "--format", "github", "--full"], {}),
        ("check", ["--print-merged"], {"FASTGATE_FORMAT": "json", "FASTGATE_STRICT": "1"}),
        ("status", [], {"FASTGATE_CONTROL": "x.sock"}),
        ("status", ["--format=json", "--socket", "s"], {}),
        ("reload", ["--socket", "s"], {}),
        ("drain", [], {}),
    ],
)
def test_the_quick_way_reads_as_the_whole_one(
    name: str, words: list[str], environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(doing, name)
    calls: list[dict[str, Any]] = []

    def called(*given: object, **named: object) -> int:
        calls.append(dict(inspect.signature(real).bind(*given, **named).arguments))
        return 0

    monkeypatch.setattr(doing, name, called)
    for variable in [one for one in os.environ if one.startswith("FASTGATE_")]:
        monkeypatch.delenv(variable)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert quick.options(name, words) is not None
    assert cli.main([name, *words]) == 0
    with pytest.raises(SystemExit) as end:
        build([name])(args=[name, *words])
    assert end.value.code == 0
    first, second = calls
    assert first == second


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *[("run", words) for words in (["--help"], ["-h"], ["--nonsense"], ["--to"], ["--to="], ["--bind", "--dev"])],
        *[("run", words) for words in (["--", "a"], ["--dev=1"], [""])],
        ("check", ["--format", "xml"]),
        ("status", ["file"]),
        ("status", ["--format", "github"]),
    ],
)
def test_what_is_not_plain_is_left_to_the_whole_one(name: str, words: list[str]) -> None:
    assert quick.options(name, words, {}) is None


def test_a_variable_that_is_no_yes_or_no_is_left_to_the_whole_one(shell: Shell) -> None:
    assert quick.options("run", [], {"FASTGATE_DEV": "perhaps"}) is None
    assert shell("run", env={"FASTGATE_DEV": "perhaps"}).returncode == 2


# start


def imported(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
        env=clean_environment(),
    )
    return set(done.stdout.splitlines()[-1].split())


def test_version_imports_next_to_nothing() -> None:
    nothing = imported("pass")
    more = imported("from fastgate import cli; cli.main(['--version'])") - nothing
    assert {one for one in more if not one.startswith("fastgate")} <= {"__future__"}


def test_run_and_status_import_what_they_need() -> None:
    run = imported("import fastgate.cli.app, fastgate.cli.serve, fastgate.runtime.runtime")
    assert not run & {"typer", "click", "rich", "fastapi", "asyncio", "http.server", "importlib.metadata"}
    status = imported("import fastgate.cli.app, fastgate.cli.asking, fastgate.cli.shown")
    assert not status & {
        "typer",
        "rich",
        "pydantic",
        "asyncio",
        "fastgate._engine",
        "fastgate._core",
        "fastgate.config",
    }
    lists = imported("from fastgate.cli.registry import find; find('status')")
    assert not lists & {"pydantic", "fastgate.config", "fastgate.cli.benching", "fastgate.cli.asking"}


# completion


def completing(shell_name: str, script: str, tmp_path: Path) -> str:
    if shutil.which(shell_name) is None:
        pytest.skip(f"{shell_name} is not installed")
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "fastgate"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fastgate "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [shell_name, "-c", script],
        cwd=tmp_path,
        env=clean_environment(PATH=f"{folder}:{os.environ['PATH']}", HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bash_completes(tmp_path: Path) -> None:
    script = """
eval "$(_FASTGATE_COMPLETE=source_bash fastgate)"
complete -p fastgate
try() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  _fastgate_completion fastgate
  echo "${COMPREPLY[@]}"
}
try fastgate re
try fastgate check --f
try fastgate check --format j
try fastgate top --int
"""
    lines = completing("bash", script, tmp_path).splitlines()
    assert "-F _fastgate_completion fastgate" in lines[0]
    assert "default" in lines[0]  # files, where fastgate has nothing to say
    assert lines[1:] == ["reload", "--full --format", "json", "--interval"]


def test_zsh_completes(tmp_path: Path) -> None:
    """Whether zsh takes the script, and what its function would offer."""
    script = """
autoload -Uz compinit && compinit -u -D
eval "$(_FASTGATE_COMPLETE=source_zsh fastgate)"
print -- $_comps[fastgate]
_arguments() { print -- "$@" }
words=(fastgate check --f); CURRENT=3
_fastgate_completion
"""
    out = completing("zsh", script, tmp_path)
    assert out.startswith("_fastgate_completion\n")
    assert '"--full"' in out
    assert '"--format"' in out


def test_fish_completes(tmp_path: Path) -> None:
    script = """
_FASTGATE_COMPLETE=source_fish fastgate | source
complete --do-complete="fastgate re"
complete --do-complete="fastgate check --f"
"""
    names = [line.partition("\t")[0] for line in completing("fish", script, tmp_path).splitlines()]
    assert names[0] == "reload"
    assert sorted(names[1:]) == ["--format", "--full"]


def test_what_fish_is_told_is_one_line_a_candidate(tmp_path: Path) -> None:
    """Without fish: a wrapped help text would be offered as a candidate of its own."""
    env = {
        "_FASTGATE_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": "fastgate explain --",
    }
    done = subprocess.run(
        [sys.executable, "-m", "fastgate"],
        env=clean_environment(**env),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) >= 5
    assert all(line.startswith("--") for line in done.stdout.splitlines())


def test_fish_asks_first_whether_there_is_anything() -> None:
    for words, code in (("fastgate re", 0), ("fastgate run nothing-like-it", 1)):
        env = {"_TYPER_COMPLETE_FISH_ACTION": "is-args", "_TYPER_COMPLETE_ARGS": words}
        done = subprocess.run(
            [sys.executable, "-m", "fastgate"],
            env=clean_environment(_FASTGATE_COMPLETE="complete_fish", **env),
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == code

"""A config compiled by a child: the same result as here, and a clear sentence whatever becomes of the child."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fastgate.errors import StartError
from fastgate.runtime import apart
from fastgate.runtime.recipe import Recipe, Unusable, follow

CONFIG = """
listeners:
  public:
    bind: 127.0.0.1:0
workers: 3
include: more/*.yaml
routes:
  ping:
    match:
      path: /ping
    respond:
      status: 200
"""
MORE = """
routes:
  pong:
    match:
      regex: "^/pong$"
    respond:
      status: 200
"""


WRITE = "import json, sys, os; os.write(json.load(sys.stdin)['out'], {})"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "pong.yaml").write_text(MORE)
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG)
    return file


def test_a_child_gives_what_this_process_would(file: Path) -> None:
    over = ({"routes": {"third": {"match": {"prefix": "/"}, "to": "http://127.0.0.1:1"}}},)
    recipe = Recipe((str(file),), over, hooks=("ping",))
    here, there = follow(recipe), apart.follow_apart(recipe)
    assert there.data == here.data
    assert there.routes == list(here.routes) == ["ping", "pong", "third"]
    assert (there.workers, there.listeners, there.files) == (3, ["public"], here.files)
    assert there.watched == here.watched
    assert there.watched.patterns == (str(file.parent / "more" / "*.yaml"),)
    assert there.warnings == here.warnings


def test_without_files_the_mapping_is_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGATE_TEST_STATUS", "204")
    route = {"match": {"prefix": "/"}, "respond": {"status": 204, "body": "${FASTGATE_TEST_STATUS}"}}
    made = apart.follow_apart(Recipe(overrides=({"routes": {"a": route}},), origin="Python"))
    assert b'"204"' in made.data


def test_every_error_keeps_its_place(file: Path) -> None:
    file.write_text(CONFIG.replace("status: 200", "status: 200\n      bodi: x"))
    (file.parent / "more" / "pong.yaml").write_text(MORE.replace("respond:", "respont:"))
    with pytest.raises(Unusable) as caught:
        apart.follow_apart(Recipe((str(file),)))
    places = {(Path(f.file).name, f.line, f.column, f.path) for f in caught.value.findings}
    assert {("gate.yaml", 13, 7, "routes.ping.respond.bodi"), ("pong.yaml", 6, 5, "routes.pong.respont")} <= places
    assert str(file.parent / "more" / "pong.yaml") in caught.value.watched.files


def test_what_only_the_engine_judges_has_its_line_too(file: Path) -> None:
    (file.parent / "more" / "pong.yaml").write_text(MORE.replace("^/pong$", "("))
    with pytest.raises(Unusable) as caught:
        apart.follow_apart(Recipe((str(file),)))
    (finding,) = caught.value.findings
    assert (Path(finding.file).name, finding.line, finding.path) == ("pong.yaml", 5, "routes.pong.match.regex")


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import time; time.sleep(600)", "longer than 1 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by signal 9"),
        ("raise SystemExit(3)", "code 3 and 0 bytes that are no answer"),
        (WRITE.format("b'junk' * 99"), "396 bytes that are no answer"),
        (WRITE.format(r"b'fastgate-compiled-1\n' + bytes(15) + b'9'"), "cut short"),
        (WRITE.format(r"b'fastgate-compiled-1\n' + bytes(7) + b'\2' + bytes(8) + b'[]'"), "cannot be read"),
    ],
    ids=["hangs", "killed", "ends", "junk", "short", "foreign"],
)
def test_a_child_that_fails_is_one_sentence(
    program: str, sentence: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_BOOT", program)
    with pytest.raises(StartError, match=sentence):
        apart.follow_apart(Recipe((str(file),)), timeout=1.0 if "sleep" in program else 60.0)


def test_a_child_that_needs_too_much_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = apart._BOOT.replace(
        "; from fastgate.runtime.compile_child import main; main(asked)",
        "; from fastgate.runtime import compile_child as c; c.follow = lambda _: bytearray(2 << 30); c.main(asked)",
    )
    assert greedy != apart._BOOT
    monkeypatch.setattr(apart, "_BOOT", greedy)
    with pytest.raises(StartError, match="needs more than 1024 MiB"):
        apart.follow_apart(Recipe((str(file),)))


def test_a_cancelled_child_is_killed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_BOOT", "import time; time.sleep(600)")
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(StartError, match="the gateway is ending"):
        apart.follow_apart(Recipe((str(file),)), cancelled=cancel.is_set)


def test_a_reload_takes_idle_time_and_a_start_does_not(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = apart._BOOT.replace(
        "main(asked)",
        "import fastgate.runtime.compile_child as c, os; "
        "c._answer = lambda recipe, out: os.write(out, bytes(100 + os.sched_getscheduler(0))); main(asked)",
    )
    monkeypatch.setattr(apart, "_BOOT", told)
    for nice, policy in ((10, os.SCHED_IDLE), (0, os.SCHED_OTHER)):
        with pytest.raises(StartError, match=f"and {100 + policy} bytes that are no answer"):
            apart.follow_apart(Recipe((str(file),)), nice=nice)


def test_a_child_that_finds_no_idle_time_is_followed_by_one_that_needs_none(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "PATIENCE", 0.1)
    monkeypatch.setattr(
        apart,
        "_BOOT",
        apart._BOOT.replace("sys.path[:]", "asked['idle'] and __import__('time').sleep(600); sys.path[:]"),
    )
    recipe = Recipe((str(file),))
    assert apart.follow_apart(recipe).data == follow(recipe).data


def test_what_a_child_cannot_follow() -> None:
    assert apart.possible(Recipe(("a.yaml",)))
    assert not apart.possible(Recipe(overrides=({"a": object()},)))

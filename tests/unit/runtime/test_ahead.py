"""The first config compiled by a copy of a process that starts: the same result as here, whatever becomes of the copy.

Each test is a process of its own: one that has threads, or the models, makes no copy.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
listeners:
  public:
    bind: 127.0.0.1:0
workers: 3
routes:
  ping:
    match:
      path: /ping
    respond:
      status: 200
      body: ${FASTGATE_TEST_BODY:-none}
"""
BEGIN = """
import os, signal, sys, threading, time
from fastgate.errors import StartError
from fastgate.runtime import ahead
from fastgate.runtime.recipe import Recipe, Unusable, follow
recipe = Recipe((sys.argv[1],), ({"routes": {"more": {"match": {"prefix": "/"}, "to": "http://127.0.0.1:1"}}},))

def gone(child):
    try:
        os.waitpid(child, os.WNOHANG)
    except ChildProcessError:
        return True
    return False
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG)
    return file


def said(file: Path, program: str) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_copy_gives_what_this_process_would_and_leaves_no_models_here(file: Path) -> None:
    program = """
first = ahead.begin(recipe)
there = first.result()
assert gone(first._child)
assert not {"pydantic", "fastgate.config"} & set(sys.modules)
here = follow(recipe)
for name in ("data", "workers", "control", "watch", "warnings", "files", "watched"):
    assert getattr(there, name) == getattr(here, name), name
print(list(there.routes) == list(here.routes), list(there.listeners) == list(here.listeners), there.routes)
"""
    assert said(file, program) == "True True ['ping', 'more']\n"


def test_every_error_keeps_its_place(file: Path) -> None:
    file.write_text(CONFIG.replace("body:", "bodi:"))
    program = """
try:
    ahead.begin(recipe).result()
except Unusable as error:
    print([(one.line, one.column, one.path) for one in error.findings], error.watched.files == recipe.files)
"""
    assert said(file, program) == "[(12, 7, 'routes.ping.respond.bodi')] True\n"


def test_what_only_the_engine_judges_has_its_line_too(file: Path) -> None:
    file.write_text(CONFIG.replace("path: /ping", "regex: ("))
    program = """
try:
    ahead.begin(recipe).result()
except Unusable as error:
    print([(one.line, one.path) for one in error.findings])
"""
    assert said(file, program) == "[(9, 'routes.ping.match.regex')]\n"


def test_signals_for_the_whole_group_are_the_parents_affair(file: Path) -> None:
    program = """
import fastgate.runtime.compile_child as child
ready, go = os.pipe(), os.pipe()
answered = child._answer
def answer(recipe, out):
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    answered(recipe, out)
child._answer = answer
first = ahead.begin(recipe)
os.read(ready[0], 1)
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    os.kill(first._child, number)
os.write(go[1], b"x")
print(first.result().routes)
"""
    assert said(file, program) == "['ping', 'more']\n"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended by signal 9"),
        ("raise ValueError('planted')", "code 1 and 0 bytes that are no answer"),
        ("os.write(out, b'junk' * 99); os._exit(0)", "396 bytes that are no answer"),
    ],
    ids=["killed", "raises", "junk"],
)
def test_a_copy_that_fails_is_one_sentence(fault: str, sentence: str, file: Path) -> None:
    program = f"""
import fastgate.runtime.compile_child as child
def answer(recipe, out):
    {fault}
child._answer = answer
first = ahead.begin(recipe)
try:
    first.result()
except StartError as error:
    print(error, gone(first._child))
"""
    told = said(file, program)
    assert sentence in told
    assert told.endswith(" True\n")


def test_a_copy_that_nobody_waits_for_any_more_is_killed(file: Path) -> None:
    program = """
import fastgate.runtime.compile_child as child
child._answer = lambda recipe, out: time.sleep(600)
first = ahead.begin(recipe)
try:
    first.result(lambda: True)
except StartError as error:
    print(error, gone(first._child))
"""
    assert said(file, program) == "the process that compiles the config failed: the gateway is ending True\n"


def test_a_process_with_threads_or_with_the_models_makes_no_copy(file: Path) -> None:
    program = """
over = threading.Event()
thread = threading.Thread(target=over.wait)
thread.start()
print(ahead.begin(recipe))
over.set()
thread.join()
import pydantic
print(ahead.begin(recipe))
"""
    assert said(file, program) == "None\nNone\n"

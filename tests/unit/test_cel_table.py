"""The table of expressions that another implementation of CEL has judged: it is what the tool writes."""

from __future__ import annotations

import collections
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "vectors" / "cel" / "table.jsonl"
WORDS = """
size( contains( startsWith( endsWith( matches( lowerAscii( upperAscii( bool( int( uint( double( string( bytes(
timestamp( duration( dyn( getFullYear( getMonth( getDate( getDayOfMonth( getDayOfWeek( getDayOfYear( getHours(
getMinutes( getSeconds( getMilliseconds( all( exists( exists_one( map( filter( has( == != < <= > >= in + - * /
% ! && || ?
"""


def check(table: Path) -> int:
    """What `cel_table.py --check` says. In a process of its own: the other implementation miscounts references."""
    if importlib.util.find_spec("cel_expr_python") is None:
        wheels = (sys.platform, platform.machine()) == ("linux", "x86_64")
        assert os.environ.get("CI") != "true" or not wheels, "cel-expr-python must be there in CI"
        pytest.skip("cel-expr-python is not installed")
    command = [sys.executable, str(ROOT / "tools" / "cel_table.py"), "--check", "--to", str(table)]
    return subprocess.run(command, timeout=100, check=False).returncode


def test_the_table_is_what_the_tool_writes() -> None:
    assert check(TABLE) == 0


def test_a_verdict_that_is_another_is_found(tmp_path: Path) -> None:
    changed = tmp_path / "table.jsonl"
    changed.write_text(TABLE.read_text(encoding="utf-8").replace('"true",true]', '"false",true]', 1), encoding="utf-8")
    assert check(changed) == 1


def test_the_table_asks_of_everything_there_is() -> None:
    _, *rows = map(json.loads, TABLE.read_text(encoding="utf-8").splitlines())
    verdicts = collections.Counter(verdict for _, _, verdict, _ in rows)
    assert min(verdicts[verdict] for verdict in ("true", "false", "error")) > 400
    assert {request for request, *_ in rows} == {0, 1, 2}
    good = [text for _, text, verdict, _ in rows if verdict != "error"]
    missing = [word for word in WORDS.split() if not any(word in text for text in good)]
    assert not missing

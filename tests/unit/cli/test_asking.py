"""`status`, `reload`, `drain` and `top`: what a running gateway says, on a terminal and in a pipe."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fastgate.cli import paint
from fastgate.errors import Finding

from .conftest import STATUS, Scripted, Shell, Terminal


@dataclass
class Result:
    ok: bool = True
    seconds: float = 0.25
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


def test_status(shell: Shell, gateway: Scripted) -> None:
    done = shell("status")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        r"fastgate 0\.1\.0  ready  up 3h 12m  pid 4242",
        r"config       fastgate\.yaml, loaded 19(69|70)-.*, generation 4",
        r"listeners    public 127\.0\.0\.1:8000   admin 127\.0\.0\.1:8002",
        r"workers      2",
        r"connections  120 open, 1,204,311 accepted, 3 turned away",
        r"requests     12,034,212 answered   2xx 12,000,100   4xx 34,000   5xx 112",
        r"tunnels      9 opened",
        r"faults       connect_refused 7",
        r"SERVICE + REQUESTS +P50 +P95 +P99 +OWN P50 +OWN P99",
        r"projects +1,203,333 +820 µs +4\.1 ms +1\.25 s +13 µs +60 µs",
        r"  10\.0\.0\.5:9000  12 connections  8 idle",
        r"  10\.0\.0\.6:9000  2 connections   0 idle  5 waiting  1,042 failures",
        r"  targets: 10\.0\.0\.6:9000 of service projects: refused",
        r"bytes        received 1\.5 KiB   sent 5 GiB",
        r"empty +0 +- +- +- +- +-",
    ):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), (line, done.stdout)
    assert "\x1b[" not in done.stdout


def test_status_as_json(shell: Shell, gateway: Scripted) -> None:
    done = shell("status", "--format", "json")
    told = json.loads(done.stdout)
    assert "ok" not in told
    assert told["stats"]["services"] == STATUS["stats"]["services"]


def test_status_after_a_failed_reload_says_why(shell: Shell, gateway: Scripted) -> None:
    errors = [{"message": f"fault {n}", "path": f"routes.r{n}", "file": "f.yaml", "line": n} for n in range(1, 8)]
    last = {"at": time.time() - 70, "ok": False, "seconds": 0.1, "errors": errors}
    gateway.answer = STATUS | {"config": STATUS["config"] | {"last_reload": last}, "state": "draining"}
    lines = shell("status").stdout.splitlines()
    assert lines[0].startswith("fastgate 0.1.0  draining")
    at = next(n for n, line in enumerate(lines) if line.startswith("last reload"))
    assert re.fullmatch(r"last reload  FAILED 1m \d+s ago: 7 errors, the old config goes on", lines[at])
    assert lines[at + 1] == "  f.yaml:1: routes.r1: fault 1"
    assert lines[at + 6] == "  and 2 more"


def test_status_of_a_gateway_that_says_little(shell: Shell, gateway: Scripted) -> None:
    gateway.answer = {}
    done = shell("status")
    assert done.returncode == 0
    assert "config       no file" in done.stdout


def test_nobody_there(shell: Shell, tmp_path: Path) -> None:
    for words in (["status"], ["top"], ["reload"], ["drain"]):
        done = shell(*words)
        assert done.returncode == 1
        assert done.stderr == (
            f"fastgate: no gateway answers at {tmp_path}/fastgate/control.sock: is one running? "
            "--socket or FASTGATE_CONTROL say where\n"
        )
    done = shell("status", "--socket", "elsewhere.sock")
    assert done.stderr.startswith("fastgate: no gateway answers at elsewhere.sock: ")
    assert shell("status", env={"FASTGATE_CONTROL": "named.sock"}).stderr.startswith(
        "fastgate: no gateway answers at n"
    )
    (tmp_path / "file").write_text("")
    assert shell("status", "--socket", "file").returncode == 1
    assert "AF_UNIX path too long" in shell("status", "--socket", "x" * 200).stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "answers something that is no gateway's answer"),
        (b"[]\n", "the gateway refuses without a reason"),
        (b"", "ended the connection"),
        (b'{"ok": false, "error": "busy"}\n', "fastgate: busy"),
    ],
)
def test_somebody_else_there(shell: Shell, tmp_path: Path, answer: bytes, said: str) -> None:
    path = tmp_path / "other.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        one, _ = listener.accept()
        one.recv(100)
        one.sendall(answer)
        one.close()

    thread = threading.Thread(target=serve)
    thread.start()
    done = shell("status", "--socket", str(path))
    thread.join()
    listener.close()
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_reload(shell: Shell, gateway: Scripted) -> None:
    gateway.result = Result(warnings=[Finding("not in this version", path="store", severity="warning", file="f.yaml")])
    done = shell("reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "f.yaml: store: warning: not in this version\nreloaded in 250 ms\n"


def test_a_reload_that_fails(shell: Shell, gateway: Scripted) -> None:
    gateway.result = Result(
        ok=False, errors=[Finding("unknown key", path="routes.a.x", file="f.yaml", line=3, column=5)]
    )
    done = shell("reload")
    assert done.returncode == 1
    assert done.stdout == "f.yaml:3:5: routes.a.x: unknown key\n1 error: not reloaded, the old config goes on\n"


def test_drain(shell: Shell, gateway: Scripted) -> None:
    done = shell("drain")
    assert (done.returncode, done.stdout, gateway.drained) == (0, "draining\n", True)


# top


def test_top_in_a_pipe_prints_look_after_look(shell: Shell, gateway: Scripted) -> None:
    done = shell("top", "--interval", "0.1", "--count", "3")
    assert done.returncode == 0
    assert len(re.findall(r"^-- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", done.stdout, re.MULTILINE)) == 3
    # The script counts 100 answers and a second more at each look.
    assert done.stdout.count("12,034,212 answered   ") == 1
    assert done.stdout.count("(100/s)   2xx") == 2
    assert "\x1b" not in done.stdout


def test_top_on_a_terminal(terminal: Callable[..., Terminal], gateway: Scripted) -> None:
    top = terminal("top", "--interval", "0.2")
    before = top.settings()
    top.wait_for(r"\x1b\[\?1049h")  # the other screen
    top.wait_for("q quits")
    top.wait_for(r"\(100/s\)")
    assert "connections  120 open" in top.output
    assert max(len(line) for line in screen(top.output)) <= 80
    top.type("q")
    assert top.end() == 0
    assert "\x1b[?1049l" in top.output  # and back
    assert before[3] == top_settings(top, before)[3]


def top_settings(top: Terminal, before: list[object]) -> list[object]:
    try:
        return list(top.settings())
    except OSError:  # the other end is gone, and its settings with it
        return before


def screen(output: str) -> list[str]:
    """The lines of the last picture, without colours."""
    last = output.rpartition("\x1b[H")[2].partition("q quits")[0]
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip("\r") for line in last.split("\n")]


def test_top_fits_a_small_terminal(terminal: Callable[..., Terminal], gateway: Scripted) -> None:
    services = {f"service-{n}": STATUS["stats"]["services"]["projects"] for n in range(40)}
    gateway.answer = STATUS | {"stats": STATUS["stats"] | {"services": services}}
    top = terminal("top", "--count", "1")
    assert top.end() == 0
    assert re.search(r"… \d+ more lines: fastgate status shows all", top.output)
    assert len(screen(top.output)) <= 24


def test_ctrl_c_ends_top_cleanly(terminal: Callable[..., Terminal], gateway: Scripted) -> None:
    top = terminal("top")
    top.wait_for("q quits")
    top.type("\x03")
    assert top.end() == 130
    assert "\x1b[?1049l" in top.output
    assert "Traceback" not in top.output


def test_colours_only_where_they_are_wanted(terminal: Callable[..., Terminal], gateway: Scripted) -> None:
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        status = terminal("status", env=env)
        assert status.end() == 0
        assert ("\x1b[32mready\x1b[0m" in status.output) is coloured, env


def test_a_gateway_that_ends_under_top(terminal: Callable[..., Terminal], gateway: Scripted, tmp_path: Path) -> None:
    top = terminal("top", "--interval", "0.1")
    top.wait_for("q quits")
    gateway.answer = {"stats": {"connections": "not a number"}}
    assert top.end() == 70
    assert "\x1b[?1049l" in top.output


# figures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (61, "1m 1s"), (11520, "3h 12m"), (90061, "1d 1h"), (86400, "1d")],
)
def test_spans(seconds: float, text: str) -> None:
    assert paint.span(seconds) == text


def test_other_figures() -> None:
    assert [paint.micros(one) for one in (None, 0.4, 87, 1240, 3_100_000)] == ["-", "0 µs", "87 µs", "1.24 ms", "3.1 s"]
    assert [paint.bytes_(one) for one in (0, 1023, 1536, 5 << 30, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5 GiB",
        "3 TiB",
    ]
    assert paint.table([["a", "bb"], ["ccc", ""]]) == ["a    bb", "ccc"]
    assert paint.table([]) == []

"""The command line as a shell meets it: exit codes, output, environment, the life of `run`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.product import COMMAND, DEADLINE, PING, Product, fetch, shell

from fastgate import cli

Start = Callable[..., Product]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Product] = []

    def start(*words: str) -> Product:
        # Two of one test have control sockets of their own.
        env = {"FASTGATE_CONTROL": str(tmp_path / f"control-{len(started)}.sock")}
        started.append(Product(*words, folder=tmp_path, env=env, command=COMMAND))
        return started[-1]

    yield start
    for one in started:
        one.close()


# small things


def test_version_imports_nothing_slow() -> None:
    code = "import sys; from fastgate import cli; cli.main(['--version']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert re.match(r"fastgate \d+\.\d+", done.stdout)
    for slow in ("typer", "pydantic", "rich", "asyncio", "fastgate._engine", "fastgate._core"):
        assert f"'{slow}'" not in done.stdout


def test_run_does_not_import_what_it_does_not_need() -> None:
    code = "import sys; import fastgate.cli.app, fastgate.cli.serve; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    for needless in ("rich", "fastapi", "asyncio", "http.server"):
        assert f"'{needless}'" not in done.stdout


def test_help_has_examples(tmp_path: Path) -> None:
    for words in (["--help"], ["run", "--help"], ["check", "--help"], ["demo", "--help"]):
        done = shell(*words, folder=tmp_path)
        assert done.returncode == 0
        assert "\x1b[" not in done.stdout
        if len(words) == 2:
            assert "Example" in done.stdout
            assert "FASTGATE_" in done.stdout


@pytest.mark.parametrize("words", [["nonsense"], ["run", "--nonsense"], ["check", "--format", "xml"]])
def test_wrong_usage_is_2(words: list[str], tmp_path: Path) -> None:
    done = shell(*words, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_no_config_at_all_is_2(tmp_path: Path) -> None:
    done = shell("run", folder=tmp_path)
    assert done.returncode == 2
    assert "no config" in done.stderr


def test_a_fault_of_fastgate_is_70(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from fastgate.cli import serve

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(serve, "run", fail)
    assert cli.main(["run", "--to", "http://127.0.0.1:1"]) == 70
    assert "planted" in capsys.readouterr().err


# check


def test_check_good(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(PING)
    done = shell("check", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fastgate.yaml: ok, 1 route\n", "")


def test_check_bad_in_three_formats(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(PING.replace("path: /ping", "pathh: /ping"))
    text = shell("check", "bad.yaml", folder=tmp_path)
    assert text.returncode == 1
    assert text.stdout.startswith('bad.yaml:8:7: routes.ping.match.pathh: unknown key; did you mean "path"?')
    assert text.stdout.endswith("1 error\n")
    plain = shell("check", "--format", "json", "bad.yaml", folder=tmp_path)
    assert plain.returncode == 1
    report = json.loads(plain.stdout)
    assert report["ok"] is False
    (error,) = report["errors"]
    assert (error["file"], error["line"], error["column"], error["nearest"]) == ("bad.yaml", 8, 7, "path")
    github = shell("check", "bad.yaml", folder=tmp_path, env={"FASTGATE_FORMAT": "github"})
    assert github.stdout.startswith("::error file=bad.yaml,line=8,col=7::routes.ping.match.pathh: unknown key")


def test_check_strict_turns_warnings_into_failure(tmp_path: Path) -> None:
    (tmp_path / "warn.yaml").write_text(PING + "realtime:\n  namespaces:\n    chat: {}\n")
    done = shell("check", "warn.yaml", folder=tmp_path)
    assert done.returncode == 0
    assert "warn.yaml:13:3: realtime.namespaces: warning: not in this version, ignored" in done.stdout
    assert shell("check", "--strict", "warn.yaml", folder=tmp_path).returncode == 1
    assert shell("check", "warn.yaml", folder=tmp_path, env={"FASTGATE_STRICT": "1"}).returncode == 1


def test_check_asks_the_engine(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(PING.replace("path: /ping", "regex: '('"))
    done = shell("check", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("fastgate.yaml:8:14: routes.ping.match.regex: ")


# run


def test_run_serves_and_drains(start: Start, tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(PING)
    gateway = start("run")
    assert fetch(gateway.url() + "/ping") == (200, "pong")
    assert len(gateway.out) <= 10
    assert not any("\x1b[" in line for line in gateway.out)
    assert gateway.end() == 0
    assert gateway.err[-1].endswith("SIGTERM: draining; a second signal ends at once")


def test_run_to(start: Start) -> None:
    """A gateway before a gateway."""
    origin = start("demo", "--bind", "127.0.0.1:0")
    front = start("run", "--to", origin.url(), "--bind", "127.0.0.1:0")
    assert fetch(front.url() + "/ping") == (200, "pong\n")
    status, seen = fetch(front.url() + "/api/anything?x=1")
    assert status == 200
    assert json.loads(seen)["path"] == "/anything?x=1"
    assert front.end(signal.SIGINT) == 0
    assert origin.end() == 0


def test_reload_is_all_or_nothing(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    file.write_text(PING)
    gateway = start("run", "fastgate.yaml")
    base = gateway.url()
    here = PING
    file.write_text(here.replace("body: pong", "bodi: pong"))
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_for('fastgate.yaml:11:7: routes.ping.respond.bodi: unknown key; did you mean "body"')
    assert sum("not reloaded, the old config goes on" in line for line in gateway.err) == 1
    assert fetch(base + "/ping") == (200, "pong")
    file.write_text(here.replace("path: /ping", "regex: '('"))
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_for("routes.ping.match.regex: ")
    assert fetch(base + "/ping") == (200, "pong")
    file.write_text(here.replace("body: pong", "body: again"))
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_for("reloaded: 1 routes")
    assert fetch(base + "/ping") == (200, "again")
    assert gateway.end() == 0


def test_port_taken_is_one_sentence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(PING)
    gateway = start("run")
    address = gateway.url().removeprefix("http://")
    done = shell("run", "--to", "http://127.0.0.1:1", "--bind", address, folder=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert address in done.stderr
    assert gateway.end() == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["run", "--to", "localhost:9000"], 'did you mean "http://localhost:9000"?'),
        (["run", "--to", "http://127.0.0.1:1", "--bind", "unix:/proc/none/gate.sock"], "/proc/none/gate.sock"),
        (["run", "nomodule.gate:gateway"], "there is no module nomodule"),
        (["run", "json:nothing"], "json has no attribute nothing"),
        (["run", "json:dumps"], "allowed: a fastgate.Gateway"),
    ],
)
def test_what_the_machine_refuses_is_1(words: list[str], sentence: str, tmp_path: Path) -> None:
    done = shell(*words, folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_run_module(start: Start, tmp_path: Path) -> None:
    (tmp_path / "gate.py").write_text(
        "class Gate:\n    def run(self):\n        print('ran', flush=True)\n\n\ngateway = Gate()\n"
    )
    gateway = start("run", "gate:gateway")
    gateway.wait_for("ran")
    assert gateway.process.wait(DEADLINE) == 0


def test_options_have_variables(tmp_path: Path) -> None:
    done = shell("run", folder=tmp_path, env={"FASTGATE_TO": "nowhere", "FASTGATE_BIND": "127.0.0.1:x"})
    assert done.returncode == 1
    assert 'routes.default.to: found "nowhere"' in done.stderr
    assert 'listeners.default.bind: found "127.0.0.1:x"' in done.stderr


def test_bind_moves_the_one_listener(start: Start, tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(PING.replace("127.0.0.1:0", "127.0.0.1:1"))
    gateway = start("run", "--bind", "127.0.0.1:0")
    assert gateway.url().startswith("http://127.0.0.1:")
    assert any(line.strip().startswith("public ") for line in gateway.out)
    assert gateway.end() == 0
    two = PING.replace("routes:", "  other:\n    bind: 127.0.0.1:0\nroutes:")
    (tmp_path / "fastgate.yaml").write_text(two)
    done = shell("run", "--bind", "127.0.0.1:0", folder=tmp_path)
    assert done.returncode == 2
    assert "public, other" in done.stderr

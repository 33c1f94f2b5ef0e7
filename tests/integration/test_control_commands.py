"""A real gateway and the commands that speak to it: status, reload, drain, top; two gateways; the config's path."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.client import Client
from harness.product import PING, Product

CONFIG = PING + "admin: false\nmetrics: false\n"
Start = Callable[..., Product]


def status(gateway: Product, *words: str) -> dict[str, Any]:
    """What `fastgate status` says."""
    done = gateway.tell("status", "--format", "json", *words)
    assert done.returncode == 0, done.stderr
    plain: dict[str, Any] = json.loads(done.stdout)
    return plain


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Product] = []

    def start(*words: str) -> Product:
        # The socket is where the product itself puts it.
        env = {"FASTGATE_CONTROL": None, "XDG_RUNTIME_DIR": str(tmp_path)}
        started.append(Product(*words, folder=tmp_path, env=env))
        return started[-1].start()

    (tmp_path / "fastgate.yaml").write_text(CONFIG)
    yield start
    for one in started:
        one.close()


def test_a_life(start: Start, tmp_path: Path) -> None:
    """Asked, reloaded for better and for worse, drained: by commands alone."""
    gateway = start()
    assert gateway.get("/ping") == (200, "pong")
    first = status(gateway)
    assert (first["state"], first["pid"], first["config"]["generation"]) == ("ready", gateway.process.pid, 1)
    assert first["listeners"] == {"public": gateway.url().removeprefix("http://")}
    assert first["stats"]["answers"]["2xx"] == 1

    (tmp_path / "fastgate.yaml").write_text(CONFIG.replace("body: pong", "body: again"))
    done = gateway.tell("reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"reloaded in \d+ ms\n", done.stdout)
    assert gateway.get("/ping") == (200, "again")

    (tmp_path / "fastgate.yaml").write_text(CONFIG.replace("body: pong", "bodi: pong"))
    done = gateway.tell("reload")
    assert done.returncode == 1
    assert done.stdout.startswith("fastgate.yaml:11:")
    assert 'routes.ping.respond.bodi: unknown key; did you mean "body"?' in done.stdout
    assert done.stdout.endswith("1 error: not reloaded, the old config goes on\n")
    assert gateway.get("/ping") == (200, "again")
    shown = gateway.tell("status").stdout
    assert re.search(r"^last reload  FAILED .* ago: 1 error, the old config goes on$", shown, re.MULTILINE)
    assert "routes.ping.respond.bodi: unknown key" in shown

    looks = gateway.tell("top", "--count", "2", "--interval", "0.1").stdout
    assert looks.count(f"pid {gateway.process.pid}") == 2
    assert "requests     3 answered (0/s)" in looks

    assert gateway.tell("drain").stdout == "draining\n"
    assert gateway.exit_code() == 0
    assert list((tmp_path / "fastgate").iterdir()) == []
    assert gateway.tell("status").returncode == 1


def test_two_gateways_in_one_place(start: Start, tmp_path: Path) -> None:
    first, second = start(), start()
    own = tmp_path / "fastgate" / f"control-{second.process.pid}.sock"
    assert own.is_socket()
    assert status(first)["pid"] == first.process.pid
    assert status(first, "--socket", str(own))["pid"] == second.process.pid
    first.process.send_signal(signal.SIGTERM)
    assert first.exit_code() == 0
    # The only one left is found without a word.
    assert status(second)["pid"] == second.process.pid
    third = start()
    assert status(third)["pid"] == third.process.pid
    third.process.send_signal(signal.SIGKILL)
    third.process.wait()
    # The file that was left behind is not taken for a gateway, and the next one has it.
    assert status(second, "--socket", str(own))["pid"] == second.process.pid
    fourth = start()
    assert status(fourth)["pid"] == fourth.process.pid
    assert any("belongs to another gateway" in line for line in second.err)


def test_the_path_of_the_config(start: Start, tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(CONFIG + "control:\n  socket: here.sock\n")
    gateway = start()
    assert status(gateway, "--socket", "here.sock")["state"] == "ready"
    other = start("--socket", "there.sock")
    assert status(other, "--socket", "there.sock")["pid"] == other.process.pid


def test_a_written_path_that_cannot_be_is_1(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(CONFIG)
    gateway = Product("--socket", "none/control.sock", folder=tmp_path)
    assert gateway.exit_code() == 1
    sentence = "fastgate: the control socket none/control.sock cannot be made: No such file or directory"
    assert gateway.said == [sentence]


def test_dev_watches_the_config(start: Start, tmp_path: Path) -> None:
    gateway = start("--dev")
    assert gateway.get("/ping") == (200, "pong")
    (tmp_path / "fastgate.yaml").write_text(CONFIG.replace("body: pong", "body: changed"))
    for _ in range(600):
        if status(gateway)["config"]["generation"] == 2:
            break
    assert gateway.get("/ping") == (200, "changed")


def test_dev_logs_requests_readably(start: Start, tmp_path: Path) -> None:
    """Why the gateway answered by itself stands in the log, not in the answer; a written log comes first."""
    gateway = start("--dev")
    assert gateway.get("/ping") == (200, "pong")
    status, document = gateway.get("/nowhere?token=hidden")
    assert (status, "no_route" in document) == (404, False)
    with Client(gateway.url().removeprefix("http://")) as client:
        assert client.exchange(b"GET /ping HTTP/1.1\r\n\r\n").status == 400
    gateway.wait_for(r"^GET /ping 200 \d\.\d{6} s, route ping, error - -$")
    gateway.wait_for(r"^GET /nowhere 404 \d\.\d{6} s, route -, error no_route -$")
    gateway.wait_for(r"^- - 400 \d\.\d{6} s, route -, error refused host_missing$")
    assert not any("GET " in line for line in gateway.out), "the start page's stream is not the log's"
    assert gateway.end() == 0
    (tmp_path / "fastgate.yaml").write_text(CONFIG + "logs:\n  access: {to: ./own.log, format: '{path}'}\n")
    other = start("--dev")
    assert other.get("/ping") == (200, "pong")
    assert other.end() == 0
    assert (tmp_path / "own.log").read_text() == "/ping\n"
    assert not any("route ping" in line for line in other.said)


def test_dev_starts_again_when_code_changes(start: Start, tmp_path: Path) -> None:
    code = """
from fastgate import Gateway, Response
gateway = Gateway.from_file("fastgate.yaml")
@gateway.on_request(routes=["ping"])
def answer(request):
    return Response(200, body=b"WORD")
"""
    (tmp_path / "gate.py").write_text(code.replace("WORD", "one"))
    gateway = start("--dev", "gate:gateway")
    born = status(gateway)["uptime_seconds"]
    (tmp_path / "gate.py").write_text("def broken(:\n")
    while not any("not started again, the old code goes on: gate.py" in line for line in gateway.err):
        assert status(gateway)["uptime_seconds"] >= born
    (tmp_path / "gate.py").write_text(code.replace("WORD", "three"))
    while not any("gate.py changed: starting again" in line for line in gateway.err):
        assert gateway.process.poll() is None
    # The same process with another life: its clock has begun anew.
    for _ in range(600):
        done = gateway.tell("status", "--format", "json")
        if done.returncode == 0:
            told = json.loads(done.stdout)
            if told["uptime_seconds"] < born + 5 and told["config"]["generation"] == 1:
                break
    else:
        pytest.fail("it never started again")
    assert told["pid"] == gateway.process.pid

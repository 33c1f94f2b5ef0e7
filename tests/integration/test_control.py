"""The control socket: its file, who may speak, its bounds, two gateways at one path, answers while a reload runs."""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fastgate.errors import ConfigError, Finding, StartError
from fastgate.runtime import control_path, control_socket
from fastgate.runtime.control import MAX_CONNECTIONS, MAX_LINE, Control

DEADLINE = 20.0


@dataclass
class Result:
    ok: bool = True
    seconds: float = 0.25
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


class Gateway:
    """What the socket speaks for: the operations of a runtime, without an engine behind them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.result = Result()
        self.may_reload = threading.Event()
        self.may_reload.set()
        self.fault: Exception | None = None
        self.big = ""

    def status(self) -> dict[str, Any]:
        self.calls.append("status")
        if self.fault:
            raise self.fault
        return {"state": "ready", "pid": os.getpid(), "big": self.big}

    def stats(self) -> dict[str, Any]:
        return {"requests": 7, "routes": {"a": {"2xx": 7}}}

    def reload(self) -> Result:
        self.calls.append("reload")
        assert self.may_reload.wait(DEADLINE)
        return self.result

    def drain(self) -> None:
        self.calls.append("drain")

    def rotate_logs(self) -> None:
        self.calls.append("rotate")


class Client:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        # With a time-out Python would not wait for room in the accept queue.
        self.socket.connect(str(path))
        self.socket.settimeout(DEADLINE)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> dict[str, Any]:
        line = self.file.readline()
        assert line.endswith(b"\n"), line
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, operation: str) -> dict[str, Any]:
        self.send(json.dumps({"op": operation}).encode() + b"\n")
        return self.read()

    def ended(self) -> bool:
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def control(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    monkeypatch.delenv("FASTGATE_CONTROL", raising=False)
    one = Control(gateway, tmp_path / "control.sock")
    one.start()
    yield one
    gateway.may_reload.set()
    one.stop()


@pytest.fixture
def client(control: Control) -> Iterator[Client]:
    assert control.path is not None
    one = Client(control.path)
    yield one
    one.close()


def test_every_operation(client: Client, gateway: Gateway) -> None:
    assert client.ask("ping") == {"ok": True, "pid": os.getpid()}
    assert client.ask("status")["state"] == "ready"
    assert client.ask("stats") == {"ok": True, "stats": gateway.stats()}
    assert client.ask("routes") == {"ok": True, "routes": {"a": {"2xx": 7}}}
    assert client.ask("reload") == {"ok": True, "seconds": 0.25, "warnings": []}
    assert client.ask("rotate") == {"ok": True}
    assert client.ask("drain") == {"ok": True}
    assert gateway.calls == ["status", "reload", "rotate", "drain"]


def test_what_is_no_question(client: Client) -> None:
    for line in (b"", b"status", b"[1]", b'{"op": 7}', b"\xff\xfe", b"[" * 5000, b"{}"):
        client.send(line + b"\n")
        answer = client.read()
        assert answer["ok"] is False
        assert '{"op": "status"}' in answer["error"]
    answer = client.ask("explode")
    assert answer["error"].startswith('unknown op "explode"; allowed: audit, disconnect, drain, ping, reload, ')


def test_lines_in_pieces_and_in_a_row(client: Client) -> None:
    client.send(b'{"op": "pi')
    client.send(b'ng"}\n{"op": "status"}\n{"op": "drain"}\n')
    assert [set(client.read()) for _ in range(3)] == [{"ok", "pid"}, {"ok", "state", "pid", "big"}, {"ok"}]


def test_a_client_that_has_said_all_still_gets_its_answers(client: Client) -> None:
    client.send(b'{"op": "ping"}\n{"op": "reload"}\n')
    client.socket.shutdown(socket.SHUT_WR)
    assert client.read()["ok"]
    assert client.read()["ok"]
    assert client.ended()


def test_a_bad_config_comes_with_its_findings(client: Client, gateway: Gateway) -> None:
    finding = Finding("unknown key", path="routes.a.x", file="f.yaml", line=3, column=5)
    gateway.result = Result(ok=False, errors=[finding])
    answer = client.ask("reload")
    assert answer["ok"] is False
    assert answer["error"] == "not reloaded, the old config goes on"
    assert answer["findings"][0] == answer["findings"][0] | {"file": "f.yaml", "line": 3, "path": "routes.a.x"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (StartError("no, thank you"), "no, thank you"),
        (ConfigError([Finding("bad")]), "the config is wrong"),
        (RuntimeError("planted"), "a fault of the gateway itself: RuntimeError: planted"),
    ],
)
def test_a_failing_operation_is_an_answer(client: Client, gateway: Gateway, fault: Exception, said: str) -> None:
    gateway.fault = fault
    assert client.ask("status")["error"] == said
    gateway.fault = None
    assert client.ask("status")["ok"] is True


def test_a_reload_keeps_nobody_waiting(client: Client, control: Control, gateway: Gateway) -> None:
    gateway.may_reload.clear()
    client.send(b'{"op": "reload"}\n{"op": "ping"}\n')
    assert control.path is not None
    other = Client(control.path)
    assert other.ask("status")["state"] == "ready"
    gateway.may_reload.set()
    assert client.read()["seconds"] == 0.25
    assert client.read()["pid"] == os.getpid()
    other.close()


def test_a_line_has_a_bound(client: Client) -> None:
    client.send(b'{"op": "status", "x": "' + b"x" * (MAX_LINE + 100))
    assert client.read() == {"ok": False, "error": f"a line has at most {MAX_LINE} bytes"}
    assert client.ended()


def test_connections_have_a_bound(client: Client, control: Control) -> None:
    assert client.ask("ping")["ok"]
    assert control.path is not None
    others = [Client(control.path) for _ in range(MAX_CONNECTIONS - 1)]
    for one in others:
        assert one.ask("ping")["ok"]
    late = Client(control.path)
    assert late.read()["error"].startswith(f"busy: {MAX_CONNECTIONS} connections")
    assert late.ended()
    others.pop().close()
    # The place of one that has left is free as soon as its end has been seen.
    for _ in range(1000):
        again = Client(control.path)
        try:
            if "pid" in again.ask("ping"):
                break
        except BrokenPipeError:
            pass
        again.close()
    else:
        pytest.fail("the place was never free again")
    for one in (late, again, *others):
        one.close()


def test_a_client_that_does_not_read_stops_nobody(client: Client, control: Control, gateway: Gateway) -> None:
    gateway.big = "x" * 4_000_000
    client.send(b'{"op": "status"}\n' * 5)
    assert control.path is not None
    other = Client(control.path)
    assert other.ask("ping")["ok"]
    for _ in range(5):
        assert len(client.read()["big"]) == 4_000_000
    other.close()


def test_a_client_that_says_nothing_is_let_go(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastgate.runtime.control.IDLE_SECONDS", 0.05)
    one = Control(gateway, tmp_path / "c.sock")
    one.start()
    assert one.path is not None
    silent = Client(one.path)
    assert silent.ended()
    silent.close()
    one.stop()


# the file


def test_the_socket_is_private_and_goes_with_its_gateway(control: Control) -> None:
    path = control.path
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    control.stop()
    control.stop()
    assert not path.exists()


def test_the_default_folder_is_private(tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTGATE_CONTROL", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    one = Control(gateway)
    one.start()
    assert one.path == tmp_path / "fastgate" / "control.sock"
    assert stat.S_IMODE(one.path.parent.stat().st_mode) == 0o700
    one.stop()


def test_where_the_default_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert control_path.default_path() == Path("/run/user/7/fastgate/control.sock")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert control_path.default_path() == Path("/run/fastgate/control.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert control_path.default_path() == Path("/tmp/fastgate-1000/control.sock")


def test_the_variable_goes_before_the_config(tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGATE_CONTROL", str(tmp_path / "named.sock"))
    one = Control(gateway, tmp_path / "config.sock")
    one.start()
    assert one.path == tmp_path / "named.sock"
    one.stop()


def test_a_second_gateway_warns_and_takes_a_path_of_its_own(
    control: Control, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    assert control.path is not None
    second = Control(gateway, control.path)
    with caplog.at_level(logging.WARNING, "fastgate"):
        second.start()
    assert second.path == control.path.with_name(f"control-{os.getpid()}.sock")
    assert f"{control.path} belongs to another gateway" in caplog.text
    assert control_path.candidates(control.path) == [control.path, second.path]
    for path in (control.path, second.path):
        one = Client(path)
        assert one.ask("ping")["ok"]
        one.close()
    second.stop()
    assert control.path.exists()


def test_a_file_left_behind_is_replaced(tmp_path: Path, gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "control.sock"
    code = f"""
import socket, os, sys
s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen(); os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE)
    assert path.exists()
    one = Control(gateway, path)
    one.start()
    assert one.path == path
    assert caplog.text == ""
    one.stop()


def test_what_is_no_socket_is_left_alone(tmp_path: Path, gateway: Gateway) -> None:
    path = tmp_path / "control.sock"
    path.write_text("mine")
    with pytest.raises(StartError, match="there is a file that is no socket; it is left alone"):
        Control(gateway, path).start()
    assert path.read_text() == "mine"


def test_a_socket_put_in_its_place_is_not_removed(control: Control, gateway: Gateway, tmp_path: Path) -> None:
    path = control.path
    assert path is not None
    path.unlink()
    other = Control(gateway, path)
    other.start()
    control.stop()
    assert path.exists()
    other.stop()
    assert not path.exists()


@pytest.mark.parametrize("path", ["none/control.sock", "x" * 120 + ".sock"])
def test_a_written_path_that_cannot_be_is_an_error(tmp_path: Path, gateway: Gateway, path: str) -> None:
    with pytest.raises(StartError, match=r"the control socket .* cannot be made: "):
        Control(gateway, tmp_path / path).start()


def test_a_default_path_that_cannot_be_is_a_warning(
    tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("FASTGATE_CONTROL", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    one = Control(gateway)
    with caplog.at_level(logging.WARNING, "fastgate"):
        one.start()
    assert one.path is None
    assert "will not find this gateway" in caplog.text
    one.stop()


def test_two_that_start_at_once_never_share(tmp_path: Path) -> None:
    """Eight processes at one path that holds a dead socket: one gets it, each of the others its own."""
    path = tmp_path / "control.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    code = f"""
import sys
from pathlib import Path
from fastgate.runtime.control_socket import claim
sys.stdin.readline()
one = claim(Path({str(path)!r}), make_folder=False)
print(one.path.name, flush=True)
sys.stdin.readline()
one.release()
"""
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    names = []
    for one in started:
        assert one.stdout is not None
        names.append(one.stdout.readline().strip())
    assert names.count("control.sock") == 1
    own = [name for name in names if name != "control.sock"]
    assert len(own) == 7
    assert set(own) <= {f"control-{one.pid}.sock" for one in started}
    for one in started:
        one.communicate("end\n", timeout=DEADLINE)
        assert one.returncode == 0
    assert list(tmp_path.iterdir()) == []


# who may speak


def test_the_kernel_says_who_is_there(tmp_path: Path) -> None:
    left, right = socket.socketpair()
    assert control_socket.peer_uid(left) == os.geteuid()
    for one in (left, right):
        one.close()


def test_another_user_is_refused(client: Client, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.ask("ping")["ok"]  # accepted, before everybody becomes somebody else
    monkeypatch.setattr("fastgate.runtime.control.peer_uid", lambda _: os.geteuid() + 1)
    assert control.path is not None
    other = Client(control.path)
    assert other.read() == {
        "ok": False,
        "error": f"refused: this gateway belongs to user {os.geteuid()}, you are {os.geteuid() + 1}",
    }
    assert other.ended()
    assert client.ask("ping")["ok"]
    other.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_in_earnest(control: Control) -> None:
    assert control.path is not None
    for part in (control.path, *control.path.parents[:3]):
        part.chmod(0o777)
    code = f"""
import os, socket
os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.connect({str(control.path)!r}); print(s.makefile().readline())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "refused: this gateway belongs to user 0, you are 65534" in done.stdout, done.stderr

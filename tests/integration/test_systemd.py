"""A gateway under a supervisor that speaks systemd's protocol: notifications, signs of life, handed sockets."""

from __future__ import annotations

import resource
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from harness import Client
from harness.product import DEADLINE, Product, put
from harness.requests import get

CONFIG = """
listeners:
  public:
    bind: {bind}
workers: 2
routes:
  ping:
    match:
      prefix: /
    respond:
      status: 200
      body: {body}
"""
# A supervisor sets LISTEN_PID after the fork, when it knows the number.
EXEC = (
    "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); "
    "n = int(os.environ['TEST_FDS']); fds = [int(fd) for fd in os.environ.pop('TEST_NUMBERS').split()]; "
    "fds = [os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]; "
    "[os.dup2(fd, 3 + i) for i, fd in enumerate(fds)]; [os.close(fd) for fd in fds]; "
    "os.environ['LISTEN_FDS'] = str(n); "
    "os.execv(sys.executable, [sys.executable, '-m', 'fastgate', 'run', *sys.argv[1:]])"
)


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(DEADLINE)
        yield receiver


def told(receiver: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in receiver.recv(4096).decode().splitlines())


def test_notifications(tmp_path: Path, notify: socket.socket) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG.format(bind="127.0.0.1:0", body="one"))
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with Product(str(file), folder=tmp_path, env=env) as gateway:
        assert told(notify) == {"READY": "1", "STATUS": "serving 1 route"}
        gateway.signal(signal.SIGHUP)
        reloading = told(notify)
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert told(notify)["READY"] == "1"
        put(file, "routes: 1\n")
        gateway.signal(signal.SIGHUP)
        assert told(notify)["RELOADING"] == "1"
        assert told(notify) == {"READY": "1", "STATUS": "not reloaded: 1 error"}
        gateway.signal(signal.SIGTERM)
        assert told(notify) == {"STOPPING": "1", "STATUS": "draining"}
        assert gateway.exit_code() == 0


def test_signs_of_life(tmp_path: Path, notify: socket.socket) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG.format(bind="127.0.0.1:0", body="one"))
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
    with Product(str(file), folder=tmp_path, env=env) as gateway:
        assert told(notify)["READY"] == "1"
        assert [told(notify) for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0


def handed(tmp_path: Path, bind: str, sockets: Sequence[socket.socket], names: str, **more: str) -> Product:
    """A gateway that is started with these sockets as 3, 4, …."""
    (tmp_path / "gate.yaml").write_text(CONFIG.format(bind=bind, body="one") + more.pop("extra", ""))
    numbers = [one.fileno() for one in sockets]
    env = {
        "TEST_FDS": str(len(numbers)),
        "TEST_NUMBERS": " ".join(map(str, numbers)),
        "LISTEN_FDNAMES": names,
        **more,
    }
    command = (sys.executable, "-c", EXEC)
    return Product("gate.yaml", folder=tmp_path, env=env, command=command, pass_fds=numbers)


def ask(address: str) -> bytes:
    with Client(address) as client:
        answer = client.exchange(get())
        assert answer.status == 200
        return answer.body


@pytest.mark.parametrize("private", [False, True], ids=["shared", "private"])
@pytest.mark.parametrize("by", ["name", "address"])
def test_a_handed_socket_is_taken_over(by: str, private: bool, tmp_path: Path) -> None:
    """Connections that waited before the start are served, and the socket outlives a reload without its listener."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as web:
        address = f"127.0.0.1:{web.getsockname()[1]}"
        early = Client(address)
        early.send(get())
        bind = "systemd:web" if by == "name" else address
        # A limit above what one table holds gives every worker a table of its own.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        extra = f"limits:\n  max_connections: {hard}\n" if private else ""
        if private and (hard == resource.RLIM_INFINITY or hard > 1_000_000):
            pytest.skip("the limit of descriptors is too high to be passed")
        with handed(tmp_path, bind, [web], "web", extra=extra) as gateway:
            assert early.final().status == 200
            early.close()
            assert gateway.address() == address
            assert ask(address) == b"one"
            put(tmp_path / "gate.yaml", CONFIG.format(bind="127.0.0.1:0", body="two") + extra)
            assert gateway.ask("reload")["ok"]
            assert ask(gateway.address()) == b"two"
            put(tmp_path / "gate.yaml", CONFIG.format(bind=bind, body="three") + extra)
            assert gateway.ask("reload")["ok"]
            assert ask(address) == b"three"
            gateway.signal(signal.SIGTERM)
            assert gateway.exit_code() == 0
        # The socket is the supervisor's: what comes now waits for the next process.
        with Client(address) as late:
            late.send(get())


def test_a_handed_unix_socket_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as web:
        web.bind(str(path))
        web.listen()
        with handed(tmp_path, f"unix:{path}", [web], "web") as gateway:
            assert ask(f"unix:{path}") == b"one"
            gateway.signal(signal.SIGTERM)
            assert gateway.exit_code() == 0
        assert path.is_socket()


def test_a_name_that_was_not_handed_over(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG.format(bind="systemd:web", body="one"))
    gateway = Product(str(file), folder=tmp_path)
    with pytest.raises(AssertionError):
        gateway.start()
    assert gateway.exit_code() == 1
    gateway.wait_for("listener public cannot listen on systemd:web: no socket of that name was handed over at start")


def test_a_descriptor_that_does_not_listen(tmp_path: Path) -> None:
    one, other = socket.socketpair()
    with one, other:
        gateway = handed(tmp_path, "127.0.0.1:0", [one], "odd")
        with pytest.raises(AssertionError):
            gateway.start()
        assert gateway.exit_code() == 1
        gateway.wait_for("the socket odd that was handed over cannot be used: it does not listen")

"""The protocol of systemd, from the side of a service: messages, watchdog, handed sockets."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgate.runtime.supervisor import Notifier, Watchdog, handed_sockets


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The supervisor's socket and what NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@fastgate-test-{os.getpid()}-{id(request)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1))
        receiver.settimeout(20)
        yield receiver, name


def test_messages(manager: tuple[socket.socket, str]) -> None:
    receiver, name = manager
    environ = {"NOTIFY_SOCKET": name, "OTHER": "stays"}
    notifier = Notifier(environ)
    assert environ == {"OTHER": "stays"}
    notifier.ready("serving\n3 routes")
    assert receiver.recv(4096) == b"READY=1\nSTATUS=serving 3 routes"
    notifier.reloading()
    assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reloading", receiver.recv(4096))
    notifier.stopping("draining")
    assert receiver.recv(4096) == b"STOPPING=1\nSTATUS=draining"


def test_without_a_supervisor_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({})
    notifier.ready("x")
    assert not caplog.records
    assert notifier.watchdog == 0


def test_a_supervisor_that_is_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready("x")
    assert "cannot be notified" in caplog.text


def test_the_watchdog_is_for_one_process_only(tmp_path: Path) -> None:
    def period(**environ: str) -> float:
        return Notifier({"NOTIFY_SOCKET": str(tmp_path / "n"), **environ}).watchdog

    assert period(WATCHDOG_USEC="2000000") == 2.0
    assert period(WATCHDOG_USEC="2000000", WATCHDOG_PID=str(os.getpid())) == 2.0
    assert period(WATCHDOG_USEC="2000000", WATCHDOG_PID="1") == 0
    assert period(WATCHDOG_USEC="soon") == 0


def test_signs_of_life_come_while_the_workers_answer(manager: tuple[socket.socket, str]) -> None:
    receiver, name = manager
    asked: list[float] = []
    enough = threading.Event()

    def alive(limit: float) -> bool:
        asked.append(limit)
        if len(asked) > 6:
            enough.set()
        return len(asked) <= 2

    watchdog = Watchdog(Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"}), alive)
    watchdog.start()
    assert enough.wait(20)
    watchdog.stop()
    receiver.setblocking(False)
    got = 0
    try:
        while receiver.recv(4096) == b"WATCHDOG=1":
            got += 1
    except BlockingIOError:
        pass
    assert got == 2, "one for each answer, none for a worker that hangs"
    assert asked[0] == 0.01


def test_handed_sockets_are_ours_only_and_named() -> None:
    pid = str(os.getpid())
    assert handed_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert handed_sockets({"LISTEN_PID": pid, "LISTEN_FDS": "many"}) == []
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": "0", "LISTEN_FDNAMES": "web"}
    assert handed_sockets(environ) == []
    assert environ == {}

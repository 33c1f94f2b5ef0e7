"""Where the access log goes: readers that are slow or gone, rotation under load, full disks, syslog."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from harness import Client, Gateway, snapshot
from harness.client import wait_for
from harness.gateway import engine_binary, respond, route
from harness.requests import get

pytestmark = pytest.mark.usefixtures("engine")

Json = dict[str, Any]
LONG = b"/" + b"x" * 7_000


def logged(target: Any, form: Any = "json") -> Json:
    """A gateway that answers itself and logs there."""
    access = {"to": target, "format": form, "sample": 1.0}
    return snapshot(routes=[route("all", respond(200, "ok"))]) | {"logs": {"access": access}}


def ask(client: Client, count: int, target: bytes = b"/") -> None:
    """Sends requests one after the other; each must be answered."""
    for _ in range(count):
        assert client.exchange(get(target)).status == 200


def dropped(stats: Json) -> int:
    """Lines that are lost."""
    return sum(stats["access_log"]["dropped"].values())


def complaints(gateway: Gateway) -> list[str]:
    """What it said of the log."""
    return [line for line in gateway.err if "access log" in line]


def test_a_reader_that_is_slow_loses_lines_and_no_request(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Gateway(logged({"file": str(fifo)})) as gateway:
        with gateway.client() as client:
            # The queue takes 64 buffers of 64 KiB; the pipe, and the worker's own buffer, little more.
            while gateway.stats()["access_log"]["dropped"]["queue_full"] == 0:
                ask(client, 100, LONG)
            requests = gateway.stats()["requests"]
            assert requests > 4 * 1024 * 1024 // (len(LONG) + 700)
        data = bytearray()
        os.set_blocking(reader, True)
        drain = threading.Thread(target=lambda: data.extend(iter_read(reader)))
        drain.start()
    drain.join()
    os.close(reader)
    stats = last_stats(gateway)
    lines = [json.loads(line) for line in bytes(data).decode().splitlines()]
    assert {line["path"] for line in lines} == {LONG.decode()}
    assert stats["requests"] == requests
    assert len(lines) == stats["access_log"]["written"]
    assert len(lines) + dropped(stats) == requests


def iter_read(fd: int) -> bytes:
    """Everything until the writer has gone."""
    data = bytearray()
    while piece := os.read(fd, 1 << 20):
        data += piece
    return bytes(data)


def last_stats(gateway: Gateway) -> Json:
    """The counters at the end of the process."""
    stats: Json = json.loads([line for line in gateway.out if line.startswith("stats ")][-1].removeprefix("stats "))
    return stats


def test_a_reader_that_is_stuck_does_not_keep_the_process(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Gateway(logged({"file": str(fifo)})) as gateway, gateway.client() as client:
        ask(client, 50, LONG)
    stats = last_stats(gateway)
    assert dropped(stats) > 0
    assert stats["access_log"]["written"] + dropped(stats) == 50
    # What the pipe took ends with a whole line, or the start of one.
    os.set_blocking(reader, True)
    whole, _, _ = iter_read(reader).rpartition(b"\n")
    assert all(json.loads(line) for line in whole.split(b"\n"))
    os.close(reader)


def test_rotation_under_load_loses_and_tears_nothing(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    done = threading.Event()
    asked = [0, 0]

    def load(gateway: Gateway, number: int) -> None:
        with gateway.client() as client:
            while not done.is_set():
                ask(client, 10)
                asked[number] += 10

    with Gateway(logged({"file": str(path)})) as gateway:
        clients = [threading.Thread(target=load, args=(gateway, number)) for number in range(2)]
        for client in clients:
            client.start()
        for turn in range(10):
            wait_for(lambda: path.exists() and path.stat().st_size > 20_000, "lines in the new file")
            path.rename(tmp_path / f"access.log.{turn}")
            gateway.stats()  # the signal that rotates
        done.set()
        for client in clients:
            client.join()
    files = sorted(tmp_path.glob("access.log*"))
    assert len(files) == 11
    ids = [json.loads(line)["request_id"] for file in files for line in file.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == sum(asked)
    assert not complaints(gateway)
    assert path.stat().st_mode & 0o777 == 0o640 & ~os.umask(os.umask(0o022))


def test_a_rotation_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with Gateway(logged({"file": str(folder / "access.log")})) as gateway, gateway.client() as client:
        folder.rename(tmp_path / "moved")
        gateway.stats()
        gateway.wait_output("cannot be written: its directory does not exist")
        ask(client, 3)
    assert len((tmp_path / "moved" / "access.log").read_text().splitlines()) == 3


def test_a_full_disk_is_said_once_and_counted() -> None:
    with Gateway(logged({"file": "/dev/full"})) as gateway, gateway.client() as client:
        ask(client, 5)
        gateway.wait_output("the access log cannot be written")
        ask(client, 5)
    stats = last_stats(gateway)
    assert stats["access_log"] == {"written": 0, "dropped": {"queue_full": 0, "sink_failed": 10}}
    assert len(complaints(gateway)) == 1
    assert "No space left on device" in complaints(gateway)[0]


def test_a_closed_stream_is_a_lost_line_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps(logged("stderr")))
    process = subprocess.Popen(
        [str(engine_binary()), str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    address = process.stdout.readline().split()[-1]
    with Client(address) as client:
        ask(client, 1)
        assert json.loads(process.stderr.readline())["status"] == 200
        process.stderr.close()
        ask(client, 5)
    process.terminate()
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    stats = json.loads(out.splitlines()[-1].removeprefix("stats "))
    assert stats["access_log"] == {"written": 1, "dropped": {"queue_full": 0, "sink_failed": 5}}


def test_standard_output() -> None:
    with Gateway(logged("stdout", {"template": "line {status} {path}"})) as gateway, gateway.client() as client:
        ask(client, 2, b"/a")
        gateway.wait_output("line 200 /a")
    assert gateway.out.count("line 200 /a") == 2


def test_syslog_socket_that_goes_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def daemon() -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind(str(path))
        made.settimeout(10)
        return made

    first = daemon()
    with Gateway(logged({"syslog": str(path)}, {"template": "{method} {path}"})) as gateway, gateway.client() as client:
        ask(client, 2, b"/a")
        for _ in range(2):
            assert re.fullmatch(rb"<134>\w{3} [ \d]\d \d\d:\d\d:\d\d fastgate\[\d+\]: GET /a", first.recv(1000))
        first.close()
        path.unlink()
        ask(client, 3, b"/b")
        gateway.wait_output("the access log cannot be written")
        assert gateway.stats()["access_log"]["dropped"]["sink_failed"] >= 1
        with daemon() as second:
            second.settimeout(0.1)
            seen = b""

            def again() -> bool:
                nonlocal seen
                ask(client, 1, b"/c")
                try:
                    seen = second.recv(1000)
                except TimeoutError:
                    return False
                return True

            wait_for(again, "a line at the new socket")
            assert seen.endswith(b"GET /c")
    stats = last_stats(gateway)
    assert stats["access_log"]["written"] + dropped(stats) == stats["requests"]


def test_syslog_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(10)
        to = {"syslog": f"127.0.0.1:{daemon.getsockname()[1]}"}
        with Gateway(logged(to)) as gateway, gateway.client() as client:
            ask(client, 1, b"/a")
            header, _, line = daemon.recv(2000).partition(b" access - ")
    assert re.fullmatch(rb"<134>1 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ fastgate \d+", header)
    assert json.loads(line)["path"] == "/a"

"""Static files on their way: large ones in flat memory, slow clients, files that change, the bound on open ones."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import BadResponse, Client, Gateway, snapshot
from harness.client import wait_for
from harness.gateway import Json, match, respond, route, static
from harness.requests import get

pytestmark = pytest.mark.usefixtures("engine")

MIB = 1 << 20
LARGE = 100 * MIB
HELD = 16 * MIB  # the allocator's own pages move by megabytes: this tells a bound from held files, no more
READS = ["auto", "threads"]


def files(root: Path, reads: str = "auto", **options: Json) -> Json:
    routes = [
        route("files", static(root, reads=reads), match(prefix="/f")),
        route("ping", respond(200, "pong"), match(path="/ping")),
    ]
    return snapshot(routes=routes, **options)


def marked(offset: int) -> bytes:
    """What stands at a marked place of the large file."""
    return b"at %012d" % offset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse file of 100 MB with a mark in every megabyte, and one that is not sparse."""
    root = tmp_path_factory.mktemp("sending")
    with (root / "large").open("wb") as file:
        for offset in range(0, LARGE, MIB):
            file.seek(offset + 70_001)
            file.write(marked(offset))
        file.truncate(LARGE)
    (root / "dense").write_bytes(os.urandom(5 * MIB + 12_345))
    return root


def drop_from_memory(path: Path) -> None:
    """Asks the kernel to forget a file's pages, so that they must be read again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def stalled(gateway: Gateway, target: bytes) -> Client:
    """A client that has the head of an answer and reads no further."""
    client = Client(gateway.address, receive_buffer=4096)
    client.send(get(target))
    assert client.read_head().status == 200
    return client


@pytest.mark.parametrize("reads", READS)
def test_a_hundred_megabytes_arrive_unharmed_in_flat_memory(root: Path, reads: str) -> None:
    with Gateway(files(root, reads)) as gateway, gateway.client(timeout=60) as client:
        assert client.exchange(get(b"/f/dense")).status == 200
        before = gateway.rss()
        answer = client.exchange(get(b"/f/large"))
        assert len(answer.body) == LARGE
        for offset in range(0, LARGE, MIB):
            mark = marked(offset)
            assert answer.body[offset + 70_001 : offset + 70_001 + len(mark)] == mark
        assert answer.body.count(0) == LARGE - 100 * len(marked(0))
        assert gateway.rss() - before < HELD
        assert client.exchange(get(b"/ping")).body == b"pong"


@pytest.mark.parametrize("reads", READS)
def test_clients_that_do_not_read_cost_no_memory_and_their_files_close_with_them(root: Path, reads: str) -> None:
    with Gateway(files(root, reads)) as gateway, gateway.client() as first:
        assert first.exchange(get(b"/f/dense")).status == 200
        before, open_before = gateway.rss(), gateway.descriptors()
        with ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(stalled(gateway, b"/f/large"))
            # Each has a connection and a file, and the worker still answers others.
            assert first.exchange(get(b"/ping")).body == b"pong"
            assert gateway.descriptors() >= open_before + 30
            assert gateway.rss() - before < HELD
        wait_for(lambda: gateway.descriptors() <= open_before + 2, "every file is closed")


@pytest.mark.parametrize("reads", READS)
def test_a_file_that_is_not_in_memory_arrives_unharmed(root: Path, reads: str) -> None:
    content = (root / "dense").read_bytes()
    with Gateway(files(root, reads)) as gateway, gateway.client() as client:
        for _ in range(3):
            drop_from_memory(root / "dense")
            answer = client.exchange(get(b"/f/dense"))
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256(content).digest()
        for start, end in [(0, 0), (4_095, 4_097), (65_535, 700_000), (2_000_000, len(content) - 1)]:
            drop_from_memory(root / "dense")
            answer = client.exchange(get(b"/f/dense", b"Range: bytes=%d-%d" % (start, end)))
            assert answer.body == content[start : end + 1]


@pytest.mark.parametrize("reads", READS)
def test_a_slow_reader_gets_every_byte(root: Path, reads: str) -> None:
    content = (root / "dense").read_bytes()
    with Gateway(files(root, reads)) as gateway, stalled(gateway, b"/f/dense") as client:
        assert hashlib.sha256(client.receive(len(content))).digest() == hashlib.sha256(content).digest()
        assert client.exchange(get(b"/ping")).body == b"pong"


@pytest.mark.parametrize("reads", READS)
def test_a_file_that_becomes_shorter_ends_its_connection_and_nothing_is_padded(tmp_path: Path, reads: str) -> None:
    content = os.urandom(32 * MIB)
    (tmp_path / "file").write_bytes(content)
    with Gateway(files(tmp_path, reads)) as gateway, stalled(gateway, b"/f/file") as client:
        os.truncate(tmp_path / "file", 64 * 1024)
        with pytest.raises(BadResponse):
            client.receive(len(content))
        with gateway.client() as other:
            assert len(other.exchange(get(b"/f/file")).body) == 64 * 1024
        wait_for(lambda: gateway.stats()["faults"].get("file_truncated") == 1, "the fault is counted")


def test_a_client_that_stops_reading_is_dropped_at_the_write_stall(root: Path) -> None:
    with Gateway(files(root, process={"write_stall_ms": 300})) as gateway, stalled(gateway, b"/f/large"):
        wait_for(lambda: gateway.stats()["faults"].get("write_stall") == 1, "the stall is counted")
        wait_for(lambda: gateway.stats()["connections"] == 0, "the connection has ended")


def test_a_download_survives_the_reload_that_removes_its_route(root: Path) -> None:
    content = (root / "dense").read_bytes()
    with Gateway(files(root)) as gateway, stalled(gateway, b"/f/dense") as client:
        assert gateway.reload(snapshot(routes=[route("ping", respond(200, "pong"), match(path="/ping"))]))
        assert client.receive(len(content)) == content
        assert client.exchange(get(b"/f/dense")).status == 404


def test_a_reload_to_a_root_that_is_not_there_changes_nothing(root: Path) -> None:
    with Gateway(files(root)) as gateway, gateway.client() as client:
        assert not gateway.reload(files(root / "none"))
        assert client.exchange(get(b"/f/dense")).status == 200


@pytest.fixture
def prlimit() -> str:
    found = shutil.which("prlimit")
    if found is None:
        pytest.skip("prlimit is not installed")
    return found


def test_open_files_are_bounded_and_the_rest_gets_503(root: Path, prlimit: str) -> None:
    snap = files(root, process={"max_connections": 70}, workers=1)
    with Gateway(snap, wrap=[prlimit, "--nofile=160:160"]) as gateway, ExitStack() as stack:
        clients = [stack.enter_context(stalled(gateway, b"/f/large")) for _ in range(40)]
        with gateway.client() as one:
            answer = one.exchange(get(b"/f/dense"))
            assert (answer.status, answer.get("retry-after")) == (503, b"1")
            assert answer.from_gateway
            # What needs no file is answered, and with a file given back there is one.
            assert one.exchange(get(b"/ping")).status == 200
            clients[0].reset()
            wait_for(lambda: one.exchange(get(b"/f/dense")).status == 200, "a file is free")
        assert gateway.stats()["faults"]["files_busy"] >= 1


def test_many_clients_ask_for_many_files_at_once(tmp_path: Path) -> None:
    contents = {b"/f/%d" % n: os.urandom(n * 997 % 200_000) for n in range(40)}
    for target, content in contents.items():
        (tmp_path / target.decode().removeprefix("/f/")).write_bytes(content)
    with Gateway(files(tmp_path)) as gateway, ExitStack() as stack:
        clients = [stack.enter_context(gateway.client()) for _ in range(10)]
        for client in clients:
            client.send(b"".join(get(target) for target in contents))
        for client in clients:
            for content in contents.values():
                assert client.final().body == content

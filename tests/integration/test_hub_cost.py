"""What a delivery costs in system calls, and a subscriber in memory: counts, the same on a busy machine."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from harness import Gateway, snapshot
from harness.client import wait_for
from harness.websocket import TEXT, WebSocket, endpoint, everything, join, masked, publishing

pytestmark = pytest.mark.usefixtures("engine")

MEMBERS = 20
ROUNDS = 30
BURST = 10
CROWD = 3_000
SNAPSHOT = snapshot(
    routes=[endpoint("room", "/r", "r", publish=publishing(echo=False))], listeners=[everything()], workers=1
)


@pytest.fixture
def strace() -> str:
    """The tracer; missing it skips by name, and fails where CI says that everything must run."""
    found = shutil.which("strace")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("strace is not installed", pytrace=False)
        pytest.skip("strace is not installed")
    return found


def test_a_delivery_is_one_send_and_so_is_a_burst(strace: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    wrap = (strace, "-D", "-f", "-qq", "-o", str(trace), "-e", "trace=sendto,sendmsg,write,writev,recvfrom,epoll_ctl")
    with Gateway(SNAPSHOT, wrap=wrap) as gateway:
        members = [join(gateway, "/r") for _ in range(MEMBERS)]
        sender = join(gateway, "/r")
        for number in range(ROUNDS):
            sender.text(str(number))
            assert [member.message() for member in members] == [b"%d" % number] * MEMBERS
        sender.client.send(b"".join(masked(TEXT, b"%d" % number) for number in range(BURST)))
        for member in members:
            assert [member.message() for _ in range(BURST)] == [b"%d" % number for number in range(BURST)]
        # Whoever is still here at the end is told so, which is a send too.
        gateway.closing.close()
        wait_for(lambda: gateway.stats()["connections"] == 0, "the end of everybody")
    calls: Counter[str] = Counter()
    for line in trace.read_text().splitlines():
        # What waits for nothing, or belongs to another socket than a client's, is left out.
        if begun := re.match(r"\d+ +(\w+)\(", line):
            calls["again" if "EAGAIN" in line else begun[1]] += 1
    handshakes = MEMBERS + 1
    assert calls["sendto"] == handshakes + MEMBERS * (ROUNDS + 1), calls
    assert calls["sendmsg"] == calls["writev"] == 0, calls
    # Heads, messages, the ends.
    assert calls["recvfrom"] <= 2 * handshakes + ROUNDS + 1, calls
    # Into the runtime, out of it, into the set of the hub: once for a connection, never for a message.
    assert calls["epoll_ctl"] <= 3 * handshakes + 40, calls


def resident(gateway: Gateway) -> int:
    """Resident bytes by the page tables; the count that the kernel keeps may be behind by a few hundred pages."""
    rollup = Path(f"/proc/{gateway.process.pid}/smaps_rollup").read_text()
    found = re.search(r"^Rss: +(\d+) kB$", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_an_idle_subscriber_costs_less_than_a_kilobyte() -> None:
    with Gateway(SNAPSHOT) as gateway:
        crowd = []

        def enter(count: int) -> None:
            for _ in range(count):
                one = WebSocket(gateway.address, "/r")
                gateway.closing.callback(one.client.close)
                crowd.append(one)

        # What the first ones need is there for all: buffers, tables, the allocator's own.
        enter(300)
        before = resident(gateway)
        enter(CROWD)
        each = (resident(gateway) - before) / CROWD
        print(f"{each:.0f} bytes resident for each idle subscriber")
        # Where pages are huge it grows by 2 MiB at a time: some runs see none, none sees two.
        assert each <= 1024
        # They are all there.
        crowd[0].text('"hello"')
        wait_for(lambda: all(one.message() == b'"hello"' for one in crowd[1:]), "everybody's message")

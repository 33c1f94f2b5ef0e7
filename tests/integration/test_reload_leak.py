"""Many reloads leave nothing behind: memory, descriptors, threads and children are flat.

`FASTGATE_LEAK_RELOADS=1000` is the full size.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import Origin, snapshot
from harness.client import wait_for
from harness.gateway import listener, match, respond, route, service
from harness.product import Product, put

RELOADS = int(os.environ.get("FASTGATE_LEAK_RELOADS", "160"))

# Swaps snapshots in a process of its own, with requests in between, and tells what it holds after every round.
SWAPS = """
import http.client, json, os, sys
from fastgate import _engine
asked = json.load(sys.stdin)
snapshots = [json.dumps(one).encode() for one in asked["snapshots"]]
engine = _engine.Engine(snapshots[0])
client = http.client.HTTPConnection(dict(engine.addresses())["public"], timeout=60)
def held():
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    tables = [len(os.listdir(f"/proc/self/task/{task}/fd")) for task in os.listdir("/proc/self/task")]
    return int(status["VmRSS"].split()[0]), max(tables), int(status["Threads"])
rounds = []
for _ in range(8):
    for number in range(asked["reloads"] // 8):
        engine.apply(snapshots[(number + 1) % len(snapshots)])
        client.request("GET", "/answer")
        assert client.getresponse().read() == b"ok"
    engine.apply(snapshots[0])
    client.request("GET", "/answer")
    assert client.getresponse().read() == b"ok"
    rounds.append(held())
engine.stop()
print(json.dumps(rounds))
"""


def snapshots(url: str) -> list[dict[str, Any]]:
    """Three configs that differ in routes, services and listeners; the way of the client stays."""
    answer = route("answer", respond(200, "ok"), match(path="/answer"))
    few = snapshot(url, routes=[answer, route("all", "origin", match(prefix="/"))])
    many = snapshot(
        url,
        listeners=[listener(), listener("second"), listener("third")],
        services=[service(f"s{n}", f"http://127.0.0.1:{n + 1}") for n in range(50)],
        routes=[answer, *(route(f"r{n}", f"s{n % 50}", match(path=f"/r{n}/{{id}}")) for n in range(500))],
    )
    other = snapshot(url, listeners=[listener(), listener("fourth")], routes=[answer], process={"headers": 16384})
    return [few, many, other]


def flat(series: list[int], slack: int) -> bool:
    """Whether the low points of the second half are those of the first."""
    half = len(series) // 2
    return min(series[half:]) - min(series[:half]) < slack


def test_swaps_leave_nothing(origin: Origin) -> None:
    asked = json.dumps({"snapshots": snapshots(origin.url), "reloads": RELOADS})
    done = subprocess.run(
        [sys.executable, "-c", SWAPS], input=asked, capture_output=True, text=True, timeout=60 + RELOADS, check=False
    )
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)
    kilobytes, descriptors, threads = (list(column) for column in zip(*rounds[1:], strict=True))
    assert flat(kilobytes, 2048), kilobytes
    assert max(descriptors) - min(descriptors) <= 1, descriptors
    assert len(set(threads)) == 1, threads


def children(place: Path) -> str:
    found = ""
    for task in (place / "task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found += (task / "children").read_text()
    return found


def test_reloads_of_a_gateway_leave_nothing(tmp_path: Path) -> None:
    """The whole way, with the child: no descriptor, thread or zombie stays."""
    file = tmp_path / "gate.yaml"
    text = "listeners:\n  public:\n    bind: 127.0.0.1:0\nroutes:\n"
    one = "  r{0}:\n    match:\n      path: /r{0}\n    respond:\n      status: 200\n"
    file.write_text(text + one.format(0))
    with Product(str(file), folder=tmp_path) as gateway:
        place = Path(f"/proc/{gateway.process.pid}")

        def held() -> tuple[int, int]:
            return len(list((place / "fd").iterdir())), len(list((place / "task").iterdir()))

        def settled() -> bool:
            return all(now <= then for now, then in zip(held(), before, strict=True))

        assert gateway.ask("reload")["ok"]
        before = held()
        for number in range(max(6, RELOADS // 20)):
            put(file, text + "".join(one.format(n) for n in range(number % 3 + 1)))
            assert gateway.ask("reload")["ok"]
            assert not children(place), "the child is gone when the answer is there"
            # The control socket sees the end of our question a moment later.
            wait_for(settled, f"no more than {before} descriptors and threads")

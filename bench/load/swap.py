"""`python -m bench.load.swap`: how long 10,000 routes take to compile and swap in, and what traffic sees meanwhile.

Times `Engine.apply` (reading the snapshot's JSON, compiling, opening, swapping on every worker) and, in another thread,
each request of one keep-alive connection: its slowest one during the swaps beside its slowest one before them.
"""

from __future__ import annotations

import copy
import http.client
import json
import statistics
import threading
import time
from typing import Any

from fastgate import _engine
from fastgate.config import compile as compile_config
from fastgate.config import from_mapping

ROUNDS = 9
ROUTES = 10_000


def _snapshot(routes: int) -> bytes:
    config: dict[str, Any] = {
        "listeners": {"public": {"bind": "127.0.0.1:0"}},
        "limits": {"max_connections": 100},
        "routes": {"root": {"match": {"path": "/"}, "respond": {"status": 200}}},
    }
    plain: dict[str, Any] = json.loads(compile_config(from_mapping(config)).data)
    template = plain["routes"][0]
    for i in range(routes):
        route = copy.deepcopy(template)
        route["name"] = f"r{i}"
        route["matches"][0]["path"] = {"path": f"/r{i}/{{id}}/items"}
        plain["routes"].append(route)
    return json.dumps(plain).encode()


def _slowest(address: str, over: threading.Event, into: list[float]) -> None:
    connection = http.client.HTTPConnection(address)
    slowest = 0.0
    while not over.is_set():
        started = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        slowest = max(slowest, time.perf_counter() - started)
    into.append(slowest * 1000)
    connection.close()


def _watched(address: str, work: Any) -> float:
    over, slowest = threading.Event(), list[float]()
    watcher = threading.Thread(target=_slowest, args=(address, over, slowest))
    watcher.start()
    work()
    over.set()
    watcher.join()
    return slowest[0]


def main() -> None:
    """Measures and prints one JSON object; times in milliseconds."""
    small, large = _snapshot(0), _snapshot(ROUTES)
    engine = _engine.Engine(small)
    address = dict(engine.addresses())["public"]
    times = []

    def swap() -> None:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            engine.apply(large)
            times.append((time.perf_counter() - started) * 1000)
            engine.apply(small)

    before = _watched(address, lambda: time.sleep(1))
    during = _watched(address, swap)
    engine.stop()
    print(
        json.dumps(
            {
                "routes": ROUTES,
                "snapshot_bytes": len(large),
                "swap_ms": {"min": min(times), "median": statistics.median(times), "max": max(times)},
                "slowest_request_ms": {"before": before, "during": during},
            }
        )
    )


if __name__ == "__main__":
    main()

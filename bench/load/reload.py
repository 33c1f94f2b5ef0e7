"""`python -m bench.load.reload`: what a reload of 10,000 routes costs: traffic's p99 at half load, and memory.

The gateway (`fastgate run`, one worker) first shows what it can do in a closed loop; at half of that rate, each request
timed from when it was due, its p99 without reloads is compared with its p99 while it reloads without a pause. The load
client and the origin have a core of their own; the child that compiles has none. Memory is the gateway's own peak
(VmHWM), idle (VmRSS) and, apart from it, the child's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from bench.binaries import ROOT
from bench.load.process import Load, Origin, family, run_load

sys.path.insert(0, str(ROOT / "tests"))
from harness.product import Product

CONNECTIONS = "32"


def write_config(file: Path, target: str, routes: int) -> None:
    """A config of so many routes over a hundred services, with time-outs and header changes."""
    lines = ["listeners:", "  public:", "    bind: 127.0.0.1:0", "workers: 1", "admin: false", "metrics: false"]
    lines.append("services:")
    for number in range(100):
        lines += [f"  s{number}:", "    targets:", f"      - http://{target}"]
    lines += ["routes:", "  all:", "    match:", "      prefix: /", "    service: s0"]
    for number in range(routes):
        lines += [f"  r{number}:", "    match:", f"      path: /r{number}/{{id}}/items", "      methods: [GET, POST]"]
        lines += [f"    service: s{number % 100}", "    timeouts:", "      response: 20s", "    policies:"]
        lines += ["      request_headers:", "        set:", f"          x-route: 'r{number}'"]
    file.write_text("\n".join(lines) + "\n")


def memory(pid: int) -> dict[str, int]:
    """Resident bytes now and at their peak, in KiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {"rss_kib": int(status["VmRSS"].split()[0]), "peak_kib": int(status["VmHWM"].split()[0])}


class Reloading:
    """Reloads one after another in a thread, and looks at the children meanwhile."""

    def __init__(self, gateway: Product) -> None:
        self.gateway = gateway
        self.over = threading.Event()
        self.seconds: list[float] = []
        self.child_peak = 0
        self.threads = [threading.Thread(target=target) for target in (self._reload, self._look)]

    def _reload(self) -> None:
        while not self.over.is_set():
            answer = self.gateway.ask("reload")
            if not answer["ok"]:
                raise SystemExit(f"not reloaded: {answer}")
            self.seconds.append(float(answer["seconds"]))

    def _look(self) -> None:
        while not self.over.wait(0.02):
            for pid in family(self.gateway.process.pid)[1:]:
                try:
                    self.child_peak = max(self.child_peak, memory(pid)["peak_kib"])
                except (OSError, KeyError):
                    continue

    def __enter__(self) -> Reloading:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def timed(address: str, rate: float, seconds: float, core: int) -> dict[str, Any]:
    """A run in an open loop."""
    how = ("--connections", CONNECTIONS, "--rate", f"{rate:.0f}", "--seconds", str(seconds))
    with Load(address, *how, timeout=seconds + 30, core=core) as load:
        return load.finish()


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()

    core = sorted(os.sched_getaffinity(0))[-1]
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="fastgate-bench-") as folder, Origin(core) as origin:
        file = Path(folder) / "gate.yaml"
        write_config(file, origin.address, asked.routes)
        with Product(str(file), folder=Path(folder)) as gateway:
            address = gateway.address()
            start = memory(gateway.process.pid)
            for _ in range(asked.rounds):
                most = run_load(address, "--connections", CONNECTIONS, "--seconds", "2", core=core)
                rate = float(most["rate"]) / 2
                quiet = timed(address, rate, asked.seconds, core)
                with Reloading(gateway) as reloading:
                    loud = timed(address, rate, asked.seconds, core)
                rounds.append(
                    {
                        "rate": rate,
                        "quiet_us": quiet["latency_us"],
                        "reloading_us": loud["latency_us"],
                        "errors": quiet["errors"] + loud["errors"],
                        "reloads": len(reloading.seconds),
                        "reload_seconds": statistics.median(reloading.seconds),
                        "child_peak_kib": reloading.child_peak,
                    }
                )
            after = memory(gateway.process.pid)
    ratios = [one["reloading_us"]["p99"] / one["quiet_us"]["p99"] for one in rounds]
    result = {"routes": asked.routes, "p99_ratio": statistics.median(ratios), "start": start, "after": after}
    print(json.dumps(result | {"rounds": rounds}, indent=2))


if __name__ == "__main__":
    main()

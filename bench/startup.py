"""`python -m bench.startup`: from exec to the first proxied 200, with one route; and where the time goes.

Twenty starts of `fastgate run`, each asked over and over by one client until it answers through to the origin. With
`--imports` the slowest imports of one start are printed instead.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.load.process import START_LIMIT, Origin, free_port

CONFIG = """listeners:
  public:
    bind: 127.0.0.1:{port}
admin: false
metrics: false
routes:
  all:
    match:
      prefix: /
    to: http://{origin}
"""


def start_once(file: Path, port: int) -> float:
    """Milliseconds from exec to the answer."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fastgate", "run", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "FASTGATE_CONTROL": str(file.with_suffix(".sock"))},
    )
    try:
        while time.perf_counter() - begun < START_LIMIT:
            if process.poll() is not None:
                assert process.stderr is not None
                raise SystemExit(process.stderr.read().decode())
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n")
                    if client.recv(4096).startswith(b"HTTP/1.1 200 "):
                        return (time.perf_counter() - begun) * 1000
            except OSError:
                time.sleep(0.001)
        raise SystemExit("no answer")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_LIMIT)


def imports(file: Path) -> None:
    """Prints the modules whose own import took longest."""
    command = [sys.executable, "-X", "importtime", "-m", "fastgate", "run", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "stop: " not in (line := process.stdout.readline()):
        if not line:
            break
    process.terminate()
    _, told = process.communicate(timeout=START_LIMIT)
    rows = [line.split("|") for line in told.splitlines() if line.startswith("import time:") and "[us]" not in line]
    own = sorted(((int(row[0].rpartition(":")[2]), row[2].strip()) for row in rows), reverse=True)
    print(f"{len(own)} modules, {sum(time for time, _ in own) / 1000:.0f} ms")
    for microseconds, name in own[:25]:
        print(f"{microseconds / 1000:8.1f} ms  {name}")


def main() -> None:
    """Measures and prints one JSON object; times in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--imports", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastgate-bench-") as folder, Origin() as origin:
        file, port = Path(folder) / "gate.yaml", free_port()
        file.write_text(CONFIG.format(port=port, origin=origin.address))
        if asked.imports:
            imports(file)
            return
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        times = [start_once(file, port) for _ in range(asked.starts)]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / asked.starts * 1000
    figures = {"min": min(times), "median": statistics.median(times), "max": max(times)}
    print(json.dumps({"starts": asked.starts, "first_answer_ms": figures, "cpu_ms": cpu}))


if __name__ == "__main__":
    main()

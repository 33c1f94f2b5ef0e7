"""The first minutes of a newcomer, timed: a fresh environment, the wheel, `init`, `run`, the first answer through it.

`python bench/newcomer.py WHEEL` does what the tutorial says in a folder of its own with a clean environment, and prints
the seconds of each step. What pip downloads comes from its cache where it has one, and the table says how big it was.
"""

from __future__ import annotations

import argparse
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

WAIT = 120.0
STARTER = "http://127.0.0.1:9000"


class Answer(http.server.BaseHTTPRequestHandler):
    """The newcomer's application."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Says nothing."""


class Steps:
    """Steps with their seconds, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: list[tuple[str, float]] = []
        # Nothing of the caller's shell but what finds Python and the home of pip's cache.
        self.environment = {"PATH": f"{folder}/env/bin:/usr/bin:/bin", "HOME": os.environ["HOME"], "LC_ALL": "C.UTF-8"}

    def run(self, name: str, *words: str) -> str:
        """Runs one command to its end; a failure ends everything with what it said."""
        begun = time.perf_counter()
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=WAIT, check=False
        )
        self.taken.append((name, time.perf_counter() - begun))
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def first_answer(steps: Steps, origin: str) -> None:
    """`fastgate run` on the file that `init` wrote, until the first answer came through it."""
    file = steps.folder / "fastgate.yaml"
    # The one edit that a newcomer makes: the starter's target becomes the address of the application.
    starter = file.read_text(encoding="utf-8")
    if STARTER not in starter:
        raise SystemExit(f"the starter file has no target {STARTER} to be changed")
    file.write_text(starter.replace(STARTER, origin), encoding="utf-8")
    begun = time.perf_counter()
    with subprocess.Popen(
        ["fastgate", "run", "--bind", "127.0.0.1:0"],
        cwd=steps.folder,
        env=steps.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)), None)
            if found is None:
                raise SystemExit("fastgate run ended without a listener")
            with urllib.request.urlopen(f"{found[0]}/", timeout=WAIT) as answer:
                if answer.read() != b"hi":
                    raise SystemExit("the answer is not the application's")
            steps.taken.append(("fastgate run, to the first answer", time.perf_counter() - begun))
        finally:
            process.terminate()
            process.communicate(timeout=WAIT)
        if process.returncode != 0:
            raise SystemExit(f"fastgate run ended with {process.returncode} at SIGTERM")


def main() -> int:
    """Prints the table; the folder is removed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel.resolve()
    folder = Path(tempfile.mkdtemp(prefix="newcomer-"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        steps = Steps(folder)
        steps.run("python -m venv", sys.executable, "-m", "venv", "env")
        steps.run(f"pip install ({wheel.stat().st_size / 1e6:.1f} MB)", "pip", "install", "--quiet", str(wheel))
        steps.run("fastgate --version", "fastgate", "--version")
        steps.run("fastgate init", "fastgate", "init")
        steps.run("fastgate check", "fastgate", "check")
        first_answer(steps, f"http://127.0.0.1:{server.server_address[1]}")
        for name, seconds in steps.taken:
            print(f"{seconds:8.2f} s  {name}")
        print(f"{sum(seconds for _, seconds in steps.taken):8.2f} s  altogether")
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line as a process: its output, its control socket, its signals; every wait ends with what it said."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGTERM, Signals
from types import TracebackType
from typing import IO, Any

DEADLINE = 60.0
COMMAND = (sys.executable, "-m", "fastgate")

# The smallest config that answers: /ping with `pong`.
PING = """
listeners:
  public:
    bind: 127.0.0.1:0
routes:
  ping:
    match:
      path: /ping
    respond:
      status: 200
      body: pong
"""


def environment(folder: Path, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with a control socket in the folder and no other settings; None takes one away."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTGATE_")}
    wanted = {**clean, "FASTGATE_CONTROL": str(folder / "control.sock"), **(more or {})}
    return {name: value for name, value in wanted.items() if value is not None}


def shell(*words: str, folder: Path, env: Mapping[str, str | None] | None = None) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, with what it said."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        env=environment(folder, env),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def fetch(url: str) -> tuple[int, str]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Product:
    """A running `fastgate run`, or another command that goes on; `with Product(file, folder=tmp_path) as gateway:`."""

    def __init__(
        self,
        *words: str,
        folder: Path,
        env: Mapping[str, str | None] | None = None,
        command: Sequence[str] = (*COMMAND, "run"),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.folder = folder
        self.control = folder / "control.sock"
        self.changes = dict(env or {})
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=folder,
            env=environment(folder, env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(pass_fds),
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self.said: list[str] = []
        """Both, in the order in which they were read."""
        self._changed = threading.Condition()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        pairs = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._open = len(pairs)
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in pairs]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    lines.append(line.rstrip("\n"))
                    self.said.append(lines[-1])
                    self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The latest line that has the pattern, once there are so many."""
        found: list[re.Match[str]] = []

        def there() -> bool:
            found[:] = [match for line in self.said if (match := re.search(pattern, line))]
            return len(found) >= times or not self._open

        with self._changed:
            self._changed.wait_for(there, DEADLINE)
        assert len(found) >= times, f"no {pattern!r} in:\n" + "\n".join(self.said)
        return found[-1]

    def start(self) -> Product:
        """Waits until it is up."""
        self.wait_for("stop: ")
        return self

    def __enter__(self) -> Product:
        try:
            return self.start()
        except AssertionError:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is not None:
            error.add_note("the gateway said:\n" + "\n".join(self.said))

    def close(self) -> None:
        """Kills it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._join()

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(DEADLINE)

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """What the control socket answers to an operation and its fields."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(self.control))
            client.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
            with client.makefile() as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        return answer

    def tell(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command to it, from its folder and with its environment."""
        return shell(*words, folder=self.folder, env=self.changes)

    def address(self, listener: str = "public") -> str:
        """Where a listener listens."""
        return str(self.ask("status")["listeners"][listener])

    def url(self) -> str:
        """The first address on its start page, once it is up."""
        self.start()
        with self._changed:
            found = next(match for line in self.out if (match := re.search(r"http://\S+:\d+", line)))
        return found[0]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of what its first listener answers."""
        return fetch(self.url() + path)

    def signal(self, number: Signals) -> None:
        """Sends one."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(DEADLINE)
        self._join()
        return code

    def end(self, number: Signals = SIGTERM) -> int:
        """Its exit code after a signal."""
        self.signal(number)
        return self.exit_code()


def put(file: Path, text: str) -> None:
    """Writes a file as careful editors do: beside it, then renamed."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)

"""`fastgate run` as a process: its output, its control socket, its signals; every wait ends with what it said."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

DEADLINE = 60.0


class Product:
    """A running `fastgate run`; `with Product(file, folder=tmp_path) as gateway:`."""

    def __init__(
        self,
        *words: str,
        folder: Path,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "fastgate", "run"),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.control = folder / "control.sock"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTGATE_")}
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=folder,
            env={**clean, "FASTGATE_CONTROL": str(self.control), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(pass_fds),
            text=True,
        )
        self.said: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                with self._changed:
                    self.said.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The latest line that has the pattern, once there are so many."""
        found: list[re.Match[str]] = []

        def there() -> bool:
            found[:] = [match for line in self.said if (match := re.search(pattern, line))]
            return len(found) >= times or not self._reader.is_alive()

        with self._changed:
            self._changed.wait_for(there, DEADLINE)
        assert len(found) >= times, f"no {pattern!r} in:\n" + "\n".join(self.said)
        return found[-1]

    def start(self) -> Product:
        """Waits until it is up."""
        self.wait_for("stop: ")
        return self

    def __enter__(self) -> Product:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        if error is not None:
            error.add_note("the gateway said:\n" + "\n".join(self.said))

    def ask(self, operation: str) -> dict[str, Any]:
        """What the control socket answers."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(self.control))
            client.sendall(json.dumps({"op": operation}).encode() + b"\n")
            with client.makefile() as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        return answer

    def address(self, listener: str = "public") -> str:
        """Where a listener listens."""
        return str(self.ask("status")["listeners"][listener])

    def signal(self, number: signal.Signals) -> None:
        """Sends one."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code


def put(file: Path, text: str) -> None:
    """Writes a file as careful editors do: beside it, then renamed."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)

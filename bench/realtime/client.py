"""Drives fastgate-realtime: one process of subscribers and publishers that takes commands line by line."""

from __future__ import annotations

import json
import select
import subprocess
from types import TracebackType
from typing import Any, Self

from bench.binaries import find
from bench.load.process import Failed, spawn

Json = dict[str, Any]


class Subscribers:
    """A running load client; `with Subscribers(address, core=1) as them: them.ask("open", count=100)`."""

    def __init__(self, to: str, *args: str, core: int | None = None) -> None:
        command = [str(find("fastgate-realtime")), "--to", to, *args]
        pipe = subprocess.PIPE
        self._process = spawn(command, core, stdin=pipe, stdout=pipe, stderr=pipe)
        self.errors = 0
        self.faults: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ask(self, op: str, *, limit: float = 120, **fields: float) -> Json:
        """One command and its answer; raises Failed when none comes within `limit` seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **fields}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it says why on stderr
        if not select.select([self._process.stdout], [], [], limit)[0]:
            raise Failed(f"no answer to {op} within {limit:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"the load client ended at {op}: {self._process.communicate()[1][-500:]}")
        answer: Json = json.loads(line)
        self.errors += answer["errors"]
        for name, count in answer["faults"].items():
            self.faults[name] = self.faults.get(name, 0) + count
        return answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

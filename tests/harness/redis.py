"""A real redis-server for one test: on a Unix socket, or on a free port with TLS; killed, stopped and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.client import wait_for

DEADLINE = 20.0


class RedisServer:
    """One running server; `with RedisServer() as redis:`. Without the program a test skips, in CI it fails."""

    def __init__(self, *args: str, tls: tuple[Path, Path] | None = None) -> None:
        if shutil.which("redis-server") is None:
            if os.environ.get("CI") == "true":
                pytest.fail("redis-server is not installed", pytrace=False)
            pytest.skip("redis-server is not installed")
        self._directory = tempfile.TemporaryDirectory(prefix="fastgate-redis-")
        self.socket = Path(self._directory.name) / "redis.sock"
        self._args = [*args]
        self.port = 0
        if tls:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            cert, key = map(str, tls)
            self._args += ["--tls-port", str(self.port), "--tls-cert-file", cert, "--tls-key-file", key]
            self._args += ["--tls-auth-clients", "no"]
        self.start()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._directory.cleanup()

    def start(self) -> None:
        """Starts it, again after `kill`."""
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["redis-server", "--save", "", "--port", "0", "--unixsocket", str(self.socket), *self._args],
            cwd=self._directory.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, "redis-server answers", DEADLINE)

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"redis-server ended with {self.process.poll()}"
        try:
            return self.ask("PING") == ["+PONG"]
        except OSError:
            return False

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Stops it: its connections stay open and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> list[str]:
        """The lines of the answer to one command, without those of lengths."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(str(self.socket))
            for command in (words, ("ECHO", "the end")):
                parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in command)
                sock.sendall(b"*%d\r\n" % len(command) + parts)
            answer = b""
            while not answer.endswith(b"the end\r\n"):
                part = sock.recv(65536)
                if not part:
                    raise ConnectionError(answer)
                answer += part
        return [line for line in answer.decode().splitlines() if line[:1] not in ("$", "*")][:-1]

    def channels(self) -> set[str]:
        """What anybody has subscribed."""
        return set(self.ask("PUBSUB", "CHANNELS"))

    def subscribers(self, channel: str) -> int:
        """How many connections have subscribed a channel."""
        return int(self.ask("PUBSUB", "NUMSUB", channel)[1][1:])

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The snapshot's part that leads here."""
        url = f"rediss://localhost:{self.port}/0" if self.port else f"unix:{self.socket}"
        plain = {"url": url, "username": None, "password": None, "cluster": False, "ca": None, "prefix": "app:"}
        return plain | changes

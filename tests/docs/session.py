"""One page of the documentation, done word by word in a folder and a network of its own; run as a program by the tests.

`python session.py PAGE FOLDER` leaves the network it was started in, so that the ports of the page are free and nobody
else's gateway answers. Servers (`fastgate run`, an origin) go to the background; a new gateway ends the one before it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from commands import is_static
from pages import Command, File, missing, read

GATEWAY = re.compile(r"((?:[A-Z_]+=\S+ )*fastgate (run|demo)\b(?!.* --help)|python3? (gate|gateway)\.py)")
TOKENS = "fastgate token --serve-jwks"
SERVER = re.compile(rf"{GATEWAY.pattern}|python3? (-m http\.server|origin\.py|app\.py)|uvicorn |{TOKENS}")
READY = "reload:"  # in the last line of the page that a gateway shows at its start
DEADLINE = 30.0


class Failed(Exception):
    """The page says something else than what happened."""


class Server:
    """A program of the page that goes on while the reader types in another terminal."""

    def __init__(self, command: Command, folder: Path, heard: threading.Condition) -> None:
        self.command = command
        self.gateway = GATEWAY.match(command.text) is not None
        self.page = self.gateway and ".py" not in command.text
        self.heard = heard
        self.lines: list[str] = []
        self.ended = False
        words = shlex.split(command.text.removesuffix("&"), comments=True)
        given = dict(os.environ)
        while "=" in words[0]:
            name, _, given[name] = words.pop(0).partition("=")
        self.process = subprocess.Popen(
            words,
            cwd=folder,
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                with self.heard:
                    self.lines.append(line)
                    self.heard.notify_all()
        with self.heard:
            self.ended = True
            self.heard.notify_all()

    def said(self) -> str:
        """Its output so far."""
        with self.heard:
            return "".join(self.lines)

    def ready(self) -> None:
        """Waits until it serves and has said what the page shows: looked at whenever it says something."""
        deadline = time.monotonic() + DEADLINE
        # The kernel tells nobody that a socket begins to listen: where no line says it, it is looked up.
        look = None if self.page else 0.05
        with self.heard:
            while True:
                serving = READY in self.said() or (not self.page and listening(self.process.pid))
                lacks = missing(self.command.shown, self.said())
                if serving and lacks is None:
                    return
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = f"does not say {lacks!r}" if serving else "does not serve"
                    raise Failed(f"{self.command.place}: `{self.command.text}` {why}:\n{self.said()}")
                self.heard.wait(left if serving or look is None else min(look, left))

    def end(self) -> None:
        """Ctrl-C; a gateway must end well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if self.gateway else signal.SIGTERM)
        code = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        if self.gateway and code != 0:
            raise Failed(f"{self.command.place}: `{self.command.text}` ended with {code}:\n{self.said()}")


def listening(pid: int) -> bool:
    """Whether the process owns a listening socket, TCP or Unix."""
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists() or link.is_symlink()]
    owned = {link[8:-1] for link in links if link.startswith("socket:[")}
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
        if any(row[3] == "0A" and row[9] in owned for row in rows):
            return True
    rows = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    return any(row[3] == "00010000" and row[6] in owned for row in rows)


def loopback_up() -> None:
    """Brings up `lo` of a fresh network namespace (SIOCSIFFLAGS: up and running)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))


def asks_code(step: File | Command | None) -> bool:
    """Whether the page asks for the exit code of the command before."""
    return isinstance(step, Command) and step.text == "echo $?"


class Session:
    """What one reader has running and saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Server] = []
        self.code = 0
        self.heard = threading.Condition()
        self.failed: tuple[Command, int, str] | None = None

    def do(self, step: File | Command, following: File | Command | None) -> None:
        """Saves a file, or types a command and compares what is shown; one that is to fail is no server."""
        self.failed = None
        if isinstance(step, File):
            to = self.folder / step.name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(step.content, encoding="utf-8")
        elif is_static(step.text):
            return
        elif SERVER.match(step.text) and not asks_code(following):
            self._serve(step)
        else:
            self._type(step)

    def _serve(self, command: Command) -> None:
        if GATEWAY.match(command.text):
            for server in [server for server in self.servers if server.gateway]:
                self.servers.remove(server)
                server.end()
        server = Server(command, self.folder, self.heard)
        self.servers.append(server)
        server.ready()

    def _type(self, command: Command) -> None:
        """A request may be asked again until a reload has had its effect; every other command gets one try.

        It is asked again when a server has said something since, which a reload makes it do, or after half a second.
        """
        gateways = [server for server in self.servers if server.gateway]
        text = command.text.replace("PID", str(gateways[-1].process.pid)) if gateways else command.text
        deadline = time.monotonic() + (DEADLINE / 3 if text.startswith("curl ") else 0)
        while True:
            before = self._lines()
            run = subprocess.run(
                ["bash", "-c", f"(exit {self.code}); {text}"],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=120,
                check=False,
            )
            output = run.stdout.decode(errors="replace")
            lacks = missing(command.shown, output)
            if lacks is None or time.monotonic() > deadline:
                break
            with self.heard:
                self.heard.wait_for(lambda since=before: self._lines() > since, 0.5)
        logs = "".join(f"\n--- {server.command.text}\n{server.said()}" for server in self.servers)
        if lacks is not None:
            raise Failed(f"{command.place}: `{text}` does not say {lacks!r}, but:\n{output}{logs}")
        self.failed = (command, run.returncode, output + logs) if run.returncode else None
        self.code = run.returncode

    def _lines(self) -> int:
        with self.heard:
            return sum(len(server.lines) for server in self.servers)

    def fail_unless_expected(self, following: File | Command | None) -> None:
        """A command may fail only where the page then asks for its code with `echo $?`."""
        if self.failed is None or asks_code(following):
            return
        command, code, output = self.failed
        raise Failed(f"{command.place}: `{command.text}` ended with {code}:\n{output}")

    def end(self) -> None:
        """Ends what still runs, the gateways first."""
        for server in sorted(self.servers, key=lambda server: not server.gateway):
            server.end()


def main() -> int:
    """Does one page; says what departs from it and returns 1."""
    page, folder = read(Path(sys.argv[1])), Path(sys.argv[2])
    loopback_up()
    session = Session(folder)
    try:
        for at, step in enumerate(page.steps):
            following = page.steps[at + 1] if at + 1 < len(page.steps) else None
            session.do(step, following)
            session.fail_unless_expected(following)
        session.end()
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        for server in session.servers:
            server.process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())

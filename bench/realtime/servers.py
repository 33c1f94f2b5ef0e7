"""How each hub is started, how a message is published to it in its natural way, and its version."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.binaries import ROOT, Missing, find
from bench.load.gateways import Running, program
from bench.load.process import Failed, first_line, free_port, spawn, wait_until_it_answers

sys.path.insert(0, str(ROOT / "tests"))
from harness.gateway import limits, listener, match, respond, route, snapshot

Json = dict[str, Any]
PEERS = Path(__file__).parent / "peers"
MODULES = "/usr/lib/nginx/modules"
DESCRIPTORS = 20_000
"""What one descriptor table holds at most where the hard limit cannot be raised."""
PER_TABLE = 18_000


@dataclass(frozen=True)
class Setup:
    """What a hub is started for."""

    directory: Path
    core: int | None
    connections: int = 10_000
    rooms: int = 1
    redis: int | None = None
    small: bool = False
    """Only for its memory: for a hundred connections."""

    @property
    def tables(self) -> int:
        """Descriptor tables that so many connections take."""
        return -(-self.connections // PER_TABLE)


def tables_of(connections: int) -> int:
    """Threads of the client for so many connections."""
    return -(-connections // PER_TABLE)


@dataclass(frozen=True)
class Hub:
    """One hub of the table."""

    name: str
    start: Callable[[Setup], Running]
    version: Callable[[], str]
    """Raises Missing where the hub cannot be had."""
    most: int
    """Connections that one instance takes here."""
    publish: tuple[str, ...] = ("--publish-ws", "/r/{room}")
    redis: bool = False
    """It can be fed by Redis."""


def _own(name: str) -> str:
    built = "" if find(name).parent.name == "release" else " (not a release build)"
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (head.stdout.strip() or "unknown") + built


def _listening(command: list[str], setup: Setup) -> Running:
    log = (setup.directory / "stderr").open("w")
    with log:
        process = spawn(command, setup.core, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        return Running(process, first_line(process, process.stdout).split()[-1])
    except Failed as failed:
        raise Failed(f"{failed}: {(setup.directory / 'stderr').read_text()[-500:]}") from None


def _on_port(command: list[str], port: int, setup: Setup, env: dict[str, str] | None = None) -> Running:
    log = (setup.directory / "stderr").open("w")
    environment = {**os.environ, **(env or {})}
    with log:
        process = spawn(
            command, setup.core, stdout=subprocess.DEVNULL, stderr=log, env=environment, cwd=setup.directory
        )
    try:
        wait_until_it_answers(port, process)
    except Failed as failed:
        raise Failed(f"{failed}: {(setup.directory / 'stderr').read_text()[-500:]}") from None
    return Running(process, f"127.0.0.1:{port}")


def _floor(setup: Setup, *plant: str) -> Running:
    return _listening([str(find("fastgate-hub-floor")), "--threads", str(setup.tables), *plant], setup)


def _dropping(setup: Setup) -> Running:
    return _floor(setup, "--plant", "drop", "--every", "1000")


def endpoint(**changes: Any) -> Json:
    """The action of an endpoint: rooms by path, members publish, nothing limited that the other hubs do not limit."""
    return {
        "realtime": {
            "channels": ["room:{room}"],
            "source": "local",
            "format": "text",
            "wrap": False,
            "websocket": True,
            "sse": False,
            "publish": {"rate": 1_000_000, "burst": 1_000_000, "echo": False},
            "max_members": 0,
            "max_message": 1024 * 1024,
            "queue": {"bytes": 1024 * 1024, "when_full": "disconnect"},
            "origins": "any",
            "deflate": False,
        }
        | changes
    }


def hub_snapshot(connections: int, workers: int, *, redis: int | None = None, ping_ms: int = 25_000) -> Json:
    """The engine's snapshot: `/r/{room}` for subscribers, everything else answered directly."""
    source = "local" if redis is None else "redis"
    plain = snapshot(
        routes=[
            route("rooms", endpoint(source=source), match(path="/r/{room}")),
            route("http", respond(200), match(prefix="/")),
        ],
        listeners=[listener(serves={"http": True, "realtime": True, "publish": False})],
        workers=workers,
        process=limits(max_connections=connections + 200, connection_age_ms=0),
    )
    broker = {"url": f"redis://127.0.0.1:{redis}/0", "username": None, "password": None, "cluster": False}
    plain["realtime"] = {
        "ping_ms": ping_ms,
        "pong_ms": 10_000,
        "keys": [],
        "redis": None if redis is None else broker | {"ca": None, "prefix": ""},
    }
    return plain


def _engine(setup: Setup) -> Running:
    connections = 100 if setup.small else setup.connections + setup.rooms
    file = setup.directory / "snapshot.json"
    file.write_text(json.dumps(hub_snapshot(connections, setup.tables, redis=setup.redis)))
    return _listening([str(find("fastgate-engine")), str(file)], setup)


def _node_modules() -> Path:
    folder = PEERS / "node_modules"
    if not (folder / "@trufflesuite" / "uws-js-unofficial").is_dir():
        raise Missing("uWebSockets is not installed: `npm install --prefix bench/realtime/peers`")
    return folder


def _uws(setup: Setup) -> Running:
    _node_modules()
    port = free_port()
    env = {"PORT": str(port)}
    if setup.redis is not None:
        env |= {"REDIS_PORT": str(setup.redis), "CHANNELS": str(setup.rooms)}
    return _on_port([program("node"), str(PEERS / "uws.js")], port, setup, env)


def _uws_version() -> str:
    program("node")
    package = json.loads((_node_modules() / "@trufflesuite" / "uws-js-unofficial" / "package.json").read_text())
    return str(package["version"])


def _nchan(setup: Setup) -> Running:
    port = free_port()
    values = {"PORT": port, "DIR": setup.directory, "MODULES": MODULES, "WORKERS": setup.tables}
    values |= {"DESCRIPTORS": DESCRIPTORS, "CONNECTIONS": DESCRIPTORS - 100}
    text = (PEERS / "nchan.conf").read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    file = setup.directory / "nchan.conf"
    file.write_text(text)
    return _on_port([program("nginx"), "-p", str(setup.directory), "-c", str(file)], port, setup)


def _nchan_version() -> str:
    program("nginx")
    if not Path(MODULES, "ngx_nchan_module.so").is_file():
        raise Missing("nchan is not installed: Debian's libnginx-mod-nchan")
    asked = ["dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-nchan"]
    if not shutil.which("dpkg-query"):
        return "unknown"
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout or "unknown"


def _redis_version() -> str:
    said = subprocess.run([program("redis-server"), "--version"], capture_output=True, text=True, check=False)
    return next((word[2:] for word in said.stdout.split() if word.startswith("v=")), "unknown")


def _no_hub(_: Setup) -> Running:
    raise Failed("Redis alone is no hub")


REDIS_ALONE = Hub("redis", _no_hub, _redis_version, 1, redis=True)
"""What stands in the place of a hub where Redis itself is measured."""

DROPPING = Hub("dropping", _dropping, lambda: _own("fastgate-hub-floor"), 1_000_000)
"""The floor, but one of 1,000 deliveries is left out: the client must notice."""

HUBS = {
    hub.name: hub
    for hub in (
        Hub("floor", _floor, lambda: _own("fastgate-hub-floor"), 1_000_000),
        Hub("fastgate", _engine, lambda: _own("fastgate-engine"), 1_000_000, redis=True),
        Hub("uwebsockets", _uws, _uws_version, PER_TABLE, redis=True),
        Hub("nchan", _nchan, _nchan_version, 1_000_000, publish=("--publish-http", "/publish/{room}")),
    )
}


class Redis:
    """A Redis server of its own, without persistence."""

    def __init__(self, core: int | None) -> None:
        self.port = free_port()
        command = [program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--protected-mode", "no", "--client-output-buffer-limit", "pubsub 0 0 0"]
        quiet = subprocess.DEVNULL
        self._process = spawn(command, core, stdout=quiet, stderr=quiet)
        self._await()

    def _await(self) -> None:
        limit = time.monotonic() + 10
        while time.monotonic() < limit and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            select.select([], [], [], 0.02)  # no event tells when it is ready
        self.stop()
        raise Failed("redis-server does not answer")

    @property
    def process(self) -> subprocess.Popen[str]:
        """Its process."""
        return self._process

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

"""How each gateway is started: its program, its config out of peers/, its version."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.binaries import ROOT, Missing, find
from bench.load.process import Failed, first_line, free_port, spawn, wait_until_it_answers

sys.path.insert(0, str(ROOT / "tests"))
from harness.gateway import limits, match, route, snapshot

PEERS = Path(__file__).parent / "peers"
DESCRIPTORS = 20_000


@dataclass
class Running:
    """A started gateway."""

    process: subprocess.Popen[str]
    address: str

    def stop(self) -> None:
        """Ends it; what does not drain within 5 s is killed."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


@dataclass(frozen=True)
class Certificate:
    """Files in PEM: the authority to trust, a server's certificate for localhost (ECDSA P-256) and its key."""

    ca: Path
    cert: Path
    key: Path


def certificate(directory: Path) -> Certificate:
    """A new one; raises Missing where it cannot be made."""
    subprocess.run(
        [program("fastgate"), "certs", "dev", "--dir", str(directory)], check=True, capture_output=True, timeout=60
    )
    for file in directory.iterdir():
        file.chmod(0o644)  # nginx's workers run as another user
    return Certificate(directory / "ca.pem", directory / "server.pem", directory / "server-key.pem")


@dataclass(frozen=True)
class Setup:
    """What a gateway is started for."""

    origin: str
    directory: Path
    routes: int = 0
    core: int | None = None
    max_connections: int = 15_000
    certificate: Certificate | None = None
    """Serves TLS with it."""


@dataclass(frozen=True)
class Gateway:
    """One gateway of the table."""

    name: str
    start: Callable[[Setup], Running]
    version: Callable[[], str]
    """Raises Missing where the gateway cannot be had."""


def program(name: str) -> str:
    """The path of a program, beside this Python first; raises Missing."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=places)
    if not found:
        raise Missing(f"{name} is not installed")
    return found


def _first_match(pattern: str, *command: str) -> str:
    done = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True, timeout=20, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"


def _own(name: str) -> str:
    find(name)
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return head.stdout.strip() or "unknown"


# ours and the floor: they say where they listen


def listening(command: list[str], setup: Setup) -> Running:
    """Starts what says `listening … ADDRESS` in its first line."""
    pipe = subprocess.PIPE
    process = spawn(command, setup.core, stdout=pipe, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    return Running(process, first_line(process, process.stdout).split()[-1])


def _floor(setup: Setup) -> Running:
    return listening([str(find("fastgate-floor")), "--to", setup.origin], setup)


def _snapshot(setup: Setup) -> dict[str, Any]:
    routes = [route(f"r{i}", "origin", match(prefix=f"/r{i}")) for i in range(setup.routes)]
    return snapshot(
        f"http://{setup.origin}",
        routes=[*routes, route("all", "origin", match(prefix="/"))],
        workers=1,
        process=limits(max_connections=setup.max_connections),
    )


def _engine(setup: Setup) -> Running:
    file = setup.directory / "snapshot.json"
    plain = _snapshot(setup)
    plain["services"][0]["pool"]["max_per_target"] = 4096
    if setup.certificate:
        pair = {"cert": str(setup.certificate.cert), "key": str(setup.certificate.key)}
        plain["listeners"][0]["tls"] = {"certificates": [pair], "client_auth": None, "min_version": "1.2"}
    file.write_text(json.dumps(plain))
    return listening([str(find("fastgate-engine")), str(file)], setup)


def _command(setup: Setup) -> Running:
    port = free_port()
    routes: dict[str, Any] = {
        f"r{i}": {"match": {"prefix": f"/r{i}"}, "service": "origin"} for i in range(setup.routes)
    }
    config = {
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "limits": {"max_connections": setup.max_connections},
        "services": {"origin": {"targets": [f"http://{setup.origin}"]}},
        "routes": routes | {"all": {"match": {"prefix": "/"}, "service": "origin"}},
    }
    file = setup.directory / "fastgate.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    return _on_port([program("fastgate"), "run", str(file)], port, setup)


# peers: they are told where to listen


def render(name: str, setup: Setup, port: int, **values: str) -> Path:
    """Writes the config of a peer: `@NAME@` replaced, a line after `#each` repeated for every route."""
    host, _, origin_port = setup.origin.rpartition(":")
    values |= {"PORT": str(port), "ORIGIN": setup.origin, "ORIGIN_HOST": host, "ORIGIN_PORT": origin_port}
    values |= {"DIR": str(setup.directory), "DESCRIPTORS": str(DESCRIPTORS)}
    text = (PEERS / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)

    def each(found: re.Match[str]) -> str:
        line = found[1] + found[2].replace("\\n", "\n") + "\n"
        return "".join(line.replace("@I@", str(i)) for i in range(setup.routes))

    target = setup.directory / name
    target.write_text(re.sub(r"^([ \t]*)#each (.*)\n", each, text, flags=re.MULTILINE))
    return target


def _on_port(command: list[str], port: int, setup: Setup, env: dict[str, str] | None = None) -> Running:
    quiet = subprocess.DEVNULL
    environment = {**os.environ, "HOME": str(setup.directory), "XDG_DATA_HOME": str(setup.directory), **(env or {})}
    log = (setup.directory / "stderr").open("w")
    with log:
        process = spawn(command, setup.core, stdout=quiet, stderr=log, env=environment, cwd=setup.directory)
    try:
        wait_until_it_answers(port, process, 400 if setup.certificate else 200)
    except Failed as failed:
        raise Failed(f"{failed}: {(setup.directory / 'stderr').read_text()[-500:]}") from None
    return Running(process, f"127.0.0.1:{port}")


def _nginx(setup: Setup) -> Running:
    port = free_port()
    of = setup.certificate
    tls = f"ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {of.cert}; ssl_certificate_key {of.key};" if of else ""
    file = render("nginx.conf", setup, port, SSL="ssl" if of else "", TLS=tls)
    return _on_port([program("nginx"), "-p", str(setup.directory), "-c", str(file)], port, setup)


def _haproxy(setup: Setup) -> Running:
    port = free_port()
    routes = f"use_backend %[path,map_beg({render('haproxy.map', setup, port)})]" if setup.routes else ""
    return _on_port(
        [program("haproxy"), "-db", "-f", str(render("haproxy.cfg", setup, port, ROUTES=routes))], port, setup
    )


def _envoy(setup: Setup) -> Running:
    port = free_port()
    options = ["--concurrency", "1", "--log-level", "critical", "--disable-hot-restart"]
    return _on_port([program("envoy"), "-c", str(render("envoy.yaml", setup, port)), *options], port, setup)


def _traefik(setup: Setup) -> Running:
    port = free_port()
    render("traefik-routes.yaml", setup, port)
    file = render("traefik.yaml", setup, port)
    return _on_port([program("traefik"), f"--configFile={file}"], port, setup, {"GOMAXPROCS": "1"})


def _caddy(setup: Setup) -> Running:
    port = free_port()
    file = render("Caddyfile", setup, port)
    command = [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]
    return _on_port(command, port, setup, {"GOMAXPROCS": "1"})


def _cli_version() -> str:
    return _first_match(r"(\d+\.\d+\S*)", "fastgate", "--version")


GATEWAYS = {
    gateway.name: gateway
    for gateway in (
        Gateway("floor", _floor, lambda: _own("fastgate-floor")),
        Gateway("fastgate", _engine, lambda: _own("fastgate-engine")),
        Gateway("fastgate-run", _command, _cli_version),
        Gateway("nginx", _nginx, lambda: _first_match(r"nginx/(\S+)", "nginx", "-v")),
        Gateway("haproxy", _haproxy, lambda: _first_match(r"version (\S+)", "haproxy", "-v")),
        Gateway("envoy", _envoy, lambda: _first_match(r"/(\d+\.\d+\.\d+)", "envoy", "--version")),
        Gateway("traefik", _traefik, lambda: _first_match(r"Version:\s+(\S+)", "traefik", "version")),
        Gateway("caddy", _caddy, lambda: _first_match(r"v?(\d+\.\d+\.\d+)", "caddy", "version")),
    )
}

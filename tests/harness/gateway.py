"""Builds snapshots from a few words and runs the bare engine binary on them.

The binary prints `listening NAME ADDRESS` for each listener, answers SIGUSR1 with a `stats {…}` line, rereads its
snapshot at SIGHUP (`reloaded`, or `not reloaded: REASON`) and drains at SIGTERM. A gateway that ends with another code
than 0, or speaks of a panic, fails its test.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

from harness.client import Client, wait_for

Json = dict[str, Any]
DEADLINE = 10.0
SMALL_PAGES = (
    sys.executable,
    "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(41, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])",
)
"""`wrap` for tests of memory: without pages of 2 MiB (PR_SET_THP_DISABLE), of which one byte counts whole."""
_ROOT = Path(__file__).resolve().parents[2]


class EngineMissing(Exception):
    """The engine binary has not been built."""


def engine_binary() -> Path:
    """FASTGATE_ENGINE_BIN, else the release build, else the debug build."""
    named = os.environ.get("FASTGATE_ENGINE_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", _ROOT / "rust_ext" / "target"))
    places = [Path(named)] if named else [target / kind / "fastgate-engine" for kind in ("release", "debug")]
    for place in places:
        if place.is_file():
            return place
    raise EngineMissing(f"no engine binary at {' or '.join(map(str, places))}: cargo build -p fastgate-engine")


# the snapshot, with the documented defaults


def limits(**changes: Any) -> Json:
    """Process limits as `design/config.md` ships them."""
    return {
        "max_connections": 10_000,
        "headers": 32 * 1024,
        "header_count": 100,
        "uri": 8 * 1024,
        "header_timeout_ms": 10_000,
        "write_stall_ms": 30_000,
        "body_min_rate": 100,
        "connection_age_ms": 3_600_000,
        "accept_rate": 0,
    } | changes


def listener(name: str = "public", **changes: Any) -> Json:
    """A listener on a free loopback port."""
    return {
        "name": name,
        "bind": "127.0.0.1:0",
        "trusted_proxies": [],
        "encoded_slash": "refuse",
        "dot_segments": "refuse",
        "underscore_headers": "drop",
        "serves": {"http": True, "realtime": False, "publish": False},
    } | changes


def target(url: str) -> Json:
    """A target from `http://HOST[:PORT]` or `unix:/path`."""
    if url.startswith("unix:"):
        return {"url": url, "address": {"unix": url.removeprefix("unix:")}, "authority": "localhost", "weight": 1}
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    numeric = ":" in host or host.replace(".", "").isdigit()
    address = {"ip": {"ip": host, "port": port}} if numeric else {"name": {"name": host, "port": port}}
    return {"url": url, "address": address, "authority": parts.netloc, "weight": 1}


def service(name: str, *urls: str, max_per_target: int = 256, idle_ms: int = 60_000) -> Json:
    """A service over these targets."""
    pool = {"max_per_target": max_per_target, "idle_ms": idle_ms}
    return {"name": name, "targets": [target(u) for u in urls], "balance": "round_robin", "pool": pool}


def match(**parts: Any) -> Json:
    """One way to match: `prefix=`, `path=` or `regex=`, and hosts, methods, headers, query, client_ip."""
    path = next(({kind: parts.pop(kind)} for kind in ("prefix", "path", "regex") if kind in parts), None)
    return {"path": path, "hosts": [], "methods": [], "headers": {}, "query": {}, "client_ip": []} | parts


def route(name: str, action: Json | str, *matches: Json, **changes: Any) -> Json:
    """A route; a text as action names a service. `timeouts` may be given in part."""
    timeouts = {"connect_ms": 1_000, "response_ms": 30_000, "idle_ms": 60_000} | changes.pop("timeouts", {})
    edits: Json = {"set": [], "add": [], "remove": []}
    return {
        "name": name,
        "priority": 0,
        "matches": list(matches) or [match()],
        "listeners": None,
        "action": {"service": action} if isinstance(action, str) else action,
        "rewrite": None,
        "host": "keep",
        "half_close_keep": False,
        "upgrade": ["websocket"],
        "timeouts": timeouts,
        "max_body": None,
        "request_headers": edits | changes.pop("request_headers", {}),
        "response_headers": edits | changes.pop("response_headers", {}),
        "on_request": False,
        "held_bytes": 256 * 1024,
    } | changes


def respond(status: int, body: str | None = None, headers: Iterable[tuple[str, str]] = ()) -> Json:
    """The action of a fixed answer."""
    return {"respond": {"status": status, "headers": [list(h) for h in headers], "body": body}}


def redirect(to: str, status: int = 308) -> Json:
    """The action of a redirect."""
    return {"redirect": {"to": to, "status": status}}


def static(root: str | os.PathLike[str], **changes: Any) -> Json:
    """The action of a folder's files."""
    return {"static": {"root": str(root), "index": ["index.html"]} | changes}


def snapshot(
    to: str | Iterable[str] = (),
    *,
    routes: Iterable[Json] | None = None,
    services: Iterable[Json] = (),
    listeners: Iterable[Json] | None = None,
    workers: int | None = None,
    reserved: Iterable[str] = (),
    shutdown: Json | None = None,
    process: Json | None = None,
    route_options: Json | None = None,
) -> Json:
    """A whole snapshot. `to`: targets of the service `origin`; without `routes` everything goes there."""
    urls = [to] if isinstance(to, str) else list(to)
    all_services = [*([service("origin", *urls)] if urls else []), *services]
    if routes is None:
        routes = [route("all", "origin", match(prefix="/"), **(route_options or {}))]
    return {
        "version": 1,
        "workers": int(os.environ.get("FASTGATE_TEST_WORKERS", "2")) if workers is None else workers,
        "private_descriptors": os.environ.get("FASTGATE_TEST_PRIVATE_DESCRIPTORS") == "1",
        "limits": limits(**(process or {})),
        "shutdown": {"notice_ms": 0, "limit_ms": 5_000} | (shutdown or {}),
        "listeners": [listener()] if listeners is None else list(listeners),
        "services": all_services,
        "routes": list(routes),
        "reserved_headers": list(reserved),
    }


class Gateway:
    """One running engine; `with Gateway(snapshot(origin.url)) as gateway:`."""

    def __init__(self, snap: Json, *, wrap: Iterable[str] = (), env: dict[str, str] | None = None) -> None:
        self.snapshot = copy.deepcopy(snap)
        self._directory = tempfile.TemporaryDirectory(prefix="fastgate-test-")
        self._file = Path(self._directory.name) / "snapshot.json"
        self._write(self.snapshot)
        self.addresses: dict[str, str] = {}
        self.out: list[str] = []
        self.err: list[str] = []
        self._changed = threading.Condition()
        self._stopped = False
        self.closing = ExitStack()
        """What ends before the gateway does."""
        self.process = subprocess.Popen(
            [*wrap, str(engine_binary()), str(self._file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "RUST_BACKTRACE": "1", **(env or {})},
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._threads = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def start(self) -> Gateway:
        """Waits for every listener; raises with what the engine said if it ends first."""
        count = len(self.snapshot["listeners"])
        try:
            self._await(lambda: len(self.addresses) >= count or self.process.poll() is not None, "its listeners")
        except AssertionError:
            self.kill()
            raise
        if self.process.poll() is not None and len(self.addresses) < count:
            raise AssertionError(f"the engine ended with {self.wait_exit()}: {self.errors()!r}")
        return self

    def __enter__(self) -> Gateway:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.close()
        if kind is None:
            self.stop()
        else:  # keep the first failure in sight
            try:
                self.stop()
            except AssertionError as second:
                if error is not None:
                    error.add_note(f"and the gateway: {second}")

    # what it is

    @property
    def address(self) -> str:
        """The first listener's address."""
        return self.addresses[self.snapshot["listeners"][0]["name"]]

    def client(self, name: str | None = None, *, timeout: float = DEADLINE) -> Client:
        """A connection to a listener, the first one by default."""
        return Client(self.address if name is None else self.addresses[name], timeout=timeout)

    def errors(self) -> str:
        """Everything on its standard error so far."""
        return "\n".join(self.err)

    def stats(self) -> Json:
        """Its counters, asked for by SIGUSR1."""
        with self._changed:
            seen = len(self._said("stats "))
        self.process.send_signal(signal.SIGUSR1)
        self._await(lambda: len(self._said("stats ")) > seen, "a stats line")
        parsed: Json = json.loads(self._said("stats ")[-1].removeprefix("stats "))
        return parsed

    def _said(self, *starts: str) -> list[str]:
        return [text for text in self.out if text.startswith(starts)]

    def rss(self) -> int:
        """Resident bytes of its own: not the pages of its program, which come with the first use of its code."""
        return self._status("RssAnon")

    def watch(self) -> int:
        """Resident bytes now; from now on the kernel keeps their `peak`."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self._status("VmRSS")

    def peak(self) -> int:
        """Most resident bytes since `watch`, pages of its program included: its code should have run before."""
        return self._status("VmHWM")

    def _status(self, key: str) -> int:
        for text in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if text.startswith(f"{key}:"):
                return int(text.split()[1]) * 1024
        raise AssertionError(f"no {key}")

    def descriptors(self) -> int:
        """Open descriptors, over every descriptor table of the process (workers may have private ones)."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return max(len(list((task / "fd").iterdir())) for task in tasks.iterdir())

    # what is done to it

    def reload(self, snap: Json) -> bool:
        """Puts another snapshot in the file's place, sends SIGHUP and waits; False when the engine refused it."""
        self._write(snap)
        with self._changed:
            seen = len(self._said("reloaded", "not reloaded"))
        self.process.send_signal(signal.SIGHUP)
        self._await(lambda: len(self._said("reloaded", "not reloaded")) > seen, "an end of the reload")
        done = self._said("reloaded", "not reloaded")[-1].startswith("reloaded")
        if done:
            self.snapshot = snap
        return done

    def terminate(self) -> None:
        """Sends SIGTERM (drain)."""
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, timeout: float = DEADLINE) -> int:
        """Its exit code."""
        code = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(timeout)
        return code

    def wait_output(self, text: str, timeout: float = DEADLINE) -> None:
        """Returns once a line on either stream contains the text."""
        self._await(lambda: any(text in line for line in (*self.out, *self.err)), repr(text), timeout)

    def stop(self, timeout: float = DEADLINE) -> None:
        """Drains and asserts a clean end: code 0, no panic."""
        if self._stopped:
            return
        self._stopped = True
        try:
            if self.process.poll() is None:
                self.terminate()
            code = self.wait_exit(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait_exit()
            raise AssertionError(f"the engine did not end within {timeout} s of SIGTERM: {self.errors()!r}") from None
        finally:
            self._directory.cleanup()
        assert code == 0, f"exit code {code}: {self.errors()!r}"
        assert "panic" not in self.errors().lower(), self.errors()

    def kill(self) -> None:
        """Ends it without asking; only for tests whose subject is the end itself."""
        self._stopped = True
        if self.process.poll() is None:
            self.process.kill()
        self.wait_exit()
        self._directory.cleanup()

    # the rest

    def _write(self, snap: Json) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(snap))
        fresh.replace(self._file)

    def _collect(self, stream: IO[str], lines: list[str]) -> None:
        for raw in iter(stream.readline, ""):
            text = raw.rstrip("\n")
            with self._changed:
                lines.append(text)
                word, _, rest = text.partition(" ")
                if word == "listening" and " " in rest:
                    name, _, address = rest.partition(" ")
                    self.addresses[name] = address
                self._changed.notify_all()
        stream.close()
        with self._changed:
            self._changed.notify_all()

    def _await(self, condition: Callable[[], bool], what: str, timeout: float = DEADLINE) -> None:
        with self._changed:
            done = self._changed.wait_for(condition, timeout)
        if not done and not condition():
            raise AssertionError(f"the engine did not give {what} within {timeout} s; it said: {self.errors()!r}")


def refused(snap: Json) -> tuple[int, str]:
    """Starts an engine that must not come up; its exit code and standard error."""
    gateway = Gateway(snap)
    try:
        return gateway.wait_exit(), gateway.errors()
    finally:
        gateway.kill()


def wait_for_answer(gateway: Gateway, request: bytes, body: bytes, timeout: float = DEADLINE) -> None:
    """Asks on new connections until the answer has this body (a reload has no event that a client could see)."""

    def answered() -> bool:
        with gateway.client() as client:
            return client.exchange(request).body == body

    wait_for(answered, f"an answer of {body!r}", timeout)

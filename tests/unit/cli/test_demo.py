"""`fastgate demo`: every command it prints is run as printed, its config is the one it says, and it ends cleanly."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness.client import Client
from harness.product import COMMAND, Product

from fastgate import config
from fastgate._demo import websocket
from fastgate._demo.commands import COMMANDS, LOOKS
from fastgate._demo.origins import Origin
from fastgate.cli.demo import demo_config

DEADLINE = 30.0
LAST = "/events"
Start = Callable[..., "Demo"]


class Demo(Product):
    """A demo in a process of its own, up to the last line of its page."""

    def __init__(self, bind: str = "127.0.0.1:0") -> None:
        self.temporary = tempfile.TemporaryDirectory(prefix="demo-")
        super().__init__("demo", "--bind", bind, folder=Path(self.temporary.name), command=COMMAND)
        last = self.wait_for(rf"curl .*{LAST}").string
        self.page = self.out[: self.out.index(last) + 1]

    @property
    def base(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", "\n".join(self.page))
        assert found is not None
        return found[0]

    @property
    def address(self) -> str:
        return self.base.removeprefix("http://")

    @property
    def file(self) -> Path:
        return Path(next(line for line in self.page if "config: " in line).partition("config: ")[2])

    def commands(self) -> list[list[str]]:
        """What stands on the page, as a shell would read it."""
        return [shlex.split(line, comments=True) for line in self.page if line.strip().startswith("curl ")]

    def close(self) -> None:
        super().close()
        self.temporary.cleanup()


@pytest.fixture
def start_demo() -> Iterator[Start]:
    with ExitStack() as stack:

        def start(*words: str) -> Demo:
            demo = Demo(*words)
            stack.callback(demo.close)
            return demo

        yield start


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    running = Demo()
    yield running
    assert running.end() == 0, running.said
    assert not any("Traceback" in line for line in running.said)
    assert not running.file.exists(), "the config's folder was left behind"
    running.close()


def run(words: list[str]) -> tuple[int, str]:
    """Runs a command of the page with curl, or where there is none with the harness's client; status and the rest."""
    if shutil.which("curl") is not None:
        done = subprocess.run(words, capture_output=True, timeout=DEADLINE, check=False)
        assert done.returncode in (0, 28), (words, done.stderr)  # 28: the one that ends a tunnel after its second
        text = done.stdout.decode(errors="replace")
        return int(text.split()[1]), text
    fields, body, method, url = [], b"", "GET", words[-1]
    for option, value in itertools.pairwise(words):
        if option == "-H":
            fields.append(value)
        elif option == "-d":
            body, method = value.encode(), "POST"
        elif option == "-X":
            method = value
    address, _, path = url.removeprefix("http://").partition("/")
    if not any(field.startswith("Host:") for field in fields):
        fields.insert(0, f"Host: {address}")
    head = "\r\n".join([f"{method} /{path} HTTP/1.1", *fields, f"Content-Length: {len(body)}", "\r\n"])
    with Client(address, timeout=DEADLINE) as client:
        answer = client.exchange(head.encode() + body, method)
        return answer.status, (answer.head + answer.body).decode(errors="replace")


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=lambda n: f"{COMMANDS[n].status}-{COMMANDS[n].path}")
def test_every_command_of_the_page_answers(number: int, demo: Demo) -> None:
    command, words = COMMANDS[number], demo.commands()[number]
    assert words == shlex.split(command.line(demo.address))
    assert f"# {command.shows}" in "\n".join(demo.page)
    status, text = run(words)
    assert status == command.status, text


@pytest.mark.parametrize("number", range(len(LOOKS)), ids=lambda n: LOOKS[n][0].split()[0])
def test_the_commands_of_fastgate_work_too(number: int, demo: Demo) -> None:
    lines = [line for line in demo.page if line.strip().startswith("fastgate ") and len(line.split()) > 2]
    (words,) = (
        shlex.split(line, comments=True)[1:] for line in lines if line.split()[1] == LOOKS[number][0].split()[0]
    )
    done = demo.tell(*words)
    assert done.returncode == 0, done.stderr
    assert {"routes": "too-slow", "explain": "members", "status": "ready"}[words[0]] in done.stdout


def seen(demo: Demo, path: str, *fields: str, method: str = "GET") -> dict[str, Any]:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {demo.address}", *fields, "\r\n"]
    with Client(demo.address, timeout=DEADLINE) as client:
        found: dict[str, Any] = json.loads(client.exchange("\r\n".join(lines).encode(), method).body)
        return found


def test_the_page_lists_every_command(demo: Demo) -> None:
    assert len(demo.commands()) == len(COMMANDS)
    assert not any("\x1b" in line or "@" in line for line in demo.page)


def test_what_the_routes_do(demo: Demo) -> None:
    assert {seen(demo, "/")["origin"] for _ in range(4)} == {"one", "two"}
    user = seen(demo, "/users/7", "User-Agent: test")
    assert user["headers"]["X-Demo"] == "one-user"
    assert "User-Agent" not in user["headers"]
    assert seen(demo, "/teams/blue/members/7")["path"] == "/members/7/of/blue"
    assert seen(demo, "/api/anything?x=1")["path"] == "/anything?x=1"
    assert seen(demo, "/hello", "X-Beta: 1")["origin"] == "live"
    chunked = (
        b"POST /api/x HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    with Client(demo.address, timeout=DEADLINE) as client:
        for _ in range(2):  # a body read in part would be the next request
            assert json.loads(client.exchange(chunked, "POST").body)["body"] == "abcde"
    with Client(demo.address, timeout=DEADLINE) as client:
        page = client.exchange(b"GET /files/ HTTP/1.1\r\nHost: demo\r\n\r\n")
        assert (page.get("content-type") or b"").startswith(b"text/html")
        assert b"new WebSocket(" in page.body


def test_the_stream_comes_in_pieces(demo: Demo) -> None:
    with Client(demo.address, timeout=DEADLINE) as client:
        client.send(b"GET /events HTTP/1.1\r\nHost: demo\r\n\r\n")
        answer = client.final()
        assert answer.body.count(b"data: event") == 5
        assert answer.get("content-type") == b"text/event-stream"


def test_a_websocket_echoes_through_the_gateway(demo: Demo) -> None:
    with Client(demo.address, timeout=DEADLINE) as client:
        handshake(client)
        for content in (b"hello", b"x" * 70_000, "größer".encode()):
            client.send(frame(0x1, content))
            assert receive(client) == (0x1, content)
        client.send(frame(0x8, (1000).to_bytes(2, "big")))
        assert receive(client) == (0x8, (1000).to_bytes(2, "big"))


def test_its_config_is_what_it_runs(demo: Demo) -> None:
    loaded = config.load(demo.file)
    assert not loaded.warnings
    assert [listener.bind for listener in loaded.config.listeners.values()] == ["127.0.0.1:0"]
    text = demo.file.read_text(encoding="utf-8")
    assert f"kill -HUP {demo.process.pid}" in text
    assert "@" not in text
    kinds = ("strip_prefix", "rewrite", "redirect", "respond", "response_headers", "hosts", "headers", "timeouts")
    assert all(f"{kind}:" in text for kind in kinds)


def test_its_config_can_be_changed_while_it_runs(start_demo: Start) -> None:
    running = start_demo()
    text = running.file.read_text(encoding="utf-8")
    running.file.write_text(text.replace('"pong\\n"', '"changed\\n"'), encoding="utf-8")
    running.signal(signal.SIGHUP)
    running.wait_for("reloaded")
    with Client(running.address, timeout=DEADLINE) as client:
        assert client.exchange(b"GET /ping HTTP/1.1\r\nHost: demo\r\n\r\n").body == b"changed\n"
    assert running.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_an_open_tunnel_and_a_slow_request(number: signal.Signals, start_demo: Start) -> None:
    running = start_demo()
    with Client(running.address, timeout=DEADLINE) as tunnel, Client(running.address, timeout=DEADLINE) as slow:
        handshake(tunnel)
        slow.send(b"GET /slow HTTP/1.1\r\nHost: demo\r\n\r\n")
        assert running.end(number) == 0, running.said
        assert not any("Traceback" in line for line in running.said)
    assert not running.file.exists()


def test_it_listens_on_a_unix_socket_too(tmp_path: Path, start_demo: Start) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    running = start_demo(f"unix:{tmp_path}/demo.sock")
    words = running.commands()[1]
    assert words == ["curl", "-i", "--unix-socket", f"{tmp_path}/demo.sock", "http://localhost/ping"]
    assert run(words)[0] == 200
    assert running.end() == 0


@pytest.mark.parametrize(
    ("address", "url"),
    [("0.0.0.0:80", "http://127.0.0.1:80/ping"), ("[::]:80", "'http://[::1]:80/ping'"), ("h:1", "http://h:1/ping")],
)
def test_what_listens_everywhere_is_asked_here(address: str, url: str) -> None:
    assert COMMANDS[1].line(address) == f"curl -i {url}"


def test_an_ipv6_address_is_no_list(tmp_path: Path) -> None:
    values = {name: f"http://{name.lower()}" for name in ("ONE", "TWO", "LIVE", "GONE")}
    file = tmp_path / "fastgate.yaml"
    file.write_text(demo_config({**values, "BIND": "[::1]:0", "WWW": f"{tmp_path}/a: b"}), encoding="utf-8")
    loaded = config.load(file).config
    assert loaded.listeners["public"].bind == "[::1]:0"
    static = loaded.routes["files"].static
    assert static is not None
    assert static.root == f"{tmp_path}/a: b"


def test_a_taken_port_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "fastgate", "demo"],
            env={**os.environ, "FASTGATE_BIND": address},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    assert address in sentence
    assert sentence.endswith("another address: fastgate demo --bind 127.0.0.1:8080")


def test_a_bad_address_names_the_file_and_the_line() -> None:
    words = [sys.executable, "-m", "fastgate", "demo", "--bind", "here"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert 'listeners.public.bind: found "here"' in done.stderr
    assert "Traceback" not in done.stderr


# the WebSocket origin alone


def frame(code: int, content: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    mask = b"\x01\x02\x03\x04"
    length = len(content)
    if length < 126:
        size = bytes((length,))
    else:
        size = b"\x7e" + length.to_bytes(2, "big") if length < 1 << 16 else b"\x7f" + length.to_bytes(8, "big")
    size = bytes((size[0] | 0x80 * masked,)) + size[1:]
    coded = bytes(byte ^ mask[i % 4] for i, byte in enumerate(content)) if masked else content
    return bytes((code | 0x80 * final,)) + size + mask * masked + coded


def receive(client: Client) -> tuple[int, bytes]:
    head = client.receive(2)
    assert head[0] & 0xF0 == 0x80
    assert not head[1] & 0x80, "a server must not mask"
    length = head[1]
    if length >= 126:
        length = int.from_bytes(client.receive(2 if length == 126 else 8), "big")
    return head[0] & 0x0F, client.receive(length)


def handshake(client: Client) -> None:
    key = base64.b64encode(bytes(range(16))).decode()
    fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    client.send(f"GET /chat HTTP/1.1\r\nHost: demo\r\n{fields}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
    answer = client.final()
    assert answer.status == 101
    assert answer.get("sec-websocket-accept") == websocket.accept(key).encode()
    assert receive(client) == (0x1, b"hello, say something")


def test_the_accept_value_is_the_rfcs() -> None:
    assert websocket.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (frame(0x9, b"ping"), (0xA, b"ping")),
        (frame(0x1, b"ab", final=False) + frame(0x0, b"cd"), (0x1, b"abcd")),
        (frame(0x1, b"a", final=False) + frame(0x9, b"") + frame(0x0, b"b"), (0xA, b"")),
        (frame(0xA, b"") + frame(0x2, b"\xff\x00"), (0x2, b"\xff\x00")),
        (frame(0x1, b"\xff"), (0x8, (1007).to_bytes(2, "big"))),
        (frame(0x1, b"a", masked=False), (0x8, (1002).to_bytes(2, "big"))),
        (frame(0x0, b"a"), (0x8, (1002).to_bytes(2, "big"))),
        (frame(0x3, b"a"), (0x8, (1002).to_bytes(2, "big"))),
        (frame(0x9, b"a" * 126), (0x8, (1002).to_bytes(2, "big"))),
        (frame(0x1, b"a", final=False) + frame(0x1, b"b"), (0x8, (1002).to_bytes(2, "big"))),
        (b"\x81\xff" + (1 << 40).to_bytes(8, "big"), (0x8, (1009).to_bytes(2, "big"))),
    ],
)
def test_the_echo_keeps_the_rules(sent: bytes, answered: tuple[int, bytes]) -> None:
    with Origin("alone") as origin, Client(origin.url.removeprefix("http://"), timeout=DEADLINE) as client:
        handshake(client)
        client.send(sent)
        assert receive(client) == answered


@pytest.mark.parametrize("key", ["", "short", "!" * 24, base64.b64encode(b"x" * 15).decode()])
def test_no_websocket_without_a_good_key(key: str) -> None:
    with Origin("alone") as origin, Client(origin.url.removeprefix("http://"), timeout=DEADLINE) as client:
        head = f"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        assert client.exchange(head.encode()).status == 426

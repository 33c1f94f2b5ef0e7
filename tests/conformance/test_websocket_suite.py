"""The public conformance suite of RFC 6455 and RFC 7692: fastgate as the server, and as a tunnel before one.

`FASTGATE_WEBSOCKET_SUITE=full` runs every case at the size it asks for (minutes); otherwise those of the limits and of
compression are sampled and send fewer messages.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from typing import Any

import pytest
from conformance.websocket_suite.cases import Suite
from conformance.websocket_suite.peer import Server, Verdict, accepted, run_cases
from harness import Gateway, snapshot
from harness.websocket import endpoint, everything, publishing
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, Request
from wsproto.extensions import PerMessageDeflate

from fastgate.primitives import (
    WebSocketParser,
    WebSocketViolation,
    parse_request,
    websocket_deflate,
    websocket_extensions,
    websocket_frame,
)

FULL = os.environ.get("FASTGATE_WEBSOCKET_SUITE") == "full"
# Of the limits (9) and of compression (12, 13): something of each row, and what is fragmented.
SAMPLED = re.compile(r"9\.(1\.2|2\.3|3\.5|4\.7|5\.4|6\.5|7\.[16]|8\.[36])|12\.\d\.(1|8|11)|13\.\d\.(3|11)")
HEAVY = ("9.", "12.", "13.")
MESSAGES = 0 if FULL else 10
BINARY = ("1.2.", "9.2.", "9.4.", "9.6.", "9.8.", "12.2.", "12.3.", "12.5.")


@pytest.fixture(scope="module")
def suite() -> Suite:
    if find_spec("autobahntestsuite") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("autobahntestsuite is not installed, and in CI it must run", pytrace=False)
        pytest.skip("autobahntestsuite is not installed")
    return Suite()


def chosen(suite: Suite) -> dict[str, type[Any]]:
    return {
        name: case
        for name, case in suite.cases.items()
        if FULL or not name.startswith(HEAVY) or SAMPLED.fullmatch(name)
    }


def run(cases: dict[str, type[Any]], port: int, path: str = "/") -> dict[str, Verdict]:
    """Every case on a channel of its own; few at once where much is sent."""
    numbers = itertools.count()

    def server(name: str) -> Server:
        form = "binary" if name.startswith(BINARY) else "text"
        return Server(port, path.format(form=form, number=next(numbers)))

    async def both() -> dict[str, Verdict]:
        heavy = {name: case for name, case in cases.items() if name.startswith(HEAVY)}
        light = {name: case for name, case in cases.items() if name not in heavy}
        verdicts = await run_cases(light, server, at_once=12, count=MESSAGES)
        return verdicts | await run_cases(heavy, server, at_once=3, count=MESSAGES)

    return asyncio.run(both())


def failures(verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    return {name: verdict for name, verdict in verdicts.items() if not verdict.passed}


@asynccontextmanager
async def until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """One connection of a server; its last frame is not to be lost with bytes that nobody reads."""
    try:
        yield
        writer.write_eof()
        while await asyncio.wait_for(reader.read(1 << 16), 2):
            pass
    except (ConnectionError, TimeoutError):
        pass  # the client is gone, or never goes
    finally:
        writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of an echo server made of wsproto: what comes is answered in its order."""
    connection = WSConnection(ConnectionType.SERVER)
    closing = False
    async with until_gone(reader, writer):
        while not closing and (data := await reader.read(1 << 16)):
            connection.receive_data(data)
            for event in connection.events():
                writer.writelines(answers(connection, event))
                if closing := isinstance(event, CloseConnection):
                    break
            await writer.drain()


def answers(connection: WSConnection, event: Event) -> Iterator[bytes]:
    """What an echo server sends at an event; the pieces of a message go back as they came."""
    if isinstance(event, Request):
        yield connection.send(AcceptConnection(extensions=[PerMessageDeflate()] if event.extensions else []))
    elif isinstance(event, Message):
        yield connection.send(event)
    elif isinstance(event, Ping | CloseConnection):
        yield connection.send(event.response())


async def codec_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of an echo server made of fastgate's codec and nothing else."""
    request = parse_request(await reader.readuntil(b"\r\n\r\n"))
    assert request is not None
    fields = [(name.lower(), value) for name, value in request.headers]
    key = dict(fields)["sec-websocket-key"].encode()
    extensions = websocket_extensions([value.encode() for name, value in fields if name == "sec-websocket-extensions"])
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accepted(key)}",
        *([f"Sec-WebSocket-Extensions: {extensions}"] if extensions else []),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    parser = WebSocketParser(max_message=32 << 20, deflate=extensions is not None)
    async with until_gone(reader, writer):
        while not parser.closed and (data := await reader.read(1 << 16)):
            try:
                events, violation = parser.feed(data), None
            except WebSocketViolation as broken:
                events, violation = broken.args[2], broken.args[0]
            for kind, content in events:
                if kind == "ping":
                    writer.write(websocket_frame(10, content))
                elif kind == "close":
                    writer.write(websocket_frame(8, b"" if content[0] is None else content[0].to_bytes(2, "big")))
                elif kind != "pong":
                    payload = content.encode() if kind == "text" else content
                    small = websocket_deflate(payload) if extensions else None
                    out = payload if small is None else small
                    writer.write(websocket_frame(1 if kind == "text" else 2, out, compressed=small is not None))
            if violation is not None:
                writer.write(websocket_frame(8, violation.to_bytes(2, "big")))
                break
            await writer.drain()


@contextmanager
def serving(start: Callable[[], Awaitable[Any]]) -> Iterator[int]:
    """Runs a server of asyncio in a thread; gives its port."""
    started: list[Any] = []
    ready = threading.Event()

    async def serve() -> None:
        stop = asyncio.get_running_loop().create_future()
        server = await start()
        started.extend([server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop])
        ready.set()
        await stop
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    port, loop, stop = started
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set_result, None)
        thread.join(10)


def port_of(gateway: Gateway) -> int:
    return int(gateway.address.rpartition(":")[2])


def test_the_suite_is_read_whole(suite: Suite) -> None:
    """A case that is not found would be a case that does not fail."""
    groups = Counter(name.split(".")[0] for name in suite.cases)
    expected = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1, "12": 90, "13": 126}
    assert {group: groups[group] for group in expected} == expected
    assert len(suite.cases) == sum(expected.values())
    assert FULL or len(chosen(suite)) == 286


def test_the_suite_judges_as_published() -> None:
    """What the makers of `websockets` write about their server and this suite comes out here too; so it can fail."""
    server = pytest.importorskip("websockets.asyncio.server")
    logger = logging.getLogger("websockets.suite")
    logger.setLevel(logging.CRITICAL)

    async def answer(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)

    cases = {name: case for name, case in Suite().cases.items() if name.startswith(("6.4.", "7.1."))}
    with serving(lambda: server.serve(answer, "127.0.0.1", 0, logger=logger)) as port:
        verdicts = run(cases, port)
    assert set(failures(verdicts)) == {"7.1.5"}
    assert [verdicts[f"6.4.{i}"].behavior for i in (1, 2, 3, 4)] == ["NON-STRICT"] * 4


@pytest.mark.timeout(3600 if FULL else 120)
def test_the_codec_alone_fails_no_case_and_none_is_less_than_strict(suite: Suite) -> None:
    with serving(lambda: asyncio.start_server(codec_echo, "127.0.0.1", 0)) as port:
        verdicts = run(chosen(suite), port)
    unlike = {name: verdict for name, verdict in verdicts.items() if (verdict.behavior, verdict.close) != ("OK", "OK")}
    informational = {"7.1.6", "7.13.1", "7.13.2"}
    assert {name: verdict.behavior for name, verdict in unlike.items() if name not in informational} == {
        # A window below 32 KiB is not agreed on.
        name: "UNIMPLEMENTED"
        for name in verdicts
        if name.startswith(("13.3.", "13.5."))
    }
    assert not failures(verdicts)


@pytest.mark.timeout(3600 if FULL else 120)
@pytest.mark.usefixtures("engine")
def test_a_tunnel_changes_no_verdict(suite: Suite) -> None:
    cases = chosen(suite)
    with (
        serving(lambda: asyncio.start_server(echo, "127.0.0.1", 0)) as port,
        Gateway(snapshot(f"http://127.0.0.1:{port}")) as gateway,
    ):
        direct = run(cases, port)
        through = run(cases, port_of(gateway))
    shown = {name: (verdict.behavior, verdict.close, verdict.code) for name, verdict in direct.items()}
    assert {name: (verdict.behavior, verdict.close, verdict.code) for name, verdict in through.items()} == shown
    assert not failures(direct)


@pytest.mark.timeout(3600 if FULL else 120)
@pytest.mark.usefixtures("engine")
def test_an_endpoint_fails_no_case(suite: Suite) -> None:
    """Each connection has a channel of its own and hears what it publishes."""
    # Nothing of the suite is beyond a limit here.
    options = {"publish": publishing(), "max_message": 16 << 20, "queue": {"bytes": 128 << 20}, "deflate": True}
    routes = [endpoint(form, f"/{form}/{{number}}", "{number}", format=form, **options) for form in ("text", "binary")]
    with Gateway(snapshot(routes=routes, listeners=[everything()])) as gateway:
        verdicts = run(chosen(suite), port_of(gateway), "/{form}/{number}")
    assert failures(verdicts) == {}
    unlike = {name: verdict.behavior for name, verdict in verdicts.items() if verdict.behavior != "OK"}
    declined = {name for name, behavior in unlike.items() if behavior == "UNIMPLEMENTED"}
    # A window below 32 KiB is not agreed on: a broadcast is compressed once for all (RFC 7692 lets a server decline).
    assert declined == {name for name in verdicts if name.startswith(("13.3.", "13.5."))}
    # A message and a violation in one read: the echo goes the way of every publication, the close goes first.
    overtaken = {name for name in unlike if re.match(r"3\.[234]|4\.[12]\.[345]|5\.15", name)}
    assert {unlike[name] for name in overtaken} <= {"NON-STRICT"}
    assert {name: unlike[name] for name in set(unlike) - declined - overtaken} == {
        "7.1.6": "INFORMATIONAL",
        "7.13.1": "INFORMATIONAL",
        "7.13.2": "INFORMATIONAL",
    }

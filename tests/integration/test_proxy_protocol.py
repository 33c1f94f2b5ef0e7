"""The PROXY protocol before a request: whom it is taken from, and whose address counts then."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from harness import Gateway, Origin, snapshot
from harness.client import BadResponse, Client
from harness.gateway import listener
from harness.proxy import SIGNATURE, v1, v2
from harness.requests import get

pytestmark = pytest.mark.usefixtures("engine")


def behind(origin: Origin, *froms: str, **changes: Any) -> dict[str, Any]:
    near = listener(proxy_protocol=list(froms or ("127.0.0.0/8",)), **changes)
    return snapshot(origin.url, listeners=[near])


def seen(origin: Origin) -> list[bytes]:
    return origin.requests[-1].get_all("x-forwarded-for")


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (v1("192.0.2.1"), b"192.0.2.1"),
        (v1("2001:db8::1", "TCP6", "::1"), b"2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", b"127.0.0.1"),
        (v2("192.0.2.1"), b"192.0.2.1"),
        (v2("2001:db8::1", tlvs=b"\x04\x02\x58" + bytes(600)), b"2001:db8::1"),
        (v2("192.0.2.1", command=0x20), b"127.0.0.1"),
        (v2(None), b"127.0.0.1"),
    ],
)
def test_the_client_is_who_the_header_says(header: bytes, client: bytes, origin: Origin) -> None:
    with Gateway(behind(origin)) as gateway:
        with gateway.client() as whole:
            assert whole.exchange(header + get()).status == 200
            assert seen(origin) == [client]
            assert whole.exchange(get()).status == 200, "it stands once, before the first request"
            assert seen(origin) == [client]
        with gateway.client() as pieces:
            pieces.send_pieces(header + get())
            assert pieces.final().status == 200
            assert seen(origin) == [client]


@pytest.mark.parametrize(
    "sent",
    [
        get(),
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 99999\r\n" + get(),
        v1("192.0.2.1") + v1("192.0.2.2") + get(),
        v2("192.0.2.1", command=0x22) + get(),
        SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 60_000) + bytes(5_000),
        b"PROXY UNKNOWN " + b"a" * 200,
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_without_a_header_a_connection_ends(sent: bytes, origin: Origin) -> None:
    with Gateway(behind(origin)) as gateway:
        with gateway.client() as client:
            client.send(sent)
            try:
                assert client.final().status == 400
                assert sent.startswith(v1("192.0.2.1")), "only what comes behind a header is answered"
            except BadResponse:
                pass
        if not sent.startswith(v1("192.0.2.1")):
            assert gateway.stats()["proxy_refused"] == 1
    assert not origin.requests


def test_from_others_a_connection_ends(origin: Origin) -> None:
    with Gateway(behind(origin, "192.0.2.0/24")) as gateway:
        with gateway.client() as client, pytest.raises(BadResponse):
            client.exchange(v1("192.0.2.1") + get())
        assert gateway.stats()["proxy_refused"] == 1
        gateway.wait_output("PROXY protocol")
    assert not origin.requests


def test_it_is_never_taken_where_nobody_asked_for_it(origin: Origin) -> None:
    with Gateway(snapshot(origin.url)) as gateway, gateway.client() as client:
        assert client.exchange(v1("192.0.2.1") + get()).status == 400
    assert not origin.requests


def test_a_trusted_proxy_behind_it_is_believed(origin: Origin) -> None:
    wire = get(b"/", b"X-Forwarded-For: 203.0.113.9")
    with Gateway(behind(origin, trusted_proxies=["10.0.0.0/8"])) as gateway:
        with gateway.client() as client:
            assert client.exchange(v1("10.0.0.1") + wire).status == 200
            assert seen(origin) == [b"203.0.113.9, 10.0.0.1"]
        with gateway.client() as client:
            assert client.exchange(v1("192.0.2.1") + wire).status == 200
            assert seen(origin) == [b"192.0.2.1"], "a client's own claim does not count"


def test_an_address_list_judges_the_client_and_not_the_proxy(origin: Origin) -> None:
    rules = {"ip": {"allow": [], "deny": ["192.0.2.0/24"], "allow_files": [], "deny_files": []}}
    snap = behind(origin)
    snap["routes"][0]["policies"] = 0
    snap["policies"] = [rules]
    with Gateway(snap) as gateway:
        for address, status in [("192.0.2.1", 403), ("198.51.100.1", 200)]:
            with gateway.client() as client:
                assert client.exchange(v1(address) + get()).status == status
        unix = SIGNATURE + struct.pack(">BBH", 0x21, 0x31, 216) + bytes(216)
        with gateway.client() as client:
            assert client.exchange(unix + get()).status == 403, "a client without an address cannot be judged"


def test_a_unix_listener_takes_it_from_whoever_may_open_it(origin: Origin, tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/s"
    with Gateway(behind(origin, bind=path)) as gateway, Client(gateway.address) as client:
        assert client.exchange(v1("192.0.2.1") + get()).status == 200
    assert seen(origin) == [b"192.0.2.1"]


def test_a_header_that_does_not_come_ends_in_time(origin: Origin) -> None:
    snap = behind(origin)
    snap["limits"]["header_timeout_ms"] = 1_000
    with Gateway(snap) as gateway, gateway.client() as client:
        client.send(b"PROXY TCP4 ")
        with pytest.raises(BadResponse, match="closed"):
            client.final()
        with socket.create_connection(tuple(gateway.address.rsplit(":", 1))) as idle:  # type: ignore[arg-type]
            idle.settimeout(10)
            assert idle.recv(1) == b""

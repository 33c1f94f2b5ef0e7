"""TLS of listeners: handshakes, certificates by name, certificates that are replaced, settings that cannot be used."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from harness.heard import Heard
from harness.origin import Origin
from harness.pki import Pki
from harness.programs import program
from harness.tls import DEADLINE, Answer, ask, config, connected, serial, serial_of

from fastgate import testing
from fastgate.errors import ConfigError


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_over_tls_reach_the_origin_as_https(pki: Pki, version: ssl.TLSVersion) -> None:
    with Origin() as origin:
        routes = {"all": {"match": {"prefix": "/"}, "to": origin.url}}
        tls = {"certificates": [pki.server("a", "localhost", "127.0.0.1")]}
        with testing.serve(config(tls, routes=routes)) as gateway:
            assert gateway.url.startswith("https://")
            with connected(gateway.addresses["secure"], pki.context(version)) as sock:
                assert sock.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
                assert sock.selected_alpn_protocol() == "http/1.1"
                for _ in range(3):
                    assert ask(sock).status == 200
            with connected(gateway.addresses["secure"], pki.context(version)) as sock:
                body = os.urandom(3_000_000)
                sock.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                sender = threading.Thread(target=sock.sendall, args=(body,))
                sender.start()
                echoed = Answer(sock).body
                sender.join()
        heads = [{n.lower(): v for n, v in one.fields} for one in origin.requests]
        assert [head[b"x-forwarded-proto"] for head in heads] == [b"https"] * 4
    assert hashlib.sha256(origin.requests[3].body).digest() == hashlib.sha256(body).digest()
    assert echoed


def test_certificates_are_chosen_by_name_and_other_hosts_are_misdirected(pki: Pki) -> None:
    one = pki.server("one", "one.example", "127.0.0.1")
    many = pki.server("many", "*.many.example", "two.example")
    exact = pki.server("exact", "exact.many.example")
    with testing.serve(config({"certificates": [one, many, exact]})) as gateway:
        address = gateway.addresses["secure"]
        for name, expected in [
            ("one.example", one),
            ("ONE.Example", one),
            ("two.example", many),
            ("a.many.example", many),
            ("exact.many.example", exact),
            ("many.example", one),
            ("a.b.many.example", one),
            ("unknown.example", one),
            (None, one),
        ]:
            with connected(address, pki.context(), name) as sock:
                assert serial(sock) == serial_of(expected), name
        for name, host, status in [
            ("one.example", "one.example", 200),
            ("one.example", "ONE.example:8443", 200),
            ("one.example", "one.example.", 200),
            ("one.example", "two.example", 421),
            ("one.example", "exact.many.example", 421),
            ("a.many.example", "b.many.example", 200),
            ("a.many.example", "a.b.many.example", 421),
            ("a.many.example", "two.example", 200),
            ("exact.many.example", "a.many.example", 421),
            ("unknown.example", "unknown.example", 421),
            (None, "127.0.0.1", 200),
            (None, "one.example", 200),
            (None, "two.example", 421),
        ]:
            with connected(address, pki.context(), name) as sock:
                assert ask(sock, host).status == status, (name, host)
                # A connection that was asked for another host is still good for its own.
                assert ask(sock, "one.example" if name in (None, "one.example") else host).status in (200, 421)


def test_a_hello_that_comes_byte_by_byte_is_understood(pki: Pki) -> None:
    with testing.serve(config({"certificates": [pki.server("a", "localhost")]})) as gateway:
        host, _, port = gateway.addresses["secure"].rpartition(":")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = pki.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def pump() -> None:
                for byte in outgoing.read():
                    raw.sendall(bytes([byte]))

            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    pump()
                    incoming.write(raw.recv(65536))
            pump()
            client.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            pump()
            data = b""
            while b"hello" not in data:
                try:
                    data += client.read(65536)
                except ssl.SSLWantReadError:
                    incoming.write(raw.recv(65536))
        assert data.startswith(b"HTTP/1.1 200 ")


def test_what_is_not_tls_is_refused_with_an_alert(pki: Pki) -> None:
    with testing.serve(config({"certificates": [pki.server("a", "localhost")]})) as gateway:
        host, _, port = gateway.addresses["secure"].rpartition(":")
        for sent in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100, b"\x00" * 1000, b"\x16\x03\x01\xff\xff" * 99):
            with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw:
                raw.sendall(sent)
                answer = b""
                while more := raw.recv(65536):
                    answer += more
                assert (answer[:1], len(answer)) == (b"\x15", 7), sent[:10]
        context = pki.context()
        context.set_alpn_protocols(["h2"])
        with (
            pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol|alert"),
            connected(gateway.addresses["secure"], context),
        ):
            pass
        with connected(gateway.addresses["secure"], pki.context()) as sock:
            assert ask(sock).status == 200


def test_certificates_are_replaced_without_losing_a_connection(pki: Pki) -> None:
    old = pki.server("a", "localhost")
    before = serial_of(old)
    with Heard("fastgate") as heard, testing.serve(config({"certificates": [old]})) as gateway:
        address = gateway.addresses["secure"]

        def seen() -> int:
            with connected(address, pki.context()) as sock:
                assert ask(sock).status == 200
                return serial(sock)

        with connected(address, pki.context()) as kept:
            assert ask(kept).status == 200
            # A certificate without its key is not used.
            key = Path(old["key"]).read_bytes()
            fresh = pki.server("a", "localhost")
            after_key = Path(fresh["key"]).read_bytes()
            pki.write("a.key", key)
            heard.wait("is refused; what it held before stays in use")
            assert seen() == before
            assert ask(kept).status == 200
            pki.write("a.key", after_key)
            heard.wait("has changed and is in use")
            assert seen() == serial_of(fresh)
            assert ask(kept).status == 200
            assert serial(kept) == before


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ("missing", "certificates.0.cert", "cannot be read"),
        ("swapped", "certificates.0.key", "is not the key of"),
        ("empty", "certificates.0.cert", "holds no certificate"),
        ("garbage", "certificates.0.cert", "certificate"),
        ("no_key", "certificates.0.key", "holds no private key"),
        ("encrypted", "certificates.0.key", "is encrypted"),
        ("none", "certificates", "at least one"),
        ("ca", "client_auth.ca", "holds no certificate"),
        ("crl", "client_auth.crl", "holds no revocation list"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(pki: Pki, change: str, place: str, words: str) -> None:
    pair = pki.server("a", "localhost")
    other = pki.server("b", "localhost")
    tls: dict[str, Any] = {"certificates": [pair]}
    if change == "missing":
        pair["cert"] += ".missing"
    elif change == "swapped":
        pair["key"] = other["key"]
    elif change == "empty":
        pair["cert"] = pair["key"]
    elif change == "garbage":
        pair["cert"] = pki.write("bad.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    elif change == "no_key":
        pair["key"] = pair["cert"]
    elif change == "encrypted":
        key = serialization.load_pem_private_key(Path(pair["key"]).read_bytes(), None)
        sealed = serialization.BestAvailableEncryption(b"secret")
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
        pair["key"] = pki.write("sealed.key", pem)
    elif change == "none":
        tls["certificates"] = []
    elif change == "ca":
        tls["client_auth"] = {"ca": pair["key"]}
    elif change == "crl":
        tls["client_auth"] = {"ca": pki.ca_file, "crl": pki.ca_file}
    with pytest.raises(ConfigError) as caught, testing.serve(config(tls)):
        pass
    assert f"listeners.secure.tls.{place}: " in str(caught.value)
    assert words in str(caught.value)
    assert "PRIVATE KEY-----\nM" not in str(caught.value)


@pytest.mark.parametrize("version", ["--tlsv1.2", "--tlsv1.3"])
def test_curl_verifies_and_gets_its_answer(pki: Pki, version: str) -> None:
    with testing.serve(config({"certificates": [pki.server("a", "localhost")]})) as gateway:
        port = gateway.addresses["secure"].rpartition(":")[2]
        command = [program("curl"), "-sS", version, "--cacert", pki.ca_file, "--resolve", f"localhost:{port}:127.0.0.1"]
        url = f"https://localhost:{port}/"
        done = subprocess.run([*command, url, url], capture_output=True, timeout=DEADLINE, check=True)
        assert done.stdout == b"hellohello"


@pytest.mark.parametrize("suite", ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"])
def test_openssl_agrees_on_each_suite(pki: Pki, suite: str) -> None:
    with testing.serve(config({"certificates": [pki.server("a", "localhost")]})) as gateway:
        address = gateway.addresses["secure"]
        done = subprocess.run(
            (
                f"{program('openssl')} s_client -connect {address} -servername localhost -CAfile {pki.ca_file}"
                f" -verify_return_error -ciphersuites {suite} -tls1_3 -ign_eof"
            ).split(),
            input=b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            capture_output=True,
            timeout=DEADLINE,
            check=True,
        )
        assert suite.encode() in done.stdout
        assert b"hello" in done.stdout

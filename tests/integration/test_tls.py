"""TLS of listeners: certificates by name, client certificates, resumption, reload, and what is served over it."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from harness.origin import Origin

from fastgate import testing
from fastgate.errors import ConfigError

DEADLINE = 20.0


class Pki:
    """An authority and what it signs, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.other = trustme.CA()
        self.ca_file = self.write("ca.pem", self.ca.cert_pem.bytes())

    def write(self, name: str, data: bytes) -> str:
        """A whole file at once, as certificate tools replace them."""
        half = self.folder / f".{name}.new"
        half.write_bytes(data)
        half.replace(self.folder / name)
        return str(self.folder / name)

    def server(self, name: str, *names: str, ca: trustme.CA | None = None) -> dict[str, str]:
        """A certificate of a server for these names, as a config names it."""
        leaf = (ca or self.ca).issue_cert(*names)
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        return {
            "cert": self.write(f"{name}.pem", chain),
            "key": self.write(f"{name}.key", leaf.private_key_pem.bytes()),
        }

    def client(self, *names: str, ca: trustme.CA | None = None) -> tuple[str, trustme.LeafCert]:
        """A client's certificate with its key, in one file."""
        leaf = (ca or self.ca).issue_cert(*names)
        return self.write(f"client-{names[0]}.pem", leaf.private_key_and_cert_chain_pem.bytes()), leaf

    def revoke(self, *leaves: trustme.LeafCert, name: str = "revoked.pem") -> str:
        """A list of these certificates, newly signed."""
        authority = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        now = authority.not_valid_before_utc
        later = authority.not_valid_after_utc
        builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        builder = builder.last_update(now).next_update(later).add_extension(x509.CRLNumber(1), critical=False)
        point = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )
        builder = builder.add_extension(point, critical=False)
        for leaf in leaves:
            serial = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
        return self.write(name, signed.public_bytes(serialization.Encoding.PEM))

    def context(self, version: ssl.TLSVersion | None = None, client: str | None = None) -> ssl.SSLContext:
        """What a client trusts and shows."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_verify_locations(cadata=self.other.cert_pem.bytes().decode())
        context.check_hostname = False
        context.set_alpn_protocols(["http/1.1"])
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if client is not None:
            context.load_cert_chain(client)
        return context


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


class Answer:
    """One answer as it was read."""

    def __init__(self, sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                raise EOFError(data)
            data += more
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        while len(self.body) < int(self.fields.get("content-length", 0)):
            more = sock.recv(65536)
            if not more:
                raise EOFError(data)
            self.body += more


def ask(sock: socket.socket, host: str = "localhost", path: str = "/") -> Answer:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return Answer(sock)


@contextmanager
def connected(
    address: str, context: ssl.SSLContext, name: str | None = "localhost", session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=DEADLINE) as raw,
        context.wrap_socket(raw, server_hostname=name, session=session) as sock,
    ):
        yield sock


def config(tls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "admin": False,
        "metrics": False,
        "workers": 2,
        "listeners": {"secure": {"bind": "127.0.0.1:0", "tls": tls}},
        "routes": {"all": {"match": {"prefix": "/"}, "respond": {"status": 200, "body": "hello"}}},
    } | more


def serial(sock: ssl.SSLSocket) -> int:
    der = sock.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def serial_of(pair: dict[str, str]) -> int:
    return x509.load_pem_x509_certificate(Path(pair["cert"]).read_bytes()).serial_number


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


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_on_their_listener_and_never_where_clients_show_certificates(
    pki: Pki, version: ssl.TLSVersion
) -> None:
    pair = pki.server("a", "localhost")
    client, _ = pki.client("alice@example.com")
    mapping = config({"certificates": [pair]})
    mapping["listeners"]["twin"] = {"bind": "127.0.0.1:0", "tls": {"certificates": [pair]}}
    mapping["listeners"]["clients"] = {
        "bind": "127.0.0.1:0",
        "tls": {"certificates": [pair], "client_auth": {"ca": pki.ca_file}},
    }
    with testing.serve(mapping) as gateway:
        context = pki.context(version, client)

        def visit(listener: str, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession | None]:
            with connected(gateway.addresses[listener], context, session=session) as sock:
                assert ask(sock).status == 200
                return bool(sock.session_reused), sock.session

        reused, session = visit("secure")
        assert not reused
        assert session is not None
        assert visit("secure", session)[0]
        # Another listener has keys of its own, and one with client certificates takes and gives no tickets.
        assert not visit("twin", visit("secure")[1])[0]
        assert not visit("clients", visit("secure")[1])[0]
        _, given = visit("clients")
        assert given is None or not given.has_ticket
        assert not visit("clients", given)[0]
        gateway.reload()
        assert visit("secure", session if version == ssl.TLSVersion.TLSv1_2 else visit("secure")[1])[0]


def test_client_certificates_are_judged(pki: Pki) -> None:
    pair = pki.server("a", "localhost")
    good, _ = pki.client("good.example")
    bad, revoked = pki.client("bad.example")
    strange, _ = pki.client("strange.example", ca=pki.other)
    auth: dict[str, Any] = {"ca": pki.ca_file, "crl": pki.revoke(revoked)}
    mapping = config({"certificates": [pair], "client_auth": auth})
    optional = {"certificates": [pair], "client_auth": {**auth, "mode": "optional"}}
    mapping["listeners"]["optional"] = {"bind": "127.0.0.1:0", "tls": optional}
    with testing.serve(mapping) as gateway:
        for listener, client, expected in [
            ("secure", good, True),
            ("secure", None, False),
            ("secure", bad, False),
            ("secure", strange, False),
            ("optional", good, True),
            ("optional", None, True),
            ("optional", bad, False),
            ("optional", strange, False),
        ]:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                try:
                    with connected(gateway.addresses[listener], pki.context(version, client)) as sock:
                        passed = ask(sock).status == 200
                except (ssl.SSLError, ConnectionError, EOFError):
                    passed = False
                assert passed == expected, (listener, client, version)


def test_a_new_list_of_revoked_certificates_reaches_open_connections(pki: Pki) -> None:
    client, leaf = pki.client("alice.example")
    other, _ = pki.client("bob.example")
    crl = pki.revoke()
    tls = {"certificates": [pki.server("a", "localhost")], "client_auth": {"ca": pki.ca_file, "crl": crl}}
    with (
        testing.serve(config(tls)) as gateway,
        connected(gateway.addresses["secure"], pki.context(client=client)) as alice,
        connected(gateway.addresses["secure"], pki.context(client=other)) as bob,
    ):
        assert ask(alice).status == 200
        pki.revoke(leaf)
        until = time.monotonic() + DEADLINE
        while (status := ask(alice).status) == 200 and time.monotonic() < until:
            time.sleep(0.05)
        assert status == 421
        assert ask(bob).status == 200
        with (
            pytest.raises((ssl.SSLError, ConnectionError, EOFError)),
            connected(gateway.addresses["secure"], pki.context(client=client)) as again,
        ):
            ask(again)


def test_certificates_are_replaced_without_losing_a_connection(pki: Pki) -> None:
    old = pki.server("a", "localhost")
    before = serial_of(old)
    with testing.serve(config({"certificates": [old]})) as gateway:
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
            for _ in range(30):
                assert seen() == before
                assert ask(kept).status == 200
            pki.write("a.key", after_key)
            until = time.monotonic() + DEADLINE
            while seen() == before and time.monotonic() < until:
                assert ask(kept).status == 200
            assert seen() == serial_of(fresh)
            assert ask(kept).status == 200
            assert serial(kept) == before


def test_a_listener_that_redirects_sends_everything_to_https(pki: Pki) -> None:
    mapping = config({"certificates": [pki.server("a", "localhost")]})
    mapping["listeners"]["plain"] = {"bind": "127.0.0.1:0", "redirect": "https"}
    with testing.serve(mapping) as gateway:
        host, _, port = gateway.addresses["plain"].rpartition(":")
        secure = gateway.addresses["secure"].rpartition(":")[2]
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw:
            for path, asked, place in [
                ("/", "localhost", f"https://localhost:{secure}/"),
                ("/a%20b?c=d", "example.com:81", f"https://example.com:{secure}/a%20b?c=d"),
                ("/x", "[::1]:80", f"https://[::1]:{secure}/x"),
            ]:
                answer = ask(raw, asked, path)
                assert (answer.status, answer.fields["location"]) == (308, place)
                assert "strict-transport-security" not in answer.fields


def test_websockets_over_tls_pass_the_tunnel_and_the_hub(pki: Pki) -> None:
    def upgrade(sock: ssl.SSLSocket, path: str) -> None:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert Answer(sock).status == 101

    def frame(sock: ssl.SSLSocket) -> tuple[int, bytes]:
        def exactly(n: int) -> bytes:
            data = b""
            while len(data) < n:
                more = sock.recv(n - len(data))
                assert more
                data += more
            return data

        first, length = exactly(2)
        if length == 126:
            length = int.from_bytes(exactly(2), "big")
        elif length == 127:
            length = int.from_bytes(exactly(8), "big")
        return first & 15, exactly(length)

    def say(sock: ssl.SSLSocket, opcode: int, data: bytes) -> None:
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        sock.sendall(bytes([0x80 | opcode]) + size + bytes(4) + data)

    mapping = config({"certificates": [pki.server("a", "localhost")]})
    mapping["realtime"] = {
        "endpoints": {
            "room": {
                "path": "/room",
                "channels": ["room"],
                "format": "text",
                "publish": {"rate": "1000/s", "burst": 1000, "echo": False},
            }
        }
    }
    with testing.serve(mapping) as inner:
        host_port = inner.addresses["secure"]
        with (
            connected(host_port, pki.context()) as one,
            connected(host_port, pki.context(ssl.TLSVersion.TLSv1_2)) as two,
        ):
            upgrade(one, "/room")
            upgrade(two, "/room")
            say(one, 9, b"are you there")
            assert frame(one) == (10, b"are you there")
            for size in (1, 1_000, 60_000):
                say(one, 1, b"x" * size)
                assert frame(two) == (1, b"x" * size)
            for number in range(200):
                say(two, 1, b"%d" % number)
            got = [frame(one)[1] for _ in range(200)]
            assert got == [b"%d" % number for number in range(200)]
            say(one, 8, (1000).to_bytes(2, "big"))
            assert frame(one)[0] == 8
            assert one.recv(1) == b""  # close_notify, not a cut


def test_files_are_sent_over_tls(pki: Pki, tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    content = os.urandom(1_000_000)
    (root / "big.bin").write_bytes(content)
    routes = {"files": {"match": {"prefix": "/"}, "static": {"root": str(root)}}}
    tls = {"certificates": [pki.server("a", "localhost")]}
    with (
        testing.serve(config(tls, routes=routes)) as gateway,
        connected(gateway.addresses["secure"], pki.context()) as sock,
    ):
        for _ in range(2):
            assert ask(sock, path="/big.bin").body == content


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


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
@pytest.mark.parametrize("version", ["--tlsv1.2", "--tlsv1.3"])
def test_curl_verifies_and_gets_its_answer(pki: Pki, version: str) -> None:
    with testing.serve(config({"certificates": [pki.server("a", "localhost")]})) as gateway:
        port = gateway.addresses["secure"].rpartition(":")[2]
        command = ["curl", "-sS", version, "--cacert", pki.ca_file, "--resolve", f"localhost:{port}:127.0.0.1"]
        url = f"https://localhost:{port}/"
        done = subprocess.run([*command, url, url], capture_output=True, timeout=DEADLINE, check=True)
        assert done.stdout == b"hellohello"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there")
@pytest.mark.parametrize("suite", ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"])
def test_openssl_agrees_on_each_suite(pki: Pki, suite: str) -> None:
    with testing.serve(config({"certificates": [pki.server("a", "localhost")]})) as gateway:
        address = gateway.addresses["secure"]
        done = subprocess.run(
            (
                f"openssl s_client -connect {address} -servername localhost -CAfile {pki.ca_file} -verify_return_error"
                f" -ciphersuites {suite} -tls1_3 -ign_eof"
            ).split(),
            input=b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            capture_output=True,
            timeout=DEADLINE,
            check=True,
        )
        assert suite.encode() in done.stdout
        assert b"hello" in done.stdout


HOLD = """
import socket, ssl, sys
host, port, ca, many, tls = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5] == "tls"
context = ssl.create_default_context(cafile=ca)
held = []
for _ in range(many):
    sock = socket.create_connection((host, port), timeout=20)
    if tls:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    while b"hello" not in sock.recv(65536):
        pass
    held.append(sock)
print("held", flush=True)
sys.stdin.read()
"""


def test_an_idle_connection_keeps_little(pki: Pki) -> None:
    many = 400
    mapping = config({"certificates": [pki.server("a", "localhost")]}, workers=1)
    mapping["listeners"]["plain"] = {"bind": "127.0.0.1:0"}

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def held(address: str, kind: str) -> int:
        """Bytes that the process grew by while another one holds idle connections."""
        host, _, port = address.rpartition(":")
        command = [sys.executable, "-c", HOLD, host, port, pki.ca_file, str(many), kind]
        before = resident()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            grew = resident() - before
            child.communicate(b"")
        return grew

    with testing.serve(mapping) as gateway:
        # What is allocated once is not what a connection costs.
        with connected(gateway.addresses["secure"], pki.context()) as sock:
            assert ask(sock).status == 200
        held(gateway.addresses["plain"], "plain")
        plain = held(gateway.addresses["plain"], "plain")
        sealed = held(gateway.addresses["secure"], "tls")
        print(f"{plain / many:.0f} bytes a plain connection, {sealed / many:.0f} with TLS")
        assert sealed - plain < many * 10 * 1024

"""T3 and T4: chains that must not be believed, of targets and of clients; each has a twin beside it that is."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.gateway import Gateway, Json, listener, match, respond, route, snapshot, target
from harness.gateway import service as plain_service
from harness.listening import Listening
from harness.pki import CLIENT, SERVER, Minted, Pki, by_sha1, mint, root, write
from harness.requests import get
from harness.tls import REFUSED, ask, connected

pytestmark = pytest.mark.usefixtures("engine")

NAMES = ("127.0.0.1", "api.example")
Make = Callable[[Minted], Minted]


def weak() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def strong(authority: Minted) -> Minted:
    return mint("rsa", authority, ca=True, key=rsa.generate_private_key(65537, 2048))


def through(authority: Minted, many: int) -> Minted:
    """An authority behind so many others."""
    for number in range(many):
        authority = mint(f"intermediate {number}", authority, ca=True)
    return authority


def good(usage: str) -> dict[str, Make]:
    """Chains that are fine, so that what is wrong with the others is what is said of them."""
    use = {"server": SERVER, "client": CLIENT}[usage]
    return {
        "itself": lambda ca: mint("x", ca, names=NAMES, usage=[use]),
        "no usage said": lambda ca: mint("x", ca, names=NAMES),
        "through one": lambda ca: mint("x", through(ca, 1), names=NAMES),
        "through four": lambda ca: mint("x", through(ca, 4), names=NAMES),
        "rsa": lambda ca: mint("x", strong(ca), names=NAMES, key=rsa.generate_private_key(65537, 2048)),
        "permitted name": lambda ca: mint(
            "x", mint("i", ca, ca=True, permitted=["example"]), names=[*NAMES], usage=[use]
        ),
    }


def bad(usage: str) -> dict[str, Make]:
    """Chains that nobody may believe."""
    other = {"server": CLIENT, "client": SERVER}[usage]
    return {
        "expired": lambda ca: mint("x", ca, names=NAMES, start=-3, days=1),
        "not yet": lambda ca: mint("x", ca, names=NAMES, start=2),
        "signed by itself": lambda _: mint("x", names=NAMES),
        "its own authority": lambda _: mint("x", names=NAMES, ca=True),
        "another authority": lambda _: mint("x", root("another"), names=NAMES),
        "another authority of that name": lambda _: mint("x", root(), names=NAMES),
        "intermediate missing": lambda ca: mint("x", through(ca, 1), names=NAMES, show=False),
        "intermediate is no authority": lambda ca: mint("x", mint("i", ca, ca=False), names=NAMES),
        "intermediate says nothing": lambda ca: mint("x", mint("i", ca), names=NAMES),
        "intermediate has expired": lambda ca: mint("x", mint("i", ca, ca=True, start=-3, days=1), names=NAMES),
        "intermediate is for something else": lambda ca: mint("x", mint("i", ca, ca=True, usage=[other]), names=NAMES),
        "path too long": lambda ca: mint("x", mint("j", mint("i", ca, ca=True, path_length=0), ca=True), names=NAMES),
        "name not permitted": lambda ca: mint("x", mint("i", ca, ca=True, permitted=["other.example"]), names=NAMES),
        "for something else": lambda ca: mint("x", ca, names=NAMES, usage=[other]),
        "an authority as an end": lambda ca: mint("x", ca, names=NAMES, ca=True),
        "sha-1": lambda ca: by_sha1(mint("x", strong(ca), names=NAMES)),
        "intermediate by sha-1": lambda ca: mint("x", by_sha1(mint("i", strong(ca), ca=True)), names=NAMES),
        "weak intermediate": lambda ca: mint("x", mint("i", ca, ca=True, key=weak()), names=NAMES),
        "weak key": lambda ca: mint("x", ca, names=NAMES, key=weak()),
        "a hundred": lambda ca: mint("x", through(ca, 100), names=NAMES),
    } | (
        {
            "another name": lambda ca: mint("x", ca, names=["127.0.0.2", "other.example"]),
            "common name alone": lambda ca: mint("127.0.0.1", ca),
            "name with nul": lambda ca: mint("x", ca, names=["127.0.0.1\0.example"]),
        }
        if usage == "server"
        else {}
    )


class Server:
    """An HTTPS server that shows what it is given and counts what it is asked."""

    def __init__(self, folder: Path, shown: Minted) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        lenient(self.context)
        self.context.load_cert_chain(write(folder, "server.pem", shown.chain_pem + shown.key_pem))
        self.asked = 0
        self._listening = Listening(self._serve)
        self.port = self._listening.port

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self.context.wrap_socket(sock, server_side=True) as tls:
                if tls.recv(65536):
                    self.asked += 1
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except OSError:
            pass

    def stop(self) -> None:
        self._listening.close()


def lenient(context: ssl.SSLContext) -> None:
    """Shows whatever it is told to, weak keys too."""
    context.set_ciphers("DEFAULT:@SECLEVEL=0")


@pytest.fixture(scope="module")
def ca() -> Minted:
    return root()


@pytest.fixture
def proxied(ca: Minted, tmp_path: Path) -> Iterator[Callable[[Minted], tuple[int, int, str]]]:
    """Shown by a target: the status of a request, how many the target saw, what the log says."""
    servers: list[Server] = []

    def ask_target(shown: Minted) -> tuple[int, int, str]:
        servers.append(server := Server(tmp_path, shown))
        terms: Json = {"ca": write(tmp_path, "ca.pem", ca.pem), "cert": None, "key": None}
        terms |= {"server_name": None, "verify": True}
        url = f"https://127.0.0.1:{server.port}"
        one = plain_service("a") | {"targets": [target(url) | {"tls": True}], "tls": terms}
        snap = snapshot(routes=[route("a", "a", match(prefix="/"))], services=[one], workers=1)
        with Gateway(snap) as gateway, gateway.client() as client:
            status = client.exchange(get()).status
            if status != 200:
                assert gateway.stats()["faults"]["upstream_tls"] == 1
        return status, server.asked, gateway.errors()

    yield ask_target
    for server in servers:
        server.stop()


@pytest.mark.parametrize("kind", good("server"))
def test_a_target_with_a_good_chain_is_believed(proxied: Callable[[Minted], object], kind: str, ca: Minted) -> None:
    assert proxied(good("server")[kind](ca)) == (200, 1, "")


@pytest.mark.parametrize("kind", bad("server"))
def test_t4_a_target_with_a_bad_chain_is_asked_nothing(
    proxied: Callable[[Minted], tuple[int, int, str]], kind: str, ca: Minted
) -> None:
    status, asked, said = proxied(bad("server")[kind](ca))
    assert (status, asked) == (502, 0)
    assert "panic" not in said


@pytest.fixture(scope="module")
def guarded(ca: Minted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two listeners that ask for certificates of this authority."""
    folder = tmp_path_factory.mktemp("guarded")
    pair = Pki(folder).server("server", "localhost")
    file = write(folder, "clients.pem", ca.pem)

    def asking(mode: str) -> Json:
        auth = {"ca": file, "crl": None, "mode": mode}
        return listener(mode, tls={"certificates": [pair], "client_auth": auth, "min_version": "1.2"})

    listeners = [asking("required"), asking("optional")]
    with Gateway(snapshot(routes=[route("a", respond(200, "hello"), match(prefix="/"))], listeners=listeners)) as one:
        yield one


def enters(guarded: Gateway, folder: Path, shown: Minted, name: str, version: ssl.TLSVersion) -> bool:
    """Whether somebody who shows this gets an answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    lenient(context)
    context.load_cert_chain(write(folder, "client.pem", shown.chain_pem + shown.key_pem))
    try:
        with connected(guarded.addresses[name], context) as sock:
            return ask(sock).status == 200
    except REFUSED:
        return False


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("kind", good("client"))
def test_a_client_with_a_good_chain_gets_in(guarded: Gateway, tmp_path: Path, kind: str, ca: Minted) -> None:
    shown = good("client")[kind](ca)
    assert [enters(guarded, tmp_path, shown, "required", version) for version in VERSIONS] == [True, True]


@pytest.mark.parametrize("kind", bad("client"))
def test_t3_a_client_with_a_bad_chain_stays_out(guarded: Gateway, tmp_path: Path, kind: str, ca: Minted) -> None:
    shown = bad("client")[kind](ca)
    for name in ("required", "optional"):
        for version in VERSIONS:
            assert not enters(guarded, tmp_path, shown, name, version), (name, version)
    # Nobody else pays for it.
    assert enters(guarded, tmp_path, mint("x", ca), "required", VERSIONS[1])

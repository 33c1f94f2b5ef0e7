"""A2: where an issuer's metadata may lead. Gateway, issuer and what lies behind have a network of their own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from harness import Client, Gateway, snapshot
from harness.gateway import listener, match, respond, route
from harness.pki import mint, root, write
from harness.requests import get

pytestmark = pytest.mark.usefixtures("engine")

# Documentation addresses (RFC 5737) stand for the Internet, the second is of a private network.
PUBLIC, PRIVATE, LOCAL = "203.0.113.9", "10.9.9.9", "127.0.0.1"
NEW_NETWORK = 0x40000000

# Answers GET by path from a map in a file, over TLS but for the loopback address; tells each request it gets.
ISSUER = """
import http.server, json, ssl, sys, threading
answers, pem = sys.argv[1], sys.argv[2]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        place = self.server.server_address[0]
        print("asked", place, self.path, flush=True)
        status, fields, body = json.load(open(answers)).get(self.path, [404, {}, ""])
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass
for place in sys.argv[3:]:
    server = http.server.ThreadingHTTPServer((place, 8443), Handler)
    if place != "127.0.0.1":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
"""


def may_unshare() -> bool:
    """In a child, so that this process keeps its network."""
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(NEW_NETWORK) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Network:
    """A network namespace with these addresses, kept by a process of ours; issuers on each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = root()
        leaf = mint("issuer", authority, names=[PUBLIC, PRIVATE])
        self.ca = write(folder, "ca.pem", authority.pem)
        pem = write(folder, "issuer.pem", leaf.chain_pem + leaf.key_pem)
        self.answers = folder / "answers.json"
        self.answers.write_text("{}")
        addresses = " && ".join(f"ip addr add {one}/32 dev lo" for one in (PUBLIC, PRIVATE))
        script = f'ip link set lo up && {addresses} && exec "$@"'
        command = [sys.executable, "-c", ISSUER, str(self.answers), pem, PUBLIC, PRIVATE, LOCAL]
        self.process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script, "sh", *command], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.key = ec.generate_private_key(ec.SECP256R1())
        jwk = pyjwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        self.keys = json.dumps({"keys": [{**jwk, "kid": "a", "alg": "ES256"}]})

    def close(self) -> list[str]:
        """Ends it: what was asked, as `ADDRESS PATH`."""
        if self.process.poll() is None:
            self.process.kill()
            self.asked = [line.removeprefix("asked ") for line in self.process.communicate()[0].splitlines()]
        return self.asked

    def gateway(self, issuer: str) -> Gateway:
        """One that finds the keys of this issuer by discovery, and listens on a Unix socket."""
        places = {"header": "authorization", "cookie": None, "query": None}
        terms: dict[str, Any] = {
            "issuer": issuer,
            "audience": None,
            "keys": "discovery",
            "algorithms": None,
            "types": [],
            "skew_ms": 0,
            "max_age_ms": None,
            "required_claims": [],
            "token": places,
            "headers": {},
            "roles_from": None,
            "scopes_from": None,
            "groups_from": None,
            "consumer_from": None,
            "revocation": None,
        }
        auth = {"any_of": [{"jwt": terms}], "anonymous": None, "failures": 1000, "failures_ms": 60_000}
        routes = [route("a", respond(200, "in"), match(prefix="/"), policies=0)]
        snap = snapshot(routes=routes, listeners=[listener(bind=f"unix:{self.folder}/s")], workers=1)
        inside = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]
        return Gateway(snap | {"policies": [{"auth": auth}]}, wrap=inside, env={"SSL_CERT_FILE": self.ca})

    def token(self, issuer: str) -> bytes:
        claims = {"iss": issuer, "exp": int(time.time()) + 600}
        return pyjwt.encode(claims, self.key, algorithm="ES256", headers={"kid": "a"}).encode()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    if os.geteuid() != 0 or not may_unshare():
        why = "needs root and a network namespace of its own"
        if os.environ.get("CI") == "true":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    one = Network(tmp_path)
    yield one
    one.close()


HERE, NEAR = "its jwks_uri leads to a loopback address", "an address of a private network"


@pytest.mark.parametrize(
    ("issuer", "keys", "said"),
    [
        (f"https://{PUBLIC}:8443", f"https://{PUBLIC}:8443/keys", None),
        (f"https://{PRIVATE}:8443", f"https://{PRIVATE}:8443/keys", None),
        (f"https://{PRIVATE}:8443", f"https://{PUBLIC}:8443/keys", None),
        (f"http://{LOCAL}:8443", f"http://{LOCAL}:8443/keys", None),
        (f"https://{PUBLIC}:8443", f"https://{PRIVATE}:8443/keys", NEAR),
        (f"https://{PUBLIC}:8443", f"https://[::ffff:{PRIVATE}]:8443/keys", NEAR),
        (f"https://{PUBLIC}:8443", f"http://{LOCAL}:8443/keys", HERE),
        (f"https://{PUBLIC}:8443", f"http://[::ffff:{LOCAL}]:8443/keys", HERE),
        (f"https://{PUBLIC}:8443", "http://localhost:8443/keys", HERE),
        (f"https://{PRIVATE}:8443", f"http://{LOCAL}:8443/keys", HERE),
        (f"https://{PUBLIC}:8443", f"https://{PUBLIC}:8443/redirect", "answers 302"),
        (f"https://{PUBLIC}:8443", "https://169.254.169.254/keys", "a link-local or metadata address"),
    ],
)
def test_a2_an_issuer_leads_no_nearer_than_it_is(network: Network, issuer: str, keys: str, said: str | None) -> None:
    answers = {
        "/.well-known/openid-configuration": [200, {}, json.dumps({"issuer": issuer, "jwks_uri": keys})],
        "/keys": [200, {}, network.keys],
        "/redirect": [302, {"Location": f"http://{LOCAL}:8443/keys"}, ""],
    }
    network.answers.write_text(json.dumps(answers))
    with network.gateway(issuer) as gateway, Client(gateway.address, timeout=30) as client:
        answer = client.exchange(get(b"/", b"Authorization: Bearer " + network.token(issuer)))
        assert answer.status == (200 if said is None else 503), gateway.errors()
        if said is not None:
            gateway.wait_output(said)
    asked = network.close()
    assert asked, "the metadata was asked for"
    assert any(line.endswith("/keys") for line in asked) == (said is None), asked

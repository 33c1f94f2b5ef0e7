"""No secret leaves the gateway: canaries in every place that holds one, and everything that it says is searched."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt as pyjwt
from harness import Origin, OriginConnection, Received
from harness.client import Client
from harness.origin import echo, ok
from harness.pki import Pki
from harness.product import Product, fetch, put, shell
from harness.requests import get, post
from harness.tokens import ISSUER

from fastgate.primitives import hash_password, make_api_key


class Canaries:
    """Secrets by where they stand; those of the environment are references in the config."""

    def __init__(self) -> None:
        self.environment = {
            name: f"canary-{name.lower().replace('_', '-')}-0123456789abcdef0123456789"
            for name in ("JWT_SECRET", "PEPPER", "CLIENT_SECRET", "SIGNING_KEY", "STORE_PASSWORD", "PUBLISH_KEY")
        }
        self.key, self.wrong_key = make_api_key(), make_api_key()
        self.password, self.wrong_password = "canary-password", "canary-wrong-word"
        self.cookie, self.query, self.opaque = "canary-cookie-value", "canary-query-value", "canary-opaque-token"
        self.nonce = "canary-authorization-of-another-kind"
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "projects", "exp": now + 600, "sub": "anna", "note": "canary-claim"}
        secret = self.environment["JWT_SECRET"]
        self.token = pyjwt.encode(claims, secret, algorithm="HS256")
        self.expired = pyjwt.encode({**claims, "exp": now - 600}, secret, algorithm="HS256")
        self.forged = pyjwt.encode(claims, "x" * 32, algorithm="HS256")

    def words(self, private: list[str]) -> list[str]:
        """What must be found nowhere."""
        tokens = [part for one in (self.token, self.expired, self.forged) for part in one.split(".")[1:]]
        basics = [basic("anna", word) for word in (self.password, self.wrong_password)]
        secrets = [*self.environment.values(), self.key, self.wrong_key, self.password, self.wrong_password]
        encoded = [base64.b64encode(one.encode()).decode().rstrip("=") for one in self.environment.values()]
        urlsafe = [base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in self.environment.values()]
        others = [self.cookie, self.query, self.opaque, self.nonce, "canary-claim"]
        return [*secrets, *encoded, *urlsafe, *tokens, *basics, *others, *private]


def basic(name: str, password: str) -> str:
    return base64.b64encode(f"{name}:{password}".encode()).decode().rstrip("=")


def digest_of(key: str, pepper: str) -> str:
    import hashlib
    import hmac

    return f"hmac-sha256:p1:{hmac.new(pepper.encode(), key.encode(), hashlib.sha256).hexdigest()}"


def written(folder: Path, origin: Origin, of: Canaries) -> dict[str, Any]:
    """A config with a secret in every place that there is for one."""
    pki = Pki(folder)
    put(folder / "users", f"anna:{hash_password(of.password)}\n")
    places = {"header": "Authorization", "cookie": "session", "query": "access_token"}
    jwt = {"issuer": ISSUER, "audience": "projects", "keys": [{"secret": "env:JWT_SECRET"}], "token": places}
    introspection = {
        "url": f"{origin.url}/introspect",
        "client_id": "gateway",
        "client_secret": "env:CLIENT_SECRET",
        "token": {"header": "X-Opaque"},
    }
    methods: dict[str, dict[str, Any]] = {
        "jwt": {"jwt": {**jwt, "revocation": "process", "headers": {"x-user": "sub"}}},
        "key": {"api_key": {"header": "X-API-Key", "query": "api_key"}},
        "basic": {"basic": {"users_file": "users"}},
        "opaque": {"introspection": introspection},
        "signed": {"signature": {"keys": {"partner": "env:SIGNING_KEY"}}},
        "asked": {"ext_auth": {"url": f"{origin.url}/check", "send": ["Authorization", "Cookie"]}},
    }
    routes = {
        name: {
            "match": {"prefix": f"/{name}"},
            "to": origin.url,
            "policies": {"auth": {"any_of": [method], "failures": "1000/s"}},
        }
        for name, method in methods.items()
    }
    routes["limited"] = {
        "match": {"prefix": "/limited"},
        "to": origin.url,
        "policies": {"limits": {"one": {"rate": "1/h", "per": "header:X-API-Key"}}},
    }
    return {
        "listeners": {
            "public": {"bind": "127.0.0.1:0"},
            "secure": {"bind": "127.0.0.1:0", "tls": {"certificates": [pki.server("server", "localhost")]}},
        },
        "admin": {"bind": "127.0.0.1:0"},
        "metrics": {"bind": "127.0.0.1:0"},
        "logs": {"access": {"to": "stdout"}, "audit": {"to": "./audit.jsonl"}, "level": "debug"},
        "key_pepper": {"p1": "env:PEPPER"},
        "consumers": {"acme": {"api_keys": {"one": {"hash": digest_of(of.key, of.environment["PEPPER"])}}}},
        # Nobody is there: what is said of that must not say the password.
        "store": {"url": "redis://127.0.0.1:1/0", "username": "gate", "password": "env:STORE_PASSWORD"},
        "realtime": {
            "endpoints": {"room": {"path": "/room", "channels": ["room"], "source": "redis"}},
            "api_keys": {"backend": {"key": "env:PUBLISH_KEY"}},
        },
        "routes": routes,
    }


def answers(connection: OriginConnection, request: Received) -> None:
    if request.target != b"/introspect":
        return echo(connection, request)
    connection.read_body(request)
    connection.send(ok(b'{"active": true, "sub": "anna", "note": "canary-claim"}', b"Content-Type: application/json"))
    return None


def requests(of: Canaries) -> dict[bytes, int]:
    """Good and bad credentials of every kind, in every place where one may stand, and what they get."""
    signature = b'Signature-Input: s=("@method");keyid="partner";created=1;nonce="' + of.nonce.encode() + b'"'
    sign = b"Signature: s=:" + base64.b64encode(of.nonce.encode()) + b":"

    def by(path: str, *lines: str) -> bytes:
        return get(path.encode(), *(line.encode() for line in lines))

    return {
        by("/jwt", f"Authorization: Bearer {of.token}"): 200,
        by("/jwt", f"Authorization: Bearer {of.expired}"): 401,
        by("/jwt", f"Authorization: Bearer {of.forged}"): 401,
        by("/jwt", f"Authorization: Bearer {of.token}{of.query}"): 401,
        by("/jwt", f"Cookie: session={of.token}; other={of.cookie}"): 200,
        by("/jwt", f"Cookie: session={of.cookie}"): 401,
        by(f"/jwt?access_token={of.token}&password={of.query}"): 200,
        by(f"/jwt?access_token={of.query}"): 401,
        by("/key", f"X-API-Key: {of.key}"): 200,
        by("/key", f"X-API-Key: {of.wrong_key}"): 401,
        by(f"/key?api_key={of.key}"): 200,
        by(f"/key?api_key={of.wrong_key}"): 401,
        by("/basic", f"Authorization: Basic {base64.b64encode(f'anna:{of.password}'.encode()).decode()}"): 200,
        by("/basic", f"Authorization: Basic {base64.b64encode(f'anna:{of.wrong_password}'.encode()).decode()}"): 401,
        by("/basic", f"Authorization: {of.nonce}"): 401,
        by("/opaque", f"X-Opaque: {of.opaque}"): 200,
        get(b"/signed", signature, sign): 401,
        by("/asked", f"Authorization: Bearer {of.opaque}", f"Cookie: session={of.cookie}"): 200,
        by("/limited", f"X-API-Key: {of.key}"): 200,
        by("/limited", f"X-API-Key: {of.key}", f"Cookie: a={of.cookie}"): 429,
        by("/nowhere", f"Authorization: Bearer {of.opaque}", f"Proxy-Authorization: {of.nonce}"): 404,
        by("/jwt", f"Authorization: Bearer {of.opaque}", f"Connection: {of.cookie}"): 401,
        post(b'{"channel": "room"}', b"/api/publish", b"X-API-Key: " + of.wrong_key.encode()): 401,
        # No request at all: what is wrong with it is said without it.
        by("/jwt", f"Authorization : Bearer {of.token}"): 400,
        by("/jwt", f"Cookie: {of.cookie}\x01"): 400,
    }


def test_no_secret_is_in_anything_that_is_said(tmp_path: Path, origin: Origin) -> None:
    of = Canaries()
    origin.script = answers
    mapping = written(tmp_path, origin, of)
    put(tmp_path / "fastgate.json", json.dumps(mapping))
    said: dict[str, str] = {}
    with Product("fastgate.json", folder=tmp_path, env=of.environment) as product:
        address = product.address()
        for number, (wire, status) in enumerate(requests(of).items()):
            with Client(address) as client:
                answer = client.exchange(wire)
            assert answer.status == status, wire
            if status != 200:  # the origin's own answers are not the gateway's
                said[f"answer {number}"] = (answer.head + answer.body).decode()
        for command in (
            ["status"],
            ["status", "--format", "json"],
            ["check", "--print-merged", "fastgate.json"],
            ["check", "--full", "fastgate.json"],
            ["explain", "fastgate.json", "GET", "/jwt"],
            ["explain", "fastgate.json", "GET", "/opaque"],
            ["keys", "list", "--config", "fastgate.json"],
            ["token", "--revoke", "sub=somebody", "--expires", "1h"],
        ):
            done = shell(*command, folder=tmp_path, env=of.environment)
            assert done.returncode == 0, (command, done.stderr)
            said[" ".join(command)] = done.stdout + done.stderr
        said["metrics"] = fetch(f"http://{product.address('metrics')}/metrics")[1]
        for path in ("/livez", "/readyz", "/healthz"):
            said[path] = fetch(f"http://{product.address('admin')}{path}")[1]
        said["control"] = json.dumps(product.ask("status"))
        # A reload that is refused: a literal secret, a file of hashes that is none.
        put(tmp_path / "users", f"anna:{of.password}\n")
        product.wait_for("is refused; what it held before stays in use")
        mapping["key_pepper"]["p2"] = of.environment["PEPPER"]
        put(tmp_path / "fastgate.json", json.dumps(mapping))
        refused = product.tell("reload")
        assert refused.returncode != 0
        assert "key_pepper.p2" in refused.stdout + refused.stderr
        said["reload"] = refused.stdout + refused.stderr
        assert product.end() == 0
    said["logs"] = "\n".join(product.said)
    said["audit"] = (tmp_path / "audit.jsonl").read_text()
    assert "api_key=[redacted]" in said["logs"]
    assert "access_token=[redacted]" in said["logs"]
    assert '"event":"request.denied"' in said["audit"]
    private = [line for line in (tmp_path / "server.key").read_text().splitlines() if len(line) > 40]
    assert private
    found = [(place, word) for place, text in said.items() for word in of.words(private) if word in text]
    assert not found
    assert not [place for place, text in said.items() if "canary" in text]

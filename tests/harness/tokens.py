"""Tokens, the keys that sign them, an identity provider that counts, and a gateway that asks for tokens."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec

from harness.gateway import snapshot
from harness.origin import Origin
from harness.requests import get

ISSUER = "https://id.example.com/"
"""Who signs."""


class Key:
    """A P-256 key with a name."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self) -> dict[str, Any]:
        """Its public half."""
        public = pyjwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": "ES256"}

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for what is given."""
        now = int(time.time())
        all_ = {"iss": ISSUER, "aud": "projects", "sub": "me", "exp": now + 600, "iat": now} | claims
        all_ = {name: value for name, value in all_.items() if value is not None}
        return pyjwt.encode(all_, self.private, algorithm="ES256", headers={"kid": self.kid} | (header or {}))


def jwks(*keys: Key) -> str:
    """The set of these keys."""
    return json.dumps({"keys": [key.jwk() for key in keys]})


def policy(keys: Any, **changes: Any) -> dict[str, Any]:
    """The policy `auth` by these keys."""
    base = {
        "issuer": ISSUER,
        "audience": ["projects"],
        "keys": keys,
        "algorithms": None,
        "types": [],
        "skew_ms": 0,
        "max_age_ms": None,
        "required_claims": [],
        "token": {"header": "authorization", "cookie": None, "query": None},
        "headers": {"x-user": "sub", "x-roles": "realm.roles"},
        "roles_from": "realm.roles",
        "scopes_from": "scope",
        "groups_from": "groups",
        "consumer_from": None,
        "revocation": None,
    }
    return {"any_of": [{"jwt": base | changes}], "anonymous": None, "failures": 4_000_000_000, "failures_ms": 60_000}


def guarded(origin: Origin, keys: Any, **changes: Any) -> dict[str, Any]:
    """A snapshot all of whose requests need a token by these keys."""
    plain = snapshot(origin.url, route_options={"policies": 0}, reserved=["x-user", "x-roles"])
    return plain | {"policies": [{"auth": policy(keys, **changes)}]}


def bearer(token: str, *lines: bytes) -> bytes:
    """A GET that shows the token."""
    return get(b"/", b"Authorization: Bearer " + token.encode(), *lines)


class Provider:
    """An identity provider that counts."""

    def __init__(self) -> None:
        self.keys: str | None = None
        self.asked = 0
        self.answers = threading.Event()
        """Cleared, it takes what it is asked and says nothing."""
        self.answers.set()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                provider.asked += 1
                provider.answers.wait()
                body = (provider.keys or "").encode()
                self.send_response(200 if provider.keys else 500)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Ends it."""
        self.answers.set()
        self.server.shutdown()
        self.server.server_close()

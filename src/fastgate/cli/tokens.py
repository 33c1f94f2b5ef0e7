"""`fastgate token`: mints tokens for development, and is an identity provider on loopback."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
import secrets
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fastgate.config import units
from fastgate.errors import StartError, UsageError
from fastgate.primitives import DevelopmentKey

_BEGIN, _END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
DISCOVERY = "/.well-known/openid-configuration"


def claims(
    sub: str,
    roles: Sequence[str],
    scopes: Sequence[str],
    audience: str,
    issuer: str,
    more: Sequence[str],
    expires: str,
) -> dict[str, Any]:
    """The claims of a token; raises UsageError for a claim or a time that is none."""
    now = int(time.time())
    all_: dict[str, Any] = {"iss": issuer, "aud": audience, "sub": sub, "iat": now, "exp": now + _seconds(expires)}
    all_["jti"] = secrets.token_hex(8)
    if roles:
        all_["roles"] = list(roles)
    if scopes:
        all_["scope"] = " ".join(scopes)
    for one in more:
        name, equals, text = one.partition("=")
        if not name or not equals:
            raise UsageError(f"--claim: {one} is no claim; allowed: NAME=VALUE")
        try:
            all_[name] = json.loads(text)
        except ValueError:
            all_[name] = text
    return all_


def _seconds(expires: str) -> int:
    lasts = units.parse_duration(expires)
    if lasts is None:
        raise UsageError(f"--expires: {expires} is no duration; allowed: 30s, 15m, 1h, 7d")
    return lasts // 1000


def revoke(socket: str | None, what: str, expires: str) -> None:
    """Lets a running gateway refuse tokens where a policy has `revocation`; raises StartError where it does not."""
    from fastgate.cli.client import Client

    by, _, name = what.partition("=")
    if by not in ("jti", "sub") or not name:
        raise UsageError(f"--revoke: {what} says nothing to revoke; allowed: jti=ID or sub=NAME")
    with Client(socket) as client:
        count = int(client.ask("revoke", **{by: name}, seconds=_seconds(expires))["revoked"])
    print(f"{by} {name} is revoked; {count} revocations in all")


def mint(file: str, payload: dict[str, Any]) -> str:
    """A token of these claims, signed with the key of that file (ES256)."""
    key = _key(file)
    header = {"alg": "ES256", "typ": "JWT", "kid": _jwk(key)["kid"]}
    return key.sign(json.dumps(header).encode(), json.dumps(payload).encode())


def print_jwks(file: str) -> None:
    """Prints the key set that verifies tokens of that key."""
    print(_jwks(_key(file)))


def serve_jwks(file: str, payload: dict[str, Any], *, bind: str) -> None:
    """Serves key set and discovery document until it is interrupted; prints a token first."""
    host, _, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        if not ipaddress.ip_address(host).is_loopback:
            raise UsageError(f"--bind: {host} is not loopback; whoever reaches this key set is to be on this machine")
        number = int(port)
    except ValueError:
        raise UsageError(f"--bind: {bind} is no address; allowed: 127.0.0.1:9400") from None
    key = _key(file)
    issuer = str(payload["iss"])
    base = issuer.removesuffix("/")
    discovery = {
        "issuer": issuer,
        "jwks_uri": f"{base}/keys",
        "id_token_signing_alg_values_supported": ["ES256"],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
    }
    answers = {"/keys": _jwks(key).encode(), DISCOVERY: json.dumps(discovery).encode()}

    class Provider(BaseHTTPRequestHandler):
        """Answers with one of the two documents."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """One of the documents, or 404."""
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has there
            """Says nothing."""

    try:
        server = ThreadingHTTPServer((host, number), Provider)
    except OSError as error:
        raise StartError(f"{bind} cannot be opened: {error.strerror}") from None
    with server:
        print(f"issuer {issuer}\nkeys   {base}/keys\ntoken  {mint(file, payload)}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def _key(file: str) -> DevelopmentKey:
    """The key of a file; a new one where there is no file."""
    path = Path(file)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise StartError(f"{file} cannot be written: {error.strerror}") from None
    key = DevelopmentKey()
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{_BEGIN}\n{base64.encodebytes(key.pkcs8()).decode()}{_END}\n")
    print(f"{file} made: a key for development; keep it out of version control", file=sys.stderr)
    return key


def _read(path: Path) -> DevelopmentKey:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no PEM'}") from None
    _, begin, rest = text.partition(_BEGIN)
    content, end, _ = rest.partition(_END)
    try:
        if begin and end:
            return DevelopmentKey(base64.b64decode("".join(content.split()), validate=True))
    except ValueError:
        pass
    raise StartError(f"{path} holds no private key on P-256 (PKCS #8, PEM)")


def _jwk(key: DevelopmentKey) -> dict[str, str]:
    x, y = key.coordinates()
    required = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    # RFC 7638 §3: the digest of the required members in this very form.
    digest = hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest()
    return {**required, "kid": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "alg": "ES256", "use": "sig"}


def _jwks(key: DevelopmentKey) -> str:
    return json.dumps({"keys": [_jwk(key)]})

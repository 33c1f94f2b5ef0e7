"""The compiled parts alone, without a gateway: route trie, strict codecs, signed tokens, keys, passwords, rates.

```python
router = Router([("/users/{id}", show_user), ("/files/{rest:path}", send_file)])
router.match("GET", "/users/7")  # (show_user, {"id": "7"})

verifier = JwtVerifier(open("keys.json").read(), issuer="https://id.example.com/", audience="projects")
claims = verifier.verify(token)

limiter = RateLimiter(100, per=60, burst=20)
if not (told := limiter.take(user)):
    wait(told.retry_after)
```
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastgate import _engine
from fastgate._engine import (
    DevelopmentKey as DevelopmentKey,  # of `fastgate token`
)
from fastgate._engine import (
    ParsedRequest,
    RateDecision,
    RateLimiter,
    Router,
    WebSocketParser,
    WebSocketViolation,
    YamlError,
    api_key_kind,
    load_yaml,
    websocket_deflate,
    websocket_extensions,
    websocket_frame,
)
from fastgate.errors import FastgateError

__all__ = [
    "Jws",
    "JwsSignature",
    "JwtVerifier",
    "KeySet",
    "ParsedRequest",
    "RateDecision",
    "RateLimiter",
    "RequestRefused",
    "Router",
    "TokenRefused",
    "WebSocketParser",
    "WebSocketViolation",
    "YamlError",
    "api_key_kind",
    "explain",
    "hash_password",
    "load_yaml",
    "make_api_key",
    "parse_request",
    "precedence",
    "verify_jws",
    "websocket_deflate",
    "websocket_extensions",
    "websocket_frame",
]


class RequestRefused(FastgateError, ValueError):
    """A request head that the gateway refuses, with the reason's name and the status it is answered with."""

    def __init__(self, reason: str, status: int, detail: str) -> None:
        super().__init__(reason, status, detail)
        self.reason = reason
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.reason}, {self.status})"


def parse_request(data: bytes) -> ParsedRequest | None:
    """Reads one request head as strictly as the gateway does (RFC 9112 §3); `None` while it is not complete.

    Args:
        data: The bytes received so far; what follows the head is not looked at. At most 32 KiB of head, 100 fields
            and 8 KiB of target are taken.

    Raises:
        RequestRefused: as soon as a complete line is one that the gateway refuses.
    """
    try:
        return _engine.parse_request(data)
    except _engine.RequestRefused as error:
        raise RequestRefused(*error.args) from None


def make_api_key(kind: Literal["api", "publish"] = "api") -> str:
    """Makes a key: `fg_ak_` (`fg_pk_` for publishers), 256 random bits in base62, and a checksum.

    Only its digest is stored, `"sha256:" + hashlib.sha256(key.encode()).hexdigest()`; show it once.
    """
    return _engine.make_api_key(kind, os.urandom(32))


def hash_password(password: str) -> str:
    """Hashes a password with argon2id (RFC 9106; 19 MiB, two passes, a random salt), for a line of a `users_file`.

    Raises:
        ValueError: a password of 4 GiB or more.
    """
    return _engine.hash_password(password, os.urandom(16))


def explain(snapshot: bytes, head: bytes, listener: str, client: str | None = None) -> dict[str, Any]:
    """Says what a snapshot would do with one request: the route, what it captures, and why other candidates lost.

    Args:
        snapshot: The engine's input, as `Snapshot.data` of a compiled config.
        head: A whole request head.
        listener: The name of the listener it comes to.
        client: The client's IP address; without it, no `client_ip` predicate holds.

    Raises:
        RequestRefused: the listener refuses the head before any route is looked for.
        ValueError: no such listener, half a head, an address that is none, or a snapshot the engine cannot run.
    """
    try:
        told: dict[str, Any] = json.loads(_engine.explain(snapshot, head, listener, client))
    except _engine.RequestRefused as error:
        raise RequestRefused(*error.args) from None
    return told


def precedence(snapshot: bytes) -> list[tuple[int, int]]:
    """Every match of a snapshot as (number of the route, number of the match), in the order in which they are tried.

    Raises:
        ValueError: a snapshot the engine cannot run.
    """
    return _engine.precedence(snapshot)


Key: TypeAlias = str | bytes | Mapping[str, Any]
"""A key: a JWK or a JWK set as a mapping or JSON text, a PEM public key, a DER public key, or the bytes of a secret."""


class TokenRefused(FastgateError, ValueError):
    """A token or a key that is refused, with the reason's name."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.reason})"


class KeySet:
    """Keys that verify signatures, parsed once.

    A key is for the algorithms that its type and its `alg` allow, and no token can say otherwise. RSA keys have 2048 to
    8192 bits, secrets at least 256; a text is never a secret, so that a public key cannot become one (RFC 8725 §3.1).

    Args:
        keys: One key or several: a JWK or JWK set (mapping or JSON text), PEM or DER public keys, bytes of a secret.

    Raises:
        TokenRefused: a key that cannot be read, or that cannot verify a signature.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Key | Iterable[Key]) -> None:
        texts: list[bytes] = []
        hidden: list[bytes] = []
        for key in [keys] if isinstance(keys, str | bytes | Mapping) else keys:
            if isinstance(key, Mapping):
                texts.append(_dumped(key))
            elif isinstance(key, str):
                texts.append(key.encode())
            elif key.lstrip().startswith((b"{", b"-----BEGIN ")):
                texts.append(key)
            elif (pem := _pem(key)) is not None:
                texts.append(pem)
            else:
                hidden.append(key)
        try:
            self._keys = _engine.KeySet(texts, hidden)
        except _engine.TokenRefused as error:
            raise TokenRefused(*error.args) from None

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def algorithms(self) -> list[str]:
        """The algorithms that its keys are for."""
        return self._keys.algorithms

    @property
    def skipped(self) -> list[str]:
        """Keys of a set that cannot verify a signature and were left out (RFC 7517 §5), and why."""
        return self._keys.skipped


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise TokenRefused("shape", f"it is no JSON: {error}") from None


def _pem(key: bytes) -> bytes | None:
    """DER of a public key as PEM: bytes that are one are never taken for a secret."""
    if not key.startswith(b"0"):
        return None
    for label in (b"PUBLIC KEY", b"RSA PUBLIC KEY"):
        pem = b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(key), label)
        try:
            _engine.KeySet([pem])
        except _engine.TokenRefused:
            continue
        return pem
    return None


@dataclass(frozen=True, slots=True)
class JwsSignature:
    """One signature that verified: its algorithm, and its header's protected and unprotected members."""

    algorithm: str
    protected: dict[str, Any]
    unprotected: dict[str, Any]

    @property
    def header(self) -> dict[str, Any]:
        """Both; no member is in both."""
        return {**self.protected, **self.unprotected}


@dataclass(frozen=True, slots=True)
class Jws:
    """A JWS that verified: its payload, and the signatures that did."""

    payload: bytes
    signatures: tuple[JwsSignature, ...]

    @property
    def header(self) -> dict[str, Any]:
        """The header of the first signature that verified."""
        return self.signatures[0].header


def verify_jws(
    jws: str | bytes | Mapping[str, Any],
    keys: KeySet | Key | Iterable[Key],
    *,
    algorithms: Sequence[str] | None = None,
    detached: bytes | None = None,
    every: bool = False,
    max_bytes: int = 16_384,
) -> Jws:
    """Verifies a JWS: compact, or JSON in its flattened or general form (RFC 7515 §7), with its payload or detached.

    The algorithm comes from the key: RS, PS and ES 256 to 512, EdDSA (Ed25519), HS 256 to 512. `b64: false` is known
    where `crit` lists it (RFC 7797); every other critical member is refused. Keys in a header are never looked at.

    Args:
        jws: The JWS; JSON as a mapping or as text.
        keys: One key or several, or a `KeySet`. A `kid` chooses among them; exactly one must fit.
        algorithms: Those accepted, of the ones that the keys are for; by default all of them.
        detached: The payload, where the JWS has none (RFC 7515 appendix F).
        every: Every signature of the general form must verify; by default one that does is enough.
        max_bytes: Most bytes of the JWS.

    Raises:
        TokenRefused: whatever is wrong with the JWS or a key.
        ValueError: an algorithm that is not known is asked for.
    """
    data = _dumped(jws) if isinstance(jws, Mapping) else jws.encode() if isinstance(jws, str) else jws
    known = keys if isinstance(keys, KeySet) else KeySet(keys)
    wanted = None if algorithms is None else list(algorithms)
    try:
        payload, told = _engine.verify_jws(data, known._keys, wanted, detached, every, max_bytes)
    except _engine.TokenRefused as error:
        raise TokenRefused(*error.args) from None
    signatures = tuple(
        JwsSignature(algorithm, json.loads(protected or "{}"), json.loads(unprotected or "{}"))
        for algorithm, protected, unprotected in told
    )
    return Jws(payload if payload is not None else detached or b"", signatures)


class JwtVerifier:
    """Verifies JSON Web Tokens as the gateway does (RFC 7519, RFC 8725): signatures once, claims at every call.

    A token must end: it needs `exp`, or `iat` where there is a `max_age`. Signatures that verified are remembered, with
    the claims; whether the token holds now is judged anew each time.

    Args:
        keys: One key or several, or a `KeySet`.
        audience: One of them must be in `aud`; `"any"` must be written to accept every token.
        issuer: `iss`, compared exactly; None: any.
        algorithms: Those accepted, of the ones that the keys are for; by default all of them.
        types: Values of `typ` accepted besides none, `JWT` and `at+jwt`.
        skew: Seconds of difference between clocks that are forgiven, at most 60.
        max_age: Most seconds since `iat`.
        required_claims: Claims that must be there.
        cache: Most tokens remembered; 0: none.

    Raises:
        TokenRefused: a key that cannot be used.
        ValueError: a setting that cannot be.
    """

    __slots__ = ("_verifier", "_verify")

    def __init__(
        self,
        keys: KeySet | Key | Iterable[Key],
        *,
        audience: str | Sequence[str],
        issuer: str | None = None,
        algorithms: Sequence[str] | None = None,
        types: Sequence[str] = (),
        skew: float = 30.0,
        max_age: float | None = None,
        required_claims: Sequence[str] = (),
        cache: int = 16_384,
    ) -> None:
        known = keys if isinstance(keys, KeySet) else KeySet(keys)
        audiences = [audience] if isinstance(audience, str) else list(audience)
        if not audiences:
            raise ValueError('audience is empty: name one, or write "any"')
        self._verifier = _engine.JwtVerifier(
            known._keys,
            issuer,
            None if audiences == ["any"] else audiences,
            None if algorithms is None else list(algorithms),
            list(types),
            skew,
            max_age,
            list(required_claims),
            cache,
            [secrets.randbits(64) for _ in range(4)],
        )
        self._verify = self._verifier.verify

    def verify(self, token: str | bytes, *, now: float | None = None) -> dict[str, Any]:
        """The claims of a token that is good now, or at `now` (seconds since 1970).

        Raises:
            TokenRefused: it is not.
        """
        try:
            return self._verify(token, now)
        except _engine.TokenRefused as error:
            raise TokenRefused(*error.args) from None

    @property
    def cached(self) -> int:
        """Tokens that are remembered."""
        return self._verifier.cached

"""`JwtVerifier` beside PyJWT and joserfc: tokens seen for the first time, and again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

primitives = pytest.importorskip("fastgate.primitives", reason="the compiled package is not built: make dev")
pyjwt = pytest.importorskip("jwt")
joserfc = pytest.importorskip("joserfc")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

ALGORITHMS = ["RS256", "ES256"]
TOKENS = 2_000
SIZE = 800


def private(algorithm: str) -> Any:
    return rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())


def tokens(algorithm: str) -> tuple[bytes, list[str]]:
    """A public key as PEM, and tokens of about 800 bytes."""
    key = private(algorithm)
    claims = {
        "iss": "https://id.example.com/",
        "aud": "projects",
        "sub": "me",
        "exp": int(time.time()) + 3600,
        "pad": "",
    }
    short = len(pyjwt.encode(claims, key, algorithm=algorithm))
    claims["pad"] = "x" * max((SIZE - short) * 3 // 4, 0)
    minted = [pyjwt.encode(claims | {"jti": f"{i:08}"}, key, algorithm=algorithm) for i in range(TOKENS)]
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form), minted


def measure(benchmark: Callable[..., Any], verify: Callable[[str], Any], minted: list[str]) -> None:
    rotating = itertools.cycle(minted)
    claims = benchmark(lambda: verify(next(rotating)))
    assert claims["sub"] == "me"
    with pytest.raises(Exception, match=r"(?i)signature|base64|refused|decod|padding"):
        verify(minted[0][:-3] + ("AAA" if not minted[0].endswith("AAA") else "BBB"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("seen", ["first", "again"])
def test_fastgate(benchmark: Callable[..., Any], algorithm: str, seen: str) -> None:
    key, minted = tokens(algorithm)
    cache = 0 if seen == "first" else 16_384
    verifier = primitives.JwtVerifier(key, audience="projects", issuer="https://id.example.com/", cache=cache)
    for token in minted:
        verifier.verify(token)
    assert verifier.cached == (0 if seen == "first" else TOKENS)
    measure(benchmark, verifier.verify, minted)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyjwt(benchmark: Callable[..., Any], algorithm: str) -> None:
    pem, minted = tokens(algorithm)
    key = serialization.load_pem_public_key(pem)
    told = {"audience": "projects", "issuer": "https://id.example.com/", "algorithms": [algorithm]}
    measure(benchmark, lambda token: pyjwt.decode(token, key, **told), minted)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_joserfc(benchmark: Callable[..., Any], algorithm: str) -> None:
    from joserfc import jwk, jwt

    pem, minted = tokens(algorithm)
    key = jwk.RSAKey.import_key(pem) if algorithm == "RS256" else jwk.ECKey.import_key(pem)
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": "https://id.example.com/"}, aud={"essential": True, "value": "projects"}
    )

    def verify(token: str) -> Any:
        claims = jwt.decode(token, key, algorithms=[algorithm]).claims
        registry.validate(claims)
        return claims

    measure(benchmark, verify, minted)

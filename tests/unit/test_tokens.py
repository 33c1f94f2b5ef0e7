"""`verify_jws` and `JwtVerifier`: the public vectors, and what other implementations say of the same tokens."""

from __future__ import annotations

import base64
import json
import string
from pathlib import Path

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate.primitives import JwtVerifier, KeySet, TokenRefused, verify_jws

COOKBOOK = Path(__file__).parents[1] / "vectors" / "jose-cookbook"
SECRET = b"0123456789abcdef" * 4
NOW = 1_800_000_000

RSA = rsa.generate_private_key(65537, 2048)
PRIVATE = {
    **dict.fromkeys(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], RSA),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    **dict.fromkeys(["HS256", "HS384", "HS512"], SECRET),
}


def public(algorithm: str, encoding: Encoding = Encoding.PEM) -> bytes:
    key = PRIVATE[algorithm]
    if isinstance(key, bytes):
        return key
    return key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def jwk(algorithm: str, **more: str) -> dict[str, str]:
    known = pyjwt.algorithms.get_default_algorithms()[algorithm]
    key = PRIVATE[algorithm]
    plain = known.to_jwk(key if isinstance(key, bytes) else key.public_key(), as_dict=True)
    return {name: value for name, value in plain.items() if name != "key_ops"} | more


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def refusal(*args: object, **settings: object) -> str:
    with pytest.raises(TokenRefused) as told:
        verify_jws(*args, **settings)  # type: ignore[arg-type]
    assert told.value.detail
    assert told.value.reason in str(told.value)
    return told.value.reason


@pytest.mark.parametrize("path", sorted((COOKBOOK / "jws").glob("*.json")), ids=lambda path: path.stem)
def test_the_cookbook(path: Path) -> None:
    vector = json.loads(path.read_text())
    payload = vector["input"]["payload"].encode()
    detached = payload if "detached" in path.name else None
    keys = vector["input"]["key"]
    for jws in vector["output"].values():
        told = verify_jws(jws, keys, detached=detached, every=True)
        assert told.payload == payload
        for signature in told.signatures:
            assert signature.header["alg"] == signature.algorithm
        assert len(told.signatures) == (len(keys) if isinstance(keys, list) else 1)


def test_unencoded_payloads() -> None:
    vector = json.loads((COOKBOOK / "rfc7797" / "hmac-sha2_b64_false.json").read_text())
    for jws in vector["output"].values():
        assert verify_jws(jws, vector["input"]["key"]).payload == b"This is the payload string!"
    # Its `b64` is not in `crit` (RFC 7797 §6).
    vector = json.loads((COOKBOOK / "rfc7797" / "4.2.hmac-sha2_b64_false.json").read_text())
    for jws in vector["output"].values():
        assert refusal(jws, vector["input"]["key"]) == "critical"


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_every_algorithm_that_another_implementation_signs(algorithm: str) -> None:
    token = pyjwt.encode({"sub": "me"}, PRIVATE[algorithm], algorithm=algorithm)
    for key in (public(algorithm), public(algorithm, Encoding.DER), jwk(algorithm), json.dumps(jwk(algorithm))):
        told = verify_jws(token, key)
        assert json.loads(told.payload) == {"sub": "me"}
        assert told.signatures[0].algorithm == algorithm
    others = [name for name in PRIVATE if name != algorithm]
    assert refusal(token, jwk(algorithm), algorithms=others) == "algorithm_unwanted"
    assert refusal(token, jwk(algorithm) | {"kid": "a"}, detached=b"x") == "content"
    for other in others:
        if PRIVATE[other] is not PRIVATE[algorithm]:
            assert refusal(token, public(other)) in ("key_algorithm", "signature"), other
        assert refusal(token, jwk(other, alg=other)) in ("key_algorithm", "signature"), other


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_j2_a_public_key_is_never_a_secret(algorithm: str, encoding: Encoding) -> None:
    key = public(algorithm, encoding)
    import hashlib
    import hmac

    for name in ("HS256", "HS384", "HS512"):
        signed = f"{b64(json.dumps({'alg': name}).encode())}.{b64(b'{}')}"
        tag = hmac.new(key, signed.encode(), getattr(hashlib, f"sha{name[2:]}")).digest()
        assert refusal(f"{signed}.{b64(tag)}", key) == "key_algorithm"
        assert refusal(f"{signed}.{b64(tag)}", [key, jwk(algorithm)]) == "key_algorithm"


def test_keys_that_are_refused() -> None:
    for key, why in [
        (b"short", "40 bits"),
        ("a text is no secret, however long it may be", "neither a PEM"),
        ({"kty": "oct", "k": b64(b"x" * 31)}, "248 bits"),
        ({"kty": "oct", "k": b64(b"x" * 32) + "="}, "base64url"),
        ([], "there is no key"),
        ({"keys": []}, "it is empty"),
        ({"kty": "RSA", "n": jwk("RS256")["n"], "e": "AQ"}, "no RSA key"),
        (json.dumps({"kty": "EC"}), "crv is missing"),
        ('{"kty":"EC","kty":"EC"}', "stands twice"),
        (RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "private key"),
    ]:
        with pytest.raises(TokenRefused, match=why) as told:
            KeySet(key)  # type: ignore[arg-type]
        assert told.value.reason == "key"
    weak = rsa.generate_private_key(65537, 1024).public_key()
    with pytest.raises(TokenRefused, match=r"1024 bits|none of RSA"):
        KeySet(weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    numbers = weak.public_numbers()
    with pytest.raises(TokenRefused, match="1024 bits"):
        KeySet({"kty": "RSA", "n": b64(numbers.n.to_bytes(128)), "e": "AQAB"})
    keys = KeySet([jwk("ES256", kid="a"), {"keys": [jwk("EdDSA"), {"kty": "X"}]}, SECRET])
    assert len(keys) == 3
    assert keys.algorithms == ["ES256", "EdDSA", "HS256", "HS384", "HS512"]
    assert keys.skipped == ['key 1: its kty "X" is not known']
    with pytest.raises(ValueError, match=r"'HS257' is not a known algorithm|\"HS257\" is not a known algorithm"):
        verify_jws("a.b.c", SECRET, algorithms=["HS257"])


def verifier(**more: object) -> JwtVerifier:
    return JwtVerifier(SECRET, **({"audience": "any"} | more))  # type: ignore[arg-type]


def minted(claims: dict[str, object], **header: object) -> str:
    return pyjwt.encode(claims, SECRET, algorithm="HS256", headers=header or None)


def test_claims_are_judged_at_every_call() -> None:
    one = verifier(audience=["a", "b"], issuer="https://id.example/", required_claims=["sub"])
    token = minted(
        {"aud": "a", "iss": "https://id.example/", "exp": NOW + 60, "sub": "é", "n": [1, 2.5, None, {"t": True}]}
    )
    for _ in range(3):
        assert one.verify(token, now=NOW) == pyjwt.decode(token, options={"verify_signature": False})
        assert one.verify(token.encode(), now=NOW)["sub"] == "é"
    assert one.cached == 1
    with pytest.raises(TokenRefused) as told:
        one.verify(token, now=NOW + 90)
    assert told.value.reason == "expired"
    assert one.verify(token, now=NOW + 89)["aud"] == "a"
    for broken in (token[:-2], token + "A", token.replace(".", ".A", 1)):
        with pytest.raises(TokenRefused):
            one.verify(broken, now=NOW)
    for wrong, why in [
        ({"aud": "c"}, "audience"),
        ({"iss": "https://id.example"}, "issuer"),
        ({"sub": None}, "claim_missing"),
        ({"nbf": NOW + 60}, "not_yet"),
        ({"iat": NOW + 60}, "issued_in_future"),
    ]:
        claims = {"aud": "a", "iss": "https://id.example/", "exp": NOW + 60, "sub": "me"} | wrong
        claims = {name: value for name, value in claims.items() if value is not None}
        with pytest.raises(TokenRefused) as told:
            one.verify(minted(claims), now=NOW)
        assert told.value.reason == why, wrong


def test_settings_that_cannot_be() -> None:
    for wrong in ({"audience": []}, {"skew": 61}, {"skew": -1}, {"skew": float("nan")}, {"algorithms": ["none"]}):
        with pytest.raises(ValueError, match=r"audience|skew|algorithm"):
            verifier(**wrong)
    small = verifier(cache=2)
    for number in range(5):
        small.verify(minted({"exp": NOW + 60, "jti": str(number)}), now=NOW)
    assert small.cached == 2
    none = verifier(cache=0)
    assert none.verify(minted({"exp": NOW + 60}), now=NOW)
    assert none.cached == 0


CLAIMS = st.dictionaries(
    st.sampled_from(["sub", "scope", "roles", "x", "jti"]) | st.text(string.printable, max_size=8),
    st.text(max_size=20)
    | st.integers(-(2**53), 2**53)
    | st.booleans()
    | st.none()
    | st.lists(st.text(max_size=5), max_size=3),
    max_size=6,
)


@settings(deadline=None, max_examples=150)
@given(
    CLAIMS,
    st.sampled_from(["RS256", "PS384", "ES256", "ES512", "EdDSA", "HS512"]),
    st.integers(-100, 100),
    st.integers(-100, 100),
    st.sampled_from(["a", "b", ["a", "b"], ["b"], [], None]),
)
def test_another_implementation_says_the_same(
    claims: dict[str, object], algorithm: str, exp: int, nbf: int, aud: object
) -> None:
    claims = {**claims, "exp": NOW + exp, "nbf": NOW + nbf}
    if aud is not None:
        claims["aud"] = aud
    for name in ("sub", "jti"):
        if not isinstance(claims.get(name, ""), str):
            del claims[name]
    token = pyjwt.encode(claims, PRIVATE[algorithm], algorithm=algorithm)
    ours: object
    try:
        ours = JwtVerifier(public(algorithm), audience="a").verify(token, now=NOW)
    except TokenRefused as error:
        ours = error.reason
    # The other's clock cannot be passed in, so it judges the signature alone, and the claims are judged here.
    plain = pyjwt.decode(token, public(algorithm), algorithms=[algorithm], options=dict.fromkeys(
        ["verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_sub", "verify_jti"], False))  # fmt: skip
    good_audience = aud == "a" or (isinstance(aud, list) and "a" in aud)
    if not good_audience:
        assert ours == "audience"
    elif exp + 30 <= 0:
        assert ours == "expired"
    elif nbf - 30 > 0:
        assert ours == "not_yet"
    else:
        assert ours == plain


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_token_that_was_touched_is_refused_as_by_another(data: st.DataObject) -> None:
    token = minted({"exp": NOW + 60, "sub": "me"}).encode()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[at]))
    touched = token[:at] + bytes([other]) + token[at + 1 :]
    with pytest.raises(TokenRefused):
        verifier().verify(touched, now=NOW)
    assert refusal(touched, SECRET)

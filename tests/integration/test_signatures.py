"""Signed requests (RFC 9421) on real sockets, signed and judged by another implementation; each kind of bad input."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from harness import Gateway, Origin, Response, snapshot
from harness.gateway import match, route
from harness.origin import answers, ok
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("engine")

SECRET = b"a secret of more than thirty-two characters"
PRIVATE: dict[str, Any] = {
    "hmac-sha256": SECRET,
    "rsa-pss-sha512": rsa.generate_private_key(65537, 2048),
    "rsa-v1_5-sha256": rsa.generate_private_key(65537, 2048),
    "ecdsa-p256-sha256": ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384-sha384": ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
PUBLIC = {name: key if isinstance(key, bytes) else key.public_key() for name, key in PRIVATE.items()}
RING = MappingKeyResolver(public_keys=PUBLIC, private_keys=PRIVATE)
ORACLE = {
    one.algorithm_id: one
    for one in vars(algorithms).values()
    if isinstance(one, type) and getattr(one, "algorithm_id", None)
}
COVERED = ("@method", "@authority", "@path", "@query")


class Lines:
    """Field lines in their order, as the oracle wants them."""

    def __init__(self, *lines: tuple[str, str]) -> None:
        self.lines = list(lines)

    def items(self) -> list[tuple[str, str]]:
        return self.lines

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.lines)

    def __contains__(self, name: str) -> bool:
        return any(one.lower() == name.lower() for one, _ in self.lines)

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for one, value in self.lines if one.lower() == name.lower())

    def __setitem__(self, name: str, value: str) -> None:
        self.lines.append((name, value))

    def __delitem__(self, name: str) -> None:
        self.lines = [line for line in self.lines if line[0].lower() != name.lower()]


@dataclass
class Message:
    """A request, for the oracle and for the wire."""

    method: str = "GET"
    target: str = "/0/a?b=1"
    headers: Lines = field(default_factory=Lines)
    body: bytes = b""
    host: str = "example.test"

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.target}"

    def bytes(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def signed(message: Message, key: str = "ed25519", **more: Any) -> Message:
    """Signs it as the oracle does, with the key of that algorithm."""
    signer = HTTPMessageSigner(signature_algorithm=ORACLE[key], key_resolver=RING)
    signer.sign(message, key_id=key, **({"covered_component_ids": COVERED} | more))
    return message


def verifies(message: Message, key: str) -> bool:
    """Whether the oracle takes it, however old it is."""
    verifier = HTTPMessageVerifier(signature_algorithm=ORACLE[key], key_resolver=RING)
    try:
        return bool(verifier.verify(message, max_age=None))
    except InvalidSignature:
        return False


def policy(**changes: Any) -> dict[str, Any]:
    def written(key: Any) -> str:
        if isinstance(key, bytes):
            return key.decode()
        pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem.decode()

    base = {
        "keys": {name: written(key) for name, key in PUBLIC.items()},
        "components": list(COVERED),
        "max_age_ms": 300_000,
        "skew_ms": 5_000,
        "nonce": False,
    }
    method = {"signature": base | changes}
    return {"auth": {"any_of": [method], "anonymous": None, "failures": 4_000_000_000, "failures_ms": 60_000}}


def guarded(origin: Origin, *policies: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One route `/N` for each."""
    routes = [route(f"r{n}", "origin", match(prefix=f"/{n}"), policies=n) for n in range(len(policies))]
    return snapshot(origin.url, routes=routes, **more) | {"policies": list(policies)}


def is_refused(answer: Response) -> bool:
    """401 that says nothing about why."""
    words = (b"expired", b"keyid", b"alg", b"nonce", b"created", b"component", b"digest", b"key")
    silent = not any(word in answer.body.lower() for word in words)
    return answer.status == 401 and answer.from_gateway and silent


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_what_another_implementation_signs_is_accepted(origin: Origin, algorithm: str) -> None:
    origin.script = answers(ok(b"in"))
    with Gateway(guarded(origin, policy())) as gateway, gateway.client() as client:
        for include_alg in (True, False):
            good = signed(Message(), algorithm, include_alg=include_alg, tag="app", nonce="once")
            assert verifies(good, algorithm)
            assert client.exchange(good.bytes()).status == 200
        # A key verifies what it is for and nothing else.
        for other in PRIVATE:
            if other != algorithm:
                crossed = signed(Message(), algorithm, include_alg=False)
                crossed.headers = Lines(*[(n, v.replace(algorithm, other)) for n, v in crossed.headers.items()])
                assert is_refused(client.exchange(crossed.bytes())), other
    assert len(origin.requests) == 2


def changed(message: Message, **parts: Any) -> Message:
    """With another method, host, target or other headers."""
    for name, value in parts.items():
        setattr(message, name, value)
    return message


def edited(message: Message, name: str, old: str, new: str) -> Message:
    """With another text in the first line of a field."""
    at = next(at for at, (one, _) in enumerate(message.headers.lines) if one.lower() == name)
    before = message.headers.lines[at][1]
    assert old in before, before
    message.headers.lines[at] = (name, before.replace(old, new, 1))
    return message


def also(message: Message, key: str = "hmac-sha256", **more: Any) -> Message:
    """With a second signature after the first."""
    return signed(message, key, append_if_signature_exists=True, label="second", **more)


def many(count: int) -> Message:
    """The same good signature so many times, under labels of its own."""
    one = signed(Message())
    input_, signature = (one.headers[name].removeprefix("pyhms=") for name in ("signature-input", "signature"))
    lines = [
        ("Signature-Input", ", ".join(f"s{n}={input_}" for n in range(count))),
        ("Signature", ", ".join(f"s{n}={signature}" for n in range(count))),
    ]
    return Message(headers=Lines(*lines))


def younger(message: Message) -> Message:
    """With `created` of now, over a signature that says otherwise."""
    created = re.search("created=([0-9]+)", message.headers["signature-input"])
    assert created
    return edited(message, "signature-input", created[1], str(int(ago(0).timestamp())))


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


BAD: dict[str, Callable[[], Message]] = {
    "the method": lambda: changed(signed(Message()), method="DELETE"),
    "the host": lambda: changed(signed(Message()), host="other.test"),
    "the path": lambda: changed(signed(Message()), target="/0/b?b=1"),
    "the path, encoded": lambda: changed(signed(Message()), target="/0/%61?b=1"),
    "the query": lambda: changed(signed(Message()), target="/0/a?b=2"),
    "the query, repeated": lambda: changed(signed(Message()), target="/0/a?b=1&b=1"),
    "the query is gone": lambda: changed(signed(Message()), target="/0/a"),
    "a field": lambda: edited(
        signed(Message(headers=Lines(("x-a", "1"))), covered_component_ids=(*COVERED, "x-a")), "x-a", "1", "2"
    ),
    "a field, more of it": lambda: (
        one := signed(Message(headers=Lines(("x-a", "1"))), covered_component_ids=(*COVERED, "x-a")),
        one.headers.lines.append(("x-a", "2")),
    )[0],
    "a field is gone": lambda: (
        one := signed(Message(headers=Lines(("x-a", "1"))), covered_component_ids=(*COVERED, "x-a")),
        one.headers.lines.pop(0),
    )[0],
    "a required component is not covered": lambda: signed(Message(), covered_component_ids=COVERED[1:]),
    "nothing is covered": lambda: signed(Message(), covered_component_ids=()),
    "a component is no longer covered": lambda: edited(signed(Message()), "signature-input", '"@query"', ""),
    "expired": lambda: signed(Message(), created=ago(60), expires=ago(20)),
    "too old": lambda: signed(Message(), created=ago(310)),
    "of the future": lambda: signed(Message(), created=ago(-30)),
    "made younger": lambda: younger(signed(Message(), created=ago(310))),
    "without created": lambda: edited(signed(Message()), "signature-input", ";created=", ";tag="),
    "an unknown keyid": lambda: edited(signed(Message()), "signature-input", 'd="ed25519"', 'd="nobody"'),
    "no keyid": lambda: edited(signed(Message()), "signature-input", ';keyid="ed25519"', ""),
    "another's keyid": lambda: edited(signed(Message()), "signature-input", 'd="ed25519"', 'd="hmac-sha256"'),
    "an alg that the key is not for": lambda: edited(signed(Message()), "signature-input", 'g="ed2', 'g="hmac-sha256'),
    "an unknown alg": lambda: edited(signed(Message()), "signature-input", 'g="ed25519"', 'g="none"'),
    "without its alg": lambda: edited(signed(Message()), "signature-input", ';alg="ed25519"', ""),
    "a signature without its input": lambda: edited(signed(Message()), "signature-input", "pyhms=", "other="),
    "an input without its signature": lambda: Message(headers=Lines(signed(Message()).headers.lines[0])),
    "a signature that is no bytes": lambda: edited(signed(Message()), "signature", ":", ""),
    "an empty signature": lambda: Message(headers=Lines(signed(Message()).headers.lines[0], ("signature", "pyhms=::"))),
    "a label twice": lambda: Message(headers=Lines(*signed(Message()).headers.lines, ("signature", "pyhms=:AAAA:"))),
    "two signatures, both of another path": lambda: changed(also(signed(Message())), target="/0/b?b=1"),
    "two signatures, of the first one's key and of nobody": lambda: edited(
        also(signed(Message(), created=ago(310))), "signature-input", 'd="hmac-sha256"', 'd="nobody"'
    ),
    "five signatures": lambda: many(5),
}


@pytest.fixture(scope="module")
def strict(engine: None) -> Iterator[Gateway]:
    """A gateway whose route `/0` asks for a signature, `/1` for one that covers nothing, `/2` for a nonce."""
    with Origin(answers(ok(b"in"))) as origin:
        policies = policy(), policy(components=[]), policy(nonce=True, components=[])
        with Gateway(guarded(origin, *policies)) as gateway:
            yield gateway


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_401_without_why(strict: Gateway, kind: str) -> None:
    with strict.client() as client:
        assert is_refused(client.exchange(BAD[kind]().bytes()))
        # The canary: the connection and the policy go on.
        assert client.exchange(signed(Message()).bytes()).status == 200


def test_one_signature_of_several_is_enough(strict: Gateway) -> None:
    stale = {"created": ago(310)}
    with strict.client() as client:
        for message in (
            also(signed(Message())),
            also(signed(Message(), **stale)),
            also(signed(Message()), **stale),
            edited(also(signed(Message())), "signature-input", 'd="ed25519"', 'd="nobody"'),
            many(4),
        ):
            assert client.exchange(message.bytes()).status == 200, message


def test_an_unsigned_request_is_told_nothing_more(strict: Gateway) -> None:
    with strict.client() as client:
        assert is_refused(client.exchange(Message().bytes()))


def test_a_nonce_counts_once(strict: Gateway) -> None:
    def one(nonce: str | None, key: str = "ed25519") -> Message:
        return signed(Message(target="/2"), key, nonce=nonce)

    with strict.client() as client, strict.client() as other:
        assert is_refused(client.exchange(one(None).bytes()))
        assert is_refused(client.exchange(one("").bytes()))
        assert is_refused(client.exchange(one("n" * 257).bytes()))
        first = one("a").bytes()
        # One that does not hold does not use the nonce up.
        assert is_refused(client.exchange(changed(one("a"), method="PUT").bytes()))
        assert client.exchange(first).status == 200
        for again in (first, one("a").bytes(), signed(Message("PUT", "/2"), nonce="a").bytes()):
            assert is_refused(client.exchange(again))
            assert is_refused(other.exchange(again))
        assert client.exchange(one("b").bytes()).status == 200
        assert client.exchange(one("a", "hmac-sha256").bytes()).status == 200, "another key's"


def test_a_body_is_bound_by_its_digest(origin: Origin) -> None:
    """The gateway proves the field `content-digest`; that the body has this digest is proved by the target."""
    origin.script = answers(ok(b"in"))
    asks = policy(components=["@method", "content-digest"])

    def digest(body: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"

    def told(body: bytes) -> Message:
        return signed(Message("POST", "/0", body=body), body=body, covered_component_ids=("@method",))

    with Gateway(guarded(origin, asks)) as gateway, gateway.client() as client:
        assert client.exchange(told(b"hello").bytes()).status == 200
        # Changed with its digest, and without one.
        other = edited(changed(told(b"hello"), body=b"HELLO"), "content-digest", digest(b"hello"), digest(b"HELLO"))
        assert is_refused(client.exchange(other.bytes()))
        assert is_refused(client.exchange(signed(Message("POST", "/0", body=b"hello")).bytes()))
        bare = told(b"hello")
        del bare.headers["content-digest"]
        assert is_refused(client.exchange(bare.bytes()))
        assert [one.body for one in origin.requests] == [b"hello"]
        # The body alone: it streams through, with the signed digest that does not fit it.
        assert client.exchange(changed(told(b"hello"), body=b"HELLO").bytes()).status == 200
    last = origin.requests[-1]
    assert (last.body, last.get("content-digest")) == (b"HELLO", digest(b"hello").encode())


NAMES = st.sampled_from(["x-a", "x-b", "x-dict"])
VALUES = st.sampled_from(["1", "a=1, b=2", "a=(1 2);x, b", " two  words ", 'a="q"', "", "a=:aGk=:", "é"])
COMPONENTS = st.sampled_from(
    [
        "@method",
        "@authority",
        "@path",
        "@query",
        "@scheme",
        "@target-uri",
        "@request-target",
        '"@query-param";name="a"',
        '"@query-param";name="b%20c"',
        "x-a",
        "x-b",
        '"x-dict";key="a"',
        '"x-dict";key="b"',
        '"x-a";bs',
        '"x-b";bs',
    ]
)
MESSAGES = st.builds(
    lambda method, path, query, lines, host: Message(method, f"/1{path}{query}", Lines(*lines), host=host),
    st.sampled_from(["GET", "PUT", "OPTIONS", "DELETE"]),
    st.sampled_from(["", "/", "/a", "/a%20b", "/caf%C3%A9", "/a;b=c", "/~a", "/a//b"]),
    st.sampled_from(["", "?", "?a=1", "?a=1&b+c=2", "?a=%7Ex%20y", "?a=1&a=2", "?a", "?a=*-._%2b", "?q=%C3%A9&a=+"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.sampled_from(["example.test", "example.test:80", "example.test:8080", "Example.TEST", "[::1]:81"]),
)
# What happens on the way.
TOUCHES: dict[str, Callable[[Message], object]] = {
    "nothing": lambda message: None,
    "the method": lambda message: changed(message, method="PATCH"),
    "the target": lambda message: changed(
        message, target=f"{message.target}{'&' if '?' in message.target else '?'}z=1"
    ),
    "the host": lambda message: changed(message, host="other.test"),
    "a line more": lambda message: message.headers.lines.append(("x-a", "more")),
    "the lines turned": lambda message: message.headers.lines.reverse(),
    "no line of x-b": lambda message: message.headers.__delitem__("x-b"),
    "blanks around": lambda message: setattr(
        message.headers, "lines", [(name, f" {value}\t") for name, value in message.headers.lines]
    ),
    "names in upper case": lambda message: setattr(
        message.headers, "lines", [(name.upper(), value) for name, value in message.headers.lines]
    ),
}


def is_there(message: Message, component: str) -> bool:
    """Whether the oracle finds a value for it."""
    signer = HTTPMessageSigner(signature_algorithm=ORACLE["ed25519"])
    try:
        signer.prepare(message, key_id="x", covered_component_ids=(component,))
    except HTTPMessageSignaturesException:
        return False
    return True


@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    message=MESSAGES,
    covered=st.lists(COMPONENTS, min_size=3, max_size=8, unique=True),
    key=st.sampled_from(["hmac-sha256", "ecdsa-p256-sha256", "ed25519"]),
    touch=st.sampled_from(list(TOUCHES)),
)
def test_another_implementation_says_the_same(
    strict: Gateway, message: Message, covered: list[str], key: str, touch: str
) -> None:
    # What is not there cannot be signed.
    signed(message, key, covered_component_ids=tuple(one for one in covered if is_there(message, one)))
    TOUCHES[touch](message)
    with strict.client() as client:
        answer = client.exchange(message.bytes())
    assert answer.status == (200 if verifies(message, key) else 401), (message, covered)

"""A client certificate as an identity: who is asking, what they may, what the target is told of it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from harness.origin import Origin
from harness.pki import Minted, Pki, mint, root
from harness.tls import REFUSED, ask, config, connected

from fastgate import testing
from fastgate.errors import ConfigError

SPIFFE = "spiffe://example.org/ns/billing"
HEADERS = {"x-spiffe": "spiffe", "x-dns": "dns", "x-email": "email", "x-subject": "subject", "x-print": "fingerprint"}


class Clients:
    """An authority of clients, and contexts that show what it signed."""

    def __init__(self, folder: Path) -> None:
        self.pki = Pki(folder)
        self.root = root()
        self.file = self.pki.write("clients.pem", self.root.pem)

    def context(self, shown: Minted | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        file = None if shown is None else self.pki.write("shown.pem", shown.chain_pem + shown.key_pem)
        return self.pki.context(version, file)

    def config(self, origin: Origin, *, mode: str = "optional", method: Any = None, **more: Any) -> dict[str, Any]:
        """Everything needs a certificate, whatever way the listener asks for one."""
        tls = {"certificates": [self.pki.server("a", "localhost")], "client_auth": {"ca": self.file, "mode": mode}}
        return config(tls, **{"policies": {"auth": auth(method or {})}, "routes": everything(origin)} | more)


def auth(method: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"any_of": [{"mtls": method}], "failures": "10000/m"} | more


def everything(origin: Origin, **policies: Any) -> dict[str, Any]:
    return {"all": {"match": {"prefix": "/"}, "to": origin.url, "policies": policies}}


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path)


def fingerprint(shown: Minted) -> str:
    return shown.cert.fingerprint(hashes.SHA256()).hex()


def fields(origin: Origin) -> dict[str, str]:
    """What the origin was told in the last request, without what is told of every request."""
    told = {name.lower().decode(): value.decode() for name, value in origin.requests[-1].fields}
    return {name: told[name] for name in HEADERS if name in told}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_a_certificate_says_reaches_the_target_and_a_clients_own_word_does_not(
    clients: Clients, origin: Origin, version: ssl.TLSVersion
) -> None:
    names = [SPIFFE, "billing.example", "b.example", "billing@example.org"]
    shown = mint("billing", clients.root, names=names, organisation="Acme, Inc")
    with testing.serve(clients.config(origin, method={"headers": HEADERS})) as gateway:
        forged = [f"{name.title()}: admin" for name in HEADERS]
        with connected(gateway.addresses["secure"], clients.context(shown, version)) as sock:
            for _ in range(2):
                assert ask(sock, "localhost", "/", *forged).status == 200
                assert fields(origin) == {
                    "x-spiffe": SPIFFE,
                    "x-dns": "billing.example,b.example",
                    "x-email": "billing@example.org",
                    "x-subject": "CN=billing,O=Acme\\, Inc",
                    "x-print": fingerprint(shown),
                }
        plain = mint("nobody in particular", clients.root)
        with connected(gateway.addresses["secure"], clients.context(plain, version)) as sock:
            assert ask(sock, "localhost", "/", *forged).status == 200
            assert set(fields(origin)) == {"x-subject", "x-print"}, "what it does not say is not said"
            assert "admin" not in str(fields(origin))


def test_without_a_certificate_it_is_401_and_nothing_reaches_the_target(clients: Clients, origin: Origin) -> None:
    with testing.serve(clients.config(origin)) as gateway:
        with connected(gateway.addresses["secure"], clients.context(None)) as sock:
            answer = ask(sock)
            assert (answer.status, answer.fields["www-authenticate"]) == (401, 'Certificate realm="api"')
            assert b"certificate" not in answer.body.lower()
        with connected(gateway.addresses["secure"], clients.context(mint("a", clients.root))) as sock:
            assert ask(sock).status == 200
    assert len(origin.requests) == 1


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_a_stranger_does_not_get_in(clients: Clients, origin: Origin, mode: str) -> None:
    stranger = mint("a", root("another"), names=[SPIFFE])
    itself = mint("a", names=[SPIFFE])
    with testing.serve(clients.config(origin, mode=mode)) as gateway:
        for shown in (stranger, itself):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with (
                    pytest.raises(REFUSED),
                    connected(gateway.addresses["secure"], clients.context(shown, version)) as sock,
                ):
                    ask(sock)
    assert not origin.heads


@pytest.mark.parametrize(
    ("wanted", "subject"),
    [
        (None, SPIFFE),
        ("spiffe", SPIFFE),
        ("dns", "billing.example"),
        ("email", "billing@example.org"),
        ("subject", "CN=billing"),
        (["email", "dns"], "billing@example.org"),
    ],
)
def test_its_subject_is_the_part_that_is_asked_for(clients: Clients, origin: Origin, wanted: Any, subject: str) -> None:
    shown = mint("billing", clients.root, names=[SPIFFE, "billing.example", "billing@example.org"])
    method = {} if wanted is None else {"identity": wanted}
    require = {"expression": f'identity.subject == "{subject}" && identity.method == "mtls"'}
    with testing.serve(clients.config(origin, method=method, routes=everything(origin, require=require))) as gateway:
        with connected(gateway.addresses["secure"], clients.context(shown)) as sock:
            assert ask(sock).status == 200
        with connected(gateway.addresses["secure"], clients.context(mint("CN=x", clients.root))) as sock:
            # Who has none of the parts asked for is nobody; any other is somebody else.
            assert ask(sock).status == (403 if wanted in (None, "subject") else 401)


def test_what_it_says_is_asked_of_it_by_require(clients: Clients, origin: Origin) -> None:
    shown = mint("billing", clients.root, names=[SPIFFE, "billing.example", "second.example"])
    finger = fingerprint(shown)
    routes = {}
    for name, require in {
        "a": {"claims": {"spiffe": SPIFFE}},
        "b": {"claims": {"dns": "second.example"}},
        "c": {"claims": {"fingerprint": [finger, "00"]}},
        "d": {"expression": 'claims.spiffe.startsWith("spiffe://example.org/") && "billing.example" in claims.dns'},
        "e": {"claims": {"spiffe": "spiffe://example.org/ns/other"}},
        "f": {"claims": {"email": {"present": True}}, "expression": "size(claims.email) > 0"},
        "g": {"roles": {"any": ["admin"]}},
    }.items():
        routes[name] = {"match": {"prefix": f"/{name}"}, "to": origin.url, "policies": {"require": require}}
    with (
        testing.serve(clients.config(origin, routes=routes)) as gateway,
        connected(gateway.addresses["secure"], clients.context(shown)) as sock,
    ):
        told = {name: ask(sock, path=f"/{name}").status for name in routes}
    assert told == {"a": 200, "b": 200, "c": 200, "d": 200, "e": 403, "f": 403, "g": 403}


def test_it_stands_for_a_consumer(clients: Clients, origin: Origin) -> None:
    consumers = {
        "billing": {"certificates": [SPIFFE, "CN=old billing"], "roles": ["payer"], "limits": {"a": {"rate": "2/h"}}},
        "shop.example": {"roles": ["seller"]},
    }
    payers = everything(
        origin, require={"roles": {"any": ["payer", "seller"]}}, limits={"a": {"rate": "100/h", "per": "consumer"}}
    )
    mapping = clients.config(origin, consumers=consumers, routes=payers)
    with testing.serve(mapping) as gateway:

        def asked(times: int, *names: str, cn: str = "x") -> list[int]:
            shown = clients.context(mint(cn, clients.root, names=names))
            with connected(gateway.addresses["secure"], shown) as sock:
                return [ask(sock).status for _ in range(times)]

        assert asked(1, SPIFFE) == [200]
        assert asked(2, cn="old billing") == [200, 429], "two certificates of one consumer share its limit"
        assert asked(3, "shop.example") == [200] * 3, "a DNS name that is a consumer's name"
        assert asked(1, "spiffe://example.org/ns/billing2", "shop.example") == [403], "its first name counts"
        assert asked(1, "billing@example.org") == [403]
        assert asked(1, cn="billing") == [403], "a common name alone is no DNS name"


def test_two_consumers_do_not_share_a_certificate(clients: Clients, origin: Origin) -> None:
    consumers = {"a": {"certificates": [SPIFFE]}, "b": {"certificates": ["x.example", SPIFFE]}}
    with pytest.raises(ConfigError) as caught, testing.serve(clients.config(origin, consumers=consumers)):
        pass
    assert f'consumers.b.certificates.1: found "{SPIFFE}" for the second time' in str(caught.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_t2_whoever_comes_again_is_judged_again_and_listeners_share_nothing(
    clients: Clients, origin: Origin, version: ssl.TLSVersion
) -> None:
    """T2, CVE-2025-23419: a session of one listener says nothing at another, whoever its authority is."""
    other = root("another")
    mapping = clients.config(origin, method={"headers": {"x-spiffe": "spiffe"}})
    pair = mapping["listeners"]["secure"]["tls"]["certificates"]
    theirs = {"ca": clients.pki.write("others.pem", other.pem), "mode": "optional"}
    mapping["listeners"]["others"] = {"bind": "127.0.0.1:0", "tls": {"certificates": pair, "client_auth": theirs}}
    mapping["listeners"]["open"] = {"bind": "127.0.0.1:0", "tls": {"certificates": pair}}
    shown = mint("a", clients.root, names=[SPIFFE])
    with testing.serve(mapping) as gateway:
        context, nobody = clients.context(shown, version), clients.context(None, version)

        def visit(
            listener: str, context: ssl.SSLContext, session: ssl.SSLSession | None = None
        ) -> tuple[int, ssl.SSLSession | None]:
            with connected(gateway.addresses[listener], context, session=session) as sock:
                status = ask(sock).status
                assert not sock.session_reused, (listener, "every handshake is a whole one")
                return status, sock.session

        # Its identity is that of each connection's own handshake.
        status, session = visit("secure", context)
        assert (status, fields(origin)) == (200, {"x-spiffe": SPIFFE})
        status, session = visit("secure", context, session)
        assert (status, fields(origin)) == (200, {"x-spiffe": SPIFFE})
        seen = len(origin.requests)
        # At the listener of another authority it is a stranger, with its session or without.
        for given in (session, None):
            with pytest.raises(REFUSED):
                visit("others", context, given)
        # Nor does a session without a certificate bring one along, from wherever it is.
        assert visit("open", nobody)[0] == 401
        for start in ("open", "others", "secure"):
            for end in ("others", "secure"):
                assert visit(end, nobody, visit(start, nobody)[1])[0] == 401
    assert len(origin.requests) == seen


def test_t1_a_route_of_one_listener_is_not_served_at_another(clients: Clients, origin: Origin) -> None:
    """T1: whatever name the handshake and the request give, a protected route is reached by its own listener alone."""
    routes = {
        "protected": {"match": {"prefix": "/"}, "to": origin.url, "listeners": ["secure"]},
        "public": {
            "match": {"prefix": "/"},
            "respond": {"status": 200, "body": "public"},
            "listeners": ["open"],
            "policies": {"auth": False},
        },
    }
    mapping = clients.config(origin, mode="required", routes=routes)
    pair = mapping["listeners"]["secure"]["tls"]["certificates"]
    mapping["listeners"]["open"] = {"bind": "127.0.0.1:0", "tls": {"certificates": pair}}
    shown = mint("a", clients.root, names=[SPIFFE])
    with testing.serve(mapping) as gateway:
        for name in ("localhost", "LOCALHOST", "other.example", None):
            for context in (clients.context(None), clients.context(shown)):
                with connected(gateway.addresses["open"], context, name) as sock:
                    for host in ("localhost", "LocalHost", "localhost."):
                        assert ask(sock, host).body == b"public"
        assert not origin.heads
        with connected(gateway.addresses["secure"], clients.context(shown)) as sock:
            assert ask(sock).status == 200
    assert len(origin.requests) == 1


def test_t3_a_name_that_is_none_is_no_absent_certificate(clients: Clients, origin: Origin) -> None:
    """T3: a name with NUL in it is read by nobody; who shows it is refused, not taken for who shows nothing."""
    mapping = clients.config(origin, consumers={"guest": {}}, policies={"auth": auth({}, anonymous="guest")})
    with testing.serve(mapping) as gateway:
        with connected(gateway.addresses["secure"], clients.context(None)) as sock:
            assert ask(sock).status == 200
        for name in ("billing.example\0.evil.example", "billing.example\n"):
            shown = clients.context(mint("x", clients.root, names=[name]))
            try:
                with connected(gateway.addresses["secure"], shown) as sock:
                    assert ask(sock).status == 401
            except REFUSED:
                pass
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("method", "place", "words"),
    [
        ({"identity": "cn"}, "identity", "allowed: spiffe, dns, email, subject"),
        ({"identity": []}, "identity", "found an empty list"),
        ({"headers": {"x-client": "cn"}}, "headers.x-client", "fingerprint"),
        ({"subject": "dns"}, "subject", "unknown key"),
    ],
)
def test_settings_that_cannot_be_are_named(
    clients: Clients, origin: Origin, method: dict[str, Any], place: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught, testing.serve(clients.config(origin, method=method)):
        pass
    assert f"policies.auth.any_of.0.mtls.{place}: " in str(caught.value)
    assert words in str(caught.value)

"""Client certificates: who gets in, for how long, and as whom."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from harness.heard import Heard
from harness.pki import Pki
from harness.tls import REFUSED, ask, config, connected

from fastgate import testing


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_on_their_listener_and_never_where_clients_show_certificates(
    pki: Pki, version: ssl.TLSVersion
) -> None:
    pair = pki.server("a", "localhost")
    client, _ = pki.client("alice@example.com")
    mapping = config({"certificates": [pair]})
    mapping["listeners"]["twin"] = {"bind": "127.0.0.1:0", "tls": {"certificates": [pair]}}
    mapping["listeners"]["clients"] = {
        "bind": "127.0.0.1:0",
        "tls": {"certificates": [pair], "client_auth": {"ca": pki.ca_file}},
    }
    with testing.serve(mapping) as gateway:
        context = pki.context(version, client)

        def visit(listener: str, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession | None]:
            with connected(gateway.addresses[listener], context, session=session) as sock:
                assert ask(sock).status == 200
                return bool(sock.session_reused), sock.session

        reused, session = visit("secure")
        assert not reused
        assert session is not None
        assert visit("secure", session)[0]
        # Another listener has keys of its own, and one with client certificates takes and gives no tickets.
        assert not visit("twin", visit("secure")[1])[0]
        assert not visit("clients", visit("secure")[1])[0]
        _, given = visit("clients")
        assert given is None or not given.has_ticket
        assert not visit("clients", given)[0]
        gateway.reload()
        assert visit("secure", session if version == ssl.TLSVersion.TLSv1_2 else visit("secure")[1])[0]


def test_client_certificates_are_judged(pki: Pki) -> None:
    pair = pki.server("a", "localhost")
    good, _ = pki.client("good.example")
    bad, revoked = pki.client("bad.example")
    strange, _ = pki.client("strange.example", ca=pki.other)
    auth: dict[str, Any] = {"ca": pki.ca_file, "crl": pki.revoke(revoked)}
    mapping = config({"certificates": [pair], "client_auth": auth})
    optional = {"certificates": [pair], "client_auth": {**auth, "mode": "optional"}}
    mapping["listeners"]["optional"] = {"bind": "127.0.0.1:0", "tls": optional}
    with testing.serve(mapping) as gateway:
        for listener, client, expected in [
            ("secure", good, True),
            ("secure", None, False),
            ("secure", bad, False),
            ("secure", strange, False),
            ("optional", good, True),
            ("optional", None, True),
            ("optional", bad, False),
            ("optional", strange, False),
        ]:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                try:
                    with connected(gateway.addresses[listener], pki.context(version, client)) as sock:
                        passed = ask(sock).status == 200
                except REFUSED:
                    passed = False
                assert passed == expected, (listener, client, version)


def test_a_new_list_of_revoked_certificates_reaches_open_connections(pki: Pki) -> None:
    client, leaf = pki.client("alice.example")
    other, _ = pki.client("bob.example")
    crl = pki.revoke()
    tls = {"certificates": [pki.server("a", "localhost")], "client_auth": {"ca": pki.ca_file, "crl": crl}}
    with (
        Heard("fastgate") as heard,
        testing.serve(config(tls)) as gateway,
        connected(gateway.addresses["secure"], pki.context(client=client)) as alice,
        connected(gateway.addresses["secure"], pki.context(client=other)) as bob,
    ):
        assert ask(alice).status == 200
        pki.revoke(leaf)
        heard.wait("has changed and is in use")
        assert ask(alice).status == 421
        assert ask(bob).status == 200
        with (
            pytest.raises(REFUSED),
            connected(gateway.addresses["secure"], pki.context(client=client)) as again,
        ):
            ask(again)

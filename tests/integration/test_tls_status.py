"""How long certificates are valid: in /healthz as a warning, in `fastgate status`, and TLS in `fastgate explain`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from harness.client import wait_for
from harness.pki import Minted, mint, root, write
from harness.product import fetch, shell
from harness.tls import config

from fastgate import testing
from fastgate.cli.shown import status_lines


def pair(folder: Path, name: str, made: Minted) -> dict[str, str]:
    """A certificate and its key as files, as a config names them."""
    return {
        "cert": write(folder, f"{name}.pem", made.chain_pem),
        "key": write(folder, f"{name}.key", made.key_pem),
    }


def served(*certificates: dict[str, str]) -> dict[str, Any]:
    return config({"certificates": list(certificates)}, admin={"bind": "127.0.0.1:0"})


class Health:
    """What a gateway says of itself."""

    def __init__(self, gateway: testing.Served) -> None:
        self.status = gateway.runtime.status()
        address = self.status["listeners"]["admin"]
        self.ready = fetch(f"http://{address}/readyz")[0]
        self.code, text = fetch(f"http://{address}/healthz")
        self.plain = json.loads(text)
        self.tls = self.plain["checks"]["tls"]


def test_a_certificate_that_ends_soon_is_a_warning_until_it_is_replaced(tmp_path: Path) -> None:
    ca = root()
    good = pair(tmp_path, "good", mint("good", ca, names=["good.example", "*.example.org"], days=90))
    soon = pair(tmp_path, "soon", mint("soon", ca, names=["soon.example", "192.0.2.1"], days=11))
    with testing.serve(served(good, soon)) as gateway:
        health = Health(gateway)
        assert (health.ready, health.code, health.plain["status"]) == (200, 200, "degraded")
        (reason,) = health.plain["reasons"]
        assert reason.startswith(f"tls: {soon['cert']} (soon.example) of listener secure expires in ")
        assert re.search(r" in (9|10) days, on 20\d\d-\d\d-\d\d$", reason)
        assert (health.tls["status"], health.tls["ending"], health.tls["invalid"]) == ("degraded", 1, 0)
        first, second = health.tls["listeners"]["secure"]
        assert (first["file"], first["names"]) == (good["cert"], ["good.example", "*.example.org"])
        assert second["names"] == ["soon.example", "192.0.2.1"]
        assert 70 * 86_400 < first["not_after"] - second["not_after"] < 90 * 86_400
        text = "\n".join(status_lines(health.status, False))
        assert "certificates secure  good.example, *.example.org  until " in text
        assert reason in text
        pair(tmp_path, "soon", mint("soon", ca, names=["soon.example"], days=30))
        wait_for(lambda: Health(gateway).plain["status"] == "ok", "the new certificate")
        assert Health(gateway).tls["ending"] == 0


@pytest.mark.parametrize(
    ("start", "days", "said", "shown"),
    [(-10, 5, "has expired on 20", "EXPIRED"), (3, 5, "is not valid before 20", "left")],
)
def test_one_that_is_not_valid_is_told_and_the_gateway_stays_ready(
    tmp_path: Path, start: int, days: int, said: str, shown: str
) -> None:
    wrong = pair(tmp_path, "wrong", mint("wrong", root(), names=["wrong.example"], start=start, days=days))
    with testing.serve(served(wrong)) as gateway:
        health = Health(gateway)
    assert (health.ready, health.code, health.plain["status"]) == (200, 200, "degraded")
    assert said in health.plain["reasons"][0]
    assert (health.tls["ending"], health.tls["invalid"]) == (0, 1)
    lines = [line for line in status_lines(health.status, False) if line.startswith("certificates")]
    assert shown in lines[0]


def test_a_file_that_cannot_be_used_any_more_is_told_beside_what_is_served(tmp_path: Path) -> None:
    good = pair(tmp_path, "good", mint("good", root(), names=["good.example"], days=90))
    with testing.serve(served(good)) as gateway:
        write(tmp_path, "good.pem", b"half a certif")
        wait_for(lambda: Health(gateway).plain["status"] == "degraded", "the refused file")
        health = Health(gateway)
        assert health.plain["checks"]["files"]["status"] == "degraded"
        assert health.tls["status"] == "ok", "what is served is good"
        assert "good.pem" in "\n".join(status_lines(health.status, False))


def test_without_tls_there_is_nothing_to_say(tmp_path: Path) -> None:
    plain = served()
    plain["listeners"] = {"public": {"bind": "127.0.0.1:0"}}
    with testing.serve(plain) as gateway:
        health = Health(gateway)
    assert health.tls == {"listeners": {}, "ending": 0, "invalid": 0, "status": "ok"}
    assert not any(line.startswith("certificates") for line in status_lines(health.status, False))


def test_explain_says_what_a_client_meets_first(tmp_path: Path) -> None:
    tls = {"certificates": [{"cert": "a.pem", "key": "a.key"}, {"cert": "b.pem", "key": "b.key"}]}
    clients = tls | {"min_version": "1.3", "client_auth": {"ca": "clients.pem", "mode": "optional"}}
    mapping = served() | {
        "listeners": {
            "public": {"bind": "127.0.0.1:8000"},
            "secure": {"bind": "127.0.0.1:8443", "tls": tls},
            "known": {"bind": "127.0.0.1:9443", "tls": clients},
        }
    }
    (tmp_path / "fastgate.yaml").write_text(json.dumps(mapping), encoding="utf-8")

    def said(url: str, *words: str) -> str:
        done = shell("explain", "fastgate.yaml", "GET", url, *words, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "TLS" not in said("http://localhost:8000/")
    assert "  TLS 1.2 or 1.3; certificates: a.pem, b.pem\n" in said("https://localhost:8443/")
    text = said("https://localhost:9443/")
    assert "  TLS 1.3; certificates: a.pem, b.pem; a client certificate may be shown, of clients.pem\n" in text
    plain = json.loads(said("https://localhost:8443/", "--format", "json"))
    assert plain["tls"]["certificates"] == tls["certificates"]
    assert json.loads(said("/", "--format", "json"))["tls"] is None

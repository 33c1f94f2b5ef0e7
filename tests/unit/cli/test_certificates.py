"""`fastgate certs dev`: what it writes is what a gateway and a client can use, and nobody else can read the keys."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from fastgate import cli


def test_it_writes_an_authority_and_what_it_signs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = tmp_path / "certs"
    assert cli.main(["certs", "dev", "--dir", str(where), "--client", "spiffe://example.test/a"]) == 0
    said = capsys.readouterr().out
    assert f"cert: {where / 'server.pem'}" in said
    assert f"curl --cacert {where / 'ca.pem'}" in said
    names = {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem", "client.pem", "client-key.pem"}
    assert {file.name for file in where.iterdir()} == names
    for file in where.iterdir():
        assert file.stat().st_mode & 0o777 == (0o600 if file.stem.endswith("-key") else 0o644)
    context = ssl.create_default_context(cafile=str(where / "ca.pem"))
    context.load_cert_chain(where / "client.pem", where / "client-key.pem")
    server = x509.load_pem_x509_certificate((where / "server.pem").read_bytes())
    alternative = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in alternative.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    authority = x509.load_pem_x509_certificate((where / "ca.pem").read_bytes())
    server.verify_directly_issued_by(authority)


def test_an_authority_that_is_there_signs_again(tmp_path: Path) -> None:
    def made() -> tuple[bytes, bytes]:
        assert cli.main(["certs", "dev", "--dir", str(tmp_path), "--name", "*.a.test"]) == 0
        return (tmp_path / "ca.pem").read_bytes(), (tmp_path / "server.pem").read_bytes()

    (first_ca, first), (second_ca, second) = made(), made()
    assert first_ca == second_ca
    assert first != second
    x509.load_pem_x509_certificate(second).verify_directly_issued_by(x509.load_pem_x509_certificate(first_ca))


@pytest.mark.parametrize("name", ["two words", "", "a\nb", "-x"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["certs", "dev", "--dir", str(tmp_path / "new"), f"--name={name}"]) == 1
    assert "allowed: a name" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_key_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ca.pem").write_text("x")
    (tmp_path / "ca-key.pem").write_text("x")
    assert cli.main(["certs", "dev", "--dir", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err

"""Certificates as files: an authority with what it signs, and certificates of any make, good and bad."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
PEM = serialization.Encoding.PEM
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def write(folder: Path, name: str, data: bytes) -> str:
    """A whole file at once, as certificate tools replace them."""
    half = folder / f".{name}.new"
    half.write_bytes(data)
    half.replace(folder / name)
    return str(folder / name)


class Pki:
    """An authority and what it signs, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.other = trustme.CA()
        self.ca_file = self.write("ca.pem", self.ca.cert_pem.bytes())

    def write(self, name: str, data: bytes) -> str:
        """A whole file at once, as certificate tools replace them."""
        return write(self.folder, name, data)

    def server(self, name: str, *names: str, ca: trustme.CA | None = None) -> dict[str, str]:
        """A certificate of a server for these names, as a config names it."""
        leaf = (ca or self.ca).issue_cert(*names)
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        return {
            "cert": self.write(f"{name}.pem", chain),
            "key": self.write(f"{name}.key", leaf.private_key_pem.bytes()),
        }

    def client(self, *names: str, ca: trustme.CA | None = None) -> tuple[str, trustme.LeafCert]:
        """A client's certificate with its key, in one file."""
        leaf = (ca or self.ca).issue_cert(*names)
        return self.write(f"client-{names[0]}.pem", leaf.private_key_and_cert_chain_pem.bytes()), leaf

    def revoke(self, *leaves: trustme.LeafCert, name: str = "revoked.pem") -> str:
        """A list of these certificates, newly signed."""
        serials = [x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number for leaf in leaves]
        return self.write(name, self.revocations(serials))

    def revocations(self, serials: Iterable[int]) -> bytes:
        """A list of these serial numbers, newly signed (PEM)."""
        authority = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        now = authority.not_valid_before_utc
        later = authority.not_valid_after_utc
        builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        builder = builder.last_update(now).next_update(later).add_extension(x509.CRLNumber(1), critical=False)
        point = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )
        builder = builder.add_extension(point, critical=False)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
        return signed.public_bytes(PEM)

    def context(self, version: ssl.TLSVersion | None = None, client: str | None = None) -> ssl.SSLContext:
        """What a client trusts and shows."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_verify_locations(cadata=self.other.cert_pem.bytes().decode())
        context.check_hostname = False
        context.set_alpn_protocols(["http/1.1"])
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if client is not None:
            context.load_cert_chain(client)
        return context


def _general(name: str) -> x509.GeneralName:
    if "://" in name and urlsplit(name).scheme:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Minted:
    """A certificate, its key, and those that are shown behind it."""

    cert: x509.Certificate
    key: Key
    signer: Minted | None = None
    shown: tuple[x509.Certificate, ...] = ()
    is_root: bool = False
    """Whoever asks has it already, so nobody shows it."""

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.cert.public_bytes(PEM)

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def chain_pem(self) -> bytes:
        """What its owner shows: the certificate and those behind it."""
        return b"".join(cert.public_bytes(PEM) for cert in (self.cert, *self.shown))


def mint(
    common_name: str,
    signer: Minted | None = None,
    *,
    names: Iterable[str] = (),
    ca: bool | None = None,
    path_length: int | None = None,
    usage: Iterable[x509.ObjectIdentifier] | None = None,
    permitted: Iterable[str] | None = None,
    key: Key | None = None,
    start: int = -1,
    days: int = 30,
    show: bool = True,
    organisation: str | None = None,
) -> Minted:
    """A certificate; without a signer it is its own. `start`: days from now; `show`: its owner shows the signer too."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation is not None:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    subject = x509.Name(parts)
    begin = datetime.datetime.now(datetime.UTC) + start * DAY
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(subject if signer is None else signer.cert.subject)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + days * DAY)
    extensions: list[tuple[Any, bool]] = []
    if names := list(names):
        extensions.append((x509.SubjectAlternativeName([_general(name) for name in names]), False))
    if ca is not None:
        extensions.append((x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), True))
    if usage is not None:
        extensions.append((x509.ExtendedKeyUsage(list(usage)), False))
    if permitted is not None:
        extensions.append((x509.NameConstraints([x509.DNSName(name) for name in permitted], None), True))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    cert = builder.sign(key if signer is None else signer.key, hashes.SHA256())
    behind = () if signer is None or signer.is_root or not show else (signer.cert, *signer.shown)
    return Minted(cert, key, signer, behind)


def root(common_name: str = "a root", **options: Any) -> Minted:
    """An authority that clients and servers are told to trust."""
    made = mint(common_name, ca=True, **options)
    return Minted(made.cert, made.key, is_root=True)


# sha256WithRSAEncryption and sha1WithRSAEncryption (RFC 8017 appendix A.2.4): they have one length.
_SHA256, _SHA1 = bytes.fromhex("06092a864886f70d01010b0500"), bytes.fromhex("06092a864886f70d0101050500")


def _der(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(2)
    return bytes([tag, 0x82]) + size + content


def by_sha1(made: Minted) -> Minted:
    """The same certificate, its RSA signer's signature over a SHA-1 digest: libraries do not make such any more."""
    assert made.signer is not None
    assert isinstance(made.signer.key, rsa.RSAPrivateKey)
    body = made.cert.tbs_certificate_bytes
    assert body.count(_SHA256) == 1
    body = body.replace(_SHA256, _SHA1)
    signature = made.signer.key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    der = _der(0x30, body + bytes([0x30, len(_SHA1)]) + _SHA1 + _der(0x03, b"\0" + signature))
    cert = x509.load_der_x509_certificate(der)
    assert isinstance(cert.signature_hash_algorithm, hashes.SHA1)
    return replace(made, cert=cert)

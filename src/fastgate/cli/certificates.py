"""`fastgate certs dev`: a certificate authority of one's own, and certificates for trying TLS."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fastgate.errors import StartError

_NAME = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*._:@/-]*|::[0-9A-Fa-f:.]*")
NAMES = ("localhost", "127.0.0.1", "::1")


def dev(folder: str, *, names: Sequence[str] | None, client: Sequence[str] | None, days: int) -> None:
    """Writes ca.pem and ca-key.pem unless they are there, then certificates; raises StartError where it cannot.

    An authority that is there signs again, so that what trusts it need not be told anew.
    """
    from fastgate.runtime import development

    for name in (*(names or ()), *(client or ())):
        if not _NAME.fullmatch(name):
            raise StartError(f'found the name "{name}"; allowed: a name, an address, a mail address or a URI')
    where = Path(folder)
    try:
        where.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority, key = where / "ca.pem", where / "ca-key.pem"
        made = not (authority.exists() and key.exists())
        if made:
            certificate, private = development.authority()
            _write(authority, certificate, 0o644)
            _write(key, private, 0o600)
        ca_key = key.read_text(encoding="utf-8")
        served = names or NAMES
        _pair(where, "server", development.certificate(ca_key, served, days, client=False))
        if client:
            _pair(where, "client", development.certificate(ca_key, client, days, client=True))
    except OSError as error:
        raise StartError(f"{error.filename or folder} cannot be used: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(f"{where / 'ca-key.pem'} is no key") from None
    except ValueError as error:
        raise StartError(f"{folder}: {error}") from None
    print("\n".join(_next(where, served, made=made, client=bool(client), days=days)))


def _pair(where: Path, name: str, pair: tuple[str, str]) -> None:
    certificate, key = pair
    _write(where / f"{name}.pem", certificate, 0o644)
    _write(where / f"{name}-key.pem", key, 0o600)


def _write(path: Path, text: str, mode: int) -> None:
    """A whole file under its name at once: whoever watches it never sees a half."""
    half = path.with_name(f".{path.name}.new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    half.replace(path)


def _next(where: Path, names: Sequence[str], *, made: bool, client: bool, days: int) -> list[str]:
    authority = "a new authority" if made else "the authority that was there"
    lines = [
        f"{where / 'ca.pem'}: {authority}; never give its key ca-key.pem away",
        f"{where / 'server.pem'}, server-key.pem: {', '.join(names)}; valid {days} days",
    ]
    if client:
        lines.append(f"{where / 'client.pem'}, client-key.pem: for a client")
    lines += [
        "",
        "In fastgate.yaml:",
        "  listeners:",
        "    secure:",
        "      bind: 127.0.0.1:8443",
        "      tls:",
        "        certificates:",
        f"          - cert: {where / 'server.pem'}",
        f"            key: {where / 'server-key.pem'}",
    ]
    shown = ""
    if client:
        lines += ["        client_auth:", f"          ca: {where / 'ca.pem'}"]
        shown = f" --cert {where / 'client.pem'} --key {where / 'client-key.pem'}"
    host = next((name for name in names if "*" not in name), "localhost")
    host = f"[{host}]" if ":" in host else host
    return [*lines, "", f"Try it: curl --cacert {where / 'ca.pem'}{shown} https://{host}:8443/"]

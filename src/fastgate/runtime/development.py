"""What is made for trying things out: certificates that nobody else trusts."""

from __future__ import annotations

from collections.abc import Sequence

from fastgate import _engine


def authority() -> tuple[str, str]:
    """A new certificate authority: its certificate and its key, both PEM."""
    return _engine.dev_authority()


def certificate(ca_key: str, names: Sequence[str], days: int, *, client: bool) -> tuple[str, str]:
    """A certificate for these names, signed by the authority with that key: it and its key, both PEM.

    Raises ValueError for a key that cannot be read and for a name that is none.
    """
    return _engine.dev_certificate(ca_key, list(names), days, client)

"""The file of API keys and the file of users: one writer at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastgate.errors import StartError

_KEYS = {"name": str, "hash": str, "consumer": str, "expires": str, "created": str}


@dataclass(frozen=True, slots=True)
class Key:
    """What is stored of a key: one line of the file."""

    name: str
    hash: str = field(repr=False)
    consumer: str | None = None
    expires: str | None = None
    scopes: tuple[str, ...] = ()
    created: str | None = None

    def line(self) -> str:
        """The line, without its end."""
        plain: dict[str, Any] = {"name": self.name, "hash": self.hash, "consumer": self.consumer}
        plain |= {"expires": self.expires, "scopes": list(self.scopes) or None, "created": self.created}
        return json.dumps({name: value for name, value in plain.items() if value is not None}, ensure_ascii=False)

    def expired(self, now: datetime) -> bool:
        """Whether it counts no more."""
        return self.expires is not None and datetime.fromisoformat(self.expires) <= now


def stored(key: str, pepper: tuple[str, str] | None = None) -> str:
    """What is stored of a key: its SHA-256, or its HMAC-SHA-256 under a pepper (name, secret)."""
    if pepper is None:
        return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    name, secret = pepper
    return f"hmac-sha256:{name}:{hmac.new(secret.encode(), key.encode(), hashlib.sha256).hexdigest()}"


def now_text() -> str:
    """This second, RFC 3339."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(path: str | Path) -> list[Key]:
    """The keys of a file, in its order; raises StartError that names file and line, and shows nothing of it."""
    return [key for _, key in _lines(Path(path), _text(Path(path)))]


def add(path: str | Path, keys: list[Key]) -> None:
    """Adds keys; the file is made, for its owner alone, where there is none.

    Raises StartError where one of that name or with that digest is there.
    """
    path = Path(path)
    with _changing(path) as change:
        names = {key.name for _, key in _lines(path, change.text)}
        digests = {key.hash for _, key in _lines(path, change.text)}
        for key in keys:
            if key.name in names:
                raise StartError(f"{path}: there is a key {key.name} already; `keys revoke` removes it")
            if key.hash in digests:
                raise StartError(f"{path}: the key that {key.name} would be is there already, under another name")
            names.add(key.name)
            digests.add(key.hash)
        start = change.text if change.text.endswith("\n") or not change.text else f"{change.text}\n"
        change.text = start + "".join(f"{key.line()}\n" for key in keys)


def remove(path: str | Path, names: list[str]) -> None:
    """Removes keys by name; raises StartError where one is not there, and changes nothing then."""
    path = Path(path)
    with _changing(path) as change:
        found = {key.name: number for number, key in _lines(path, change.text)}
        if missing := [name for name in names if name not in found]:
            raise StartError(f"{path}: there is no key {', '.join(missing)}")
        gone = {found[name] for name in names}
        change.text = "".join(
            line for number, line in enumerate(change.text.splitlines(keepends=True), 1) if number not in gone
        )


def set_user(path: str | Path, name: str, hash: str) -> bool:  # noqa: A002 - the word of the field
    """Writes a user's line, in the place of the one that is there; returns whether there was one."""
    path = Path(path)
    with _changing(path) as change:
        lines = change.text.splitlines()
        at = [number for number, line in enumerate(lines) if line.partition(":")[0] == name and ":" in line]
        for number in at:
            lines[number] = f"{name}:{hash}"
        if not at:
            lines.append(f"{name}:{hash}")
        change.text = "".join(f"{line}\n" for line in lines)
    return bool(at)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(f"{path}: not UTF-8") from None


def _lines(path: Path, text: str) -> Iterator[tuple[int, Key]]:
    """Each key with the number of its line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                yield number, _key(json.loads(line))
            except ValueError:
                message = "no key; allowed: a JSON object with name, hash, consumer, expires, scopes and created"
                raise StartError(f"{path} line {number}: {message}") from None


def _key(plain: Any) -> Key:
    scopes = plain.pop("scopes", []) if isinstance(plain, dict) else None
    if (
        not isinstance(scopes, list)
        or not all(isinstance(one, str) for one in scopes)
        or not {"name", "hash"} <= set(plain)
    ):
        raise ValueError
    if any(not isinstance(value, _KEYS.get(name, int)) or name not in _KEYS for name, value in plain.items()):
        raise ValueError
    key = Key(**plain, scopes=tuple(scopes))
    if key.expires is not None and datetime.fromisoformat(key.expires).tzinfo is None:
        raise ValueError
    return key


class _Change:
    """The text of a file that is being changed."""

    def __init__(self, text: str) -> None:
        self.text = text


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[_Change]:
    """The text of a file, written back whole once the block has ended well; other writers wait."""
    real = Path(os.path.realpath(path))
    try:
        lock = os.open(f"{real}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        change = _Change(_text(real) if real.exists() else "")
        before = change.text
        yield change
        if change.text != before or not real.exists():
            _write(path, real, change.text)
    finally:
        os.close(lock)


def _write(path: Path, real: Path, text: str) -> None:
    """Puts a new file in the place of the old one, with its owner and mode; a new one is for its owner alone."""
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            if real.exists():
                old = real.stat()
                os.fchmod(descriptor, old.st_mode & 0o777)
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, real)
        temporary = None
        folder = os.open(real.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            os.unlink(temporary)

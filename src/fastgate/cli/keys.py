"""`fastgate keys`: keys made, listed, imported and revoked; passwords hashed."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from fastgate.cli.files import default_files
from fastgate.cli.paint import BOLD, colours, paint, table
from fastgate.cli.trail import record
from fastgate.config import keys_file, units
from fastgate.config.keys_file import Key
from fastgate.errors import StartError, UsageError

if TYPE_CHECKING:
    from fastgate.config import Loaded

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
_MAX_IMPORT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    names: list[str]
    file: str | None
    consumer: str | None
    expires: str | None
    scopes: tuple[str, ...]
    kind: str
    pepper: str | None
    config: list[str]
    socket: str | None
    as_json: bool
    literal_secrets: bool


def create(wanted: Wanted) -> None:
    """Makes one key, stores its digest or says where to write it, and shows the key."""
    from fastgate.primitives import make_api_key

    name = _one_name(wanted, "the key")
    kind: Literal["api", "publish"] = "publish" if wanted.kind == "publish" else "api"
    if kind == "publish" and (wanted.file or wanted.consumer or wanted.pepper or wanted.expires or wanted.scopes):
        raise UsageError("a key for publishing has its name alone: it stands in realtime.api_keys of the config")
    text = make_api_key(kind)
    key = _key(wanted, name, text, _pepper(wanted))
    if wanted.file is not None:
        keys_file.add(wanted.file, [key])
    if wanted.as_json:
        shown = {"key": text, **json.loads(key.line()), "recorded": record("key.created", [name], wanted.socket)}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    # Before a gateway is asked: a key that is stored must be seen.
    print(text, flush=True)
    record("key.created", [name], wanted.socket)
    if wanted.file is not None:
        print(f"\nShown once; {wanted.file} has its digest, and a running gateway reads it within a second or two.")
    else:
        print(f"\nShown once. In the config:\n\n{_snippet(key, kind)}")


def _snippet(key: Key, kind: str) -> str:
    if kind == "publish":
        return f'realtime:\n  api_keys:\n    {key.name}: {{hash: "{key.hash}"}}'
    facts = [f'hash: "{key.hash}"']
    if key.expires:
        facts.append(f'expires: "{key.expires}"')
    if key.scopes:
        facts.append(f"scopes: [{', '.join(key.scopes)}]")
    return f"consumers:\n  {key.consumer or 'NAME'}:\n    api_keys:\n      {key.name}: {{{', '.join(facts)}}}"


def list_(wanted: Wanted) -> None:
    """Shows the keys of a file, or those that the config lists."""
    if wanted.names:
        raise UsageError(f"list takes no name: {wanted.names[0]}")
    keys = keys_file.read(wanted.file) if wanted.file is not None else _configured(_load(wanted))
    now = datetime.now(UTC)
    if wanted.as_json:
        plain = [{**json.loads(key.line()), "expired": key.expired(now)} for key in keys]
        for one in plain:
            del one["hash"]
        print(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    if not keys:
        print("no keys")
        return
    rows = [["NAME", "CONSUMER", "STATE", "EXPIRES", "SCOPES", "STORED AS"]]
    for key in keys:
        state = "expired" if key.expired(now) else "live"
        how = key.hash.rpartition(":")[0]
        rows.append([key.name, key.consumer or "-", state, key.expires or "never", ", ".join(key.scopes) or "-", how])
    for number, line in enumerate(table(rows)):
        print(paint(line, BOLD, colours()) if number == 0 else line)


def import_(wanted: Wanted) -> None:
    """Stores keys that are read from the standard input: one a line, `NAME KEY`, or `KEY` with one name given."""
    from fastgate.primitives import api_key_kind

    if wanted.file is None:
        raise UsageError("say where the keys go: --file PATH")
    pepper = _pepper(wanted)
    text = sys.stdin.read(_MAX_IMPORT)
    if sys.stdin.read(1):
        raise StartError(f"more than {_MAX_IMPORT} characters; allowed: fewer, several times")
    keys: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) == 1 and len(wanted.names) == 1:
            words = [wanted.names[0], *words]
        if len(words) != 2 or (len(wanted.names) > 0 and words[0] not in wanted.names):
            raise StartError(f"line {number}: allowed: NAME KEY, or KEY alone with one name on the command line")
        name, shown = words
        _checked(name, f"line {number}")
        if not shown.isascii() or not shown.isprintable() or len(shown) > 1024:
            raise StartError(f"line {number}: a key has at most 1024 visible ASCII characters")
        if pepper is None and api_key_kind(shown) is None:
            raise StartError(
                f"line {number}: {name} is no key that fastgate made, and may be guessed from a plain digest: "
                "--pepper NAME stores it under an entry of key_pepper"
            )
        if name in keys:
            raise StartError(f"line {number}: {name} is there twice")
        keys[name] = _key(wanted, name, shown, pepper)
    keys_file.add(wanted.file, [*keys.values()])
    recorded = record("key.created", keys, wanted.socket)
    if wanted.as_json:
        print(json.dumps({"imported": [*keys], "recorded": recorded}, ensure_ascii=False))
    else:
        print(f"{len(keys)} imported into {wanted.file}")


def revoke(wanted: Wanted) -> None:
    """Removes keys from their file."""
    if not wanted.names:
        raise UsageError("say which: the names of keys, as `fastgate keys list` shows them")
    if wanted.file is None:
        raise UsageError("say in which file: --file PATH; a key in the config ends when its line is removed")
    keys_file.remove(wanted.file, wanted.names)
    recorded = record("key.revoked", wanted.names, wanted.socket)
    if wanted.as_json:
        print(json.dumps({"revoked": wanted.names, "recorded": recorded}, ensure_ascii=False))
    else:
        print(f"revoked: {', '.join(wanted.names)}; a running gateway reads {wanted.file} within a second or two")


def password(wanted: Wanted) -> None:
    """Hashes a password that is typed or piped in, for a file of users."""
    from fastgate.primitives import hash_password

    name = _one_name(wanted, "the user")
    if sys.stdin.isatty():
        from getpass import getpass

        secret = getpass("Password: ")
        if getpass("Once more: ") != secret:
            raise StartError("the two differ")
    else:
        secret = sys.stdin.readline(4096).removesuffix("\n").removesuffix("\r")
    if not secret or any(ord(letter) < 32 or ord(letter) == 127 for letter in secret):
        raise StartError("a password has at least one character, and no control characters")
    hashed = hash_password(secret)
    if wanted.file is None:
        print(json.dumps({"name": name, "hash": hashed}) if wanted.as_json else f"{name}:{hashed}")
        return
    there = keys_file.set_user(wanted.file, name, hashed)
    if wanted.as_json:
        print(json.dumps({"name": name, "changed": there}))
    else:
        print(f"{name} {'changed' if there else 'added'} in {wanted.file}")


def _one_name(wanted: Wanted, what: str) -> str:
    if len(wanted.names) != 1:
        raise UsageError(f"one name: that of {what}")
    return _checked(wanted.names[0], "NAME")


def _checked(name: str, where: str) -> str:
    if not _NAME.match(name):
        raise StartError(f"{where}: allowed: a name of letters, digits and _ . @ -")
    return name


def _key(wanted: Wanted, name: str, text: str, pepper: tuple[str, str] | None) -> Key:
    return Key(
        name=name,
        hash=keys_file.stored(text, pepper),
        consumer=wanted.consumer,
        expires=_expires(wanted.expires),
        scopes=wanted.scopes,
        created=keys_file.now_text(),
    )


def _expires(text: str | None) -> str | None:
    if text is None:
        return None
    ms = units.parse_duration(text)
    if ms:
        return (datetime.now(UTC) + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%SZ")
    if _TIME.match(text):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return text
    raise UsageError("--expires: allowed: a duration such as 90d, or a time such as 2027-01-01T00:00:00Z")


def _load(wanted: Wanted) -> Loaded:
    from fastgate.config import load

    return load(*(wanted.config or default_files()), allow_literal_secrets=wanted.literal_secrets)


def _pepper(wanted: Wanted) -> tuple[str, str] | None:
    """The name and the secret of the pepper."""
    if wanted.pepper is None:
        return None
    peppers: dict[str, Any] = _load(wanted).config.key_pepper or {}
    if wanted.pepper not in peppers:
        known = ", ".join(peppers) or "none: key_pepper is empty"
        raise StartError(f"--pepper: there is no {wanted.pepper} in the config; allowed: {known}")
    try:
        return wanted.pepper, peppers[wanted.pepper].resolve(os.environ)
    except LookupError as error:
        raise StartError(f"key_pepper.{wanted.pepper}: {error}") from None


def _configured(loaded: Loaded) -> list[Key]:
    found = []
    for consumer, one in (loaded.config.consumers or {}).items():
        for name, key in one.api_keys.items():
            found.append(Key(name, key.hash, consumer, key.expires, tuple(getattr(key, "scopes", ()))))
    return found

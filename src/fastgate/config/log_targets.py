"""Where a log goes, as written in a config: a standard stream, a file, syslog."""

from __future__ import annotations

from typing import Any

from fastgate.config.scalars import Kind, nearest_word, refuse

ALLOWED = "stdout, stderr, syslog, syslog:///path, syslog://HOST[:PORT], or a path with a / in it"
SYSLOG_SOCKET = "/dev/log"
SYSLOG_PORT = 514
_WORDS = ("stdout", "stderr", "syslog")


def _read(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(value, ALLOWED)
    if value in _WORDS:
        return value
    if value.startswith("syslog:"):
        if parse_syslog(value) is None:
            raise refuse(value, ALLOWED, nearest="syslog")
        return value
    if "/" not in value:
        # A typing error must not become the name of a file.
        word = None if "." in value else nearest_word(value, _WORDS)
        raise refuse(value, ALLOWED, nearest=word or (f"./{value}" if value else None))
    if "://" in value:
        raise refuse(value, ALLOWED, nearest=None)
    if value.endswith("/") or "\0" in value:
        raise refuse(value, ALLOWED, why="a path names a file")
    return value


TARGET = Kind(_read, ALLOWED, {"type": "string", "pattern": "^(stdout|stderr|syslog)$|/"}, "stdout")


def parse_syslog(text: str) -> str | None:
    """The path or HOST:PORT of `syslog`, `syslog:///path` or `syslog://HOST[:PORT]` (UDP); None for anything else."""
    if text == "syslog":
        return SYSLOG_SOCKET
    rest = text.removeprefix("syslog://")
    if rest == text or not rest:
        return None
    if rest.startswith("/"):
        return rest if len(rest.encode()) <= 107 and "\0" not in rest else None
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(SYSLOG_PORT)
    name = host.removeprefix("[").removesuffix("]")
    plain = name and all(c.isalnum() or c in ".-_:" for c in name) and name.isascii()
    if not plain or (":" in name) != host.startswith("[") or not port.isdecimal() or not 1 <= int(port) <= 65535:
        return None
    return f"{host}:{port}"

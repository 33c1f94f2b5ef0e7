"""Values of `realtime` and `store` as written: channel templates, origins, Redis URLs, digests of keys."""

from __future__ import annotations

import re
from typing import Any

from fastgate.config import units
from fastgate.config.addresses import host_name, port_number, unix_socket
from fastgate.config.scalars import Kind, refuse

IDENTITY = "sub"
"""The capture that stands for who the client is, never for a part of the path."""
LONGEST_CHANNEL = 255
ANY_ORIGIN = "*"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATH_CAPTURE = re.compile(r"/\{([A-Za-z_][A-Za-z0-9_]*)(?::path)?\}(?=/|\Z)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REDIS_PORT = 6379


def captures(channel: str) -> list[str]:
    """The names in a channel template, in their order."""
    return _CAPTURE.findall(channel)


def path_captures(path: str) -> list[str]:
    """The names that a path template captures."""
    return _PATH_CAPTURE.findall(path)


def render(channel: str, found: dict[str, str]) -> str:
    """A channel template with what was captured; a name without a value stays as it is."""
    return _CAPTURE.sub(lambda one: found.get(one[1], one[0]), channel)


def _channel(value: Any) -> str:
    allowed = "a channel such as news, or a template over the path's captures such as room:{room}"
    if isinstance(value, (bool, int, float)):
        raise refuse(value, allowed, nearest=f'"{value}"', why="put it in quotes")
    if not isinstance(value, str) or not value:
        raise refuse(value, allowed, why="put the value in quotes" if isinstance(value, dict) else None)
    if len(value.encode()) > LONGEST_CHANNEL:
        raise refuse(value, f"{allowed}, at most {LONGEST_CHANNEL} bytes")
    if _CONTROL.search(value):
        raise refuse(value, f"{allowed}, without control characters")
    rest = _CAPTURE.sub("", value)
    if "{" in rest or "}" in rest:
        near = re.sub(r"\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?::\w*)?\}", r"{\1}", value)
        good = near != value and not set("{}") & set(_CAPTURE.sub("", near))
        raise refuse(value, allowed, nearest=near if good else None, why="braces hold the name of a capture")
    return str(value)


CHANNEL = Kind(
    _channel,
    "a channel such as news, or a template over the path's captures such as room:{room}",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_CHANNEL, "pattern": r"^[^{}]*(\{[A-Za-z_]\w*\}[^{}]*)*$"},
    "room:{room}",
)


def _origin(value: Any) -> str:
    allowed = 'an origin such as https://app.example.com or https://*.example.com, or "*" for every page'
    if value == ANY_ORIGIN:
        return ANY_ORIGIN
    if not isinstance(value, str):
        raise refuse(value, allowed)
    if value == "null":
        raise refuse(value, allowed, why="any page can be made to send it")
    scheme, separator, rest = value.partition("://")
    if not separator:
        near = f"https://{value}" if _authority(value, "https") else None
        raise refuse(value, allowed, nearest=near, why="the scheme is missing")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    shown = _authority(place, scheme.lower())
    if scheme.lower() not in _DEFAULT_PORTS or shown is None:
        raise refuse(value, allowed)
    if place != rest:
        raise refuse(value, allowed, nearest=f"{scheme.lower()}://{shown}", why="an origin has no path")
    return f"{scheme.lower()}://{shown}"


def _authority(text: str, scheme: str) -> str | None:
    """Host and port as browsers write them in `Origin` (RFC 6454 §6.1): lower case, the scheme's own port left out."""
    host, colon, port_text = (text, "", "") if text.endswith("]") else text.rpartition(":")
    if not colon:
        host = text
    port = port_number(port_text, 1) if colon else None
    if colon and port is None:
        return None
    bare = host.removeprefix("*.")
    if bare.startswith("[") and bare.endswith("]"):
        if bare is not host or not re.fullmatch(r"[0-9a-fA-F:.]+", bare[1:-1]):
            return None
    elif host_name(bare) is None:
        return None
    suffix = "" if port is None or _DEFAULT_PORTS.get(scheme) == port else f":{port}"
    return host.lower().removesuffix(".") + suffix


ORIGIN = Kind(
    _origin,
    'an origin such as https://app.example.com or https://*.example.com, or "*" for every page',
    {"type": "string", "pattern": r"^\*$|^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]+$"},
    "https://app.example.com",
)

REDIS_ALLOWED = "redis://HOST[:PORT][/DB], rediss://HOST[:PORT][/DB] for TLS, or unix:/path"


def _redis_url(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(value, REDIS_ALLOWED)
    if "@" in value:
        # Whatever stands before it must not reach a terminal or a log.
        masked = f"{value.partition('://')[0]}://…@{value.rpartition('@')[2]}" if "://" in value else "…@…"
        why = "user and password do not stand in a URL: write username, and password: env:NAME"
        raise refuse(masked, REDIS_ALLOWED, why=why)
    if value.startswith("unix:"):
        return unix_socket(value, REDIS_ALLOWED)
    scheme, separator, rest = value.partition("://")
    if not separator:
        near = f"redis://{value}" if _server(value) else None
        raise refuse(value, REDIS_ALLOWED, nearest=near, why="the scheme is missing" if near else None)
    if scheme not in ("redis", "rediss"):
        secure = {"rediss", "tls", "redis+tls", "valkeys"}
        plain = {"redis", "tcp", "valkey"}
        meant = "rediss" if scheme.lower() in secure else "redis" if scheme.lower() in plain else None
        raise refuse(value, REDIS_ALLOWED, nearest=f"{meant}://{rest}" if meant and _server(rest) else None)
    if "?" in rest or "#" in rest:
        raise refuse(value, REDIS_ALLOWED, why="settings stand in keys of `store`, not in the URL")
    if not _server(rest):
        raise refuse(value, REDIS_ALLOWED)
    return str(value)


def _server(text: str) -> bool:
    place, slash, database = text.partition("/")
    if slash and database and not (database.isascii() and database.isdecimal() and len(database) <= 5):
        return False
    return _authority(place, "redis") is not None and "*" not in place


REDIS_URL = Kind(
    _redis_url,
    REDIS_ALLOWED,
    {"type": "string", "pattern": r"^rediss?://[^/?#@]+(/\d{0,5})?$|^unix:/[^/]"},
    f"redis://127.0.0.1:{_REDIS_PORT}/0",
)


def database(url: str) -> int:
    """The number of the database in a Redis URL; 0 without one."""
    number = "" if url.startswith("unix:") else url.partition("://")[2].partition("/")[2]
    return int(number or 0)


DIGEST_ALLOWED = "sha256: and the 64 hexadecimal digits of the key's SHA-256"


def _digest(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(value, DIGEST_ALLOWED)
    kind, colon, digits = value.partition(":")
    if not colon and re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        raise refuse(value, DIGEST_ALLOWED, nearest=f"sha256:{value.lower()}")
    if kind != "sha256":
        # It may be the key itself.
        found = value if kind in ("sha1", "sha512", "md5", "bcrypt", "argon2") else "something else"
        raise refuse(found, DIGEST_ALLOWED)
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
        raise refuse(value, DIGEST_ALLOWED, why=f"{len(digits)} digits" if digits.isalnum() else None)
    return f"sha256:{digits.lower()}"


DIGEST = Kind(
    _digest,
    DIGEST_ALLOWED,
    {"type": "string", "pattern": "^sha256:[0-9A-Fa-f]{64}$"},
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)

PUBLISH_ALLOWED = "true, false, or a mapping with rate, burst and echo"


def _publish(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    rate = isinstance(value, str) and re.fullmatch(r"\d{1,12}/[smhd]", value)
    word = str(value).lower()
    near = f"{{rate: {value}}}" if rate else {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(word)
    raise refuse(value, PUBLISH_ALLOWED, nearest=near)


PUBLISH = Kind(_publish, PUBLISH_ALLOWED, {"type": "boolean"}, True)


RATE_ALLOWED = "messages a second, from 1/s to 100000/s"


def _rate(value: Any) -> int:
    rate = units.parse_rate(value) if isinstance(value, str) else None
    if rate is not None and rate[1] == 1 and 1 <= rate[0] <= 100_000:
        return rate[0]
    if type(value) is int and 1 <= value <= 100_000:
        raise refuse(value, RATE_ALLOWED, nearest=f"{value}/s")
    loose = units.nearest_rate(value) if isinstance(value, str) and rate is None else None
    raise refuse(value, RATE_ALLOWED, nearest=loose if loose and loose.endswith("/s") else None)


MESSAGES = Kind(_rate, RATE_ALLOWED, {"type": "string", "pattern": r"^\d{1,6}/s$"}, "10/s", lambda rate: f"{rate}/s")

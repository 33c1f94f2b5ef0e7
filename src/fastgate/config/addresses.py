"""Addresses and names as written in a config: bind addresses, target URLs, hosts, header names, paths."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastgate.config.scalars import Kind, nearest_word, refuse

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_METHOD = re.compile(r"[A-Z0-9_-]{1,32}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _name(value: Any) -> str:
    if isinstance(value, str) and _NAME.match(value):
        return value
    raise refuse(value, "a name of letters, digits, '_', '-' and '.', at most 128")


NAME = Kind(
    _name,
    "a name of letters, digits, '_', '-' and '.'",
    {"type": "string", "pattern": f"^{_NAME.pattern[:-2]}$"},
    "projects",
)


def port_number(text: str, low: int) -> int | None:
    """A port of at least `low` in decimal digits; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 and low <= int(text) <= 65535 else None


BIND_ALLOWED = "ADDRESS:PORT such as 0.0.0.0:8000 or [::]:8000, or unix:/path"


def _bind(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 65535:
        raise refuse(value, BIND_ALLOWED, nearest=f"127.0.0.1:{value}")
    if not isinstance(value, str):
        raise refuse(value, BIND_ALLOWED, why=_flow_hint(value))
    if value.startswith("unix:"):
        return unix_socket(value, BIND_ALLOWED)
    if re.match(r"systemd:[\w.@-]+\Z", value):
        return value
    host, colon, port_text = value.rpartition(":")
    port = port_number(port_text, 0)
    if colon and port is not None:
        if host.startswith("[") and host.endswith("]") and (ip := _ip(host[1:-1])) and ip.version == 6:
            return f"[{ip}]:{port}"
        if (ip := _ip(host)) and ip.version == 4:
            return f"{ip}:{port}"
    raise refuse(value, BIND_ALLOWED, nearest=_nearest_bind(value, host, port_text))


def _flow_hint(value: object) -> str | None:
    return "put the value in quotes" if isinstance(value, (list, dict)) else None


def _nearest_bind(value: str, host: str, port: str) -> str | None:
    if value.isdecimal() and port_number(value, 0) is not None:
        return f"127.0.0.1:{value}"
    if (ip := _ip(value)) is not None:
        return f"[{value}]:8000" if ip.version == 6 else f"{value}:8000"
    if port_number(port, 0) is None:
        return None
    host = host.removeprefix("http://").removeprefix("tcp://")
    if host in ("", "*"):
        return f"0.0.0.0:{port}"
    if host == "localhost":
        return f"127.0.0.1:{port}"
    ip = _ip(host)
    return None if ip is None else f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def unix_socket(value: str, allowed: str) -> str:
    """`unix:/path` as it is; raises a refusal that says what is wrong with it."""
    path = value.removeprefix("unix:")
    if path.startswith("//"):
        path = path[1:] if path.startswith("///") is False else path[2:]
        raise refuse(value, allowed, nearest=f"unix:{path}")
    if not path.startswith("/"):
        raise refuse(value, allowed, why="the path of a Unix socket is absolute")
    if len(path.encode()) > 107 or "\0" in path:
        raise refuse(value, allowed, why="the path of a Unix socket has at most 107 bytes")
    return value


BIND = Kind(
    _bind,
    BIND_ALLOWED,
    {"type": "string", "pattern": r"^(\d+\.\d+\.\d+\.\d+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$|^unix:/[^/]"},
    "127.0.0.1:8000",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed target URL: exactly one of ip, name and unix is set."""

    ip: str | None
    name: str | None
    unix: str | None
    port: int
    authority: str
    link_local: bool
    tls: bool = False


TARGET_ALLOWED = "http://HOST[:PORT], https://HOST[:PORT] or unix:/path"
_PORTS = {"http": 80, "https": 443}


def parse_target(value: Any) -> Target:
    """Parses a target URL; raises a refusal that names what is allowed."""
    if not isinstance(value, str):
        raise refuse(value, TARGET_ALLOWED)
    if value.startswith("unix:"):
        return Target(None, None, unix_socket(value, TARGET_ALLOWED).removeprefix("unix:"), 0, "localhost", False)
    scheme, separator, rest = value.partition("://")
    if not separator:
        host, _, port = value.partition(":")
        nearest = f"http://{value}" if host_name(host) and (not port or port_number(port, 1)) else None
        raise refuse(value, TARGET_ALLOWED, nearest=nearest, why="the scheme is missing" if nearest else None)
    if scheme not in _PORTS:
        nearest = nearest_word(scheme.lower(), list(_PORTS))
        raise refuse(value, TARGET_ALLOWED, nearest=f"{nearest}://{rest}" if nearest else None)
    end = next((i for i, c in enumerate(rest) if c in "/?#"), len(rest))
    if end < len(rest) and rest[end:] != "/":
        what = f"a target has no path; write it as rewrite: {{replace: {rest[end:]}}}"
        raise refuse(value, TARGET_ALLOWED, nearest=f"{scheme}://{rest[:end]}", why=what)
    if end < len(rest):
        raise refuse(value, TARGET_ALLOWED, nearest=f"{scheme}://{rest[:end]}", why="without the '/' at the end")
    if "@" in rest:
        raise refuse(value, TARGET_ALLOWED, why="a target has no user name")
    return _host_port(value, scheme, rest)


def _host_port(value: str, scheme: str, rest: str) -> Target:
    usual, tls = _PORTS[scheme], scheme == "https"
    host, colon, port_text = rest.rpartition(":") if not rest.endswith("]") and ":" in rest else (rest, "", "")
    port = port_number(port_text, 1) if colon else usual
    if port is None:
        raise refuse(value, TARGET_ALLOWED, why="a port is 1 to 65535")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    ip = _ip(bare)
    suffix = "" if port == usual else f":{port}"
    if ip is not None:
        if (ip.version == 6) != (bare is not host):
            raise refuse(value, TARGET_ALLOWED, nearest=f"{scheme}://[{bare}]{suffix}" if ip.version == 6 else None)
        shown = f"[{ip}]" if ip.version == 6 else str(ip)
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        return Target(str(ip), None, None, port, shown + suffix, mapped.is_link_local, tls)
    if ":" in host and _ip(rest) is not None:
        raise refuse(
            value, TARGET_ALLOWED, nearest=f"{scheme}://[{rest}]:{usual}", why="an IPv6 address stands in brackets"
        )
    name = host_name(host)
    if name is None or name.rsplit(".", 1)[-1].isdecimal():
        raise refuse(value, TARGET_ALLOWED, why="not a host name or address")
    return Target(None, name, None, port, name + suffix, False, tls)


@lru_cache(1024)
def host_name(text: str) -> str | None:
    """A host name in lower case, without a dot at its end; None for what is none."""
    bare = text.removesuffix(".")
    good = 0 < len(bare) <= 253 and all(_LABEL.match(label) for label in bare.split("."))
    return bare.lower() if good else None


def _target(value: Any) -> str:
    parse_target(value)
    return str(value)


TARGET = Kind(
    _target, TARGET_ALLOWED, {"type": "string", "pattern": r"^https?://[^/?#@]+$|^unix:/[^/]"}, "http://127.0.0.1:9000"
)

HOST_ALLOWED = "a host name such as api.example.com, or *.example.org for every name under it"


def _host_pattern(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(value, HOST_ALLOWED, why=_flow_hint(value))
    bare = value[2:] if value.startswith("*.") else value
    if bare.startswith("[") and bare.endswith("]") and (ip := _ip(bare[1:-1])):
        return f"[{ip}]"
    if host_name(bare):
        return value.lower().removesuffix(".")
    raise refuse(value, HOST_ALLOWED, nearest=_nearest_host(value))


def _nearest_host(value: str) -> str | None:
    stripped = value.split("://", 1)[-1].split("/", 1)[0]
    host, colon, port = stripped.rpartition(":")
    stripped = host if colon and port.isdecimal() else stripped
    if not stripped.isascii():
        try:
            stripped = stripped.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    if stripped.startswith(".") and host_name(stripped[1:]):
        stripped = f"*{stripped}"
    return stripped if stripped != value and host_name(stripped.removeprefix("*.")) else None


HOST_PATTERN = Kind(_host_pattern, HOST_ALLOWED, {"type": "string", "pattern": r"^(\*\.)?[^*/ ]+$"}, "api.example.com")


def _host_policy(value: Any) -> str:
    if isinstance(value, str) and value in ("keep", "target"):
        return value
    if isinstance(value, str):
        host, _, port = value.partition(":")
        if host_name(host) and (not port or port_number(port, 1)):
            return value.lower()
    raise refuse(value, "keep, target or a host name")


HOST_POLICY = Kind(_host_policy, "keep, target or a host name", {"type": "string", "pattern": "^[^/ ]+$"}, "target")


def _cidr(value: Any) -> str:
    allowed = "an address or a network such as 10.0.0.0/8 or 2001:db8::/32"
    if not isinstance(value, str) or "%" in value:
        raise refuse(value, allowed)
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        pass
    try:
        nearest = str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise refuse(value, allowed) from None
    raise refuse(value, allowed, nearest=nearest, why="bits are set behind the mask")


CIDR = Kind(
    _cidr,
    "an address or a network such as 10.0.0.0/8",
    {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/\d{1,3})?$"},
    "10.0.0.0/8",
)


def _method(value: Any) -> str:
    if value in _METHODS:
        return str(value)
    allowed = f"a method in upper case such as {', '.join(_METHODS)}"
    if not isinstance(value, str):
        raise refuse(value, allowed)
    if value in ("CONNECT", "TRACE"):
        raise refuse(value, allowed, why=f"{value} is always refused")
    if not _METHOD.match(value):
        upper = value.upper()
        raise refuse(value, allowed, nearest=upper if _METHOD.match(upper) else None)
    if (near := nearest_word(value, _METHODS)) and len(value) <= len(near):
        raise refuse(value, allowed, nearest=near)
    return str(value)


METHOD = Kind(
    _method,
    "a method in upper case",
    {"type": "string", "pattern": "^[A-Z0-9_-]{1,32}$", "not": {"enum": ["CONNECT", "TRACE"]}},
    "GET",
)


def _header_name(value: Any) -> str:
    allowed = "a header name: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 §5.6.2)"
    if isinstance(value, str) and _TOKEN.match(value) and len(value) <= 256:
        return str(value)
    nearest = value.strip().rstrip(":").replace(" ", "-") if isinstance(value, str) else None
    raise refuse(value, allowed, nearest=nearest if nearest and _TOKEN.match(nearest) else None)


HEADER_NAME = Kind(
    _header_name,
    "a header name (RFC 9110 §5.6.2)",
    {"type": "string", "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$"},
    "X-Request-Start",
)


def _header_value(value: Any) -> str:
    allowed = "a header value: text without line breaks and control characters (RFC 9110 §5.5)"
    if isinstance(value, (bool, int, float)):
        raise refuse(value, allowed, why="put it in quotes")
    if not isinstance(value, str):
        raise refuse(value, allowed)
    if _CONTROL.search(value):
        raise refuse(value, allowed)
    if value != value.strip(" \t"):
        raise refuse(value, allowed, nearest=value.strip(" \t"), why="blanks at the ends")
    return str(value)


HEADER_VALUE = Kind(_header_value, "a header value (RFC 9110 §5.5)", {"type": "string"}, "text")


def _path(value: Any) -> str:
    allowed = "a path that begins with '/'"
    if not isinstance(value, str):
        raise refuse(value, allowed, why=_flow_hint(value))
    for sign, what in (("?", "a query is matched with `query`"), ("#", "a fragment is never sent")):
        if sign in value:
            raise refuse(value, f"{allowed}, without '{sign}'", nearest=value.split(sign, 1)[0] or None, why=what)
    if not value.startswith("/"):
        plain = "://" not in value and "*" not in value
        raise refuse(value, allowed, nearest=f"/{value}" if plain and value else None)
    if _CONTROL.search(value) or "\t" in value:
        raise refuse(value, f"{allowed}, without control characters")
    if "*" in value:
        near = value.replace("/**", "/*").removesuffix("/*")
        star = "`prefix` matches everything below it, and a template has {name} or {rest:path}"
        raise refuse(
            value, allowed, nearest=near if near and "*" not in near else None, why=f"'*' is not a wildcard: {star}"
        )
    return str(value)


PATH = Kind(_path, "a path that begins with '/'", {"type": "string", "pattern": "^/[^?#*]*$"}, "/api")

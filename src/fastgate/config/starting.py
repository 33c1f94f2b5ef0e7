"""The starter file that `fastgate init` writes: a small config that runs, every key explained in the models' words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastgate.config.describe import Key, Keys, MapOf, OneOf, Shape, keys, written
from fastgate.config.merged import flow
from fastgate.config.models import Config


class _Off:
    """A key that the file offers, switched off, with its default or an example."""


_OFF = _Off()

# What the file holds, in its order.
_FILE: dict[str, Any] = {
    "listeners": {"public": {"bind": "127.0.0.1:8000", "trusted_proxies": _OFF}},
    "services": {
        "app": {
            "targets": ["http://127.0.0.1:9000"],
            "timeouts": {"connect": _OFF, "response": _OFF},
            "pool": {"max_per_target": _OFF},
        }
    },
    "routes": {
        "app": {
            "match": {"prefix": "/", "hosts": _OFF, "methods": _OFF},
            "service": "app",
            "rewrite": {"strip_prefix": _OFF},
            "host": _OFF,
            "max_body": _OFF,
            "policies": {"request_headers": {"set": _OFF, "remove": _OFF}},
        },
        "ping": {"match": {"path": "/ping"}, "respond": {"status": 200, "body": "pong"}},
    },
    "realtime": {"endpoints": {"rooms": {"path": _OFF, "channels": _OFF, "publish": _OFF}}},
    "limits": {"max_connections": _OFF, "headers": _OFF, "header_timeout": _OFF},
    "shutdown": {"notice": _OFF, "limit": _OFF},
    "workers": _OFF,
}
_HEAD = """\
# A fastgate config: one listener, one service, two routes.
#
#   fastgate check     says what is wrong with it, every fault with its line
#   fastgate run       runs it
#
# Lines with ## explain the key below them. Keys behind a single # are switched off; they show their default or an
# example. Every other key is in the configuration reference; `fastgate schema` prints a JSON Schema for editors.
"""


def starter() -> str:
    """A commented starter file; it loads as it is, and with every key that it offers switched on."""
    lines = [line for name in _FILE for line in ("", *_entry(_key_at(Config, name), _FILE[name], "", said=set()))]
    return _HEAD + "\n".join(lines) + "\n"


def _key_at(model: Any, name: str) -> Key:
    return next(key for key in keys(model) if key.name == name)


def _entry(key: Key, value: Any, mark: str, said: set[str]) -> Iterator[str]:
    """The lines of one key: what it is, then itself; `mark` begins a line that is switched off already."""
    off = not mark and _all_off(value)
    if key.doc not in said:
        said.add(key.doc)
        absent = f" Absent: {key.unset}." if key.unset else ""
        yield f"{'' if off or not mark else mark}## {key.doc}{absent}"
    here = "# " if off else mark
    if isinstance(value, dict):
        yield f"{here}{key.name}:"
        yield from _inside(key.shape, value, here, said)
    else:
        yield f"{here}{key.name}: {flow(_offer(key) if value is _OFF else value)}"


def _inside(shape: Shape, value: dict[str, Any], mark: str, said: set[str]) -> Iterator[str]:
    match shape:
        case OneOf(options):
            wanted = next(one for one in options if isinstance(one, (Keys, MapOf)))
            yield from _inside(wanted, value, mark, said)
        case MapOf(_, inner):
            for name, item in value.items():
                yield f"{mark}  {name}:"
                yield from (_deeper(line, mark) for line in _inside(inner, item, mark, said))
        case Keys(model):
            for name, item in value.items():
                yield from (_deeper(line, mark) for line in _entry(_key_at(model, name), item, mark, said))


def _deeper(line: str, mark: str) -> str:
    return f"{mark}  {line.removeprefix(mark)}" if mark else f"  {line}"


def _all_off(value: Any) -> bool:
    return value is _OFF or (isinstance(value, dict) and all(_all_off(item) for item in value.values()))


def _offer(key: Key) -> Any:
    default = written(key.shape, key.default)
    return key.example if default in (None, [], {}) else default

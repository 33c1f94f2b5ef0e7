"""Reads the case classes of the installed `autobahntestsuite`.

Its newest release is still Python 2 code, where a string is bytes. The files are run as they are: each is read as
Latin-1, so that a character is a byte, and what changed between the languages is put right while it is compiled. What
the cases import (the old protocol engine, a validator, offers of compression) is given by this module.
"""

from __future__ import annotations

import ast
import builtins
import codecs
import hashlib
import importlib.util
import re
import types
from pathlib import Path
from typing import Any

CLOSE_CODES = {"NORMAL": 1000, "GOING_AWAY": 1001, "PROTOCOL_ERROR": 1002, "INVALID_PAYLOAD": 1007}
STATES = {"CLOSED": 0, "CONNECTING": 1, "CLOSING": 2, "OPEN": 3}


class ByteString(str):
    """A string of Python 2: bytes, each as one character."""

    def decode(self, encoding: str) -> str:
        """The text it stands for."""
        return self.encode("latin-1").decode(encoding)


def to_bytes(data: str | bytes) -> bytes:
    """The bytes of what a case calls a string."""
    return data if isinstance(data, bytes) else data.encode("latin-1")


class Offer:
    """What a case offers for permessage-deflate."""

    def __init__(
        self,
        acceptNoContextTakeover: bool = True,
        acceptMaxWindowBits: bool = True,
        requestNoContextTakeover: bool = False,
        requestMaxWindowBits: int = 0,
    ) -> None:
        self.acceptNoContextTakeover = acceptNoContextTakeover
        self.acceptMaxWindowBits = acceptMaxWindowBits
        self.requestNoContextTakeover = requestNoContextTakeover
        self.requestMaxWindowBits = requestMaxWindowBits

    def header(self) -> str:
        """As it stands in `Sec-WebSocket-Extensions`."""
        parts = ["permessage-deflate"]
        if self.acceptNoContextTakeover:
            parts.append("client_no_context_takeover")
        if self.acceptMaxWindowBits:
            parts.append("client_max_window_bits")
        if self.requestNoContextTakeover:
            parts.append("server_no_context_takeover")
        if self.requestMaxWindowBits:
            parts.append(f"server_max_window_bits={self.requestMaxWindowBits}")
        return "; ".join(parts)


class _Validator:
    """Says of bytes whether they are UTF-8, and whether they end with a character."""

    def reset(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")()

    def validate(self, data: str) -> tuple[bool, bool]:
        try:
            self.decoder.decode(to_bytes(data))
        except UnicodeDecodeError:
            return False, False
        return True, not self.decoder.getstate()[0]


class _Sha1:
    def __init__(self) -> None:
        self.inner = hashlib.sha1(usedforsecurity=False)

    def update(self, data: str | bytes) -> None:
        self.inner.update(to_bytes(data))

    def digest(self) -> bytes:
        return self.inner.digest()


class _Object:
    """Stands for `object` beside an old-style base class."""


def _module(**names: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(**names)


def _hex(data: str | bytes) -> str:
    return to_bytes(data).hex()


class _Division(ast.NodeTransformer):
    """`/` between whole numbers is whole in Python 2."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Div):
            node.op = ast.FloorDiv()
        return node


class Suite:
    """The suite's cases by their ids, as `6.4.1`."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("autobahntestsuite")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("autobahntestsuite is not installed")
        self.folder = Path(spec.origin).parent
        self._modules: dict[str, types.SimpleNamespace] = {}
        protocol = type(
            "WebSocketProtocol",
            (),
            {f"CLOSE_STATUS_CODE_{name}": code for name, code in CLOSE_CODES.items()}
            | {f"STATE_{name}": number for name, number in STATES.items()}
            | {"MESSAGE_TYPE_TEXT": 1},
        )
        none = type("Nothing", (), {})
        self._given = {
            "autobahn.websocket.protocol": _module(WebSocketProtocol=protocol),
            "autobahn.websocket.utf8validator": _module(Utf8Validator=_Validator),
            "autobahn.websocket.compress": _module(
                PerMessageDeflateOffer=Offer,
                PerMessageDeflateOfferAccept=none,
                PerMessageDeflateResponse=none,
                PerMessageDeflateResponseAccept=none,
            ),
            "binascii": _module(b2a_hex=_hex, hexlify=_hex),
            "hashlib": _module(sha1=_Sha1),
            # Two equal values may be pickled differently; they are compared by what they show.
            "pickle": _module(dumps=repr),
            "pkg_resources": _module(resource_filename=lambda _package, name: str(self.folder / name)),
            "twisted.internet": _module(reactor=None, interfaces=_module(IPushProducer=None)),
            "zope.interface": _module(implements=lambda _interface: None),
        }
        package = self._load("__init__")
        self.cases: dict[str, type[Any]] = {
            case.__name__.removeprefix("Case").replace("_", "."): case for case in package.Cases
        }

    def _load(self, name: str) -> types.SimpleNamespace:
        if name not in self._modules:
            path = self.folder / "case" / f"{name}.py"
            source = re.sub(r"(?m)^(\s*)print\b.*$", r"\1pass", path.read_text("latin-1"))
            tree = ast.fix_missing_locations(_Division().visit(ast.parse(source, str(path))))
            names = {
                "__name__": name,
                "__builtins__": vars(builtins) | {"__import__": self._import},
                "object": _Object,
                "xrange": range,
                "unichr": chr,
                "open": self._open,
            }
            own = set(names)
            exec(compile(tree, str(path), "exec"), names)
            found = {key: value for key, value in names.items() if key not in own}
            self._modules[name] = _module(**found)
        return self._modules[name]

    def _import(self, name: str, _globals: Any = None, _locals: Any = None, names: Any = (), level: int = 0) -> Any:
        if name.startswith("case"):
            return self._load(name)
        if name in self._given:
            return self._given[name]
        return builtins.__import__(name, None, None, names, level)

    @staticmethod
    def _open(path: str, _mode: str) -> Any:
        return _module(read=lambda: ByteString(Path(path).read_bytes().decode("latin-1")))

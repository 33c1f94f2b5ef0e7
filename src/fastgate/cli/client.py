"""Asks a running gateway over its control socket."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastgate.errors import ConfigError, Finding, StartError
from fastgate.runtime.control_path import candidates, default_path

Plain = dict[str, Any]
ANSWER_SECONDS = 10.0
RELOAD_SECONDS = 120.0
MAX_ANSWER = 64 << 20


class Client:
    """A connection to a gateway.

    Args:
        path: The socket that is meant; the default one, or the only one beside it, unless given.

    Raises StartError, one sentence, where no gateway answers or where several could be meant.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = Path(path) if path else _found()
        self._socket = _connected(self.path)
        self._received = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, operation: str, seconds: float = ANSWER_SECONDS, **details: object) -> Plain:
        """One question with its details, one answer.

        Raises StartError, or ConfigError where the gateway found faults in a config.
        """
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(json.dumps({"op": operation, **details}).encode() + b"\n")
            line = self._line()
        except TimeoutError:
            raise StartError(f"the gateway at {self.path} has not answered within {seconds:g} s") from None
        except OSError as error:
            raise StartError(f"the gateway at {self.path} ended the connection: {error.strerror or error}") from None
        try:
            answer = json.loads(line)
        except ValueError:
            raise StartError(f"{self.path} answers something that is no gateway's answer") from None
        plain: Plain = answer if isinstance(answer, dict) else {}
        if not plain.get("ok"):
            refused(plain)
        return plain

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            more = self._socket.recv(1 << 16)
            if not more:
                raise StartError(f"the gateway at {self.path} ended the connection")
            self._received += more
            if len(self._received) > MAX_ANSWER:
                raise StartError(f"{self.path} answers with more than {MAX_ANSWER >> 20} MiB")
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        return line


def refused(answer: Plain) -> None:
    """Raises what an answer that is not ok stands for."""
    if findings := answer.get("findings"):
        raise ConfigError([finding(one) for one in findings])
    raise StartError(str(answer.get("error", "the gateway refuses without a reason")))


def finding(plain: Plain) -> Finding:
    """A finding as the gateway sent it."""
    return Finding(**{name: value for name, value in plain.items() if name in Finding.__dataclass_fields__})


def _found() -> Path:
    wanted = default_path()
    there = candidates(wanted)
    if wanted in there or not there:
        return wanted
    alive = [one for one in there if _lives(one)]
    if len(alive) > 1:
        raise StartError(f"several gateways answer; say which one with --socket: {', '.join(map(str, alive))}")
    return alive[0] if alive else wanted


def _lives(path: Path) -> bool:
    try:
        _connected(path).close()
    except StartError:
        return False
    return True


def _connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    # Python's own time-out would not wait for room in a full accept queue; the kernel's does.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(ANSWER_SECONDS), 0))
    try:
        client.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        client.close()
        raise StartError(
            f"no gateway answers at {path}: is one running? --socket or FASTGATE_CONTROL say where"
        ) from None
    except PermissionError:
        client.close()
        raise StartError(f"{path} belongs to another user: ask as the user the gateway runs as, or as root") from None
    except BlockingIOError:
        client.close()
        raise StartError(f"the gateway at {path} does not take a connection within {ANSWER_SECONDS:g} s") from None
    except OSError as error:
        client.close()
        raise StartError(f"{path} cannot be asked: {error.strerror or error}") from None
    return client

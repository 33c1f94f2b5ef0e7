"""Making the control socket's file: private, never over a living one, removed only by who made it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastgate.errors import StartError
from fastgate.runtime.control_path import beside

BACKLOG = 16
ANSWER_SECONDS = 2.0
"""How long a living gateway may take to accept before its socket counts as taken anyway."""


@dataclass(slots=True)
class Claim:
    """A listening socket and the file it stands for."""

    path: Path
    socket: socket.socket
    identity: tuple[int, int]

    def release(self) -> None:
        """Closes the socket and removes its file, unless another gateway has put its own there."""
        self.socket.close()
        with contextlib.suppress(OSError), _locked(self.path.parent):
            if _identity(self.path) == self.identity:
                self.path.unlink()


def claim(wanted: Path, *, make_folder: bool) -> Claim:
    """Listens at `wanted`, or beside it (`control-PID.sock`) where another gateway answers there.

    A file left by a gateway that is gone is removed; anything that is not a socket never is.
    Raises StartError or OSError with the reason.
    """
    if make_folder:
        _own_folder(wanted.parent)
    with _locked(wanted.parent):
        for path in (wanted, beside(wanted, os.getpid())):
            if _free(path):
                return _listen(path)
    raise StartError("it is taken, and so is the path beside it")


def peer_uid(client: socket.socket) -> int | None:
    """The user at the other end, as the kernel knows it; None where it cannot tell."""
    try:
        if (option := getattr(socket, "SO_PEERCRED", None)) is not None:
            return int(struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, option, 12))[1])
        # struct xucred of the BSDs: version, uid, …; level SOL_LOCAL is 0, LOCAL_PEERCRED is 1.
        return int(struct.unpack_from("2I", client.getsockopt(0, 1, 76))[1])
    except OSError:
        return None


def _own_folder(folder: Path) -> None:
    """Makes the default folder, 0700; one that others own or may write to is not used."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StartError(f"{folder} belongs to another user")
    if found.st_mode & 0o077:
        folder.chmod(0o700)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time looks and binds, so that nobody removes a file that was bound meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _free(path: Path) -> bool:
    """Whether the path may be bound; a socket that nobody listens on is removed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    if not stat.S_ISSOCK(mode):
        raise StartError("there is a file that is no socket; it is left alone")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return True
        except TimeoutError:
            return False
        except OSError as error:
            if error.errno == errno.EAGAIN:  # its queue is full: somebody lives there
                return False
            raise
    return False


def _listen(path: Path) -> Claim:
    text = os.fsencode(path)
    if len(text) > 107:
        raise StartError(f"the path has {len(text)} bytes, a Unix socket's has at most 107")
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Linux makes the file with the mode of the socket, so that it never is open to others for a moment.
        with contextlib.suppress(OSError):
            os.fchmod(listener.fileno(), 0o600)
        listener.bind(text)
        path.chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        return Claim(path, listener, _identity(path))
    except BaseException:
        listener.close()
        raise


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino

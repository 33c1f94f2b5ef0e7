"""A fault proxy between two parties: latency, cuts at a byte, slices, resets, silence, refusal, garbage."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, replace
from types import TracebackType

from harness import address as addresses


@dataclass(frozen=True)
class Faults:
    """What is done to a connection. Byte counts are of one direction: `up` towards the target, `down` back."""

    latency: float = 0.0
    """Seconds each piece waits before it goes on."""
    slice: int = 0
    """Bytes a piece; 0: as read."""
    cut_up: int | None = None
    """After so many bytes towards the target the connection is cut."""
    cut_down: int | None = None
    reset: bool = False
    """Cut by reset in the place of FIN."""
    blackhole: bool = False
    """Accepts, reads, never says anything."""
    refuse: bool = False
    """Resets at once."""
    garbage: bytes = b""
    """Sent back at once in the place of the target."""


class FaultProxy:
    """Listens on a free port before `target`; `faults` may be replaced at any time and holds for new connections."""

    def __init__(self, target: str, **faults: object) -> None:
        self.target = target
        self.faults = replace(Faults(), **faults)  # type: ignore[arg-type]
        self._listener, self.address = addresses.listen("127.0.0.1:0")
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """As a target in a snapshot."""
        return f"http://{self.address}"

    def change(self, **faults: object) -> None:
        """Sets these faults and clears every other; connections already open keep theirs."""
        self.faults = replace(Faults(), **faults)  # type: ignore[arg-type]

    def close(self) -> None:
        """Stops listening and ends every connection."""
        addresses.shut(self._listener)
        self.drop()

    def drop(self) -> None:
        """Ends every connection."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for sock in sockets:
            addresses.shut(sock)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            faults = self.faults
            self.connections += 1
            if faults.refuse:
                addresses.reset(client)
                continue
            with self._lock:
                self._sockets.add(client)
            threading.Thread(target=self._serve, args=(client, faults), daemon=True).start()

    def _serve(self, client: socket.socket, faults: Faults) -> None:
        try:
            if faults.garbage:
                client.recv(1 << 16)
                client.sendall(faults.garbage)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):
                    pass
                return None
            if faults.blackhole:
                while client.recv(1 << 16):
                    pass
                return None
            target = addresses.dial(self.target, 10)
            target.settimeout(None)
        except OSError:
            return addresses.shut(client)
        with self._lock:
            self._sockets.add(target)
        back = threading.Thread(target=self._pump, args=(target, client, faults, faults.cut_down), daemon=True)
        back.start()
        self._pump(client, target, faults, faults.cut_up)
        back.join()
        for sock in (client, target):
            addresses.shut(sock)
        return None

    def _pump(self, source: socket.socket, sink: socket.socket, faults: Faults, cut: int | None) -> None:
        passed = 0
        pause = threading.Event()
        try:
            while data := source.recv(1 << 16):
                size = faults.slice or len(data)
                for at in range(0, len(data), size):
                    piece = data[at : at + size]
                    if faults.latency:
                        pause.wait(faults.latency)
                    if cut is not None and passed + len(piece) >= cut:
                        sink.sendall(piece[: cut - passed])
                        for sock in (source, sink):
                            (addresses.reset if faults.reset else addresses.shut)(sock)
                        return
                    sink.sendall(piece)
                    passed += len(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, sink):
                addresses.shut(sock)

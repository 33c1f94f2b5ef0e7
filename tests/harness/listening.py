"""A server of a test's own on a free port: every connection in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


class Listening:
    """Listens on 127.0.0.1 and hands each connection to `serve`, which closes it or keeps it."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def close(self) -> None:
        """Refuses connections from now on."""
        self._socket.close()

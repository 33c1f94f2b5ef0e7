"""The process's supervisor, where it is systemd or speaks its protocol: notifications, watchdog, handed sockets."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping

log = logging.getLogger("fastgate")

FIRST_DESCRIPTOR = 3
MAX_DESCRIPTORS = 1024


class Notifier:
    """Sends sd_notify(3) messages; without NOTIFY_SOCKET it does nothing.

    The variables are taken out of the environment, so that children do not speak for us.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        pid, period = environ.pop("WATCHDOG_PID", ""), environ.pop("WATCHDOG_USEC", "")
        ours = period.isdecimal() and (not pid or pid == str(os.getpid()))
        self.watchdog = int(period) / 1e6 if ours and self._address else 0.0
        """Seconds within which the supervisor expects a sign of life; 0: none."""

    def ready(self, status: str) -> None:
        """Started, or the reload is over."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send("STOPPING=1", f"STATUS={status}")

    def alive(self) -> None:
        """A sign of life."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address[:1] not in ("/", "@"):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1.0)
                sender.sendto(text.encode(), address)
        except OSError as error:
            log.warning("the supervisor cannot be notified at %s: %s", self._address, error)


class Watchdog:
    """Sends a sign of life twice a period for as long as every worker answers."""

    def __init__(self, notifier: Notifier, alive: Callable[[float], bool]) -> None:
        self._notifier, self._alive = notifier, alive
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins, if the supervisor asked for it."""
        if self._notifier.watchdog > 0:
            self._thread = threading.Thread(target=self._run, name="fastgate-watchdog", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        half = self._notifier.watchdog / 2
        while not self._ended.wait(half):
            if self._alive(half):
                self._notifier.alive()
            elif not self._ended.is_set():
                log.error("a worker does not answer: the supervisor gets no sign of life")


def handed_sockets(environ: MutableMapping[str, str]) -> list[tuple[str, int]]:
    """The listening sockets that sd_listen_fds(3) describes, name and descriptor; its variables are taken out."""
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    given = names.split(":")
    handed = []
    for number in range(min(int(count), MAX_DESCRIPTORS)):
        descriptor = FIRST_DESCRIPTOR + number
        os.set_inheritable(descriptor, False)
        handed.append((given[number] if number < len(given) and given[number] else "unknown", descriptor))
    return handed

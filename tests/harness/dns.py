"""A scripted DNS server (RFC 1035, UDP and TCP): A and AAAA answers, TTLs, errors, silence; counts queries."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType

from harness import address as addresses

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
A, CNAME, AAAA = 1, 5, 28


@dataclass
class Answer:
    """What a name gives: addresses of either family, or an error code, or nothing at all (`silent`)."""

    addresses: tuple[str, ...] = ()
    ttl: int = 0
    code: int = NOERROR
    silent: bool = False


class DnsServer:
    """Answers what `records` says (lower case, no trailing dot); other names do not exist."""

    def __init__(self, bind: str = "127.0.0.1:0") -> None:
        self.records: dict[str, Answer] = {}
        self.queries: list[tuple[str, int]] = []
        self._changed = threading.Condition()
        self._tcp, self.address = addresses.listen(bind)
        host, _, port = self.address.rpartition(":")
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((host, int(port)))
        for loop in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    def __enter__(self) -> DnsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops answering."""
        addresses.shut(self._tcp)
        addresses.shut(self._udp)

    def set(self, name: str, *ips: str, ttl: int = 0, code: int = NOERROR, silent: bool = False) -> None:
        """What `name` gives from now on."""
        self.records[name.lower()] = Answer(ips, ttl, code, silent)

    def count(self, name: str) -> int:
        """How often the name was asked for, both families together."""
        return sum(1 for asked, _ in self.queries if asked == name.lower())

    def wait_queries(self, name: str, count: int, timeout: float = 10.0) -> None:
        """Returns once the name was asked for so often."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.count(name) >= count, timeout):
                raise AssertionError(f"{name} was asked for {self.count(name)} times within {timeout} s, not {count}")

    def _serve_udp(self) -> None:
        while True:
            try:
                query, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            if (reply := self.reply(query)) is not None:
                self._udp.sendto(reply, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            with sock:
                size = sock.recv(2)
                if len(size) == 2 and (reply := self.reply(sock.recv(struct.unpack("!H", size)[0]))) is not None:
                    sock.sendall(struct.pack("!H", len(reply)) + reply)

    def reply(self, query: bytes) -> bytes | None:
        """The answer to one query message; None for silence."""
        identifier, flags = struct.unpack("!HH", query[:4])
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack("!H", query[at + 1 : at + 3])[0]
        with self._changed:
            self.queries.append((name, kind))
            self._changed.notify_all()
        answer = self.records.get(name, Answer(code=NXDOMAIN))
        if answer.silent:
            return None
        records = []
        for text in answer.addresses if answer.code == NOERROR else ():
            ip = ipaddress.ip_address(text)
            if (A if ip.version == 4 else AAAA) == kind:
                records.append(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, answer.ttl, len(ip.packed)) + ip.packed)
        # response, recursion available, and the asker's own recursion bit
        header = struct.pack("!HHHHHH", identifier, 0x8080 | (flags & 0x0100) | answer.code, 1, len(records), 0, 0)
        return header + query[12 : at + 5] + b"".join(records)

"""The page on nginx.conf: both gateways are started on each pair of configs and asked the same."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import Origin
from harness.client import wait_for
from harness.origin import identity, ok
from pages import ROOT

from fastgate.testing import serve

PAGE = ROOT / "docs" / "user" / "from-nginx.md"
PAIR = re.compile(r"^<!-- compare: (.*?) -->\n```nginx\n(.*?)^```$.*?^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAIRS = [match.groups() for match in PAIR.finditer(PAGE.read_text(encoding="utf-8"))]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
# What each gateway says of itself or of the connection; everything else must be equal.
OWN = {"server", "date", "connection", "x-request-id", "content-type", "content-length", "transfer-encoding"}
OWN |= {"etag", "vary", "x-content-type-options", "allow"}


@dataclass(frozen=True)
class Seen:
    """What client and origin saw of one request."""

    status: int
    headers: dict[str, str]
    body: bytes
    upstream: tuple[Any, ...] | None


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def running_nginx(tmp_path: Path) -> Iterator[Any]:
    """Starts nginx on the piece of config and gives its port."""
    started: list[subprocess.Popen[bytes]] = []

    def start(piece: str) -> int:
        port = free_port()
        places = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        text = (
            f"{user} daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; absolute_redirect off;\n{places}"
            + piece.replace("listen 8000;", f"listen 127.0.0.1:{port};")
            + "}\n"
        )
        (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
        assert NGINX is not None
        started.append(subprocess.Popen([NGINX, "-e", f"{tmp_path}/error.log", "-c", f"{tmp_path}/nginx.conf"]))
        wait_for(lambda: accepts(port), "nginx")
        return port

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def accepts(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, request: str, origin: Origin) -> Seen:
    """`METHOD PATH [BYTES OF BODY]`; what the client got and what reached the origin."""
    method, path, *size = request.split()
    sent = {"Host": "shop.example", "Cookie": "a=b", "X-Tenant": "evil"}
    before = len(origin.requests)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, b"x" * int(size[0] if size else 3) if method == "POST" else None, sent)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    headers = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in OWN}
    new = origin.requests[before:]
    upstream = None
    if new:
        told = [new[0].get(name) for name in ("host", "cookie", "x-tenant")]
        upstream = (new[0].method, new[0].target, new[0].body, *told)
    return Seen(answer.status, headers, body if answer.status == 200 else b"", upstream)


def test_the_page_has_its_pairs() -> None:
    assert len(PAIRS) >= 5
    assert PAGE.read_text(encoding="utf-8").count("```nginx") == len(PAIRS)


@pytest.mark.skipif(NGINX is None, reason="nginx is not there")
@pytest.mark.parametrize(("requests", "nginx", "yaml"), PAIRS, ids=lambda text: text.split(" ;")[0][:30])
def test_both_answer_the_same(
    requests: str, nginx: str, yaml: str, running_nginx: Any, origin: Origin, tmp_path: Path
) -> None:
    www = tmp_path / "www"
    (www / "sub").mkdir(parents=True)
    for name in ("site.css", "index.html", "sub/page.html"):
        (www / name).write_text(f"/* {name} */\n" * 40, encoding="utf-8")

    def placed(text: str) -> str:
        return re.sub(r"127\.0\.0\.1:900[01]", origin.address, text).replace("/srv/www", str(www))

    file = tmp_path / "fastgate.yaml"
    file.write_text(placed(yaml), encoding="utf-8")
    origin.script = lambda connection, seen: connection.send(
        ok(identity(connection.read_body(seen)), b"X-Powered-By: origin")
    )
    port = running_nginx(placed(nginx))
    with serve(file) as served:
        for request in requests.split(" ; "):
            ours = ask(int(served.url.rsplit(":", 1)[1]), request, origin)
            theirs = ask(port, request, origin)
            assert ours == theirs, request

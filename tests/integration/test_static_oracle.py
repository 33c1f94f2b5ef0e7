"""Static files beside nginx: the same requests, the same status, content and range; what differs is listed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest
from harness import Client, Gateway, snapshot
from harness.client import wait_for
from harness.gateway import match, route, static
from harness.requests import get, request

pytestmark = pytest.mark.usefixtures("engine")

CONFIG = """
daemon off; master_process off; pid {base}/nginx.pid; error_log {base}/error.log; worker_rlimit_nofile 64;
events {{ worker_connections 32; }}
http {{
  access_log off; types {{ text/plain txt; text/html html; text/css css; }} default_type application/octet-stream;
  client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3;
  uwsgi_temp_path {base}/t4; scgi_temp_path {base}/t5; gzip_static on; gzip_vary on; absolute_redirect off;
  server {{ listen unix:{base}/nginx.sock; root {base}/root; location /f/ {{ alias {base}/root/; }} }}
}}
"""
TEXT = b"0123456789" * 10


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    """The gateway, and nginx on a Unix socket, over one folder."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        assert os.environ.get("CI") != "true", "nginx must be there in CI"
        pytest.skip("nginx is not installed")
    base = tmp_path_factory.mktemp("oracle")
    base.chmod(0o755)
    for name, content in {
        "text.txt": TEXT,
        "empty.css": b"",
        "index.html": b"<h1>top</h1>",
        "docs/index.html": b"<h1>docs</h1>",
        "docs/a b.txt": b"space",
        "site.css": b"plain",
        "site.css.gz": b"packed",
    }.items():
        path = base / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (base / "nginx.conf").write_text(CONFIG.format(base=base))
    process = subprocess.Popen([nginx, "-p", str(base), "-e", str(base / "error.log"), "-c", str(base / "nginx.conf")])
    try:
        address = f"unix:{base}/nginx.sock"

        def listens() -> bool:
            with socket.socket(socket.AF_UNIX) as one:
                return one.connect_ex(f"{base}/nginx.sock") == 0

        wait_for(listens, "nginx listens")
        snap = snapshot(routes=[route("files", static(base / "root", precompressed=["gzip"]), match(prefix="/f"))])
        with Gateway(snap) as gateway:
            yield gateway, address
    finally:
        process.terminate()
        process.wait(10)


DATE = b"Sun, 09 Sep 2001 01:46:40 GMT"
EARLIER = b"Sun, 09 Sep 2001 01:46:39 GMT"


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(
    ("target", "lines"),
    [
        (b"/f/text.txt", []),
        (b"/f/empty.css", []),
        (b"/f/", []),
        (b"/f/docs/", []),
        (b"/f/docs/a%20b.txt", []),
        (b"/f/missing", []),
        (b"/f/missing/", []),
        (b"/f/text.txt/", []),
        (b"/f/text.txt?query", []),
        (b"/f/text.txt", [b"If-Modified-Since: " + DATE]),
        (b"/f/text.txt", [b'If-None-Match: "other"']),
        (b"/f/text.txt", [b"If-None-Match: *"]),
        (b"/f/text.txt", [b'If-Match: "other"']),
        (b"/f/text.txt", [b"If-Match: *"]),
        (b"/f/text.txt", [b"If-Unmodified-Since: " + EARLIER]),
        (b"/f/text.txt", [b"If-Unmodified-Since: " + DATE]),
        (b"/f/site.css", []),
        (b"/f/site.css", [b"Accept-Encoding: gzip"]),
        (b"/f/site.css", [b"Accept-Encoding: gzip;q=0"]),
        (b"/f/site.css", [b"Accept-Encoding: deflate"]),
    ],
)
def test_the_same_answer(pair: tuple[Gateway, str], method: bytes, target: bytes, lines: list[bytes]) -> None:
    _compare(pair, method, target, lines)


# HEAD has no ranges in fastgate (RFC 9110 §14.2); nginx gives it some.
@pytest.mark.parametrize("value", [b"0-0", b"0-", b"5-9", b"95-200", b"-5", b"-500", b"100-", b"99-99", b"-0"])
@pytest.mark.parametrize("condition", [[], [b"If-Range: " + DATE], [b"If-Range: " + EARLIER], [b'If-Range: "no"']])
def test_the_same_range(pair: tuple[Gateway, str], value: bytes, condition: list[bytes]) -> None:
    _compare(pair, b"GET", b"/f/text.txt", [b"Range: bytes=" + value, *condition])


def _compare(pair: tuple[Gateway, str], method: bytes, target: bytes, lines: list[bytes]) -> None:
    gateway, address = pair
    wire = request(method, target, *lines) if lines or method != b"GET" else get(target)
    with gateway.client() as client, Client(address) as oracle:
        ours, theirs = client.exchange(wire, method.decode()), oracle.exchange(wire, method.decode())
    assert ours.status == theirs.status
    names = ["content-range", "content-encoding"]
    if ours.status in (200, 206):
        assert ours.body == theirs.body
        names += ["content-length", "last-modified"]
        assert (ours.get("content-type") or b"").split(b";")[0] == theirs.get("content-type")
    for name in names:
        assert ours.get(name) == theirs.get(name), name

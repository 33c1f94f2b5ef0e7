"""Starts real servers as origins; a missing one is a named skip, and a failure in CI."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import pytest
from harness import Client, address
from harness.client import BadResponse, wait_for

HERE = Path(__file__).parent
PYTHON = ("gunicorn", "uvicorn", "hypercorn", "aiohttp", "tornado", "waitress")
ALL = (*PYTHON, "node", "nginx")

_NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error crit;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; large_client_header_buffers 8 64k; client_max_body_size 0;
  log_format seen '$request_method $request_uri';
  server {{ listen {address}; keepalive_timeout 60; keepalive_requests 100000;
    location / {{ proxy_pass http://unix:{dir}/inner; proxy_http_version 1.1; proxy_pass_request_headers off;
      proxy_set_header Host inner; }} }}
  server {{ listen unix:{dir}/inner; access_log {dir}/seen seen; add_header X-Origin nginx;
    location / {{ return 200 "$request_method ?"; }} }}
}}
"""


def missing(name: str) -> str | None:
    """Why this origin cannot run here, or None."""
    if name in PYTHON:
        return None if importlib.util.find_spec(name) else f"{name} is not installed (tests/requirements.txt)"
    return None if _program(name) else f"{name} is not on the path"


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class RealOrigin:
    """One running server; `with RealOrigin("tornado") as origin:`."""

    def __init__(self, name: str) -> None:
        if (reason := missing(name)) is not None:
            if os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
        self.name = name
        self._directory = tempfile.TemporaryDirectory(prefix="fastgate-origin-")
        self._seen_lines = 0
        listener, self.address = address.listen("127.0.0.1:0")
        with listener:
            descriptor = listener.fileno()
            if name == "nginx":
                listener.close()
                config = Path(self._directory.name) / "conf"
                config.write_text(_NGINX.format(dir=self._directory.name, address=self.address))
                command = [_program(name) or name, "-p", self._directory.name, "-c", str(config)]
            elif name == "node":
                command = [_program(name) or name, str(HERE / "run_origin.js"), str(descriptor)]
            else:
                command = [sys.executable, str(HERE / "run_origin.py"), name, str(descriptor)]
            self.process = subprocess.Popen(
                command,
                pass_fds=() if name == "nginx" else (descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=HERE,
            )
        wait_for(self._ready, f"{name} to serve", 20)
        self.seen()

    def __enter__(self) -> RealOrigin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._directory.cleanup()

    @property
    def url(self) -> str:
        """As a target in a snapshot."""
        return f"http://{self.address}"

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
        try:
            self._ask(b"/__seen")
        except (OSError, BadResponse):
            return False
        return True

    def _ask(self, target: bytes) -> bytes:
        with Client(self.address, timeout=5) as client:
            return client.exchange(b"GET " + target + b" HTTP/1.1\r\nHost: direct\r\nConnection: close\r\n\r\n").body

    def seen(self) -> list[str]:
        """`METHOD BODY-LENGTH` of every request that ended since the last call (nginx does not tell lengths: `?`)."""
        if self.name != "nginx":
            found: list[str] = json.loads(self._ask(b"/__seen"))
            return found
        # nginx writes its log as requests end: a request of our own, once it stands there, is the barrier
        log = Path(self._directory.name) / "seen"
        mark = f"GET /__seen-{self._seen_lines}"
        self._ask(mark.removeprefix("GET ").encode())
        wait_for(lambda: log.exists() and mark in log.read_text().splitlines()[self._seen_lines :], "nginx's log")
        lines = log.read_text().splitlines()[self._seen_lines :]
        self._seen_lines += len(lines)
        return [line.split(" ")[0] + " ?" for line in lines if "/__seen" not in line]

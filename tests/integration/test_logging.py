"""Logs of a whole gateway in a Python process: access log and rotation, fastgate's messages through `logging`."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.client import connect, wait_for
from harness.requests import get

from fastgate.errors import StartError
from fastgate.runtime import logs
from fastgate.testing import serve

CONFIG = """
listeners:
  public:
    bind: 127.0.0.1:0
admin: false
metrics: false
routes:
  all:
    match:
      prefix: /
    respond:
      status: 200
      body: ok
logs:
  access:
    to: {log}
    format: "{{method}} {{path}} {{status}}"
  level: {level}
  format: json
"""


def config(folder: Path, level: str = "info") -> Path:
    """A config that logs into the folder."""
    file = folder / "fastgate.yaml"
    file.write_text(CONFIG.format(log=folder / "access.log", level=level))
    return file


def test_the_access_log_of_a_served_gateway(tmp_path: Path) -> None:
    with serve(config(tmp_path)) as served:
        address = served.url.removeprefix("http://")
        with connect(address) as client:
            assert client.exchange(get(b"/a")).status == 200
            (tmp_path / "access.log").rename(tmp_path / "moved.log")
            served.runtime.rotate_logs()
            assert client.exchange(get(b"/b")).status == 200
        wait_for(lambda: served.stats()["access_log"]["written"] == 2, "two lines")
        assert "fastgate_access_log_lines_total 2\n" in served.runtime.running._engine.metrics_text()
    written = (tmp_path / "moved.log").read_text() + (tmp_path / "access.log").read_text()
    assert written == "GET /a 200\nGET /b 200\n"


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    file = config(tmp_path)
    file.write_text(file.read_text().replace("access.log", "no/such/access.log"))
    with pytest.raises(StartError, match=r"access\.log cannot be written: its directory does not exist"), serve(file):
        pass


@contextmanager
def no_handlers() -> Iterator[logging.Logger]:
    """The logger of a process that has not set logging up."""
    root, logger = logging.getLogger(), logging.getLogger("fastgate")
    before = root.handlers[:], logger.handlers[:], logger.level
    root.handlers, logger.handlers = [], []
    try:
        yield logger
    finally:
        root.handlers, logger.handlers = before[0], before[1]
        logger.setLevel(before[2])


def test_messages_go_to_stderr_only_where_nobody_else_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    with no_handlers() as logger:
        logs.set_up("info", "json")
        logs.set_up()
        assert len(logger.handlers) == 1
        extra = {"fastgate": ("a request failed", {"error": "upstream_connect", "message": "not this one"})}
        logging.getLogger("fastgate.engine").warning("a request failed error=upstream_connect", extra=extra)
        logs.follow("error", "text")
        logger.warning("too little")
        logger.error("plain")
    with no_handlers() as logger:
        logging.getLogger().addHandler(logging.NullHandler())
        logs.set_up()
        assert not logger.handlers
        logs.follow("debug", "json")
        assert not logger.handlers
    first, second = capsys.readouterr().err.splitlines()
    line = json.loads(first)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "fastgate.engine",
        "message": "a request failed",
        "error": "upstream_connect",
    }
    assert second.endswith("ERROR plain")


def test_an_application_gets_the_engines_lines_with_their_fields(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "fastgate"), serve(config(tmp_path)) as served:
        with connect(served.url.removeprefix("http://")) as client:
            assert client.exchange(b"GET / HTTP/1.1\r\n\r\n").status == 400
        wait_for(lambda: any(record.name == "fastgate.engine" for record in caplog.records), "the engine's line")
    record = next(record for record in caplog.records if record.name == "fastgate.engine")
    assert record.getMessage() == "refused a message reason=host_missing peer=127.0.0.1"
    sentence, fields = record.fastgate  # type: ignore[attr-defined]
    assert (sentence, fields) == ("refused a message", {"reason": "host_missing", "peer": "127.0.0.1"})


def test_a_process_logs_as_its_config_says(tmp_path: Path) -> None:
    """Lines of its own as JSON on stderr, below its level none; SIGUSR1 opens the file anew."""
    command = [sys.executable, "-m", "fastgate", "run", str(config(tmp_path))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = next(line for line in process.stdout if "http://" in line).split("http://")[1].strip()
    with connect(address) as client:
        assert client.exchange(get(b"/a")).status == 200
        (tmp_path / "access.log").rename(tmp_path / "moved.log")
        process.send_signal(signal.SIGUSR1)
        wait_for(lambda: (tmp_path / "access.log").exists(), "the new file")
        assert client.exchange(get(b"/b")).status == 200
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "GET /b 200\n" in (tmp_path / "access.log").read_text()
    messages = [json.loads(line) for line in err.splitlines()]
    assert any(line["message"].startswith("SIGUSR1") and line["level"] == "info" for line in messages), err

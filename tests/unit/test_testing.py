"""serve() and the fixture of pytest: what a team's own tests use."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from harness import product

from fastgate import Gateway, Request, Response
from fastgate.errors import ConfigError, StartError
from fastgate.testing import serve

pytest_plugins = ["pytester"]

PING: dict[str, Any] = {
    "listeners": {"public": {"bind": "0.0.0.0:1"}},
    "routes": {"ping": {"match": {"path": "/ping"}, "respond": {"status": 200, "body": "pong"}}},
}
FILE = product.PING.replace("127.0.0.1:0", "0.0.0.0:1")


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def engine_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastgate")]


def test_a_mapping_on_a_free_port() -> None:
    before = engine_threads()
    with serve(PING) as served:
        assert served.url.startswith("http://127.0.0.1:")
        assert list(served.addresses) == ["public"]
        assert get(served.url + "/ping") == (200, b"pong")
        assert isinstance(served.stats(), dict)
    assert engine_threads() == before
    with pytest.raises(urllib.error.URLError):
        get(served.url + "/ping")


def test_two_at_once_do_not_meet() -> None:
    other = {**PING, "routes": {"ping": {"match": {"path": "/ping"}, "respond": {"status": 200, "body": "other"}}}}
    with serve(PING) as one, serve(other) as two:
        assert get(one.url + "/ping") == (200, b"pong")
        assert get(two.url + "/ping") == (200, b"other")


def test_a_gateway_with_its_hooks_before_a_real_origin() -> None:
    gateway = Gateway().listener("public", bind="0.0.0.0:1")

    @gateway.on_request(routes=["front"])
    def stop(request: Request) -> Response | None:
        return Response.text("stopped", 403) if request.path == "/stop" else None

    with serve(PING) as origin:
        gateway.route("front", match={"prefix": "/"}, to=origin.url)
        with serve(gateway) as served:
            assert get(served.url + "/ping") == (200, b"pong")
            assert get(served.url + "/stop") == (403, b"stopped")


def test_a_file_is_read_again_and_the_port_stays(tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    file.write_text(FILE, encoding="utf-8")
    with serve(file) as served:
        url = served.url
        file.write_text(FILE.replace("pong", "again"), encoding="utf-8")
        served.reload()
        assert served.url == url
        assert get(url + "/ping") == (200, b"again")
        file.write_text(FILE.replace("body:", "bodi:"), encoding="utf-8")
        with pytest.raises(ConfigError, match="bodi"):
            served.reload()
        assert get(url + "/ping") == (200, b"again")


def test_what_was_added_to_a_gateway_comes_with_a_reload() -> None:
    gateway = Gateway().listener("public", bind="0.0.0.0:1")
    gateway.route("one", match={"path": "/one"}, respond={"status": 200, "body": "1"})
    with serve(gateway) as served:
        assert get(served.url + "/two")[0] == 404
        gateway.route("two", match={"path": "/two"}, respond={"status": 200, "body": "2"})
        served.reload()
        assert get(served.url + "/two") == (200, b"2")


def test_a_unix_socket_stays_where_it_is(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/gate.sock"
    with serve({**PING, "listeners": {"local": {"bind": path}}}) as served:
        assert served.addresses == {"local": path}
        with pytest.raises(StartError, match="no URL"):
            _ = served.url


def test_a_bad_config_starts_nothing() -> None:
    before = engine_threads()
    with pytest.raises(ConfigError, match="unknown key"), serve({**PING, "rutes": {}}):
        pytest.fail("it must not start")
    assert engine_threads() == before


def test_the_tests_own_failure_is_what_is_seen() -> None:
    before = engine_threads()
    with pytest.raises(ZeroDivisionError), serve(PING):
        _ = 1 / 0
    assert engine_threads() == before


def test_logs_go_through_logging(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway().listener("public", bind="0.0.0.0:1")
    gateway.route("ping", match={"path": "/ping"}, to="http://127.0.0.1:1")

    @gateway.on_request
    def fail(request: Request) -> None:
        raise RuntimeError("planted")

    handlers = list(logging.getLogger().handlers), list(logging.getLogger("fastgate").handlers)
    with serve(gateway) as served:
        assert get(served.url + "/ping")[0] == 500
    assert any(r.name.startswith("fastgate") and "planted" in str(r.exc_info) for r in caplog.records), caplog.text
    assert (logging.getLogger().handlers, logging.getLogger("fastgate").handlers) == handlers


# the fixture


@pytest.fixture
def team(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A team's own folder of tests; the plugin is named, whatever is installed beside it."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2] / "src"))
    return pytester


def test_the_fixture_serves_and_ends_with_its_test(team: pytest.Pytester) -> None:
    team.makepyfile(
        """
        import threading
        import urllib.request

        import pytest

        PING = {
            "listeners": {"public": {"bind": "0.0.0.0:1"}},
            "routes": {"ping": {"match": {"path": "/ping"}, "respond": {"status": 200, "body": "pong"}}},
        }


        def test_two(fastgate_serve):
            for served in (fastgate_serve(PING), fastgate_serve(PING)):
                with urllib.request.urlopen(served.url + "/ping", timeout=20) as answer:
                    assert answer.read() == b"pong"
            assert [t for t in threading.enumerate() if t is not threading.main_thread()]


        def test_both_have_ended():
            assert not [t for t in threading.enumerate() if t is not threading.main_thread()]


        @pytest.fixture
        def gate(fastgate_serve):
            return fastgate_serve(PING)


        def test_in_a_fixture_of_ones_own(gate):
            assert gate.url.startswith("http://127.0.0.1:")


        def test_an_error_is_the_tests(fastgate_serve):
            fastgate_serve({"rutes": {}})
        """
    )
    result = team.runpytest_subprocess("-p", "fastgate.pytest_plugin", "-W", "error")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*ConfigError*rutes*"])


def test_the_example_passes_its_own_tests(team: pytest.Pytester) -> None:
    examples = Path(__file__).resolve().parents[2] / "examples" / "python"
    for name in ("gate.py", "test_gate.py"):
        team.path.joinpath(name).write_bytes((examples / name).read_bytes())
    result = team.runpytest_subprocess("-p", "fastgate.pytest_plugin", "-W", "error")
    result.assert_outcomes(passed=3)


def test_pytest_shows_the_fixture(team: pytest.Pytester) -> None:
    result = team.runpytest_subprocess("-p", "fastgate.pytest_plugin", "--fixtures", "-q")
    result.stdout.fnmatch_lines(["fastgate_serve -- *", "*A function that runs a gateway until the test ends*"])


def test_the_plugin_imports_nothing_until_it_is_used() -> None:
    code = "import sys, pytest; import fastgate.pytest_plugin; print(sorted(m for m in sys.modules if 'fastgate' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['fastgate', 'fastgate.pytest_plugin']\n"
    code = "import sys, pytest; import fastgate.pytest_plugin; print('pydantic' in sys.modules, 'typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False False\n"

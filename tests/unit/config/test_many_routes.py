"""Many routes are checked and compiled in slices: the same answer as for few, in less memory and in bounded time."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastgate import config
from fastgate.config.routes import Routes
from fastgate.errors import ConfigError

# The package's name `load` is the function.
loading = importlib.import_module("fastgate.config.load")
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FILES = [*sorted((ROOT / "examples").glob("*.yaml")), *sorted((HERE / "good").glob("*.yaml"))]


def answer(path: Path) -> list[str]:
    """What a file gives: its snapshot and warnings, or its errors."""
    try:
        loaded = config.load(path, environ={"MAX_CONNS": "10"})
        return [*map(str, loaded.warnings), config.compile(loaded, hooks="*").data.decode()]
    except ConfigError as error:
        return [str(finding) for finding in error.findings]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_slices_give_the_same_snapshot(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = answer(path)
    monkeypatch.setattr(loading, "MANY_ROUTES", 0)
    monkeypatch.setattr("fastgate.config.routes.SLICE", 1)
    assert answer(path) == whole


def test_slices_give_the_same_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    mistakes = sorted((HERE / "errors").glob("*.yaml"))
    whole = {path.stem: answer(path) for path in mistakes}
    monkeypatch.setattr(loading, "MANY_ROUTES", 0)
    monkeypatch.setattr("fastgate.config.routes.SLICE", 1)
    assert {path.stem: answer(path) for path in mistakes} == whole


def many(count: int) -> str:
    routes = "".join(
        f"  r{n}:\n    match:\n      prefix: /r/{n}\n      methods: [GET, POST]\n    service: s\n"
        f"    policies:\n      request_headers:\n        set: {{x-route: r{n}}}\n"
        for n in range(count)
    )
    return f"services:\n  s:\n    targets: [http://127.0.0.1:9000]\nroutes:\n{routes}"


def test_many_routes_are_no_models_but_can_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(many(1000))
    loaded = config.load(path)
    assert isinstance(loaded.config.routes, Routes)
    assert len(loaded.config.routes) == 1000
    assert "r7" in loaded.config.routes
    assert "x" not in loaded.config.routes
    assert loaded.config.routes["r7"].service == "s"
    snapshot = config.compile(loaded, hooks=["r7"])
    hooked = [route["name"] for route in json.loads(snapshot.data)["routes"] if route["on_request"]]
    assert hooked == ["r7"]
    (finding,) = snapshot.findings([("routes.999.matches.0.path", "wrong")])
    assert str(finding) == f"{path}:7999:15: routes.r999.match.prefix: wrong"


def test_wrong_names_among_many_are_found_in_bounded_time_and_number(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(many(3000).replace("service: s\n", "service: sss\n"))
    begun = time.process_time()
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert len(caught.value.findings) == loading.MAX_FINDINGS + 1
    assert caught.value.findings[-1].message == "2000 more errors are not shown"
    assert time.process_time() - begun < 30


PEAK = """
import json, sys
from fastgate import config
loaded = config.load(sys.argv[1])
snapshot = config.compile(loaded)
from fastgate.runtime import validate
validate(snapshot)
with open("/proc/self/status") as status:
    fields = dict(line.split(":", 1) for line in status)
print(json.dumps({"routes": len(snapshot.routes), "peak_kib": int(fields["VmHWM"].split()[0])}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is Linux's")
def test_10_000_routes_are_loaded_within_160_mb(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(many(10_000))
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, env=os.environ.copy()
    )
    found = json.loads(run.stdout)
    assert found["routes"] == 10_000
    assert found["peak_kib"] < 160 * 1024

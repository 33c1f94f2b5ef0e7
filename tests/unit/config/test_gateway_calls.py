"""A config built in Python: the same model, the same sentences, and the call that wrote what is wrong."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from fastgate import Gateway
from fastgate.errors import ConfigError


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_findings_name_the_call() -> None:
    gateway = Gateway()
    gateway.listener("public", bind="127.0.0.1:0")
    gateway.route("good", match={"prefix": "/good"}, to="http://127.0.0.1:9000")
    gateway.route("a.b", match={"prefx": "/"}, to="http://127.0.0.1:9000")
    route = line() - 1
    gateway.service("s", "http://127.0.0.1:9000", balance="round")
    gateway.configure(limits={"headers": "big"})
    with pytest.raises(ConfigError) as caught:
        gateway.load()
    found = {(finding.path, finding.file, finding.line) for finding in caught.value.findings}
    assert found == {
        ('routes."a.b".match.prefx', __file__, route),
        ("services.s.balance", __file__, route + 2),
        ("limits.headers", __file__, route + 3),
    }
    assert f'{__file__}:{route + 2}: services.s.balance: found "round"; did you mean' in str(caught.value)


def test_what_only_the_engine_judges_names_the_call_too() -> None:
    gateway = Gateway().route("one", match={"prefix": "/"}, to="http://127.0.0.1:9000")
    gateway.route("two", match={"prefix": "/"}, to="http://127.0.0.1:9001")
    two = line() - 1
    for act in (gateway.check, gateway.start):
        with pytest.raises(ConfigError) as caught:
            act()
        (finding,) = caught.value.findings
        assert (finding.file, finding.line) == (__file__, two)


def test_over_a_file_each_finding_names_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "fastgate.yaml"
    path.write_text("routes:\n  app:\n    match:\n      prefix: /\n    to: http://127.0.0.1:9000\n")
    gateway = Gateway.from_file(path)
    path.write_text(path.read_text().replace("http://", "htp://"))
    gateway.configure(workers="many")
    written = line() - 1
    with pytest.raises(ConfigError) as caught:
        gateway.load()
    assert [(finding.file, finding.line) for finding in caught.value.findings] == [(str(path), 5), (__file__, written)]

"""Files, overlays, includes, variables, formats: what a config is read from, and where its errors point."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fastgate import config
from fastgate.config import source
from fastgate.errors import ConfigError

Write = Callable[..., Path]

ROUTE = """
routes:
  app:
    match:
      prefix: /
    to: http://127.0.0.1:9000
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "fastgate.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def errors(*names: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(*names, environ=environ or {})
    return [str(finding) for finding in caught.value.findings]


def test_later_files_overlay_earlier_ones(write: Write) -> None:
    write(ROUTE + "limits:\n  uri: 4KiB\n  header_count: 50\nworkers: 3\n", "base.yaml")
    write("limits:\n  uri: 16KiB\nroutes:\n  app:\n    to: http://127.0.0.1:9001\n", "top.yaml")
    loaded = config.load("base.yaml", "top.yaml").config
    assert loaded.limits.uri == 16 * 1024
    assert loaded.limits.header_count == 50
    assert loaded.workers == 3
    assert loaded.routes["app"].to == "http://127.0.0.1:9001"


def test_lists_replace(write: Write) -> None:
    write(ROUTE.replace("prefix: /", "prefix: /\n      methods: [GET, POST]"), "base.yaml")
    write("routes:\n  app:\n    match:\n      methods: [PUT]\n", "top.yaml")
    match = config.load("base.yaml", "top.yaml").config.routes["app"].match
    assert not isinstance(match, list)
    assert match.methods == ["PUT"]
    assert match.prefix == "/"


def test_null_removes_a_key_of_an_earlier_file(write: Write) -> None:
    write(ROUTE + "limits:\n  uri: 4KiB\n", "base.yaml")
    write("limits:\n  uri: null\nroutes:\n  app:\n    to:\n    respond:\n      status: 204\n", "top.yaml")
    loaded = config.load("base.yaml", "top.yaml").config
    assert loaded.limits.uri == 8 * 1024
    assert loaded.routes["app"].to is None
    assert loaded.routes["app"].respond is not None


def test_null_that_removes_nothing_is_an_error(write: Write) -> None:
    write(ROUTE.replace("prefix: /", "prefix: /\n      methods:"))
    (error,) = errors("fastgate.yaml")
    assert error.startswith("fastgate.yaml:6:7: routes.app.match.methods: nothing is written here")


def test_empty_section_is_empty(write: Write) -> None:
    write(ROUTE + "services:\nlimits:\n")
    assert config.load("fastgate.yaml").config.services == {}


def test_an_error_points_to_the_file_that_wrote_the_value(write: Write) -> None:
    write(ROUTE + "limits:\n  uri: 4KiB\n", "base.yaml")
    write("limits:\n  uri: huge\n", "top.yaml")
    (error,) = errors("base.yaml", "top.yaml")
    assert error.startswith('top.yaml:2:8: limits.uri: found "huge"')


def test_errors_of_all_files_at_once(write: Write) -> None:
    write(ROUTE + "limits:\n  urii: 4KiB\n", "base.yaml")
    write("shutdown:\n  limit: 5\n", "top.yaml")
    found = errors("base.yaml", "none.yaml", "top.yaml")
    assert len(found) == 3
    assert {line.partition(":")[0] for line in found} == {"base.yaml", "none.yaml", "top.yaml"}


def test_include(write: Write) -> None:
    write("include: [routes/*.yaml]\nlisteners:\n  public:\n    bind: 127.0.0.1:0\n")
    write("routes:\n  a:\n    match:\n      prefix: /a\n    to: http://127.0.0.1:9000\n", "routes/a.yaml")
    write("routes:\n  b:\n    match:\n      prefix: /b\n    to: http://127.0.0.1:9000\n", "routes/b.yaml")
    loaded = config.load("fastgate.yaml")
    assert sorted(loaded.config.routes) == ["a", "b"]
    assert [path.name for path in loaded.files] == ["fastgate.yaml", "a.yaml", "b.yaml"]


def test_include_of_the_same_name_is_an_error(write: Write) -> None:
    write("include: more.yaml\n" + ROUTE)
    write(ROUTE, "more.yaml")
    (error,) = errors("fastgate.yaml")
    assert error.startswith('more.yaml:3:3: routes.app: "app" stands in two included files')


def test_include_of_nothing_and_of_itself(write: Write) -> None:
    write("include: none.yaml\n" + ROUTE)
    assert errors("fastgate.yaml")[0].startswith('fastgate.yaml:1:10: include: found "none.yaml": no such file')
    write("include: '*.yaml'\n" + ROUTE)
    assert list(config.load("fastgate.yaml").config.routes) == ["app"]


def test_variables_take_the_type_of_their_field(write: Write) -> None:
    write(ROUTE + "limits:\n  max_connections: ${MAX}\n  uri: ${URI:-4KiB}\nworkers: ${WORKERS:-2}\n")
    loaded = config.load("fastgate.yaml", environ={"MAX": "77"}).config
    assert (loaded.limits.max_connections, loaded.limits.uri, loaded.workers) == (77, 4096, 2)


def test_variables_inside_text_and_their_escape(write: Write) -> None:
    write(
        "routes:\n  a:\n    match:\n      prefix: /\n    respond:\n      status: 200\n      body: '${A}-$${A}-${B:-}'\n"
    )
    respond = config.load("fastgate.yaml", environ={"A": "x"}).config.routes["a"].respond
    assert respond is not None
    assert respond.body == "x-${A}-"


def test_json_goes_through_the_same_parser(write: Write) -> None:
    write('{\n\t"routes": {\n\t\t"a": {"match": {"prefix": 1}, "to": "http:\\/\\/127.0.0.1"}\n\t}\n}\n', "gate.json")
    (error,) = errors("gate.json")
    assert error.startswith("gate.json:3:29: routes.a.match.prefix: found 1")


def test_json_escapes_beyond_the_first_plane(write: Write) -> None:
    text = '{"routes": {"a": {"match": {"prefix": "/"}, "respond": {"status": 200, "body": "BODY"}}}}'
    for body, meant in (
        ("\\ud83d\\ude00!", "\U0001f600!"),
        ("\\\\\\ud83d\\ude00", "\\\U0001f600"),
        ("\\\\ud83d", "\\ud83d"),
    ):
        write(text.replace("BODY", body), "gate.json")
        respond = config.load("gate.json").config.routes["a"].respond
        assert respond is not None
        assert respond.body == meant


def test_toml_and_pyproject(write: Write) -> None:
    text = """[tool.other]
x = 1
[tool.fastgate]
workers = 2
[tool.fastgate.routes.app]
match = { prefix = "/" }
to = "{to}"
"""
    write(text.replace("{to}", "http://127.0.0.1:9000"), "pyproject.toml")
    assert config.load("pyproject.toml").config.workers == 2
    write(text.replace("{to}", "nowhere:x"), "pyproject.toml")
    (error,) = errors("pyproject.toml")
    assert error.startswith('pyproject.toml:7: routes.app.to: found "nowhere:x"')


def test_toml_syntax(write: Write) -> None:
    write("routes = \n", "gate.toml")
    (error,) = errors("gate.toml")
    assert error.startswith("gate.toml:1:10: not TOML:")


def test_literal_secret_is_allowed_on_demand(write: Write) -> None:
    write(ROUTE + "store:\n  url: redis://127.0.0.1\n  password: hunter2\n")
    assert "hunter2" not in "\n".join(errors("fastgate.yaml"))
    loaded = config.load("fastgate.yaml", allow_literal_secrets=True)
    assert "hunter2" not in repr(loaded.config)
    (warning,) = (str(one) for one in loaded.warnings if "plain text" in one.message)
    assert warning.startswith("fastgate.yaml:9:13: store.password: warning: a secret is written here in plain text")


def test_a_file_that_is_too_large_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1000)
    write("# " + "x" * 2000)
    (error,) = errors("fastgate.yaml")
    assert "larger than" in error


def test_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fastgate.yaml").write_bytes(b"routes:\n  a\xff: 1\n")
    (error,) = errors("fastgate.yaml")
    assert error.startswith("fastgate.yaml:2:4: this byte is not UTF-8")


def test_a_yaml_bomb_ends_at_its_first_anchor(write: Write) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    write("\n".join(lines))
    (error,) = errors("fastgate.yaml")
    assert error.startswith("fastgate.yaml:1:5: a0: an anchor")


def test_from_mapping_is_the_same_model() -> None:
    loaded = config.from_mapping({"routes": {"a": {"match": {"prefix": "/"}, "to": "http://127.0.0.1"}}})
    assert loaded.config.routes["a"].to == "http://127.0.0.1"
    with pytest.raises(ConfigError) as caught:
        config.from_mapping({"routes": {"a": {"match": {"prefx": "/"}, "to": "http://127.0.0.1"}}}, "Gateway()")
    assert str(caught.value).startswith('Gateway(): routes.a.match.prefx: unknown key; did you mean "prefix"?')


def test_keys_of_a_later_version_warn() -> None:
    mapping = {
        "services": {"s": {"targets": ["http://127.0.0.1"], "balance": "hash", "health": {"path": "/"}}},
        "routes": {"a": {"match": {"prefix": "/"}, "service": "s", "retries": {"attempts": 2}}},
        "realtime": {"tokens": {"issuer": "x"}},
    }
    loaded = config.from_mapping(mapping)
    said = {warning.path: warning.message for warning in loaded.warnings}
    assert {"services.s.balance", "services.s.health", "routes.a.retries"} <= set(said)
    assert "WITHOUT TOKENS" in said["realtime.tokens"]
    snapshot = json.loads(config.compile(loaded).data)
    assert [service["balance"] for service in snapshot["services"]] == ["round_robin"]

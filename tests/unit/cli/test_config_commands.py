"""`init`, `check --full`, `explain`, `routes` and `schema`: a config looked at without a gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastgate import cli

WHOLE = """
listeners:
  public:
    bind: 127.0.0.1:8000
  inside:
    bind: 127.0.0.1:9000
services:
  projects:
    targets:
      - http://127.0.0.1:9100
    policies:
      request_headers:
        set: {X-Level: service}
routes:
  projects:
    match:
      prefix: /api/projects
      methods: [GET, POST]
      hosts: [api.example.com, "*.example.org"]
    service: projects
    rewrite: {strip_prefix: /api}
  beta:
    match:
      prefix: /api/projects
      hosts: [api.example.com]
      headers: {x-beta: {present: true}}
      query: {v: {regex: "[0-9]+"}}
      client_ip: [10.0.0.0/8]
    respond: {status: 204}
  one:
    match: {path: "/users/{id}"}
    listeners: [inside]
    to: http://127.0.0.1:9101
    policies:
      response_headers: {remove: [Server]}
  old:
    match: {prefix: /v1}
    redirect: {to: "/v2{rest}", status: 308}
  first:
    match: {regex: "/v1/.*"}
    priority: 7
    respond: {status: 410}
  rest:
    match: {prefix: /}
    respond: {status: 404}
policies:
  request_headers:
    set: {X-Level: gateway}
  response_headers:
    set: {X-Level: gateway}
"""

LIVE = """
realtime:
  endpoints:
    rooms:
      path: /r/{room}
      channels: ["room:{room}", lobby]
      publish: true
      listeners: [inside]
    mine:
      path: /mine
      channels: ["user_{sub}"]
      origins: [https://app.example.com]
      policies:
        response_headers: false
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("FASTGATE_CONFIG", "FASTGATE_FORMAT", "FASTGATE_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "fastgate.yaml").write_text(WHOLE)
    return tmp_path


class Told:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def plain(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def fastgate(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> Told:
        code = cli.main(words)
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return run


# explain


def test_explain_shows_route_captures_target_and_policies(fastgate: Any) -> None:
    told = fastgate("explain", "GET", "http://api.example.com:8000/api/projects/7?a=1&b")
    assert told.code == 0
    assert (
        told.out
        == """\
GET http://api.example.com:8000/api/projects/7?a=1&b on listener public
  route     projects  (fastgate.yaml:15)
  matched   GET,POST api.example.com,*.example.org /api/projects/…
  action    service projects, strip_prefix /api
  captured  rest = /7
  upstream  /projects/7?a=1&b
  targets   http://127.0.0.1:9100
policies:
  request_headers   service  fastgate.yaml:12  on
  response_headers  gateway  fastgate.yaml:49  on
also matching, but tried later:
  rest  its hosts are less specific
"""
    )


def test_explain_says_what_each_nearer_one_lacked(fastgate: Any) -> None:
    told = fastgate("explain", "DELETE", "http://api.example.com/api/projects", "-H", "X-Beta: 1")
    assert "route     rest  (fastgate.yaml:" in told.out
    lines = told.out.partition("nearer candidates that lost:\n")[2].splitlines()
    assert lines == [
        "  projects  method DELETE, wanted GET, POST",
        '  beta      query parameter v: wanted matching "[0-9]+"; client address, wanted 10.0.0.0/8',
    ]


def test_explain_with_everything_a_predicate_asks_for(fastgate: Any) -> None:
    url = "http://api.example.com/api/projects/7?v=12"
    # A method predicate goes before headers: the DELETE is the one that reaches it.
    told = fastgate("explain", "--format", "json", "--from", "10.1.2.3", "-H", "x-beta:", "DELETE", url)
    assert (told.plain["outcome"], told.plain["route"], told.plain["leads_to"]) == ("route", "beta", None)
    missing = next(one for one in told.plain["candidates"]["told"] if one["route"] == "projects")["missing"]
    assert missing == [{"what": "methods", "name": "", "wanted": "GET, POST"}]


def test_explain_takes_headers_from_the_environment(fastgate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGATE_HEADERS", "Host: api.example.com\nX-Beta: 1")
    told = fastgate("explain", "--format", "json", "--from", "10.1.2.3", "DELETE", "/api/projects?v=1")
    assert told.plain["route"] == "beta"


def test_explain_listeners(fastgate: Any) -> None:
    assert fastgate("explain", "--format", "json", "GET", "http://h:9000/users/7").plain["route"] == "one"
    assert fastgate("explain", "--format", "json", "--listener", "inside", "GET", "/users/7").plain["captures"] == {
        "id": "7"
    }
    told = fastgate("explain", "GET", "/users/7")
    assert "one  listener public, wanted inside" in told.out
    policies = fastgate("explain", "--format", "json", "GET", "http://h:9000/users/7").plain["policies"]
    assert [(one["name"], one["level"]) for one in policies] == [
        ("request_headers", "gateway"),
        ("response_headers", "route"),
    ]


LIMITED = """
routes:
  all:
    match:
      prefix: /
    respond: {status: 204}
    policies:
      limits:
        each: {rate: 100/s}
        leased: {rate: 100/s, sync: 100ms, on_store_failure: deny}
        slow: {rate: 99/s, sync: 100ms}
        daily: {rate: 1000000/d, calendar: day, sync: 1h}
        here: {rate: 5/s, sync: local}
"""


def test_explain_says_where_limits_are_counted(fastgate: Any, folder: Path) -> None:
    (folder / "fastgate.yaml").write_text(LIMITED + "store: {url: redis://127.0.0.1:6379}\n")
    told = fastgate("explain", "GET", "/")
    assert told.out.partition("policies:\n")[2].splitlines() == [
        "  limits    route  fastgate.yaml:8  on",
        "    each                            counted in the store exactly; while it is down: local",
        "    leased                          counted in the store by leases of 100ms; while it is down: deny",
        "    slow                            counted in the store exactly; while it is down: local",
        "    daily                           counted in the store exactly; while it is down: local",
        "    here                            counted in this process",
    ]
    alone = LIMITED.partition("        each")[0] + "        a: {rate: 1/s}\n"
    (folder / "fastgate.yaml").write_text(alone)
    (limits,) = fastgate("explain", "--format", "json", "GET", "/").plain["policies"]
    assert limits["limits"] == {"a": "counted in this process"}


def test_explain_redirects_and_priorities(fastgate: Any, folder: Path) -> None:
    assert fastgate("explain", "--format", "json", "GET", "/v1").plain["leads_to"] == {"to": "/v2"}
    told = fastgate("explain", "GET", "/v1/x?y=1")
    assert "route    first" in told.out
    assert "old   its priority is lower" in told.out
    (folder / "fastgate.yaml").write_text(WHOLE.replace("priority: 7", "priority: 0"))
    told = fastgate("explain", "GET", "/v1/x?y=1")
    assert "location  /v2/x?y=1" in told.out
    assert "first  its path is less specific" in told.out


def test_explain_refusals(fastgate: Any, folder: Path) -> None:
    told = fastgate("explain", "GET", "/api/../x")
    assert told.code == 0
    assert "refused with 400 before any route: a dot segment in the path (path_dot_segment)" in told.out
    (folder / "one.yaml").write_text(
        "routes:\n  one:\n    match: {path: /a/b/c, methods: [GET]}\n    respond: {status: 200}\n"
    )
    assert "405: only the method is missing; Allow: GET, HEAD" in fastgate("explain", "one.yaml", "PUT", "/a/b/c").out
    told = fastgate("explain", "one.yaml", "GET", "/a/b")
    assert "404: no route matches\nthe nearest routes:\n  one  path /a/b, wanted path /a/b/c\n" in told.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["GET"], "explain takes a method and a URL"),
        (["GET /x", "/x"], 'found "GET /x" where the method stands'),
        (["GET", "api.example.com/x"], 'found "api.example.com/x"; allowed: http://HOST/PATH, or /PATH'),
        (["GET", "http://h:99999/"], '"http://h:99999/": Port out of range'),
        (["--listener", "publik", "GET", "/"], 'there is no "publik"; allowed: public, inside'),
        (["--from", "nobody", "GET", "/"], '--from: "nobody" is not an IP address'),
        (["-H", "no colon", "GET", "/"], "-H: found \"no colon\"; allowed: 'NAME: VALUE'"),
        (["-H", "a: b\r\nc: d", "GET", "/"], "a line break cannot stand"),
        (["GET", "/x\r\nHost: y"], "a line break cannot stand"),
    ],
)
def test_explain_used_wrongly(fastgate: Any, words: list[str], sentence: str) -> None:
    told = fastgate("explain", *words)
    assert told.code == 2
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1


def test_explain_of_a_wrong_config_is_1(fastgate: Any, folder: Path) -> None:
    (folder / "fastgate.yaml").write_text("routes: 7\n")
    told = fastgate("explain", "GET", "/")
    assert told.code == 1
    assert told.err.startswith("fastgate.yaml:1:9: routes: ")


# routes


def test_routes_stand_in_the_order_they_are_tried(fastgate: Any) -> None:
    told = fastgate("routes")
    names = [line.split()[0] for line in told.out.splitlines()]
    assert names == ["ROUTE", "first", "projects", "beta", "one", "old", "rest"]
    assert told.out.splitlines()[4].split()[1:] == ["/users/{id}", "service", "one", "0", "inside"]
    rows = fastgate("routes", "--format", "json").plain
    assert [row["name"] for row in rows] == names[1:]
    assert rows[0] == {
        "name": "first",
        "match": "~ /v1/.*",
        "action": "respond 410",
        "priority": 7,
        "listeners": None,
    }


def test_routes_of_a_config_without_any(fastgate: Any, folder: Path) -> None:
    (folder / "none.yaml").write_text("listeners: {a: {bind: '127.0.0.1:0'}}\n")
    told = fastgate("routes", "none.yaml")
    assert (told.code, told.out.split()) == (0, ["ROUTE", "MATCH", "ACTION", "PRIORITY", "LISTENERS"])
    assert "no routes" in told.err


# init and schema


def test_init_writes_a_config_that_runs(fastgate: Any, folder: Path) -> None:
    told = fastgate("init", "sub.yaml")
    assert (told.code, told.out) == (0, "sub.yaml written\n  fastgate check sub.yaml\n  fastgate run sub.yaml\n")
    assert fastgate("check", "--strict", "sub.yaml").code == 0


def test_init_leaves_a_file_alone(fastgate: Any, folder: Path) -> None:
    told = fastgate("init")
    assert (told.code, told.err) == (
        1,
        "fastgate: fastgate.yaml is there and is left as it is; --force writes over it\n",
    )
    assert (folder / "fastgate.yaml").read_text() == WHOLE
    assert fastgate("init", "--force").code == 0
    assert (folder / "fastgate.yaml").read_text() != WHOLE
    assert "cannot be written: No such file or directory" in fastgate("init", "none/x.yaml").err


def test_schema(fastgate: Any) -> None:
    plain = fastgate("schema").plain
    assert plain["$schema"].startswith("https://json-schema.org/")
    assert "routes" in plain["properties"]


# check


def test_check_full_prints_a_config_that_is_the_same(fastgate: Any, folder: Path) -> None:
    told = fastgate("check", "--full")
    assert told.code == 0
    (folder / "full.yaml").write_text(told.out)
    assert "# default" in told.out
    assert "# fastgate.yaml:4" in told.out
    again = fastgate("routes", "--format", "json", "full.yaml")
    assert again.plain == fastgate("routes", "--format", "json").plain


def test_check_print_merged(fastgate: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "local.yaml").write_text("listeners:\n  public:\n    bind: ${HERE}\n")
    monkeypatch.setenv("HERE", "127.0.0.1:7000")
    told = fastgate("check", "--print-merged", "fastgate.yaml", "local.yaml")
    line = next(line for line in told.out.splitlines() if "7000" in line)
    assert line.endswith("# local.yaml:3, from $HERE")
    assert "# default" not in told.out
    settings = fastgate("check", "--print-merged", "--format", "json").plain["settings"]
    assert {
        "key": "listeners.public.bind",
        "value": "127.0.0.1:8000",
        "origin": "file",
        "where": "fastgate.yaml:4",
    } in (settings)


def test_check_full_of_a_wrong_config_shows_the_faults(fastgate: Any, folder: Path) -> None:
    (folder / "fastgate.yaml").write_text("routes: 7\n")
    told = fastgate("check", "--full")
    assert told.code == 1
    assert told.out.startswith("fastgate.yaml:1:9: routes: ")


def test_several_files_from_the_environment(fastgate: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "more.yaml").write_text("routes:\n  more:\n    match: {path: /more}\n    respond: {status: 200}\n")
    monkeypatch.setenv("FASTGATE_CONFIG", "fastgate.yaml:more.yaml")
    assert fastgate("check").out == "fastgate.yaml, more.yaml: ok, 7 routes\n"


# Endpoints


def test_explain_and_routes_show_endpoints(fastgate: Any, folder: Path) -> None:
    (folder / "fastgate.yaml").write_text(WHOLE + LIVE)
    told = fastgate("explain", "GET", "ws://gate:9000/r/7")
    assert told.code == 0
    assert (
        told.out
        == """\
GET ws://gate:9000/r/7 on listener inside
  route     realtime.endpoints.rooms  (fastgate.yaml:54)
  matched   GET /r/{room}
  action    realtime room:{room}, lobby
  captured  room = 7
  channels  room:7, lobby
  source    local
  origins   pages of the host that is asked
  publish   10/s, bursts of 20
policies:
  request_headers   gateway  fastgate.yaml:47  on
  response_headers  gateway  fastgate.yaml:49  on
also matching, but tried later:
  rest  its path is less specific
"""
    )
    mine = fastgate("explain", "GET", "/mine")
    assert "channels  user_{sub}; {sub} is who the client is, and nobody asks: 401\n" in mine.out
    assert "origins   https://app.example.com\n" in mine.out
    assert "response_headers  endpoint  fastgate.yaml:64  off\n" in mine.out
    away = fastgate("explain", "--format", "json", "GET", "ws://gate:8000/r/7")
    assert away.plain["route"] == "rest"
    missing = next(one for one in away.plain["candidates"]["told"] if one["route"] == "realtime.endpoints.rooms")
    assert missing["missing"] == [{"what": "listeners", "name": "", "wanted": "inside"}]
    assert fastgate("explain", "--format", "json", "GET", "ws://gate:9000/r/7").plain["channels"] == ["room:7", "lobby"]
    line = next(line for line in fastgate("routes").out.splitlines() if line.startswith("realtime.endpoints.rooms"))
    assert line.split() == [
        "realtime.endpoints.rooms",
        "GET",
        "/r/{room}",
        "realtime",
        "room:{room},",
        "lobby",
        "0",
        "inside",
    ]

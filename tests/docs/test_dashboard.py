"""The Grafana dashboard and the expressions of the documentation, against what a running gateway answers."""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import promql
import pytest
from harness import Origin
from harness.client import wait_for
from harness.gateway import Gateway, match, respond, route, service, snapshot
from pages import ROOT
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(ROOT / "tools"))

import render_dashboard

BOARD: dict[str, Any] = json.loads(render_dashboard.FILE.read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
PAGE = (ROOT / "docs" / "user" / "monitoring.md").read_text(encoding="utf-8")
WRITTEN = [
    line
    for block in re.findall(r"<!-- promql -->\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line and not line.startswith("#")
]
# Prometheus adds these when it scrapes.
SCRAPED = {"instance", "job"}
OPENED = "internal metrics "
# The key of RFC 7517 appendix A.1; nobody here has its other half.
KEY = """{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"""
JWT = {
    "issuer": "https://id.example.com/", "audience": ["app"], "keys": {"inline": KEY}, "algorithms": None, "types": [],
    "skew_ms": 0, "max_age_ms": None, "required_claims": [], "headers": {}, "roles_from": None, "scopes_from": None,
    "token": {"header": "authorization", "cookie": None, "query": "token"}, "groups_from": None, "consumer_from": None,
    "revocation": None,
}  # fmt: skip
LIMIT = {
    "name": "burst", "scope": "routes/known", "count": 9, "window_ms": 1_000, "burst": 9, "per": ["client_ip"],
    "cost": 1, "dry_run": False, "window": "flowing", "then": [], "sync_ms": None, "on_store_failure": "local",
}  # fmt: skip
AUTH = {"any_of": [{"jwt": JWT}], "anonymous": None, "failures": 1_000, "failures_ms": 60_000}
POLICIES = {"auth": AUTH, "limits": [LIMIT]}


@pytest.fixture(scope="module")
def answered(engine: Path) -> dict[str, set[str]]:
    """The labels of each metric of a gateway that has served, refused and failed."""
    internal = {"name": "metrics", "bind": "127.0.0.1:0", "written": True, "serves": "metrics"}
    with Origin() as origin:
        routes = [
            route("app", "origin", match(prefix="/"), histogram=True),
            route("dead", "dead", match(prefix="/dead")),
            route("ping", respond(200), match(path="/ping")),
            route("known", respond(200), match(prefix="/known"), policies=0),
        ]
        snap = snapshot(origin.url, routes=routes, services=[service("dead", "http://127.0.0.1:1")])
        with Gateway(snap | {"internal": [internal], "policies": [POLICIES]}) as gateway:
            for path in ("/a", "/ping", "/dead", "/%2e%2e", "/known", "/known?token=a.b.c"):
                ask(gateway.address, path)
            wait_for(lambda: any(line.startswith(OPENED) for line in gateway.out), "the internal listener")
            address = next(line.removeprefix(OPENED) for line in gateway.out if line.startswith(OPENED))
            text = ask(address, "/metrics")
    labels: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels[sample.name] |= set(sample.labels)
        labels[family.name] |= set()
    return labels


def ask(address: str, path: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def faults(expression: str, answered: dict[str, set[str]]) -> list[str]:
    """Metrics and labels of an expression that no gateway answers with."""
    metrics, grouped = promql.read(expression)
    wrong = []
    known: set[str] = set(SCRAPED)
    for name, labels in metrics:
        if name not in answered:
            wrong.append(f"there is no {name}")
        known |= answered.get(name, set())
        wrong += [f"{name} has no label {label}" for label in labels - answered.get(name, set()) - SCRAPED]
    return wrong + [f"nothing has the label {label}" for label in grouped - known]


@pytest.mark.parametrize(("title", "target"), QUERIES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_panel_asks_for_what_there_is(title: str, target: dict[str, str], answered: dict[str, set[str]]) -> None:
    expression = target["expr"]
    assert faults(expression, answered) == []
    metrics, grouped = promql.read(expression)
    shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    summed = "sum" in expression or "count" in expression or "topk" in expression
    there = grouped if summed else {label for name, _ in metrics for label in answered[name]} | SCRAPED
    assert shown <= there, f"{title}: the legend names labels that the result does not have"


@pytest.mark.parametrize("expression", WRITTEN)
def test_an_expression_of_the_page_asks_for_what_there_is(expression: str, answered: dict[str, set[str]]) -> None:
    assert faults(expression, answered) == []


def test_the_variables_and_annotations_ask_for_what_there_is(answered: dict[str, set[str]]) -> None:
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
            assert asked is not None
            assert asked[1] in answered
            assert asked[2] in answered[asked[1]] | SCRAPED
    for annotation in BOARD["annotations"]["list"]:
        assert faults(annotation["expr"], answered) == []


def test_a_wrong_name_is_found(answered: dict[str, set[str]]) -> None:
    assert faults('sum by (route) (rate(fastgate_requests_total{class="5xx"}[5m]))', answered) == []
    assert faults("fastgate_request_total", answered) == ["there is no fastgate_request_total"]
    assert faults('fastgate_requests_total{status="5xx"}', answered) == ["fastgate_requests_total has no label status"]
    assert faults("sum by (path) (fastgate_requests_total)", answered) == ["nothing has the label path"]
    for text in ("sum(rate(x[5m])", "x}", 'x{a~"b"}'):
        with pytest.raises(ValueError, match=r"in 'sum|in 'x"):
            promql.read(text)


def test_the_file_is_the_tools() -> None:
    assert render_dashboard.FILE.read_text(encoding="utf-8") == render_dashboard.render()


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert BOARD["uid"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", BOARD["uid"])
    assert BOARD["schemaVersion"] >= 36
    assert "id" not in BOARD, "an id of some installation would overwrite a stranger's dashboard"
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    (source,) = [variable for variable in BOARD["templating"]["list"] if variable["type"] == "datasource"]
    assert source["query"] == "prometheus"
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        assert panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])

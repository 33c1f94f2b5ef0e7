"""CORS as a real browser judges it: what a page of another origin may read, send, and ask for."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Gateway, Origin, snapshot
from harness.browser import Browser, needed
from harness.gateway import match, respond, route

pytestmark = pytest.mark.usefixtures("engine")

FETCH = """
return (async () => {
  try {
    const answer = await fetch(arguments[0], arguments[1]);
    return [answer.status, await answer.text(), answer.headers.get("x-total")];
  } catch (error) {
    return ["refused", error.name, null];
  }
})()
"""


@pytest.fixture
def browser() -> Any:
    needed()
    with Browser() as opened:
        yield opened


def policies(origin: str, **changes: Any) -> dict[str, Any]:
    base = {"methods": [], "headers": None, "expose": ["X-Total"], "credentials": False, "max_age_ms": None}
    return {"cors": {"origins": [origin], **base} | changes}


def test_a_page_of_another_origin(browser: Any, origin: Origin) -> None:
    html = [("Content-Type", "text/html")]
    with Gateway(snapshot(routes=[route("page", respond(200, "<p>page</p>", html), match(prefix="/"))])) as pages:
        page = f"http://{pages.address}"
        total = [("X-Total", "7")]
        routes = [
            route("ours", respond(200, "ours", total), match(prefix="/ours"), policies=0),
            route("theirs", respond(200, "theirs", total), match(prefix="/theirs"), policies=1),
            route("none", respond(200, "none"), match(prefix="/none")),
            route("put", respond(200, "put"), match(prefix="/put", methods=["PUT"]), policies=0),
            route("dead", "dead", match(prefix="/dead"), policies=0),
        ]
        services = [{**snapshot("http://127.0.0.1:9")["services"][0], "name": "dead"}]
        snap = snapshot(routes=routes, services=services)
        snap["policies"] = [policies(page, methods=["GET", "PUT"], headers=["X-A"]), policies("https://other.example")]
        with Gateway(snap) as api:
            browser.open(f"{page}/")

            def fetch(path: str, **options: Any) -> list[Any]:
                told = browser.script(FETCH, f"http://{api.address}{path}", options)
                assert isinstance(told, list)
                return told

            assert fetch("/ours") == [200, "ours", "7"]
            assert fetch("/theirs")[0] == "refused"
            assert fetch("/none")[0] == "refused"
            assert fetch("/put", method="PUT", headers={"X-A": "1"}) == [200, "put", None]
            assert fetch("/put", method="PUT", headers={"X-B": "1"})[0] == "refused", "a header that is not allowed"
            assert fetch("/ours", method="DELETE")[0] == "refused", "a method that is not allowed"
            status, text, _ = fetch("/dead")
            assert status == 502, "the gateway's own errors can be read"
            assert "request_id" in text

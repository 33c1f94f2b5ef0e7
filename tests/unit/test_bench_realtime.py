"""The page of bench.realtime: what reached its goal, what did not, what failed or lost publications, is said so."""

from __future__ import annotations

from typing import Any

from bench.realtime.figures import FIGURES
from bench.realtime.render import render

Json = dict[str, Any]


def _hub(**figures: float) -> Json:
    return {"rounds": 5, "failed": [], "errors": 0, "faults": {}, "measured": "today", **figures}


def _result(**hubs: Json) -> Json:
    options = {"members": 10_000, "many": 100_000, "repeats": 5}
    room = {"title": "one room of 10,000", "rounds": 5, "options": options, "hubs": hubs}
    return {"machine": {"cores": "2"}, "versions": {}, "missing": {"nchan": "not there"}, "cases": {"room": room}}


def _row(page: str, title: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_goals_are_judged_against_the_peers_of_the_same_run() -> None:
    title = "fan-out to 10,000, CPU a delivery"
    for ours, verdict in ((6.6, "yes"), (6.7, "**no**")):
        page = render(_result(fastgate=_hub(fanout_cpu_us=ours), uwebsockets=_hub(fanout_cpu_us=7.0)))
        assert _row(page, title) == [title, "<= 0.95 x uWebSockets", verdict, f"{ours:.2f} µs", "7 µs"]
    alone = render(_result(fastgate=_hub(fanout_cpu_us=6.6)))
    assert _row(alone, title)[2] == ""  # without the peer nothing is said
    assert "**missing** nchan: not there" in alone
    assert "Nothing: every publication reached every subscriber" in alone


def test_failures_and_losses_stand_beside_the_figures() -> None:
    lossy = _hub(memory_bytes=900.0) | {"errors": 3, "faults": {"lost": 3}}
    dead = _hub() | {"rounds": 0, "failed": ["Failed: no answer"], "measured": "tomorrow"}
    page = render(_result(fastgate=lossy, uwebsockets=dead))
    assert _row(page, "idle memory each")[2:] == ["**no**", "900 B (!)", "failed"]
    assert "- one room of 10,000, fastgate: 3 lost" in page
    assert "; today (fastgate); tomorrow (uwebsockets)" in page
    assert "- one room of 10,000, uwebsockets: Failed: no answer" in page


def test_every_figure_names_a_case_and_every_goal_is_judged() -> None:
    from bench.realtime.cases import CASES

    for figure in FIGURES:
        assert figure.case in CASES, figure.title
        good = {"fastgate": _hub(**{figure.key: 0.0, "silent": 0.0, "grown_mb": 0.0})}
        bad = {"fastgate": _hub(**{figure.key: 1e12, "silent": 1.0, "grown_mb": 0.0})}
        others = {name: _hub(**{figure.key: 1.0}) for name in ("floor", "uwebsockets", "redis")}
        verdicts = (figure.reached(good | others), figure.reached(bad | others))
        assert verdicts == ((True, False) if figure.goal else (None, None)), figure.title

"""Measures: every round starts each hub afresh, in an order that turns; a case that is done is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.binaries import Missing
from bench.load.process import Failed
from bench.load.run import medians
from bench.realtime.cases import Case, Options
from bench.realtime.servers import HUBS, REDIS_ALONE, Hub

Json = dict[str, Any]
KNOWN: Mapping[str, Hub] = {**HUBS, REDIS_ALONE.name: REDIS_ALONE}


def measure(case: Case, hubs: Sequence[str], options: Options, rounds: int, say: Callable[[str], None]) -> Json:
    """All rounds of a case: its medians by hub, with failures and faults beside them."""
    names = [name for name in case.hubs if name in hubs]
    rounds = case.rounds or rounds
    samples: dict[str, list[Json]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % max(1, len(names))
        for name in (*names[shift:], *names[:shift]):
            if samples[name] and all("failed" in one for one in samples[name]):
                continue  # what cannot run a case at all is not waited for in every round
            sample = _sample(case, KNOWN[name], options)
            samples[name].append(sample)
            say(f"{case.name} {turn + 1}/{rounds} {name}: {_brief(sample)}")
    return {name: medians(samples[name]) for name in names}


def _sample(case: Case, hub: Hub, options: Options) -> Json:
    """One measurement; a hub that fails is reported, never left out."""
    try:
        return case.measure(hub, options)
    except (Failed, Missing, OSError, ValueError, KeyError) as error:
        return {"failed": f"{type(error).__name__}: {str(error)[:300]}"}


def _brief(sample: Json) -> str:
    if "failed" in sample:
        return f"FAILED {sample['failed']}"
    figures = [f"{key} {value:.4g}" for key, value in sample.items() if isinstance(value, float)]
    return ", ".join(figures) + (f", {sample['errors']} ERRORS {sample['faults']}" if sample["errors"] else "")

"""Measures: every round starts each gateway afresh in turn, so that what changes on the machine meets them all."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.binaries import Missing
from bench.load.cases import Case
from bench.load.gateways import Gateway, Running, Setup, certificate
from bench.load.process import Failed, Load, Origin, cpu_seconds, rss_bytes

Json = dict[str, Any]
TLS = ("fastgate", "nginx")
"""Gateways that are set up for the cases with TLS; the load client needs it built in (`--features tls`)."""
IDLE_BASE = 100
"""`max_connections` of the fastgate that is the base of the memory case."""


@dataclass(frozen=True)
class Options:
    """How a run goes: rounds, seconds of one measurement, and the two cores."""

    rounds: int
    seconds: float
    gateway_core: int
    load_core: int


def cores() -> tuple[int, int]:
    """The gateway's core and the core of load and origin; the same where there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[1 if len(mine) > 1 else 0]


def measure_all(
    gateways: Sequence[Gateway], cases: Sequence[Case], options: Options, say: Callable[[str], None]
) -> Json:
    """All rounds; samples by case and gateway, each with its failures beside its speed."""
    samples: dict[str, dict[str, list[Json]]] = {
        case.name: {gateway.name: [] for gateway in gateways} for case in cases
    }
    for turn in range(options.rounds):
        for case in cases:
            # The order turns with the rounds, so that nobody always comes after the same neighbour.
            shift = turn % len(gateways)
            for gateway in (*gateways[shift:], *gateways[:shift]):
                found = samples[case.name][gateway.name]
                if case.tls and gateway.name not in TLS:
                    continue
                if found and all("failed" in sample for sample in found):
                    continue  # what cannot run a case at all is not waited for in every round
                sample = _sample(gateway, case, options)
                found.append(sample)
                say(f"round {turn + 1}/{options.rounds} {case.name} {gateway.name}: {_brief(sample)}")
    return {case.name: {name: medians(found) for name, found in samples[case.name].items()} for case in cases}


def _brief(sample: Json) -> str:
    if "failed" in sample:
        return f"FAILED {sample['failed']}"
    figures = [f"{key} {value:.2f}" for key, value in sample.items() if isinstance(value, float)]
    return ", ".join(figures) + (f", {sample['errors']} ERRORS {sample['faults']}" if sample["errors"] else "")


def _sample(gateway: Gateway, case: Case, options: Options) -> Json:
    """One measurement; a gateway that fails is reported, never left out."""
    try:
        with tempfile.TemporaryDirectory(prefix="fastgate-bench-") as directory, Origin(options.load_core) as origin:
            Path(directory).chmod(0o755)  # nginx's workers run as another user
            of = certificate(Path(directory) / "certs") if case.tls else None
            setup = Setup(origin.address, Path(directory), case.routes, options.gateway_core, certificate=of)
            if case.kind == "idle":
                return _idle(gateway, case, setup, options)
            running = gateway.start(setup)
            try:
                return _loaded(running, case, options, _trust(setup))
            finally:
                running.stop()
    except (Failed, Missing, OSError, ValueError) as error:
        return {"failed": f"{type(error).__name__}: {str(error)[:300]}"}


def _loaded(running: Running, case: Case, options: Options, args: Sequence[str]) -> Json:
    limit = max(20.0, 4 * options.seconds)
    with Load(running.address, *case.load_args(options.seconds), *args, timeout=limit, core=options.load_core) as load:
        if not load.ready():
            report = load.finish()
            return {"failed": f"no connection passed the warm-up: {report['faults']}"}
        before = cpu_seconds(running.process.pid)
        report = load.go()
        used = cpu_seconds(running.process.pid) - before
    if not report["requests"]:
        return {"failed": f"not one answer passed: {report['faults']}"}
    latency = report["latency_us"]
    return {
        "cpu_us": used * 1e6 / report["requests"],
        "rate": float(report["rate"]),
        "p50_us": float(latency["p50"]),
        "p99_us": float(latency["p99"]),
        "requests": report["requests"],
        "errors": report["errors"],
        "faults": report["faults"],
    }


def _trust(setup: Setup) -> list[str]:
    return ["--tls", str(setup.certificate.ca), "--host", "localhost"] if setup.certificate else []


def _idle(gateway: Gateway, case: Case, setup: Setup, options: Options) -> Json:
    base: int | None = None
    if gateway.name == "fastgate":  # the same build started for few connections: no table may be sized in advance
        small = gateway.start(replace(setup, max_connections=IDLE_BASE))
        try:
            base = rss_bytes(small.process.pid)
        finally:
            small.stop()
    running = gateway.start(setup)
    try:
        base = rss_bytes(running.process.pid) if base is None else base
        with Load(running.address, *case.load_args(0), *_trust(setup), timeout=60, core=options.load_core) as load:
            if not load.ready():
                return {"failed": f"the connections were not taken: {load.finish()['faults']}"}
            full = rss_bytes(running.process.pid)
            report = load.finish()
    finally:
        running.stop()
    return {
        "rss_base_mb": base / 1e6,
        "rss_mb": full / 1e6,
        "bytes_each": (full - base) / case.connections,
        "errors": report["errors"] + report["lost"],
        "faults": report["faults"] | ({"lost": report["lost"]} if report["lost"] else {}),
    }


def medians(samples: list[Json]) -> Json:
    """The median of every figure over the rounds that passed; failures and errors of all rounds."""
    failed = [sample["failed"] for sample in samples if "failed" in sample]
    passed = [sample for sample in samples if "failed" not in sample]
    result: Json = {"rounds": len(passed), "failed": failed, "errors": sum(sample["errors"] for sample in passed)}
    faults: dict[str, int] = {}
    for sample in passed:
        for name, count in sample["faults"].items():
            faults[name] = faults.get(name, 0) + count
    result["faults"] = faults
    for key in passed[0] if passed else ():
        if isinstance(passed[0][key], float):
            values = [sample[key] for sample in passed]
            result[key] = statistics.median(values)
            result[f"{key}_range"] = [min(values), max(values)]
    return result

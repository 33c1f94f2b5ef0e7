"""`python -m bench.load.policies`: what identity and limits add to a request, in the same run as the bare route.

Clients send 10,000 distinct credentials in turn: a token of about 800 bytes (ES256), or an API key. Each is measured
against the same requests on a route without policies, and beside the floor; the ways take turns. Every credential is
seen once before the measurement, so that signatures are verified before it. Two limits count each request: one by
consumer or subject, one by address.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.binaries import ROOT, Missing, find
from bench.load.gateways import GATEWAYS, Running, Setup, listening
from bench.load.machine import describe
from bench.load.process import Load, Origin, cpu_seconds
from bench.load.run import cores

Json = dict[str, Any]
Costs = dict[str, dict[str, list[float]]]
CREDENTIALS = 10_000
TOKEN_BYTES = 800
ISSUER, AUDIENCE = "https://id.example.com/", "bench"
LIMITS = {
    "each": {"rate": "1000000/s", "burst": 1_000_000, "per": "subject"},
    "address": {"rate": "1000000/s", "burst": 1_000_000, "per": "client_ip"},
}


@dataclass(frozen=True)
class Credentials:
    """What clients send, a field line each, and the method of `auth` that believes it."""

    title: str
    lines: list[str]
    method: Json


def tokens(directory: Path) -> Credentials:
    """Signed tokens; raises Missing where the packages that sign are not installed."""
    try:
        import jwt
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as missing:
        raise Missing(f"{missing.name} is not installed: make dev") from None
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    (directory / "key.pem").write_bytes(pem)
    claims: Json = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600, "scope": "read write", "pad": ""}
    claims["pad"] = "x" * max((TOKEN_BYTES - len(jwt.encode(claims | {"sub": "u00000"}, key, "ES256"))) * 3 // 4, 0)
    minted = [jwt.encode(claims | {"sub": f"u{i:05}"}, key, algorithm="ES256") for i in range(CREDENTIALS)]
    method = {"jwt": {"issuer": ISSUER, "audience": AUDIENCE, "jwks": str(directory / "key.pem")}}
    title = f"JWT of {len(minted[0])} bytes, seen before"
    return Credentials(title, [f"Authorization: Bearer {token}" for token in minted], method)


def keys(directory: Path) -> Credentials:
    """API keys of a keys file."""
    from fastgate.config import keys_file
    from fastgate.config.keys_file import Key
    from fastgate.primitives import make_api_key

    made = [make_api_key("api") for _ in range(CREDENTIALS)]
    file = directory / "keys.jsonl"
    keys_file.add(str(file), [Key(name=f"k{i:05}", hash=keys_file.stored(text)) for i, text in enumerate(made)])
    method = {"api_key": {"header": "X-API-Key", "keys_file": str(file)}}
    return Credentials("API key", [f"X-API-Key: {text}" for text in made], method)


def start(setup: Setup, policies: Json | None) -> Running:
    """The engine with one route, from a config."""
    from fastgate.config import compile as compile_config
    from fastgate.config import from_mapping

    route: Json = {"match": {"prefix": "/"}, "service": "origin"}
    config: Json = {
        "workers": 1,
        "listeners": {"public": {"bind": "127.0.0.1:0"}},
        "services": {"origin": {"targets": [f"http://{setup.origin}"]}},
        "routes": {"all": route | ({"policies": policies} if policies else {})},
    }
    file = setup.directory / "snapshot.json"
    file.write_bytes(compile_config(from_mapping(config), secrets=True).data)
    return listening([str(find("fastgate-engine")), str(file)], setup)


def measure(running: Running, fields: Path, seconds: float, core: int | None) -> float:
    """CPU time a request, in microseconds. Raises RuntimeError where an answer was wrong."""
    args = ("--connections", "64", "--fields", str(fields))
    with Load(running.address, *args, "--requests", str(CREDENTIALS), timeout=60, core=core) as once:
        if (warm := once.finish())["errors"]:
            raise RuntimeError(f"not every credential passed: {warm['faults']}")
    with Load(running.address, *args, "--seconds", str(seconds), "--gated", timeout=60, core=core) as load:
        if not load.ready():
            raise RuntimeError(f"no connection passed the warm-up: {load.finish()['faults']}")
        before = cpu_seconds(running.process.pid)
        report = load.go()
        used = cpu_seconds(running.process.pid) - before
    if report["errors"] or not report["requests"]:
        raise RuntimeError(f"not every request passed: {report['faults']}")
    return float(used * 1e6 / report["requests"])


def ways(setup: Setup, of: Credentials) -> dict[str, Callable[[], Running]]:
    """What is compared, each as what starts it."""
    auth = {"any_of": [of.method]}
    return {
        "floor": lambda: GATEWAYS["floor"].start(setup),
        "bare route": lambda: start(setup, None),
        "identity": lambda: start(setup, {"auth": auth}),
        "identity and two limits": lambda: start(setup, {"auth": auth, "limits": LIMITS}),
    }


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> Costs:
    """CPU microseconds a request, one a round: by credentials, by way."""
    core, load_core = cores()
    found: Costs = {}
    with tempfile.TemporaryDirectory(prefix="fastgate-bench-") as name, Origin(load_core) as origin:
        directory = Path(name)
        setup = Setup(origin.address, directory, core=core)
        fields = directory / "fields.txt"
        for of in (tokens(directory), keys(directory)):
            fields.write_text("\n".join(of.lines))
            costs = found[of.title] = {way: [] for way in ways(setup, of)}
            for turn in range(rounds):
                for way, begin in ways(setup, of).items():
                    running = begin()
                    try:
                        costs[way].append(measure(running, fields, seconds, load_core))
                    finally:
                        running.stop()
                    say(f"round {turn + 1}/{rounds} {of.title}, {way}: {costs[way][-1]:.2f} us")
    return found


def render(result: Json) -> str:
    """The page of a result."""
    parts = ["# What policies add to a request", ""]
    parts += [f"- {key}: {value}" for key, value in result["machine"].items()]
    parts += [f"- {result['rounds']} rounds of {result['seconds']} s a measurement, 64 connections", ""]
    assert __doc__ is not None
    parts += [__doc__.split("\n\n", 1)[1].strip(), ""]
    parts += ["CPU µs a request (medians); beside it the cost over the bare route as a part of the floor's own.", ""]
    names = list(next(iter(result["costs"].values())))
    parts += [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for title, costs in result["costs"].items():
        medians = {way: statistics.median(rounds) for way, rounds in costs.items()}
        over = {way: (medians[way] - medians["bare route"]) / medians["floor"] for way in names}
        cells = [
            f"{medians[way]:.2f}" + (f" (+{over[way]:.3f} x floor)" if way.startswith("identity") else "")
            for way in names
        ]
        parts.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join([*parts, ""])


def main() -> int:
    """Measures, writes policies.json and policies.md, prints the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.load.policies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="at least 5 for figures to be published (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement (default 1)")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the two files")
    args = parser.parse_args()
    machine = describe()
    costs = run(args.rounds, args.seconds, lambda line: print(line, file=sys.stderr))
    result = {"machine": machine, "rounds": args.rounds, "seconds": args.seconds, "costs": costs}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "policies.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "policies.md").write_text(page := render(result))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())

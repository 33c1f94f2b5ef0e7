"""Writes the Grafana dashboard of `docs/dashboards/fastgate.json` from the table below; `--check` only compares.

Requests by rate, errors and duration; resources by utilisation, saturation and errors.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "docs" / "dashboards" / "fastgate.json"
ALL = 'instance=~"$instance"'
ROUTES = f'{ALL}, route=~"$route"'
SERVICES = f'{ALL}, service=~"$service"'
WINDOW = "[$__rate_interval]"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One panel: its queries as (PromQL, legend), the unit of its axis, and what it tells."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str
    tells: str
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False


def quantiles(metric: str, by: str) -> tuple[tuple[str, str], ...]:
    """P50, P95 and P99 of a histogram of the services."""
    summed = f"sum by (le{by}) (rate({metric}_bucket{{{SERVICES}}}{WINDOW}))"
    return tuple((f"histogram_quantile(0.{p}, {summed})", f"P{p}") for p in (50, 95, 99))


def rate(metric: str, labels: str, by: str = "") -> str:
    """The sum of a counter's rate, by some labels."""
    total = f"sum by ({by})" if by else "sum"
    return f"{total} (rate({metric}{{{labels}}}{WINDOW}))"


SUCCESSFUL = rate("fastgate_requests_total", f'{ROUTES}, class!~"5xx|none"')
FAILED = rate("fastgate_requests_total", f'{ROUTES}, class="5xx"', "route")
SHARE = f"{SUCCESSFUL} / {rate('fastgate_requests_total', ROUTES)}"
WORKERS = f"sum by (instance) (fastgate_workers{{{ALL}}})"
BUSY = f"{rate('process_cpu_seconds_total', ALL, 'instance')} / {WORKERS}"
BY_SERVICE = f"sum by (le, service) (rate(fastgate_request_seconds_bucket{{{SERVICES}}}{WINDOW}))"
HITS = rate("fastgate_jwt_cache_requests_total", f'{ALL}, result="hit"')
DECIDED = f'{ALL}, outcome!="allowed"'
REUSED = rate("fastgate_upstream_connections_reused_total", ALL)
OPENED = rate("fastgate_upstream_connections_opened_total", ALL)

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Now",
        (
            Panel(
                "Ready",
                ((f"min(fastgate_ready{{{ALL}}})", ""),),
                "bool_yes_no",
                "Whether all of them want traffic, as /readyz says.",
                "stat",
                4,
            ),
            Panel(
                "Requests a second",
                ((rate("fastgate_requests_total", ROUTES), ""),),
                "reqps",
                "Requests ended.",
                "stat",
                4,
            ),
            Panel(
                "Answered without 5xx",
                ((SHARE, ""),),
                "percentunit",
                "The share of requests that were answered with another class than 5xx.",
                "stat",
                4,
            ),
            Panel(
                "P99",
                (quantiles("fastgate_request_seconds", "")[2],),
                "s",
                "99 of 100 requests took less time, upstream included.",
                "stat",
                4,
            ),
            Panel(
                "Last reload",
                ((f"min(fastgate_config_last_reload_success{{{ALL}}})", ""),),
                "bool_yes_no",
                "Whether the last reload succeeded everywhere; after a failed one the old config serves on.",
                "stat",
                4,
            ),
            Panel(
                "Version",
                ((f"count by (version) (fastgate_build_info{{{ALL}}})", "{{version}}"),),
                "short",
                "Instances by version.",
                "stat",
                4,
            ),
        ),
    ),
    (
        "Requests: rate, errors, duration",
        (
            Panel(
                "By class",
                ((rate("fastgate_requests_total", ROUTES, "class"), "{{class}}"),),
                "reqps",
                "Requests by class of the answer; none: the client left without one.",
                stacked=True,
            ),
            Panel(
                "By route",
                ((f"topk(10, {rate('fastgate_requests_total', ROUTES, 'route')})", "{{route}}"),),
                "reqps",
                "The ten routes with the most requests.",
            ),
            Panel(
                "5xx by route",
                ((f"topk(10, {FAILED})", "{{route}}"),),
                "reqps",
                "The ten routes with the most answers of 5xx.",
            ),
            Panel(
                "Requests that could not be served",
                ((rate("fastgate_errors_total", ALL, "reason, source"), "{{reason}} ({{source}})"),),
                "reqps",
                "Faults by reason, and who caused them: client, upstream or gateway.",
            ),
            Panel(
                "Refused messages",
                ((rate("fastgate_refused_messages_total", ALL, "reason"), "{{reason}}"),),
                "reqps",
                "Messages that are not valid HTTP, by the rule they broke.",
            ),
            Panel(
                "Duration",
                quantiles("fastgate_request_seconds", ""),
                "s",
                "From a complete head to the end of the answer.",
            ),
            Panel(
                "Duration of the upstream",
                quantiles("fastgate_upstream_seconds", ""),
                "s",
                "From asking the upstream to the end of its answer.",
            ),
            Panel(
                "The gateway's own part",
                quantiles("fastgate_own_seconds", ""),
                "s",
                "The request without the upstream.",
            ),
            Panel(
                "P99 by service",
                ((f"histogram_quantile(0.99, {BY_SERVICE})", "{{service}}"),),
                "s",
                "99 of 100 requests of a service took less time.",
            ),
        ),
    ),
    (
        "Policies and TLS",
        (
            Panel(
                "Who was asked for",
                ((rate("fastgate_auth_requests_total", ALL, "method, outcome"), "{{method}} {{outcome}}"),),
                "reqps",
                "Requests to routes with auth, by the method whose credential was shown and how that ended.",
            ),
            Panel(
                "Limits",
                ((rate("fastgate_limit_decisions_total", DECIDED, "limit, outcome"), "{{limit}} {{outcome}}"),),
                "reqps",
                "Requests that limits denied or delayed, or would have.",
            ),
            Panel(
                "Tokens remembered",
                ((f"{HITS} / {rate('fastgate_jwt_cache_requests_total', ALL)}", "hits"),),
                "percentunit",
                "The share of tokens that had been verified before.",
            ),
            Panel(
                "TLS handshakes",
                ((rate("fastgate_tls_handshakes_total", ALL, "result, version"), "{{result}} {{version}}"),),
                "cps",
                "By how they ended: full and resumed ones went well.",
            ),
        ),
    ),
    (
        "Connections and pools: utilisation, saturation, errors",
        (
            Panel(
                "Client connections",
                (
                    (f"sum by (listener) (fastgate_connections{{{ALL}}})", "{{listener}}"),
                    (f"sum(fastgate_connections_max{{{ALL}}})", "maximum"),
                ),
                "short",
                "Open client connections by listener, and how many there may be.",
            ),
            Panel(
                "Connections a second",
                (
                    (rate("fastgate_connections_accepted_total", ALL, "listener"), "{{listener}}"),
                    (rate("fastgate_connections_turned_away_total", ALL), "turned away"),
                ),
                "cps",
                "Accepted, and turned away with 503 at the maximum.",
            ),
            Panel(
                "Tunnels",
                ((f"sum(fastgate_tunnels{{{ALL}}})", "open"),),
                "short",
                "Open tunnels: WebSockets and other upgrades.",
            ),
            Panel(
                "Pool by service",
                ((f"sum by (service, state) (fastgate_pool_connections{{{SERVICES}}})", "{{service}} {{state}}"),),
                "short",
                "Connections to targets, in use and idle.",
                stacked=True,
            ),
            Panel(
                "Waiting for a connection",
                ((f"sum by (service) (fastgate_pool_waiting{{{SERVICES}}})", "{{service}}"),),
                "short",
                "Requests that wait because max_per_target is reached: saturation.",
            ),
            Panel(
                "Targets that cannot be reached",
                ((f"fastgate_target_failures{{{SERVICES}}} > 0", "{{service}} {{target}}"),),
                "short",
                "Connections in a row that could not be opened.",
            ),
            Panel(
                "Reuse of connections",
                ((f"{REUSED} / ({REUSED} + {OPENED})", "reused"),),
                "percentunit",
                "The share of upstream requests that found a connection in the pool.",
            ),
            Panel(
                "Retries",
                ((rate("fastgate_upstream_retries_total", ALL), "retries"),),
                "reqps",
                "Requests sent once more, because a pooled connection had just been closed.",
            ),
            Panel(
                "Requests in flight",
                ((f"sum(fastgate_requests_in_flight{{{ALL}}})", "in flight"),),
                "short",
                "Begun and not ended.",
            ),
        ),
    ),
    (
        "Process",
        (
            Panel(
                "Bytes",
                (
                    (rate("fastgate_received_bytes_total", ROUTES), "received"),
                    (rate("fastgate_sent_bytes_total", ROUTES), "sent"),
                ),
                "Bps",
                "Bytes from and to clients.",
            ),
            Panel(
                "CPU of each worker",
                ((BUSY, "{{instance}}"),),
                "percentunit",
                "CPU time by workers: 100 % means that every worker is busy.",
            ),
            Panel(
                "Memory", ((f"process_resident_memory_bytes{{{ALL}}}", "{{instance}}"),), "bytes", "Resident memory."
            ),
            Panel(
                "Descriptors",
                ((f"process_open_fds{{{ALL}}} / process_max_fds{{{ALL}}}", "{{instance}}"),),
                "percentunit",
                "Open descriptors of those that are allowed.",
            ),
            Panel(
                "Reloads",
                ((f"sum by (result) (increase(fastgate_reloads_total{{{ALL}}}{WINDOW}))", "{{result}}"),),
                "short",
                "Reloads by their result.",
            ),
            Panel(
                "Dropped log lines and panics",
                (
                    (rate("fastgate_log_dropped_total", ALL), "log lines dropped"),
                    (rate("fastgate_panics_total", ALL), "panics"),
                ),
                "cps",
                "Both should be zero.",
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "gridPos": _place(0, y, 24, 1), "panels": []}
        )
        x, y = 0, y + 1
        height = 4 if row[0].kind == "stat" else 8
        for panel in row:
            if x + panel.width > 24:
                x, y = 0, y + height
            panels.append(_panel(panel, len(panels) + 1, _place(x, y, panel.width, height)))
            x += panel.width
        y += height
    return {
        "uid": "fastgate",
        "title": "fastgate",
        "description": "Requests by rate, errors and duration; connections, pools and the process.",
        "tags": ["fastgate"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": [_reloads()]},
        "panels": panels,
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    custom = {"stacking": {"mode": "normal" if panel.stacked else "none"}, "fillOpacity": 20 if panel.stacked else 5}
    targets = [
        {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "expr": expression, "legendFormat": legend or "__auto"}
        for at, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.tells,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0} | ({"custom": custom} if panel.kind == "timeseries" else {}),
            "overrides": [],
        },
        "targets": targets,
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    labels = (
        ("instance", "fastgate_ready"),
        ("route", "fastgate_requests_total"),
        ("service", "fastgate_request_seconds_count"),
    )
    return [
        source,
        *(
            {
                "name": label,
                "label": label.capitalize(),
                "type": "query",
                "datasource": DATASOURCE,
                "query": f"label_values({metric}, {label})",
                "refresh": 2,
                "includeAll": True,
                "allValue": ".*",
                "multi": True,
                "current": {"text": "All", "value": "$__all"},
            }
            for label, metric in labels
        ),
    ]


def _reloads() -> dict[str, Any]:
    return {
        "name": "Reloads",
        "enable": True,
        "datasource": DATASOURCE,
        "expr": f"changes(fastgate_config_applied_timestamp_seconds{{{ALL}}}[1m]) > 0",
        "iconColor": "blue",
    }


def render() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Writes the file, or says with 1 that it is not up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is not up to date")
    if parser.parse_args().check:
        return 0 if FILE.is_file() and FILE.read_text(encoding="utf-8") == render() else 1
    FILE.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

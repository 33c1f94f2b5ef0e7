"""Keys that commands make and revoke, in the audit trail of the gateway that runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from harness.client import wait_for
from harness.product import COMMAND, PING, Product, environment

from fastgate.primitives import make_api_key

AUDITED = PING + "logs:\n  audit: {to: ./audit.jsonl}\n"


def events(folder: Path) -> list[dict[str, Any]]:
    """What the trail says of keys."""
    lines = (folder / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["event"].startswith("key.")]


def told(folder: Path, count: int) -> list[tuple[str, str, str]]:
    """Event, key and actor of so many records, once they are there."""
    wait_for(lambda: len(events(folder)) >= count, f"{count} records of keys")
    return [(one["event"], one["key"], one["actor"]) for one in events(folder)]


def test_made_imported_and_revoked_keys_are_recorded(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(AUDITED, encoding="utf-8")
    imported = {"old-1": make_api_key(), "old-2": make_api_key()}
    with Product("fastgate.yaml", folder=tmp_path) as gateway:
        made = gateway.tell("keys", "create", "acme-1", "--file", "keys.jsonl")
        shown = gateway.tell("keys", "create", "press", "--kind", "publish", "--format", "json")
        brought = subprocess.run(
            [*COMMAND, "keys", "import", "--file", "keys.jsonl"],
            input="".join(f"{name} {key}\n" for name, key in imported.items()),
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        gone = gateway.tell("keys", "revoke", "acme-1", "old-2", "--file", "keys.jsonl", "--format", "json")
        for done in (made, shown, brought, gone):
            assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(shown.stdout)["recorded"] is True
        assert json.loads(gone.stdout) == {"revoked": ["acme-1", "old-2"], "recorded": True}
        actor = f"uid:{os.geteuid()}"
        assert told(tmp_path, 6) == [
            ("key.created", "acme-1", actor),
            ("key.created", "press", actor),
            ("key.created", "old-1", actor),
            ("key.created", "old-2", actor),
            ("key.revoked", "acme-1", actor),
            ("key.revoked", "old-2", actor),
        ]
        # What was not done is not recorded.
        refused = gateway.tell("keys", "revoke", "nobody", "--file", "keys.jsonl")
        assert refused.returncode == 1
        gateway.tell("keys", "create", "last", "--file", "keys.jsonl")
        assert [name for _, name, _ in told(tmp_path, 7)][6:] == ["last"]
    trail = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    for secret in [made.stdout.split()[0], json.loads(shown.stdout)["key"], *imported.values()]:
        assert secret not in trail
        assert secret not in "\n".join(gateway.said)


def test_a_gateway_without_a_trail_records_nothing_and_needs_no_word(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(PING, encoding="utf-8")
    with Product("fastgate.yaml", folder=tmp_path) as gateway:
        made = gateway.tell("keys", "create", "acme-1", "--file", "keys.jsonl", "--format", "json")
    assert (made.returncode, made.stderr, json.loads(made.stdout)["recorded"]) == (0, "", False)

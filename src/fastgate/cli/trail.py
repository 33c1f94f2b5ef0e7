"""What a command did to keys, told to a running gateway for its audit trail."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from fastgate.cli.client import Client
from fastgate.errors import StartError


def record(event: str, names: Iterable[str], socket: str | None) -> bool:
    """Has the gateway record one event a key: `key.created` or `key.revoked`.

    Returns whether all are recorded. Where no gateway answers, says so on standard error: what was done to the keys
    holds, and only the trail lacks it. A gateway without `logs.audit` keeps no trail, which its config says.
    """
    wanted, told, recorded = list(names), 0, 0
    try:
        with Client(socket) as client:
            for name in wanted:
                recorded += bool(client.ask("audit", event=event, key=name).get("recorded"))
                told += 1
    except StartError as error:
        how_many = "" if told == 0 else f" of {len(wanted) - told} of {len(wanted)} keys"
        print(f"no audit record{how_many}: {error}", file=sys.stderr)
    return recorded == len(wanted)

"""Subscribers that stop reading: nobody else notices, memory stays within the bound, and each of them is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import Gateway
from harness.client import wait_for
from harness.crowd import Crowd, Member, publisher
from harness.scrape import closes, measured, realtime, samples
from harness.websocket import endpoint, publishing

pytestmark = pytest.mark.usefixtures("engine")

MEMBERS, SLOW = 200, 20
QUEUE = 64 * 1024
MESSAGES, BATCH = 80, 10
PAD = "x" * 4000
# What one that reads nothing holds in the kernel: its own small window and what the engine lets wait unsent.
SMALL = 4096

Run = Callable[..., "Party"]


class Party:
    """200 members, of which 20 stop reading before 320 KB come for each; everybody else has read all of it."""

    def __init__(self, gateway: Gateway, crowd: Crowd, before: int) -> None:
        self.gateway, self.crowd, self.before = gateway, crowd, before
        self.slow, self.healthy = crowd.members[:SLOW], crowd.members[SLOW:]
        self.crowd.stop_reading(self.slow)
        self.most_queued = 0.0
        with publisher(gateway.address, "/pub/a") as sender:
            for start in range(0, MESSAGES, BATCH):
                for n in range(start, start + BATCH):
                    sender.text(json.dumps({"n": n, "pad": PAD}))
                # Paced by those who read: what is in flight for one of them is a batch.
                self.crowd.read(start + BATCH, self.healthy)
                self.most_queued = max(self.most_queued, self.metric("queued_bytes"))

    def metric(self, name: str, **labels: str) -> float:
        return realtime(samples(self.gateway), name, **labels)

    def hold(self) -> None:
        """What holds whatever the policy is."""
        for member in self.healthy:
            assert [one["n"] for one in data(member)] == list(range(MESSAGES))
            assert not member.ended
        assert 0 < self.most_queued <= SLOW * QUEUE
        grown = self.gateway.rss() - self.before
        assert grown < 48 << 20, f"{grown >> 20} MiB more than before"

    def late_reading(self, last: bool) -> int:
        """The slow ones read what there is for them; how many messages they lack in all."""
        self.crowd.read_again(self.slow)
        if last:
            self.crowd.read_until(
                lambda: all(data(one)[-1:] and data(one)[-1]["n"] == MESSAGES - 1 for one in self.slow), "the last one"
            )
        else:
            self.crowd.read_ends(self.slow)
        for member in self.slow:
            numbers = [one["n"] for one in data(member)]
            assert numbers == sorted(set(numbers)), "what it gets is in order, and nothing twice"
            assert all(one["pad"] == PAD for one in data(member)), "and whole"
        return sum(MESSAGES - len(data(member)) for member in self.slow)


def data(member: Member) -> list[Any]:
    """The publications among what a member got; the others are notices."""
    values = [one.get("data", one) if "channel" in one else one for one in member.values]
    return [one for one in values if "n" in one]


@pytest.fixture
def run() -> Iterator[Run]:
    """A party under a policy."""
    opened: list[Any] = []

    def run(policy: str, **changes: Any) -> Party:
        private = changes.pop("private", False)
        queue = {"bytes": QUEUE, "when_full": policy}
        room = endpoint("rooms", "/r/{room}", "room:{room}", queue=queue, **changes)
        pub = endpoint(
            "pub", "/pub/{room}", "room:{room}", publish=publishing(echo=False), queue={"when_full": "drop_oldest"}
        )
        snap = measured(room, pub, private_descriptors=private)
        gateway = Gateway(snap).start()
        opened.append(gateway)
        crowd = Crowd(gateway.address, "/r/a", SLOW, receive_buffer=SMALL)
        opened.append(crowd)
        crowd.read_joined(crowd.join("/r/a", MEMBERS - SLOW))
        return Party(gateway, crowd, gateway.rss())

    yield run
    for one in reversed(opened):
        one.close() if isinstance(one, Crowd) else one.stop()


@pytest.mark.parametrize("private", [False, True], ids=["shared", "private"])
def test_disconnect(run: Run, private: bool) -> None:
    party = run("disconnect", private=private)
    party.hold()
    lacking = party.late_reading(last=False)
    for member in party.slow:
        numbers = [one["n"] for one in data(member)]
        assert numbers == list(range(len(numbers))), "without a gap up to the end"
        # Who does not even take the last frame within its time is ended without it.
        assert member.closing is None or (member.closing.code, member.closing.reason) == (3008, "slow")
    wait_for(lambda: closes(samples(party.gateway), 3008) == SLOW, "every slow one to be closed and counted")
    assert lacking >= party.metric("drops_total", reason="slow") >= SLOW
    assert party.metric("connections", transport="websocket") == MEMBERS - SLOW
    wait_for(lambda: party.metric("queued_bytes") == 0, "nothing to wait any more")


def test_drop_oldest_tells_how_many(run: Run) -> None:
    party = run("drop_oldest", wrap=True)
    party.hold()
    lacking = party.late_reading(last=True)
    assert lacking == party.metric("drops_total", reason="drop_oldest") > 0
    for member in party.slow:
        told = sum(one["dropped"] for one in member.values if "dropped" in one)
        assert told == MESSAGES - len(data(member)), "each knows what it missed"
        assert not member.ended
    assert party.metric("connections", transport="websocket") == MEMBERS
    assert party.metric("queued_bytes") == 0


def test_latest_only(run: Run) -> None:
    party = run("latest_only")
    party.hold()
    assert party.most_queued <= SLOW * 3 * (len(PAD) + 200), "one waits, and what is partly out"
    lacking = party.late_reading(last=True)
    assert lacking == party.metric("drops_total", reason="latest_only") > 0
    assert not any(member.ended for member in party.slow)


def test_no_progress_at_all_ends_a_connection_whatever_its_policy() -> None:
    room = endpoint("rooms", "/r/{room}", "room:{room}", queue={"bytes": QUEUE, "when_full": "drop_oldest"})
    pub = endpoint("pub", "/pub/{room}", "room:{room}", publish=publishing(echo=False))
    snap = measured(room, pub, process={"write_stall_ms": 500})
    with Gateway(snap) as gateway, Crowd(gateway.address, "/r/a", 2, receive_buffer=SMALL) as crowd:
        stuck, reads = crowd.members
        crowd.stop_reading([stuck])
        with publisher(gateway.address, "/pub/a") as sender:
            for n in range(0, MESSAGES, BATCH):
                for i in range(BATCH):
                    sender.text(json.dumps({"n": n + i, "pad": PAD}))
                crowd.read(n + BATCH, [reads])

            def ended() -> bool:
                return closes(samples(gateway), 3008) == 1

            wait_for(ended, "the end of the one that is stuck")
            sender.text('{"n":-1}')
            crowd.read(MESSAGES + 1, [reads])
        assert not reads.ended
        assert realtime(samples(gateway), "queued_bytes") == 0

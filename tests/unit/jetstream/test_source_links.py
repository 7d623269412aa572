"""When the source of a queue in a cluster is set up anew, and when that is left to the leaders."""

from typing import Any, cast

import pytest

from jetq.errors import ServerTimeoutError
from jetq.jetstream import source_links
from jetq.jetstream.connection import Connection
from jetq.jetstream.due_source import due_source, respelled
from jetq.jetstream.source_links import SourceLinks
from jetq.wire.names import Names

NAMES = Names("UNIT")
QUEUE = "DEFAULT"
CLUSTER = {"name": "c", "leader": "n1"}
SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all times short."""
    monkeypatch.setattr(source_links, "_PATIENCE", (0.2, 0.2))
    monkeypatch.setattr(source_links, "_FIRST_LOOK", 0.01)
    monkeypatch.setattr(source_links, "_LAST_LOOK", 0.05)
    monkeypatch.setattr(source_links, "_WATCHED", 1.0)
    monkeypatch.setattr(source_links, "_WATCHED_IN_CLUSTER", 1.0)


class Cluster:
    """
    A cluster in which one source is as a test says.

    Attributes:
        active: Nanoseconds since the source gave a sign; -1 for never.
        updates: How often the queue's stream was changed.
    """

    def __init__(self, *, active: int = -1) -> None:
        self.active = active
        self.updates = 0
        self.bound: bool | None = False
        self.silences = 0
        self.links_when_changed = True
        self.config: dict[str, Any] = {"name": NAMES.queue(QUEUE), "sources": [due_source(NAMES, QUEUE)]}
        self.others: list[dict[str, Any]] = []

    async def api(self, action: str, body: object = None) -> dict[str, Any]:
        if action.startswith("CONSUMER.LIST"):
            return self._consumers()
        if action.startswith("STREAM.UPDATE"):
            self.updates += 1
            self.config = cast("dict[str, Any]", body)
            if self.links_when_changed:
                self.bound, self.active = True, SECOND // 2
        elif self.others:
            self.config = self.others.pop(0)
        return {
            "config": self.config,
            "cluster": CLUSTER,
            "sources": [{"name": NAMES.schedules, "active": self.active}],
        }

    def _consumers(self) -> dict[str, Any]:
        if self.silences:
            self.silences -= 1
            raise ServerTimeoutError("CONSUMER.LIST", 5)
        config = {"filter_subject": NAMES.due_subject(QUEUE)}
        found = {"config": config, "push_bound": self.bound or None, "cluster": CLUSTER}
        other = {"config": {"filter_subject": NAMES.due_subject("OTHER")}, "push_bound": True, "cluster": CLUSTER}
        consumers = [other] if self.bound is None else [other, found]
        return {"consumers": consumers, "total": len(consumers)}

    async def mended(self) -> int:
        """Have it mended; return the number of changes."""
        links = SourceLinks(cast("Connection", self), NAMES)
        await links.mend([QUEUE])
        return self.updates


async def test_a_source_that_is_not_linked_is_set_up_anew_once() -> None:
    assert await Cluster().mended() == 1


async def test_a_source_that_fell_silent_is_set_up_anew() -> None:
    assert await Cluster(active=60 * SECOND).mended() == 1


async def test_a_source_that_gives_signs_is_left_alone() -> None:
    assert await Cluster(active=SECOND // 2).mended() == 0


async def test_nobody_is_disturbed_while_the_consumer_has_no_leader() -> None:
    cluster = Cluster()
    cluster.bound = None

    assert await cluster.mended() == 0


async def test_who_was_not_first_gives_the_leaders_time_again() -> None:
    """Others change the source in every other look, for longer than the patience lasts."""
    cluster = Cluster()
    other = respelled(NAMES, QUEUE, cluster.config)
    assert other is not None
    cluster.others = [cluster.config, other] * 50

    assert await cluster.mended() == 0


async def test_a_leader_that_does_not_answer_is_waited_for() -> None:
    cluster = Cluster()
    links = SourceLinks(cast("Connection", cluster), NAMES)
    cluster.bound = True
    await links.mend([QUEUE])  # here it learns that this is a cluster
    cluster.bound, cluster.silences = False, 3

    await links.mend([QUEUE])

    assert cluster.updates == 1


async def test_a_source_that_still_is_not_linked_is_set_up_again_after_a_while() -> None:
    cluster = Cluster()
    cluster.links_when_changed = False

    assert 2 <= await cluster.mended() <= 4

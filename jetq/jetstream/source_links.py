"""
source_links: see that the due tasks of queues come out of the stream of schedules again after a restart of the server.

A queue's stream has a source, and the server moves by a consumer of its own what that source holds. After a restart of
a single server (2.15) that consumer is there again and delivers to a new subject, while the queue's stream listens on
the old one: the answer that tells it where to listen is the one that was prepared before the consumer was changed. The
server looks after its sources every ten seconds only, and until then no delayed task and no retry reaches its queue.

It sets a source up anew when the source's words change. There are two spellings of a queue's source that mean the same
(:func:`jetq.jetstream.due_source.respelled`), and the server gives the consumer the same name for both. So the consumer
stays with what it knows of which messages were moved, nothing is left behind in the stream of schedules, and what had
not been moved comes within a fraction of a second.

What the server moved in the last second before it ended, and had not noted as moved, is moved once more, since the new
spelling does not know of it. Such a second item is what any second item is: an equal one in the place of the first if
that one is there still, and else one whose worker finds the task running, in which case its owner keeps it; early, in
which case it waits; or ended, in which case it is dropped (`worker.claims`). No task is run twice by it, and none is
lost, whenever whoever does this dies: it is one update of a stream, which the server does whole or not at all.

Every process that is connected does this after it has reconnected, for the queues that it uses. Two that do it at one
time write the same, since both have read the same. One request tells of all queues that are well.

In a cluster there is no restart of all, but streams and consumers get other leaders. After more than half of the
servers were away, every second time the queue's new leader asks for the consumer before somebody leads that one, gets
no answer that it can use, and asks again only after up to 40 s. So it is looked at from when the server refuses to
deliver, since nobody leads, or falls silent, until the consumer has a listener; and as soon as it has a leader, and
still no listener for a few seconds, the source is set up anew in the same way. How many seconds is drawn by lot,
and begins again when somebody else was first: many who set it up at one time would keep each other from it.
"""

import asyncio
import random
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from jetq.errors import PermissionDeniedError, ServerTimeoutError
from jetq.jetstream.blueprint import NANOSECONDS, Config
from jetq.jetstream.connection import Connection
from jetq.jetstream.due_source import is_sourced, respelled
from jetq.jetstream.lookup import find_stream
from jetq.wire.names import Names

_WATCHED: Final = 6.0
"""Seconds for which sources are looked at after a reconnect."""
_WATCHED_IN_CLUSTER: Final = 60.0
"""The same in a cluster, where elections come first; begun anew by each refusal."""
_FIRST_LOOK: Final = 0.1
"""Seconds between the first two looks. It doubles with each, up to :data:`_LAST_LOOK`."""
_LAST_LOOK: Final = 0.5
_SET_UP: Final = 1.0
"""Seconds in which a server that sets a source up has done so; it takes up to 0.2 before it begins."""
_HEARTBEATS: Final = 2.5
"""Seconds without any sign of a source after which it is not linked; it gives one every second."""
_PATIENCE: Final = (1.0, 3.0)
"""Seconds, at least and at most, for which the leaders of a cluster may link a source by themselves."""


class _Doubt(Struct):
    """
    A queue whose source may not be linked.

    Attributes:
        since: When the server began to have time for it.
        mute: The source's consumer was there in the last look, and nobody listened to it.
        spelling: Of its sources, in the last look.
        patience: Seconds for the leaders of a cluster.
    """

    since: float
    mute: bool = False
    spelling: object = None
    patience: float = 0.0

    def begin_anew(self, since: float) -> None:
        """Give the server time."""
        self.since, self.mute, self.patience = since, False, random.uniform(*_PATIENCE)  # noqa: S311 - no secret


class SourceLinks:
    """
    Looks after the sources of queues.

    Args:
        connection: To the server.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._denied = False
        self._in_cluster = False
        self._until = 0.0
        self._is_watching = False

    async def mend(self, queues: Iterable[str]) -> None:
        """
        Link the sources of queues again if the server has not, and return when they are, or when it has had its time.

        A user who may not look or change a stream leaves that to others, and to the server. While this is under way, a
        second call only makes it last longer.

        Raises:
            ServerError: No answer, or a refusal.
        """
        self._until = _now() + (_WATCHED_IN_CLUSTER if self._in_cluster else _WATCHED)
        if self._denied or self._is_watching:
            return
        self._is_watching = True
        try:
            await self._watch({queue: _Doubt(_now()) for queue in queues})
        except PermissionDeniedError:
            self._denied = True
        finally:
            self._is_watching = False

    async def _watch(self, doubts: dict[str, _Doubt]) -> None:
        rest = _FIRST_LOOK
        while doubts and _now() < self._until:
            try:
                await self._look(doubts)
            except ServerTimeoutError:
                if not self._in_cluster:
                    raise
            if doubts:
                await asyncio.sleep(rest)
                rest = min(2 * rest, _LAST_LOOK)

    async def _look(self, doubts: dict[str, _Doubt]) -> None:
        """Look at those in doubt, set up anew what is not linked, and leave out who is well."""
        consumers = await self._consumers()
        for queue, doubt in list(doubts.items()):
            bound = consumers.get(self._names.due_subject(queue))
            found = None if bound else await find_stream(self._connection, self._names.queue(queue))
            if found is None or not is_sourced(self._names, queue, found["config"]):
                del doubts[queue]
            elif self._in_cluster and (bound is None or found["config"]["sources"] != doubt.spelling):
                doubt.spelling = found["config"]["sources"]  # nobody leads the consumer, or somebody else was first
                doubt.begin_anew(_now())
            elif self._is_broken(found, doubt, is_mute=bound is False):
                await self._change(queue, found["config"])
                doubt.begin_anew(_now())
            elif bound is False:
                doubt.mute = True

    async def _consumers(self) -> dict[str, bool]:
        """Return the due subjects of the consumers that feed queues, and whether anybody listens to each."""
        found: dict[str, bool] = {}
        offset, total = 0, 1
        while offset < total:
            page = await self._connection.api(f"CONSUMER.LIST.{self._names.schedules}", {"offset": offset})
            consumers: list[Config] = page.get("consumers") or []
            for consumer in consumers:
                subject = str(consumer["config"].get("filter_subject", ""))
                if subject.endswith(".*"):
                    subject = f"{subject[:-1]}>"
                found[subject] = bool(consumer.get("push_bound"))
                cluster: Config = consumer.get("cluster") or {}
                self._in_cluster = bool(cluster.get("name"))
            offset, total = offset + max(len(consumers), 1), page.get("total", 0)
        return found

    def _is_broken(self, found: Config, doubt: _Doubt, *, is_mute: bool) -> bool:
        """
        Whether the server will not link a source soon.

        Args:
            found: What it says of the queue's stream.
            doubt: What is known of it.
            is_mute: The source's consumer is there, and nobody listens to it.
        """
        source = next((one for one in found.get("sources") or () if one["name"] == self._names.schedules), None)
        if source is None:
            return False
        silent, waited = source.get("active", -1) / NANOSECONDS, _now() - doubt.since
        is_unlinked = silent < 0 or bool(source.get("error"))
        if self._in_cluster:
            return waited > doubt.patience and (is_unlinked or silent > _HEARTBEATS)
        if is_unlinked:
            return waited > _SET_UP
        return (is_mute and doubt.mute) or silent > _HEARTBEATS

    async def _change(self, queue: str, config: Config) -> None:
        changed = respelled(self._names, queue, config)
        if changed is not None:
            await self._connection.api(f"STREAM.UPDATE.{self._names.queue(queue)}", changed)


def _now() -> float:
    return asyncio.get_running_loop().time()

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

A queue in a cluster is left alone: there the consumer is another server's and is found again by other means.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from jetq.errors import PermissionDeniedError
from jetq.jetstream.blueprint import NANOSECONDS, Config
from jetq.jetstream.connection import Connection
from jetq.jetstream.due_source import is_sourced, respelled
from jetq.jetstream.lookup import find_stream
from jetq.wire.names import Names

_WATCHED: Final = 6.0
"""Seconds for which sources are looked at after a reconnect."""
_FIRST_LOOK: Final = 0.1
"""Seconds between the first two looks. It doubles with each, up to :data:`_LAST_LOOK`."""
_LAST_LOOK: Final = 0.5
_SET_UP: Final = 1.0
"""Seconds in which a server that sets a source up has done so; it takes up to 0.2 before it begins."""
_HEARTBEATS: Final = 2.5
"""Seconds without any sign of a source after which it is not linked; it gives one every second."""


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

    async def mend(self, queues: Iterable[str]) -> None:
        """
        Link the sources of queues again if the server has not, and return when they are, or when it has had its time.

        A user who may not look or change a stream leaves that to others, and to the server.

        Raises:
            ServerError: No answer, or a refusal.
        """
        if self._denied:
            return
        try:
            await self._mend(set(queues))
        except PermissionDeniedError:
            self._denied = True

    async def _mend(self, queues: set[str]) -> None:
        loop = asyncio.get_running_loop()
        until, rest = loop.time() + _WATCHED, _FIRST_LOOK
        changed = dict.fromkeys(queues, loop.time())
        mute = set[str]()
        while changed and loop.time() < until:
            consumers = await self._consumers()
            for queue, since in list(changed.items()):
                bound = consumers.get(self._names.due_subject(queue))
                found = None if bound else await find_stream(self._connection, self._names.queue(queue))
                if found is None or not self._is_ours(queue, found):
                    del changed[queue]
                elif self._is_broken(found, mute=queue in mute and bound is False, waited=loop.time() - since):
                    await self._change(queue, found["config"])
                    changed[queue] = loop.time()
                    mute.discard(queue)
                elif bound is False:
                    mute.add(queue)
            if changed:
                await asyncio.sleep(rest)
                rest = min(2 * rest, _LAST_LOOK)

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
            offset, total = offset + max(len(consumers), 1), page.get("total", 0)
        return found

    def _is_ours(self, queue: str, found: Config) -> bool:
        cluster: Config = found.get("cluster") or {}  # a single server has one as well, without a name
        return not cluster.get("name") and is_sourced(self._names, queue, found["config"])

    def _is_broken(self, found: Config, *, mute: bool, waited: float) -> bool:
        """
        Whether the server will not link a source soon.

        Args:
            found: What it says of the queue's stream.
            mute: The source's consumer was there in the last look and is there now, and nobody listens to it.
            waited: Seconds since this began, or since the source's words were changed.
        """
        source = next((one for one in found.get("sources") or () if one["name"] == self._names.schedules), None)
        if source is None:
            return False
        silent = source.get("active", -1) / NANOSECONDS
        if silent < 0 or source.get("error"):
            return waited > _SET_UP
        return mute or silent > _HEARTBEATS

    async def _change(self, queue: str, config: Config) -> None:
        changed = respelled(self._names, queue, config)
        if changed is not None:
            await self._connection.api(f"STREAM.UPDATE.{self._names.queue(queue)}", changed)

"""
queue_catalog: the queues of a namespace, for people: what they hold, their limits, emptying and removing them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from jetq.errors import RequestRefusedError, TopologyError, UnknownQueueError
from jetq.jetstream.blueprint import Config
from jetq.jetstream.bound_queue import BoundQueue, read_queue
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import STREAM_NOT_FOUND
from jetq.jetstream.lookup import find_consumer, find_stream
from jetq.jetstream.pausing import read_pause, set_pause
from jetq.jetstream.queue_changes import QueueChanges, changed_consumer, changed_stream
from jetq.model.name import is_name
from jetq.model.serving import paused_until
from jetq.wire.names import WORKERS, Names

_AT_ONCE: Final = 100
"""Queues that are asked for at one time."""
_COUNT_ONLY: Final = 2**31
"""An offset behind all subjects, so that the server tells their number and not their names."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class QueueInfo(Struct, frozen=True, kw_only=True):
    """
    A queue, with what it holds.

    Attributes:
        name: The queue.
        settings: Its limits; None if it is broken.
        fault: Why it is broken: it lacks its consumer, or something is so that jetq cannot work with it.
        items: Items in the queue, whether a worker has them or not.
        size: Bytes of the items.
        pending: Items that no worker has had yet.
        running: Items that workers have now.
        redelivered: Items that workers have now, or wait to have, not for the first time.
        pulls: Requests of workers that wait for items; 0 while items are pending says that nobody works.
        scheduled: Tasks that wait for their time: delayed ones and retries.
        oldest: When the oldest item came; None for an empty queue.
        created: When the queue was made.
        storage, replicas: Of the queue.
        paused: Its items are given to nobody.
        paused_until: When it goes on by itself; None if it is not paused, or somebody must resume it.
    """

    name: str
    settings: BoundQueue | None
    fault: str = ""
    items: int = 0
    size: int = 0
    pending: int = 0
    running: int = 0
    redelivered: int = 0
    pulls: int = 0
    scheduled: int = 0
    oldest: datetime | None = None
    created: datetime | None = None
    storage: str = "file"
    replicas: int = 1
    paused: bool = False
    paused_until: datetime | None = None


class QueueCatalog:
    """
    Reads and changes the queues of a namespace.

    Args:
        connection: To the server.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    async def list_names(self) -> list[str]:
        """
        List the queues, whoever made them, in order.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found: set[str] = set()
        offset, total = 0, 1
        while offset < total:
            body = {"subject": self._names.all_items_subject, "offset": offset}
            page = await self._connection.api("STREAM.NAMES", body)
            streams: list[str] = page.get("streams") or []
            found.update(streams)
            offset, total = offset + max(len(streams), 1), page.get("total", 0)
        prefix = self._names.queue_prefix
        names = (stream.removeprefix(prefix) for stream in found if stream.startswith(prefix))
        return sorted(name for name in names if is_name(name))

    async def list_all(self) -> list[QueueInfo]:
        """
        Describe every queue, in the order of their names; one that is broken says so.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found = await _in_parts(self._find, await self.list_names())
        return [info for info in found if info is not None]

    async def describe(self, queue: str) -> QueueInfo:
        """
        Describe a queue.

        Raises:
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        info = await self._find(queue)
        if info is None:
            raise UnknownQueueError(queue)
        return info

    async def _find(self, queue: str) -> QueueInfo | None:
        stream = self._names.queue(queue)
        found, consumer, scheduled = await asyncio.gather(
            find_stream(self._connection, stream), find_consumer(self._connection, stream), self._count_scheduled(queue)
        )
        return None if found is None else _describe(self._names, queue, found, consumer, scheduled)

    async def _count_scheduled(self, queue: str) -> int:
        body = {"subjects_filter": self._names.schedules_subject(queue), "offset": _COUNT_ONLY}
        try:
            answer = await self._connection.api(f"STREAM.INFO.{self._names.schedules}", body)
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return 0
            raise
        return int(answer.get("total", 0))

    async def configure(self, queue: str, changes: QueueChanges) -> QueueInfo:
        """
        Change limits of a queue while it is in use. They count at once, for items that workers have as well.

        The stream is changed before its consumer; if the second is refused, the first stays changed.

        Raises:
            UnknownQueueError: There is none.
            InvalidSettingError: A limit has a value that cannot be used; a queue in the form that Go reads has no lease
                of its own.
            RequestRefusedError: The server refuses the change.
        """
        changes = changes.checked()
        stream = self._names.queue(queue)
        found, consumer = await asyncio.gather(
            find_stream(self._connection, stream), find_consumer(self._connection, stream)
        )
        if found is None:
            raise UnknownQueueError(queue)
        if consumer is None:
            raise TopologyError(f"{stream}.{WORKERS}", "the queue has no consumer; jetq queues add creates it")
        bound = read_queue(self._names, queue, found["config"], consumer["config"])
        wanted_stream = changed_stream(found["config"], changes)
        wanted_consumer = changed_consumer(consumer["config"], bound, changes)
        if wanted_stream != found["config"]:
            await self._connection.api(f"STREAM.UPDATE.{stream}", wanted_stream)
        if wanted_consumer != consumer["config"]:
            body = {"stream_name": stream, "config": wanted_consumer, "action": "update"}
            await self._connection.api(f"CONSUMER.CREATE.{stream}.{WORKERS}", body)
        return await self.describe(queue)

    async def pause(self, queue: str, until: datetime | None) -> QueueInfo:
        """
        Let a queue give no items until a time; None lets it go on. What workers have already is worked on.

        The server keeps that, over its restarts too.

        Raises:
            UnknownQueueError: There is none.
            TopologyError: It has no consumer.
            ServerError: No answer, or a refusal.
        """
        await set_pause(self._connection, self._names, queue, until)
        return await self.describe(queue)

    async def delete(self, queue: str) -> None:
        """
        Remove a queue with its items.

        The tasks' records stay as they are; `jetq.admin.queue_purge` ends them before. What waits for its time goes on
        waiting, and comes into a queue of the same name if there is one then.

        Raises:
            UnknownQueueError: There is no such queue.
            ServerError: No answer, or a refusal.
        """
        try:
            await self._connection.api(f"STREAM.DELETE.{self._names.queue(queue)}")
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                raise UnknownQueueError(queue) from refused
            raise


def _describe(names: Names, queue: str, stream: Config, consumer: Config | None, scheduled: int) -> QueueInfo:
    config, state = stream["config"], stream["state"]
    settings, fault = None, ""
    if consumer is None:
        fault = f"it has no consumer {WORKERS}"
    else:
        try:
            settings = read_queue(names, queue, config, consumer["config"])
        except TopologyError as error:
            fault = str(error)
    numbers = consumer or {}
    pause = read_pause(numbers)
    return QueueInfo(
        name=queue,
        settings=settings,
        fault=fault,
        items=state["messages"],
        size=state["bytes"],
        pending=numbers.get("num_pending", 0),
        running=numbers.get("num_ack_pending", 0),
        redelivered=numbers.get("num_redelivered", 0),
        pulls=numbers.get("num_waiting", 0),
        scheduled=scheduled,
        oldest=msgspec.convert(state["first_ts"], datetime) if state["messages"] else None,
        created=msgspec.convert(stream["created"], datetime),
        storage=config["storage"],
        replicas=config["num_replicas"],
        paused=pause is not None,
        paused_until=paused_until(pause),
    )


async def _in_parts(ask: Callable[[_T], Awaitable[_R]], of: Iterable[_T]) -> list[_R]:
    """Ask for each, a bounded number at one time."""
    waiting, answers = list(of), list[_R]()
    for start in range(0, len(waiting), _AT_ONCE):
        answers += await asyncio.gather(*(ask(one) for one in waiting[start : start + _AT_ONCE]))
    return answers

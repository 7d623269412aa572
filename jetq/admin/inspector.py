"""
inspector: look at tasks, queues and everything around them, without changing anything.
"""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from jetq.admin.task_filter import TaskFilter
from jetq.admin.task_listing import TaskListing, list_tasks
from jetq.errors import MalformedRecordError, TaskNotFoundError
from jetq.jetstream.connection import Connection
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_catalog import QueueCatalog, QueueInfo
from jetq.jetstream.record_scan import ScannedRecord, measure_store, scan_records
from jetq.jetstream.stream_message import find_message
from jetq.model.name import check_name
from jetq.wire.codec import Document, decode_record
from jetq.wire.names import Names
from jetq.wire.summary import decode_summary

UNREADABLE: Final = "malformed"
"""The state, in counts, of what is no record."""


class TaskView(Struct, frozen=True, kw_only=True):
    """
    One task in full.

    Attributes:
        document: The record, with its bytes and the keys that this version does not know.
        sequence: Of the message that holds it.
        written: When, by the server's clock.
        size: Bytes of the record.
        places: Where the task is on its way: ``queue`` (its item waits or is being worked on), ``schedule`` (it waits
            for its time), ``due`` (its time has come, and there is no room in the queue).
    """

    document: Document
    sequence: int
    written: datetime
    size: int
    places: tuple[str, ...]


class TaskCounts(Struct, frozen=True):
    """
    Tasks by queue and state.

    Attributes:
        total: All of them.
        by_state: States as people see them, and ``malformed`` for what is no record.
        by_queue: The same, by queue; what is no record is in none.
    """

    total: int
    by_state: dict[str, int]
    by_queue: dict[str, dict[str, int]]


class StreamSummary(Struct, frozen=True, kw_only=True):
    """A stream of the namespace; *role* is what it is for."""

    name: str
    role: str
    messages: int
    size: int
    storage: str
    replicas: int


class Overview(Struct, frozen=True, kw_only=True):
    """
    A namespace and its server.

    Attributes:
        server: URL without secrets.
        server_version, api_level: Of the server and its JetStream.
        tasks: Records in the store, of whatever state.
        waiting: Tasks that wait for their time.
        workers: Workers that say that they live.
        queues: Every queue.
        streams: Every stream beside those of the queues.
        size: Bytes of all streams.
    """

    namespace: str
    server: str
    server_version: str
    api_level: int
    tasks: int
    waiting: int
    workers: int
    queues: list[QueueInfo]
    streams: list[StreamSummary]
    size: int


class Inspector:
    """
    Looks at a namespace.

    Args:
        connection: To the server.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._catalog = QueueCatalog(connection, names)

    async def list_tasks(self, wanted: TaskFilter | None = None) -> TaskListing:
        """
        List tasks, those whose records were written last first.

        Raises:
            ServerError: No answer, or a refusal.
        """
        return await list_tasks(self._connection, self._names, wanted or TaskFilter())

    async def count_tasks(self) -> TaskCounts:
        """
        Count the tasks of the store. Reads all of it; a task that changes meanwhile may be missing.

        Raises:
            ServerError: No answer, or a refusal.
        """
        counts: Counter[tuple[str, str]] = Counter()

        def count(entry: ScannedRecord) -> None:
            try:
                task = decode_summary(entry.task_id, entry.data)
            except MalformedRecordError:
                counts["", UNREADABLE] += 1
            else:
                counts[task.queue, task.display_state] += 1

        extent = await measure_store(self._connection, self._names)
        await scan_records(self._connection, self._names, count, first=1, last=extent.last)
        return _tabulate(counts)

    async def view_task(self, task_id: str) -> TaskView:
        """
        Read one task from the store's leader, and look where it is.

        Raises:
            InvalidNameError: No task can have this id.
            TaskNotFoundError: There is no record of it.
            MalformedRecordError: What stands there is no record.
            ServerError: No answer, or a refusal.
        """
        names = self._names
        found = await find_message(self._connection, names.tasks, names.record(check_name("task id", task_id)))
        if found is None:
            raise TaskNotFoundError(task_id)
        document = decode_record(found.data)
        queue = document.record.queue
        places = {
            "queue": (names.queue(queue), names.item(queue, task_id)),
            "schedule": (names.schedules, names.schedule(queue, task_id)),
            "due": (names.schedules, names.due(queue, task_id)),
        }
        reading = (find_message(self._connection, *place) for place in places.values())
        there = await asyncio.gather(*reading) if queue else ()
        return TaskView(
            document=document,
            sequence=found.seq,
            written=found.time,
            size=len(found.data),
            places=tuple(name for name, message in zip(places, there, strict=False) if message is not None),
        )

    async def list_queues(self) -> list[QueueInfo]:
        """
        Describe every queue, in the order of their names; one that is broken says so.

        Raises:
            ServerError: No answer, or a refusal.
        """
        return await self._catalog.list_all()

    async def describe_queue(self, queue: str) -> QueueInfo:
        """
        Describe a queue.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        return await self._catalog.describe(check_name("queue", queue))

    async def describe_all(self) -> Overview:
        """
        Describe the server and the namespace. What does not exist yet is left out.

        Raises:
            ServerError: No answer, or a refusal.
        """
        names, connection = self._names, self._connection
        roles = {
            names.tasks: "task records",
            names.schedules: "waiting tasks",
            names.keys: "unique keys",
            names.links: "dependencies and flows",
            names.events: "events",
            names.bucket_stream(names.configuration): "stored schedules",
            names.bucket_stream(names.elections): "elections",
            names.bucket_stream(names.workers): "presence of workers",
        }
        queues, found = await asyncio.gather(
            self.list_queues(), asyncio.gather(*(find_stream(connection, name) for name in roles))
        )
        streams = [
            _summarize(name, role, stream)
            for (name, role), stream in zip(roles.items(), found, strict=True)
            if stream is not None
        ]
        messages = {stream.name: stream.messages for stream in streams}
        return Overview(
            namespace=names.namespace,
            server=connection.server,
            server_version=connection.server_version,
            api_level=connection.api_level,
            tasks=messages.get(names.tasks, 0),
            waiting=messages.get(names.schedules, 0),
            workers=messages.get(names.bucket_stream(names.workers), 0),
            queues=queues,
            streams=streams,
            size=sum(stream.size for stream in streams) + sum(queue.size for queue in queues),
        )


def _summarize(name: str, role: str, stream: dict[str, Any]) -> StreamSummary:
    config, state = stream["config"], stream["state"]
    return StreamSummary(
        name=name,
        role=role,
        messages=state["messages"],
        size=state["bytes"],
        storage=config["storage"],
        replicas=config["num_replicas"],
    )


def _tabulate(counts: Counter[tuple[str, str]]) -> TaskCounts:
    by_state: Counter[str] = Counter()
    by_queue: dict[str, dict[str, int]] = {}
    for (queue, state), count in sorted(counts.items()):
        by_state[state] += count
        if state != UNREADABLE:
            by_queue.setdefault(queue, {})[state] = count
    return TaskCounts(counts.total(), dict(by_state), by_queue)

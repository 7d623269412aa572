"""
record_listing: the records of the tasks that match a filter, in full.

A list finds them; each is read again then, from the store's leader. So each is as its task stands now: one that is
gone, or matches no more, is left out.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from jetq.admin.task_filter import TaskFilter
from jetq.admin.task_listing import list_tasks
from jetq.admin.time_bounds import bounded
from jetq.errors import MalformedRecordError
from jetq.jetstream.backend import Backend
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.model.record import TaskRecord
from jetq.wire.summary import decode_summary

_AT_ONCE: Final = 50
"""Records that are read at one time."""


async def list_records(backend: Backend, wanted: TaskFilter) -> list[TaskRecord]:
    """
    Return the records of the tasks that match, those that were written last first; named ones in their own order.

    Raises:
        ServerError: No answer, or a refusal.
    """
    wanted = await bounded(wanted, backend.connection, backend.names)
    if wanted.is_by_id:
        found: Sequence[str] = wanted.ids[: wanted.limit or None]
    else:
        listing = await list_tasks(backend.connection, backend.names, wanted)
        found = [task.id for task in listing.tasks]
    room = asyncio.Semaphore(_AT_ONCE)

    async def read(task_id: str) -> TaskRecord | None:
        async with room:
            return await _read(backend, task_id, wanted)

    return [record for record in await asyncio.gather(*map(read, found)) if record is not None]


async def _read(backend: Backend, task_id: str, wanted: TaskFilter) -> TaskRecord | None:
    try:
        stored = await backend.tasks.read(task_id)
        if stored is None or stored.written is None:
            return None
        written = int(stored.written.timestamp() * NANOSECONDS)
        return stored.record if wanted.matches(decode_summary(task_id, stored.data), written) else None
    except MalformedRecordError:
        return None

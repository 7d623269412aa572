"""
dependent: enqueue a task that depends on others.

The parents are read first: one that does not exist is an error, and nothing was written then. What those gave that have
ended goes into the new record at once; if all of them have, the task is an ordinary one. Else the order is: marker →
blocked record → the parents' records → the caller is answered. What a crash at each arrow leads to is said in
`jetstream.dependents`, which takes the rest of the way: from the parents' ends to the item.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from jetq.client.request import EnqueueRequest
from jetq.errors import EnqueueTimeoutError, JetqError, ServerTimeoutError, UnknownDependencyError
from jetq.jetstream.backend import Backend
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import GONE, ParentEnd, first_failure
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.observe.fault_points import Point, fault_point
from jetq.wire.ids import new_id

_ABREAST: Final = 200
"""Tasks that are dealt with at one time."""


class Placing(Protocol):
    """The two writes of an enqueue, as `client.enqueue` makes them."""

    async def store(self, request: EnqueueRequest) -> Stored:
        """Write the record of a new task."""
        ...

    async def make_runnable(self, stored: Stored) -> None:
        """Put in place what a record asks for."""
        ...


def ended_of(task_type: str, parents: Iterable[str], ends: Mapping[str, ParentEnd | None]) -> list[ParentEnd]:
    """
    Return what those parents of a new task came to that have ended.

    Args:
        task_type: Its type.
        parents: They.
        ends: What each came to, perhaps of others too; None for one that has not ended.

    Raises:
        UnknownDependencyError: One does not exist.
    """
    found = [end for parent in parents if (end := ends[parent]) is not None]
    for end in found:
        if end.state == GONE:
            raise UnknownDependencyError(task_type, end.id)
    return found


class DependentEnqueuer:
    """
    Enqueues tasks that depend on others.

    Args:
        backend: Where to.
        placing: Writes records and items.
        timeout: Seconds for each answer of the server.
    """

    def __init__(self, backend: Backend, placing: Placing, timeout: float) -> None:
        self._backend = backend
        self._placing = placing
        self._timeout = timeout

    async def enqueue(self, request: EnqueueRequest) -> TaskRecord:
        """
        Store a task, and let its parents know it.

        Raises:
            UnknownDependencyError: A parent does not exist; nothing was stored.
            EnqueueError: See its subclasses.
            ServerError: The server refused for a reason of its own.
        """
        request = replace(request, task_id=request.task_id or new_id())
        try:
            return await self._enqueue(request)
        except ServerTimeoutError as silent:
            raise EnqueueTimeoutError(request.task_id, self._timeout) from silent

    async def _enqueue(self, request: EnqueueRequest) -> TaskRecord:
        ended = await self._ended(request)
        if len(ended) == len(request.depends_on):
            stored = await self._placing.store(replace(request, ended=ended))
            await self._placing.make_runnable(stored)
            fault_point(Point.ITEM_STORED)
            return stored.record
        await self._backend.links.mark(request.task_id, timeout=self._timeout)
        fault_point(Point.CHILD_MARKED)
        stored = await self._placing.store(replace(request, ended=ended))
        fault_point(Point.CHILD_STORED)
        if stored.record.state is State.BLOCKED:
            await self._backend.dependents.join(stored.record.id, stored.record.pending)
        return stored.record

    async def _ended(self, request: EnqueueRequest) -> tuple[ParentEnd, ...]:
        """Return what those parents came to that have ended, unless that ends the task as well."""
        policies = {edge.task_id: edge.on_failure for edge in request.depends_on}
        found = ended_of(request.type, policies, await self._backend.dependents.ends_of_parents([*policies]))
        return tuple(end for end in found if first_failure({end.id: end}, policies) is None)

    async def enqueue_many(self, requests: Sequence[EnqueueRequest]) -> list[TaskRecord | JetqError]:
        """Store tasks, many at a time; each in the list is its record or its error, in order."""
        room = asyncio.Semaphore(_ABREAST)

        async def outcome(request: EnqueueRequest) -> TaskRecord | JetqError:
            async with room:
                try:
                    return await self.enqueue(request)
                except JetqError as error:
                    return error

        return list(await asyncio.gather(*map(outcome, requests)))

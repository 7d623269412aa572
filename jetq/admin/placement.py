"""
placement: after an operator wrote a record: put in place what it asks for, and take away what the older one left.
"""

import contextlib
from typing import Final

from jetq.admin.record_changes import Changed
from jetq.errors import LimitReachedError, ServerError, UnknownQueueError
from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.remains import Remains
from jetq.jetstream.retention import DISCARD_AFTER
from jetq.jetstream.task_store import Stored
from jetq.model.events import state_change
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.observe.fault_points import Point, fault_point
from jetq.wire.control import ControlRequest, encode_control

_ANSWER: Final = 1.0
"""Seconds for a worker's answer; one that does not hear the message finds the request in the record."""


class Placement:
    """
    Items, schedules and messages that follow from a record.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def check_queue(self, queue: str) -> None:
        """
        Make sure that a task may be put there: nobody would answer for a queue that is not there.

        Raises:
            UnknownQueueError: There is none.
        """
        backend = self._backend
        if await find_stream(backend.connection, backend.names.queue(queue)) is None:
            raise UnknownQueueError(queue)

    async def bring(self, done: Changed) -> None:
        """
        Put the item of a runnable record into its queue, or schedule a waiting one; then clear up behind it.

        A full queue takes the item when there is room: until then it waits among the schedules.
        """
        fault_point(Point.RECORD_CHANGED)
        stored, queues = done.stored, self._backend.queues
        record = stored.record
        if done.wrote and (record.state, record.due) != (done.before.state, done.before.due):
            self.tell(stored)
        if record.is_waiting:
            await queues.schedule(stored)
        else:
            try:
                await queues.put(stored)
            except LimitReachedError:
                await queues.schedule(stored)
        fault_point(Point.CHANGE_PLACED)
        for queue in done.queues:
            remains, moved = Remains.of(stored, queue), queue != record.queue
            if moved or (done.waited and not record.is_waiting):
                await queues.remove_schedule(remains)
            if moved:
                await queues.remove_item(remains)

    async def withdraw(self, done: Changed) -> None:
        """Do what follows from the end of a task that did not run, and take away its item and its schedule."""
        fault_point(Point.RECORD_CHANGED)
        await self._free_key(done.stored.record)
        if done.wrote:
            self.tell(done.stored)
        for queue in done.queues:
            remains = Remains.of(done.stored, queue)
            await self._backend.queues.remove_item(remains)
            await self._backend.queues.remove_schedule(remains)
        await self._tell_dependents(done.stored.record)
        if State.BLOCKED in {done.before.state, done.replaced.state}:
            await self._backend.links.unmark(done.stored.record.id)
        if done.wrote:
            await self._discard(done.stored)

    async def conclude(self, stored: Stored) -> None:
        """Do what follows from the end of a task whose item is removed with those of others."""
        await self._free_key(stored.record)
        self.tell(stored)
        await self._tell_dependents(stored.record)
        await self._discard(stored)

    async def _tell_dependents(self, record: TaskRecord) -> None:
        """Do what follows for those that depend on a task that ended."""
        if record.dependents:
            await self._backend.know_store()
            await self._backend.dependents.follow(record)

    async def _free_key(self, record: TaskRecord) -> None:
        """Free the unique key of a task that ended; one that cannot be freed does not count any more all the same."""
        if record.key:
            with contextlib.suppress(ServerError):
                await self._backend.keys.leave(record)

    def tell(self, stored: Stored) -> None:
        """Say how a record stands now."""
        now = self._backend.connection.clock.now()
        self._backend.bus.emit(state_change(stored.record, now, sequence=stored.sequence))

    async def _discard(self, stored: Stored) -> None:
        """Let a record go that nobody wants kept; the last step, since what comes before is repeated from it."""
        if self._backend.retention.of(stored.record) == 0:
            await self._backend.tasks.expire(stored, DISCARD_AFTER)

    async def stop_run(self, record: TaskRecord) -> None:
        """Tell a worker that its run is to stop; one that is dead, or does not hear it, is not waited for."""
        run, backend = record.run, self._backend
        if run is None:
            return
        by = "" if record.cancel_requested is None else record.cancel_requested.by
        request = ControlRequest("cancel", record.id, run.attempt, run.nonce, by=by)
        with contextlib.suppress(ServerError):
            await backend.connection.request(
                backend.names.control(run.worker), encode_control(request), timeout=_ANSWER
            )

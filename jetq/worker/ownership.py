"""
ownership: an active task was delivered again; does its run still live?

Leases are forgotten when a server crashes, and workers come back at different moments, so a redelivery proves nothing.
The worker that the record names is asked. Yes: it has the task, and adopts this item if it held another of the same
queue (one that a task left behind when it moved to another queue is not adopted; it is found done once the run has
ended). No: the run is dead, take over. No answer proves nothing either: ask again, and look whether the worker's
presence is there. Gone, and this connection has stood long enough for the other to be back as well: dead. When half of
the lease is over the item is left, to be delivered again. "Left" is no acknowledgement, no release, no renewal.

A record without a run is run by a Go worker, which answers no questions: it is left until it has been active for
longer than the queue's run time, as Go itself would do.
"""

import asyncio
from datetime import datetime
from typing import Final

from jetq.errors import ServerError, WireError
from jetq.jetstream.presence import Presences
from jetq.model.record import Run, TaskRecord
from jetq.wire.control import ControlReply, ControlRequest, decode_control_reply, encode_control
from jetq.worker.claims import Contested
from jetq.worker.desk import Desk

_ASK_EVERY: Final = 0.25
SETTLE_DOWN: Final = 5.0
"""Seconds after one's own (re)connect in which another worker's absence proves nothing."""


class Ownership:
    """
    Finds out whether runs live.

    Args:
        desk: The shared ground.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        backend = desk.backend
        self._presences = Presences(backend.connection, backend.names)

    async def is_dead(self, contested: Contested) -> bool:
        """Whether the run of a contested task is dead, so that the task may be taken over."""
        record = contested.stored.record
        run = record.run
        if run is None:
            return _go_gave_up(record, contested.queue.max_run_time, self._desk.now())
        if run.worker == self._desk.worker:
            return not self._adopted(run, contested)
        return await self._ask(record, run, contested)

    def _adopted(self, run: Run, contested: Contested) -> bool:
        """Keep a run of our own going on the item that was just delivered."""
        entry = self._desk.table.find(run)
        if entry is None:
            return False
        if entry.queue == contested.queue.name:
            self._desk.table.adopt(entry, contested.delivery.sequence, contested.delivery.reply)
        return True

    async def _ask(self, record: TaskRecord, run: Run, contested: Contested) -> bool:
        loop, connection = asyncio.get_running_loop(), self._desk.backend.connection
        leave_at = contested.delivery.received + contested.queue.lease / 2
        while loop.time() < leave_at:
            began = loop.time()
            reply = await self._question(record, run, contested)
            if reply is not None:
                return not reply.running
            settled = connection.is_connected and loop.time() - connection.connected_at >= SETTLE_DOWN
            if settled and await self._is_gone(run.worker):
                return True
            await asyncio.sleep(max(0.0, _ASK_EVERY - (loop.time() - began)))
        return False

    async def _question(self, record: TaskRecord, run: Run, contested: Contested) -> ControlReply | None:
        backend, delivery = self._desk.backend, contested.delivery
        request = ControlRequest(
            "running",
            record.id,
            run.attempt,
            run.nonce,
            item=delivery.sequence,
            reply=delivery.reply,
            queue=contested.queue.name,
        )
        try:
            answer = await backend.connection.request(
                backend.names.control(run.worker), encode_control(request), timeout=_ASK_EVERY
            )
            return decode_control_reply(answer.data)
        except (ServerError, WireError):
            return None

    def tell_lost(self, task_id: str, run: Run) -> None:
        """Tell a worker that its run was taken over, in case it lives after all; nobody waits for an answer."""
        backend = self._desk.backend
        request = ControlRequest("lost", task_id, run.attempt, run.nonce)
        backend.connection.send(backend.names.control(run.worker), encode_control(request))

    async def _is_gone(self, worker: str) -> bool:
        try:
            return not await self._presences.exists(worker, timeout=1.0)
        except ServerError:
            return False


def _go_gave_up(record: TaskRecord, run_time: float, now: datetime) -> bool:
    return record.tried is None or (now - record.tried).total_seconds() > run_time

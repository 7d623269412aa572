"""
inheritance: the runs of a dead child of the same supervisor; their tasks run elsewhere at once.

The supervisor knows that the process is gone, since it waited for it, and what it had in flight, since that stands in
shared memory. So nobody need wait for a lease. For each run, the order is: record → item. What stands in the record
decides:

======================================  ================================================================================
the record                              what is done
======================================  ================================================================================
active, with this run                   judged as a crash (`model.verdict.crashed`): runnable again, or ended; then its
                                        item is given back, or the after-effects are done and the item is removed
ended or runnable, with this run        its item is given back: whoever gets it does what the record asks for
runnable, with another run or none      the claim was not sent, or is refused now: the same
active, with another run                somebody was quicker; nothing is done
not there                               the same
======================================  ================================================================================

Nothing here depends on being done once. A crash, or a lost answer, at each arrow:

======================================  ================================================================================
at                                      what follows
======================================  ================================================================================
before the record is written            the supervisor gives the same runs to another child; with the supervisor dead
                                        as well, the item is delivered after the lease, and the task is taken over
write: refused                          the record is read again, and decides anew
write: answer lost                      the same: this run and no longer active → it was written; go on with the item
dead after the record                   another child finds it runnable with this run, and gives the item back; or the
                                        item is delivered after the lease
the item's release lost                 the item is delivered after the lease
a claim that arrives late               (sent by the dead, stored after the reading) its item was given back meanwhile:
                                        whoever gets it finds a run that is dead by its missing presence, and takes over
======================================  ================================================================================
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from jetq.errors import JetqError, MalformedRecordError, SequenceConflictError, ServerError, ServerTimeoutError
from jetq.jetstream.presence import Presences
from jetq.jetstream.task_store import Stored
from jetq.model.events import AttemptFailed, TaskTakenOver, UpdateConflict
from jetq.model.record import Run, TaskRecord
from jetq.model.state import State
from jetq.model.transition import closed
from jetq.model.verdict import Settlement, crashed, max_tries
from jetq.observe.fault_points import Point, fault_point
from jetq.routing.router import Router
from jetq.wire.in_flight import RunInFlight
from jetq.worker.desk import Desk
from jetq.worker.writing import write_fitting

_ATTEMPTS: Final = 20
_SILENCE_WAIT: Final = 0.5
_AT_ONCE: Final = 32
OUTCOME: Final = "crashed"


class Inheritance:
    """
    Takes care of what dead children had in flight.

    Args:
        desk: The shared ground.
        router: Says whose handler ran.
    """

    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._router = router
        self._presences = Presences(desk.backend.connection, desk.backend.names)

    async def take(self, worker: str, death: str, runs: Iterable[RunInFlight]) -> bool:
        """
        Let the tasks of a dead worker run elsewhere, and remove its presence.

        Args:
            worker: Its id.
            death: How it died, in words, for the records.
            runs: What it had in flight.

        Returns:
            Whether all of it is done; what is not may be tried again, here or elsewhere.
        """
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(run: RunInFlight) -> None:
            async with room:
                await self._take_one(Run(worker, run.attempt, run.nonce), death, run)

        done = await asyncio.gather(*(one(run) for run in runs), return_exceptions=True)
        failures = [error for error in done if error is not None]
        for error in failures:
            if not isinstance(error, JetqError):
                raise error
            self._desk.backend.bus.emit(AttemptFailed(queue="", error=str(error)))
        try:
            await self._presences.remove(worker)
        except ServerError:
            return False
        return not failures

    async def _take_one(self, run: Run, death: str, noted: RunInFlight) -> None:
        for _ in range(_ATTEMPTS):
            try:
                stored = await self._desk.backend.tasks.read(noted.task_id)
                if stored is None or await self._is_done(stored, run, death, noted):
                    return
            except MalformedRecordError:
                return
            except SequenceConflictError:
                self._desk.backend.bus.emit(UpdateConflict(task_id=noted.task_id, what="crash"))
            except ServerTimeoutError:
                await asyncio.sleep(_SILENCE_WAIT)
        raise ServerTimeoutError(f"the record of task {noted.task_id}", _ATTEMPTS * _SILENCE_WAIT)

    async def _is_done(self, stored: Stored, run: Run, death: str, noted: RunInFlight) -> bool:
        record = stored.record
        if record.state is State.ACTIVE:
            if record.run == run:
                await self._bury(stored, death, noted)
        elif record.run == run or record.is_runnable:
            await self._give_back(noted, stored)
        return True

    async def _bury(self, stored: Stored, death: str, noted: RunInFlight) -> None:
        desk, record = self._desk, stored.record
        limit = max_tries(record.max_tries, self._queue_limit(record))
        verdict = crashed(record, limit=limit, now=desk.now(), death=death)
        document = stored.document.updated(closed(record, verdict, desk.now()))
        written = await write_fitting(desk.backend.tasks, document, stored.sequence, ttl=desk.ttl)
        fault_point(Point.CRASH_STORED)
        self._tell(record, written)
        handler = self._router.match(record.type)
        pattern = "" if handler is None else handler.pattern
        if verdict.settlement is Settlement.RELEASE:
            desk.tell(written.record, sequence=written.sequence, pattern=pattern, outcome=OUTCOME)
            if record.key:
                await desk.leave_key(record)
            await self._give_back(noted, written)
        else:
            await desk.after_effects(written, pattern=pattern, outcome=OUTCOME, reply=noted.reply)
            if noted.reply:
                desk.ack(noted.reply)

    def _queue_limit(self, record: TaskRecord) -> int:
        bound = self._desk.bound.get(record.queue)
        return 0 if bound is None else bound.max_tries

    async def _give_back(self, noted: RunInFlight, stored: Stored) -> None:
        if noted.reply:
            await self._desk.hand_back(stored, noted.item, noted.reply)

    def _tell(self, before: TaskRecord, written: Stored) -> None:
        self._desk.backend.bus.emit(
            TaskTakenOver(
                task_id=before.id,
                queue=before.queue,
                worker=self._desk.worker,
                dead_worker=before.run.worker if before.run else "",
                crashes=written.record.crashes,
            )
        )

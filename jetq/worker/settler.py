"""
settler: apply a verdict. The order is: record → what the record asks for → item.

The record is the fence: its write is a compare-and-swap, and only after it stands is anything else done. A crash, a
lost answer or a dead connection at each arrow of a run, and what follows:

======================================  ================================================================================
at                                      what follows
======================================  ================================================================================
delivered, before the claim             nothing was written; the item is delivered again after the lease
claim: answer lost                      the record is read: with this run in it, go on; else decide anew
dead after the claim                    the record is active with a run that nobody answers for; its item is delivered
                                        after the lease, the other worker asks, and takes over; a crash is counted
handler ended, before the write         the same: the task runs again (a handler has an idempotency key)
end: answer lost                        the record is read: this run and the state that was written → go on
end: refused                            this run and still active → somebody added to it (a cancel request): judge and
                                        write again on top of that; any other run → the run is lost: its result is
                                        dropped and told, nothing is acknowledged
end: refused for another reason         written again and again for the queue's run time; the lease is kept meanwhile
dead after a final record               the item is delivered again; a final record repeats its after-effects, then acks
key of an ended task: not freed         it counts no more, since its task has ended (`jetstream.key_store`)
dead amid the after-effects             the same; each of them may be done twice
dead amid telling its dependents        the same; the arrows of that are in `jetstream.dependents`
discard: answer lost, or refused        the item stays and is delivered again, as above; a record that somebody made
                                        runnable meanwhile is another one, and is left alone
dead after the discard                  the same while the record is there; then the item is one without a record, and
                                        is removed once it is old
dead after a waiting record             the item is delivered again; a waiting record that its schedule did not bring is
                                        scheduled again, then the item is acknowledged
queue of a move: not to be had          (before the write) the retry stays in its queue, and its record says why
dead after a record that moved          the old queue's item is delivered again; the record waits, so it is scheduled in
                                        the queue that it names now, and the item is acknowledged
dead after the schedule of a move       the same while it waits. Later the old item finds a run that lives (it is left,
                                        and not adopted, since the run has an item in the new queue), one that is dead
                                        (it is taken over, with the old queue's limits; the new queue's item then finds
                                        that run, or the end) or the end
schedule: answer lost                   published again; it replaces itself
schedule: never answered                left; the item is delivered again, as above
dead after the schedule                 the item is delivered again, as above; the schedule replaces itself
ack lost                                the item is delivered again, and is found done
release (shutdown) lost                 the item is delivered after the lease; the record is runnable
server restarted                        leases are forgotten; whoever gets the item asks the owner, who adopts it
======================================  ================================================================================
"""

import asyncio
import random
import time
from typing import Final, assert_never

from msgspec.structs import replace

from jetq.errors import (
    JetqError,
    MalformedRecordError,
    NoResponderError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
)
from jetq.jetstream.task_store import Stored
from jetq.model.events import AttemptFailed, RunLost, UpdateConflict
from jetq.model.outcome import Outcome
from jetq.model.record import ABSENT, TaskRecord
from jetq.model.state import End, State
from jetq.model.transition import closed
from jetq.model.verdict import Rules, Settlement, Verdict, judge
from jetq.observe.fault_points import Point, fault_point
from jetq.worker.claims import Claim
from jetq.worker.desk import Desk
from jetq.worker.writing import write_fitting

_SILENCE_WAIT: Final = 0.5
_REFUSED_WAIT: Final = 2.0
_LONGEST_NOTE: Final = 300
"""Characters of why a task cannot move."""


class Settler:
    """
    Applies verdicts.

    Args:
        desk: The shared ground.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks = desk.backend.tasks

    async def settle(
        self, claim: Claim, outcome: Outcome, rules: Rules, *, pattern: str, duration: float | None
    ) -> None:
        """
        Write what follows from *outcome*, and do what the new record asks for.

        Args:
            claim: The run.
            outcome: What happened.
            rules: For the verdict.
            pattern: Of the handler that ran, for the event.
            duration: Seconds that it ran, for the event.

        Raises:
            ServerError: The server refuses what must be written; the item is delivered again.
        """
        try:
            settled = await self._close(claim, outcome, rules)
        finally:
            self._desk.table.end(claim.entry)
        if settled is None:
            self._tell_lost(claim)
            return
        verdict, stored = settled
        fault_point(Point.END_STORED)
        desk, record = self._desk, stored.record
        # a result that did not fit is lost, and that is no success (`worker.writing`)
        name = "terminated" if record.end == End.TOO_LARGE else type(outcome).__name__.lower()
        if record.is_final:
            reply = claim.entry.reply
            await desk.after_effects(stored, pattern=pattern, outcome=name, duration=duration, reply=reply)
        else:
            desk.tell(record, sequence=stored.sequence, pattern=pattern, outcome=name, duration=duration)
            await self._follow(verdict, stored)
            if record.key:
                await desk.leave_key(record)
        match verdict.settlement:
            case Settlement.ACK | Settlement.SCHEDULE:
                desk.ack(claim.entry.reply)
            case Settlement.RELEASE:
                await desk.hand_back(stored, claim.entry.item, claim.entry.reply)
            case _:
                assert_never(verdict.settlement)
        fault_point(Point.ITEM_REMOVED)

    async def _close(self, claim: Claim, outcome: Outcome, rules: Rules) -> tuple[Verdict, Stored] | None:
        """
        Write the end of the run; None if the run is lost.

        Only the record says that: what the lease thread read may be older than the claim. A refusal for another reason
        (a store without room) is waited out as silence is, since the handler has done its work, but not for ever.
        """
        stored, until = claim.stored, time.monotonic() + claim.queue.max_run_time
        while True:
            now = self._desk.now()
            verdict = judge(outcome, stored.record, rules, now=now, chance=random.random())  # noqa: S311 - jitter
            if verdict.queue:
                verdict = await self._placed(verdict, stored.record, until)
            if verdict.due is not None:
                verdict = self._desk.backend.retention.kept_until_due(verdict, now)
            record = stored.record
            if claim.progress is not ABSENT:
                record = replace(record, progress=claim.progress)
            document = stored.document.updated(closed(record, verdict, now))
            try:
                return verdict, await write_fitting(self._tasks, document, stored.sequence, ttl=self._desk.ttl)
            except SequenceConflictError:
                self._desk.backend.bus.emit(UpdateConflict(task_id=stored.record.id, what="end"))
            except ServerTimeoutError:
                pass
            except ServerError as refused:
                await self._wait_out(refused, claim, until)
            found = await self._read(claim, until)
            if found is None or found.record.run != claim.entry.run:
                return None
            if found.record.state is not State.ACTIVE:
                # an earlier copy of this write may have drawn another wait, so only whether there is one is compared
                waits = (found.record.due is None) == (document.record.due is None)
                # what did not fit ends otherwise than was judged (`worker.writing`)
                same = found.record.state is document.record.state or found.record.end == End.TOO_LARGE
                mine = waits and same
                return (verdict, found) if mine else None
            stored = found

    async def _placed(self, verdict: Verdict, record: TaskRecord, until: float) -> Verdict:
        """Return the verdict if the queue that it moves the task to exists; else one that lets the task stay."""
        while True:
            try:
                await self._desk.know_queue(verdict.queue)
            except (ServerTimeoutError, NoResponderError) as silent:
                if time.monotonic() >= until:
                    return _staying(verdict, record, silent)
                await asyncio.sleep(_SILENCE_WAIT)
            except JetqError as error:
                return _staying(verdict, record, error)
            else:
                return verdict

    async def _wait_out(self, refused: ServerError, claim: Claim, until: float) -> None:
        if time.monotonic() >= until:
            raise refused
        self._desk.backend.bus.emit(AttemptFailed(queue=claim.queue.name, error=str(refused)))
        await asyncio.sleep(_REFUSED_WAIT)

    async def _read(self, claim: Claim, until: float) -> Stored | None:
        """Read the record, however long the server is silent; the lease is kept meanwhile."""
        while True:
            try:
                return await self._tasks.read(claim.entry.task_id)
            except ServerTimeoutError:
                await asyncio.sleep(_SILENCE_WAIT)
            except ServerError as refused:
                await self._wait_out(refused, claim, until)
            except MalformedRecordError:
                return None

    async def _follow(self, verdict: Verdict, stored: Stored) -> None:
        """
        Put in place what the record asks for, before its item goes.

        A server that is away is waited for. One that is there and does not take the schedule is not, since that would
        cost the slot: the item is delivered again and the record scheduled then.
        """
        if verdict.settlement is not Settlement.SCHEDULE:
            return
        connection = self._desk.backend.connection
        while True:
            generation = connection.generation
            try:
                await self._desk.backend.queues.schedule(stored)
            except ServerTimeoutError:
                if connection.is_connected and connection.generation == generation:
                    raise
                await asyncio.sleep(_SILENCE_WAIT)
            else:
                fault_point(Point.SCHEDULE_STORED)
                return

    def _tell_lost(self, claim: Claim) -> None:
        record = claim.stored.record
        self._desk.backend.bus.emit(RunLost(task_id=record.id, queue=record.queue, worker=self._desk.worker))


def _staying(verdict: Verdict, record: TaskRecord, error: JetqError) -> Verdict:
    note = f" (it stays in the queue {record.queue}: {str(error)[:_LONGEST_NOTE]})"
    return replace(verdict, queue="", last_err=verdict.last_err + note)

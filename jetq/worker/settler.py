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
dead after a waiting record             the item is delivered again; a waiting record that its schedule did not bring is
                                        scheduled again, then the item is acknowledged
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

from jetq.errors import MalformedRecordError, SequenceConflictError, ServerError, ServerTimeoutError
from jetq.jetstream.task_store import Stored
from jetq.model.events import AttemptFailed, RunLost, UpdateConflict
from jetq.model.outcome import Outcome
from jetq.model.state import State
from jetq.model.transition import closed
from jetq.model.verdict import Rules, Settlement, Verdict, judge
from jetq.observe.fault_points import Point, fault_point
from jetq.worker.claims import Claim
from jetq.worker.desk import Desk
from jetq.worker.writing import write_fitting

_SILENCE_WAIT: Final = 0.5
_REFUSED_WAIT: Final = 2.0


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
            self._desk.table.remove(claim.entry)
        if settled is None:
            self._tell_lost(claim)
            return
        verdict, stored = settled
        fault_point(Point.END_STORED)
        self._desk.tell(
            stored.record,
            sequence=stored.sequence,
            pattern=pattern,
            outcome=type(outcome).__name__.lower(),
            duration=duration,
        )
        await self._follow(verdict, stored)
        self._release_item(claim, verdict)
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
            document = stored.document.updated(closed(stored.record, verdict, now))
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
                mine = waits and found.record.state is document.record.state
                return (verdict, found) if mine else None
            stored = found

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
        if verdict.settlement is not Settlement.SCHEDULE or stored.record.is_final:
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

    def _release_item(self, claim: Claim, verdict: Verdict) -> None:
        match verdict.settlement:
            case Settlement.ACK | Settlement.SCHEDULE:
                self._desk.ack(claim.entry.reply)
            case Settlement.RELEASE:
                self._desk.release(claim.entry.reply)
            case _:
                assert_never(verdict.settlement)

    def _tell_lost(self, claim: Claim) -> None:
        record = claim.stored.record
        self._desk.backend.bus.emit(RunLost(task_id=record.id, queue=record.queue, worker=self._desk.worker))

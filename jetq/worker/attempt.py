"""
attempt: one delivery from end to end: claim, route, execute, judge and settle.
"""

import asyncio
import time
from typing import Final

from msgspec import Struct

from jetq.errors import LeaseLostError, ServerError
from jetq.execution.executor import Execution, Executor, time_limits
from jetq.execution.retry_rules import RetryRules
from jetq.jetstream.puller import Delivery
from jetq.model.events import AttemptFailed
from jetq.model.outcome import Cancelled, Interrupted, Outcome, Unroutable
from jetq.model.record import TaskRecord
from jetq.model.retry import Exponential
from jetq.model.verdict import Rules, max_tries
from jetq.observe.fault_points import Point, fault_point
from jetq.routing.handler import Handler
from jetq.routing.router import Router
from jetq.settings import RUN_GRACE
from jetq.worker.claims import Claim, Claims, Contested
from jetq.worker.desk import Desk
from jetq.worker.lease_table import LeaseEntry
from jetq.worker.ownership import Ownership
from jetq.worker.parent_results import ParentResults
from jetq.worker.progress import Reports
from jetq.worker.settler import Settler
from jetq.worker.slots import Slot

_UNROUTABLE_RETRY: Final = Exponential()


class Parts(Struct, frozen=True):
    """What runs handlers: the routes, the executor, and the rules for another try."""

    router: Router
    executor: Executor
    rules: RetryRules


class Attempts:
    """
    Carries deliveries through the worker.

    Args:
        desk: The shared ground.
        parts: What runs handlers.
    """

    def __init__(self, desk: Desk, parts: Parts) -> None:
        self._desk = desk
        self._router = parts.router
        self._executor = parts.executor
        self._rules = parts.rules
        self._claims = Claims(desk)
        self._ownership = Ownership(desk)
        self._settler = Settler(desk)
        self._parents = ParentResults(desk.backend.tasks)
        self._running: dict[str, Execution] = {}
        self._reports = Reports(desk, self._running, self.lose)
        self._asking: set[asyncio.Task[bool]] = set()
        self._interrupted = False
        self.done = 0
        """Runs that came to their end here."""

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return len(self._running)

    async def run(self, delivery: Delivery, slot: Slot) -> None:
        """
        Carry one delivery to its end. Holds *slot* while work is done.

        What the server refuses on the way ends the attempt; its item is delivered again after the lease.
        """
        claim = None
        with slot:
            try:
                claim = await self._claimed(delivery, slot)
                if claim is not None:
                    await self._carry_out(claim)
            except ServerError as error:
                self._desk.backend.bus.emit(AttemptFailed(queue=delivery.queue, error=str(error)))
            except asyncio.CancelledError:  # given up as the process ends; its note outlives that
                if claim is not None:
                    self._desk.table.end(claim.entry)
                    claim = None
                raise
            finally:
                if claim is not None:
                    self._desk.table.remove(claim.entry)
                    self.done += 1

    async def _claimed(self, delivery: Delivery, slot: Slot) -> Claim | None:
        fault_point(Point.ITEM_DELIVERED)
        claim = await self._claims.claim(delivery)
        while isinstance(claim, Contested):
            slot.lend()
            if not await self._is_dead(claim):
                return None
            await slot.retake()
            claim = await self._take_over(claim)
        return claim

    async def _is_dead(self, contested: Contested) -> bool:
        asking = asyncio.ensure_future(self._ownership.is_dead(contested))
        self._asking.add(asking)
        try:
            return await asking
        except asyncio.CancelledError:
            return False
        finally:
            self._asking.discard(asking)

    def leave_contested(self) -> None:
        """Ask no more about other workers' runs, since this worker stops; their items come again after the lease."""
        for asking in self._asking:
            asking.cancel()

    async def _take_over(self, contested: Contested) -> Claim | Contested | None:
        found = await self._claims.start(contested.stored, contested.delivery, contested.queue, crashed=True)
        if found is None or isinstance(found, Claim):
            before = contested.stored.record
            if before.run is not None:
                self._ownership.tell_lost(before.id, before.run)
            return found
        return await self._claims.claim(contested.delivery, anew=True)

    async def _carry_out(self, claim: Claim) -> None:
        record = claim.stored.record
        handler = self._router.match(record.type)
        if handler is None:
            rules = Rules(retry=_UNROUTABLE_RETRY, max_tries=max_tries(record.max_tries, claim.queue.max_tries))
            await self._settler.settle(claim, Unroutable(record.type), rules, pattern="", duration=None)
            return
        outcome, duration = await self._execute(claim, handler)
        fault_point(Point.HANDLER_ENDED)
        if self._reports.said and claim.entry.run.nonce in self._reports.said:
            await self._reports.finish(claim)
        rules = self._rules.of(record, handler, queue_max_tries=claim.queue.max_tries)
        await self._settler.settle(claim, outcome, rules, pattern=handler.pattern, duration=duration)

    async def _execute(self, claim: Claim, handler: Handler) -> tuple[Outcome, float | None]:
        record, entry = claim.stored.record, claim.entry
        if record.load_dependencies:
            loaded = await self._parents.loaded(record)
            if not isinstance(loaded, TaskRecord):
                return loaded, None
            record = loaded
        if self._interrupted or entry.lost:
            return Interrupted(), None
        if entry.cancel is not None:
            return Cancelled(entry.cancel.by), None
        limit, soft = time_limits(record, handler, claim.queue.max_run_time)
        entry.ends = time.monotonic() + limit + RUN_GRACE
        execution = self._executor.start(
            handler,
            record,
            limit=limit,
            soft=soft,
            worker=self._desk.worker,
            reporter=self._reports,
        )
        if handler.hands_on:
            execution.context.document = claim.stored.document.updated(record)
        self._running[entry.run.nonce] = execution
        try:
            return await execution.run(), execution.duration
        finally:
            del self._running[entry.run.nonce]

    def lose(self, entry: LeaseEntry) -> None:
        """Stop the handler of a run that was lost; what it returns will be dropped."""
        execution = self._running.get(entry.run.nonce)
        if execution is not None:
            execution.stop(Interrupted(), LeaseLostError(entry.task_id))

    def overdue(self) -> str:
        """Return, in words, a handler that goes on beyond its limit and grace; nothing if there is none. Any thread."""
        now = time.monotonic()
        for entry in self._desk.table.entries():
            if now > entry.ends and (execution := self._running.get(entry.run.nonce)) is not None:
                kind = execution.context.task_type
                return f"{kind} {entry.task_id} runs on {now - entry.ends + RUN_GRACE:.0f} s beyond its limit"
        return ""

    def executions(self) -> list[Execution]:
        """Return the handlers that run; from any thread."""
        return list(self._running.values())

    def cancel(self, entry: LeaseEntry) -> None:
        """Stop the handler of a run that somebody cancelled; one that has not begun does not begin."""
        execution = self._running.get(entry.run.nonce)
        if execution is not None and entry.cancel is not None:
            execution.stop(Cancelled(entry.cancel.by))

    def interrupt(self) -> int:
        """Stop all handlers, since the worker ends; return how many there were."""
        self._interrupted = True
        executions = list(self._running.values())
        for execution in executions:
            execution.stop(Interrupted())
        return len(executions)

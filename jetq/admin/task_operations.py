"""
task_operations: cancel, retry, run now, delete and change one task.

What an operation does in which state is a table (`model.operation`). The order is always: record → what the new record
asks for → what the old one left behind. What a death of the operator at each arrow leaves:

=====================================  =================================================================================
at                                     what follows
=====================================  =================================================================================
before the record                      nothing was done
record: answer lost, or refused        the record is read: as this operation would have left it → go on; else decide
                                       anew on what is there (`admin.record_changes`)
cancel: dead after the final record    its item is delivered and its schedule fires; a worker repeats the after-effects
                                       of the final record and removes them
cancel: dead amid its dependents       the pass over the markers tells those that are left (`jetstream.dependents`)
cancel: dead after the request, or     the worker finds the request when it next reads the record of the run, within a
the message to the worker is lost      lease; a run that ends before that in an error ends cancelled, one that ends
                                       well complete; if the worker is dead, who takes over ends the task
retry: dead after the record           a runnable record without item: the janitor publishes it
run now: dead after the record         the same; the schedule brings the item when it is due, at the latest
retry, run now: queue full             a schedule for now is published, and waits until there is room
retry, run now: dead after the item    a schedule is left, fires, and a worker finds what the record says by then
retry: dead amid its dependents        `admin.unsticking`
retry: dead amid its parents           `admin.rejoining`
change: dead after the record          the item, or the schedule, was published for an older record: who gets it reads
                                       the record (and schedules a waiting one again)
move: dead after the new item          the old item is found to be another queue's: the record decides
delete: dead after the record          nobody can claim the task; its item is removed by the worker that gets it, and
                                       the pass over the markers tells those that depend on it
=====================================  =================================================================================

What is left behind is removed only if it belongs to an older record (`jetstream.remains`), so two operators, or an
operator and a worker, do not take away what the other has just put there.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from jetq.admin.amendment import Amendment, Check
from jetq.admin.key_claim import KeyClaim
from jetq.admin.placement import Placement
from jetq.admin.record_changes import Changed, RecordChanges, Wish
from jetq.admin.rejoining import rejoin, started_again
from jetq.admin.task_removal import remove_task
from jetq.admin.unsticking import unstick
from jetq.errors import InvalidSettingError, OperationRefusedError
from jetq.jetstream.backend import Backend
from jetq.jetstream.task_store import Stored
from jetq.model.name import check_name
from jetq.model.operation import UNCHANGED, Changes, Effect, OperatedTask, Operation, Unchanged, rule_for
from jetq.model.record import CancelRequest, TaskRecord
from jetq.model.state import End, State
from jetq.model.transition import ended, hastened, stopping
from jetq.wire.codec import Document
from jetq.wire.signature import Signer

LONGEST_NAME: Final = 200
_STARTED: Final = {State.ACTIVE, State.BLOCKED}
_WAITING: Final = {State.BLOCKED, State.UNREACHABLE}
_DETAILS: Final = {
    Effect.NOTHING: "nothing to do",
    Effect.ENDED: "cancelled",
    Effect.REQUESTED: "its worker is asked to stop it",
    Effect.STARTED: "it runs as soon as a slot is free",
    Effect.QUEUED: "it is in its queue already",
    Effect.CHANGED: "changed",
    Effect.WAITS: "it waits for those that it depends on",
}


class TaskOperations:
    """
    Operates on single tasks.

    Args:
        backend: The server.
        signer: Signs tasks anew when what is signed changes; without it that is refused.
        check: Checks a payload that is given as the task's handler would; without it no payload is checked.
    """

    def __init__(self, backend: Backend, *, signer: Signer | None = None, check: Check | None = None) -> None:
        self._backend = backend
        self._signer = signer
        self._check = check
        self._records = RecordChanges(backend)
        self._placement = Placement(backend)

    @property
    def backend(self) -> Backend:
        """The server."""
        return self._backend

    async def cancel(self, task_id: str, *, by: str = "", running: bool = True) -> OperatedTask:
        """
        End a task that does not run; ask the worker of one that runs to stop it.

        A run that ends before it is stopped keeps its outcome. One that was cancelled before is left as it is.

        Args:
            task_id: The task.
            by: Who wants that; kept in the record.
            running: Also if it runs.

        Raises:
            OperationRefusedError: It has ended, or a Go worker runs it; or it runs, and is to be left alone then.
            TaskNotFoundError: There is no record of it.
            ServerError: No answer, or a refusal; it may have been cancelled.
        """
        if len(by) > LONGEST_NAME:
            raise InvalidSettingError("by", by, f"at most {LONGEST_NAME} characters")
        request = CancelRequest(by, self._backend.connection.clock.now())

        async def decide(stored: Stored) -> Document | None:
            record = stored.record
            match rule_for(record, Operation.CANCEL).effect:
                case Effect.ENDED:
                    return stored.document.updated(ended(record, End.CANCELLED, request.text))
                case Effect.REQUESTED if not running:
                    reason = "only what does not run was to be cancelled"
                    raise OperationRefusedError(task_id, Operation.CANCEL, record.display_state, reason)
                case Effect.REQUESTED if record.cancel_requested is None:
                    return stored.document.updated(stopping(record, request))
                case _:
                    return None

        def is_mine(record: TaskRecord) -> bool:
            return record.end == End.CANCELLED or record.cancel_requested == request

        done = await self._records.make(task_id, Wish(Operation.CANCEL, decide, is_mine))
        if done.stored.record.is_final:
            await self._placement.withdraw(done)
            return _told(Operation.CANCEL, done, Effect.ENDED if done.wrote else Effect.NOTHING)
        await self._placement.stop_run(done.stored.record)
        return _told(Operation.CANCEL, done, Effect.REQUESTED)

    async def retry(
        self,
        task_id: str,
        *,
        queue: str | None = None,
        payload: bytes | Unchanged | None = UNCHANGED,
        deadline: datetime | timedelta | Unchanged | None = UNCHANGED,
        max_tries: int | Unchanged = UNCHANGED,
        dependents: bool = False,
        with_parents: bool = False,
    ) -> OperatedTask:
        """
        Start a task again that ended, or run one now that waits; its tries begin anew, its runs count on.

        One that ended before all were counted that it depends on counts them first, and waits for those that go on.

        Args:
            task_id: The task.
            queue: Another queue for it; it must exist.
            payload: Another payload, JSON; None for none.
            deadline: Another deadline, a moment or a time from now on by the server's clock; None for none.
            max_tries: Another number of tries; 0 is unlimited.
            dependents: Those that became unreachable, since it failed, wait for it again.
            with_parents: Those that it depends on, and that failed, are retried as well.

        Raises:
            OperationRefusedError: It runs, or waits for other tasks; its deadline has passed; another task has its
                unique key; one failed whose result it takes; or what is signed would change, and there is no key to
                sign it with.
            TaskNotFoundError: There is no record of it.
            UnknownQueueError: Its queue does not exist.
            InvalidSettingError: A change cannot be meant.
            InvalidPayloadError: The payload is not what the task's handler takes, as far as it is known here.
            ServerError: No answer, or a refusal; it may have been retried.
        """
        moved = UNCHANGED if queue is None else queue
        amendment = self._amendment(
            Operation.RETRY, Changes(payload=payload, deadline=deadline, max_tries=max_tries, queue=moved)
        )

        key = KeyClaim(self._backend)

        async def decide(stored: Stored) -> Document | None:
            rule = rule_for(stored.record, Operation.RETRY)
            document = amendment.applied(stored.document)
            if rule.effect is Effect.QUEUED and document is stored.document:
                return None
            amendment.refuse_late(document.record)
            await self._placement.check_queue(document.record.queue)
            await key.check(stored)
            return document.updated(await started_again(self._backend, document.record, with_parents=with_parents))

        def is_mine(record: TaskRecord) -> bool:
            runs = record.state in _STARTED or (record.state is State.RETRY and record.due is None)
            return runs and amendment.is_in(record)

        done = await self._records.make(task_id, Wish(Operation.RETRY, decide, is_mine, once=True))
        if done.wrote:
            await key.take(done)
        done, effect = await self._start(done)
        again = await unstick(self._backend, done.stored.record) if dependents else 0
        return _told(Operation.RETRY, done, effect, again)

    async def _start(self, done: Changed) -> tuple[Changed, Effect]:
        """Do what follows from the record of a task that is retried."""
        if done.stored.record.state is State.BLOCKED:
            done = replace(done, stored=await rejoin(self._backend, self._placement, done))
            return done, Effect.WAITS if done.stored.record.state in _WAITING else Effect.STARTED
        queued = not done.wrote and done.stored.record.is_runnable
        if done.wrote or queued:
            await self._placement.bring(done)
        return done, Effect.QUEUED if queued else Effect.STARTED

    async def run_now(self, task_id: str) -> OperatedTask:
        """
        Run a task now that waits for its time; its tries count on.

        Raises:
            OperationRefusedError: It does not wait.
            TaskNotFoundError: There is no record of it.
            ServerError: No answer, or a refusal; it may run.
        """

        async def decide(stored: Stored) -> Document | None:
            rule_for(stored.record, Operation.RUN_NOW)
            return stored.document.updated(hastened(stored.record))

        def is_mine(record: TaskRecord) -> bool:
            return record.state is State.ACTIVE or record.is_runnable

        done = await self._records.make(task_id, Wish(Operation.RUN_NOW, decide, is_mine, once=True))
        if done.wrote:
            await self._placement.bring(done)
        return _told(Operation.RUN_NOW, done, Effect.STARTED)

    async def delete(self, task_id: str, *, force: bool = False) -> OperatedTask:
        """
        Remove a task: its record, its item and its schedule.

        Args:
            task_id: The task.
            force: Also if it runs: its run goes on, and its result is dropped.

        Raises:
            OperationRefusedError: It runs.
            TaskNotFoundError: There is no record of it.
            ServerError: No answer, or a refusal; what is left of the task is removed by doing this again, or by the
                worker that gets its item.
        """

        def check(record: TaskRecord) -> None:
            rule = rule_for(record, Operation.DELETE)
            if rule.force and not force:
                raise OperationRefusedError(record.id, Operation.DELETE, record.display_state, rule.text)

        removed = await remove_task(self._backend, check_name("task id", task_id), check)
        return OperatedTask(
            task_id=task_id,
            operation=Operation.DELETE,
            effect=Effect.REMOVED,
            before=removed.state,
            after="",
            queue=removed.queue,
            detail="removed",
        )

    async def change(
        self,
        task_id: str,
        *,
        payload: bytes | Unchanged | None = UNCHANGED,
        deadline: datetime | timedelta | Unchanged | None = UNCHANGED,
        max_tries: int | Unchanged = UNCHANGED,
        queue: str | Unchanged = UNCHANGED,
    ) -> OperatedTask:
        """
        Change a task that is queued or waits for its time.

        Args:
            task_id: The task.
            payload: Another payload, JSON; None for none.
            deadline: Another deadline, a moment or a time from now on by the server's clock; None for none.
            max_tries: Another number of tries; 0 is unlimited.
            queue: Another queue for it; it must exist.

        Raises:
            OperationRefusedError: It runs, or has ended; or what is signed would change, and there is no key.
            TaskNotFoundError: There is no record of it.
            UnknownQueueError: Its queue does not exist.
            InvalidSettingError: A change cannot be meant, or there is none.
            InvalidPayloadError: The payload is not what the task's handler takes, as far as it is known here.
            ServerError: No answer, or a refusal; it may have been changed.
        """
        changes = Changes(payload=payload, deadline=deadline, max_tries=max_tries, queue=queue)
        amendment = self._amendment(Operation.CHANGE, changes)
        if not changes.given():
            raise InvalidSettingError("changes", "none", "a payload, a deadline, a number of tries or a queue")

        async def decide(stored: Stored) -> Document | None:
            rule_for(stored.record, Operation.CHANGE)
            document = amendment.applied(stored.document)
            if document is stored.document:
                return None
            if document.record.queue != stored.record.queue:
                await self._placement.check_queue(document.record.queue)
            return document

        done = await self._records.make(task_id, Wish(Operation.CHANGE, decide, amendment.is_in))
        if done.wrote:
            await self._placement.bring(done)
        return _told(Operation.CHANGE, done, Effect.CHANGED if done.wrote else Effect.NOTHING)

    def _amendment(self, operation: Operation, changes: Changes) -> Amendment:
        return Amendment(operation, changes, backend=self._backend, signer=self._signer, check=self._check)


def _told(operation: Operation, done: Changed, effect: Effect, dependents: int = 0) -> OperatedTask:
    record = done.stored.record
    waiting = f"; dependents that wait again: {dependents:,}" if dependents else ""
    return OperatedTask(
        task_id=record.id,
        operation=operation,
        effect=effect,
        before=done.before.display_state,
        after=record.display_state,
        queue=record.queue,
        detail=_DETAILS[effect] + waiting,
        dependents=dependents,
    )

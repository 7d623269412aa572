"""
context: what a handler may ask about the task that it runs for.

:func:`current` gives the same context to code further down, in the same asyncio task or thread and in what they start
with a copy of their context variables.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from jetq.errors import InvalidPayloadError, OutsideTaskError
from jetq.execution.soft_limit import SoftLimit
from jetq.model.progress import Progress, make_progress
from jetq.model.quantity import Duration, seconds
from jetq.model.record import TaskRecord
from jetq.routing.binding import Arguments
from jetq.routing.signature import ContextMark
from jetq.routing.values import decode_value
from jetq.wire.codec import Document
from jetq.wire.dependencies import dependency_values

TASK_LOGGER: Final = logging.getLogger("jetq.task")

_UNREAD: Final = object()


class Enqueuer(Protocol):
    """What puts tasks into queues for a handler: the application, whose methods name their options."""

    @property
    def enqueue(self) -> Callable[..., Any]:
        """Enqueue a task; blocks."""
        ...

    @property
    def aenqueue(self) -> Callable[..., Awaitable[Any]]:
        """Enqueue a task."""
        ...


class Reporter(Protocol):
    """What hears of a run while it goes on: the worker. Any thread may call it, and it never blocks."""

    def report(self, task: TaskRecord, progress: Progress) -> None:
        """Take what the handler says of its progress."""
        ...

    def extended(self, task: TaskRecord, ends: float) -> None:
        """Keep the run's lease until its new limit, in monotonic time."""
        ...


class Runner(Protocol):
    """What watches over the time limits of a run."""

    @property
    def is_over(self) -> bool:
        """Whether the run was told to end, or has."""
        ...

    @property
    def timed_out(self) -> bool:
        """Whether it was told to end since its time limit is over."""
        ...

    @property
    def limit(self) -> float:
        """Seconds that the run may take."""
        ...

    def extended(self) -> None:
        """Follow the context's new limit; from any thread."""
        ...

    def began(self, limit: float) -> None:
        """Count from now, with *limit* as the limit: the handler had to wait until it could begin."""
        ...


class _Over:
    """Stands in the context of a run that has ended, for threads that outlive it."""

    is_over = True
    timed_out = False
    limit = 0.0

    def extended(self) -> None:
        """Nothing is left to be extended."""

    def began(self, limit: float) -> None:
        """It is over."""


OVER: Final = _Over()


class Context(ContextMark):
    """
    The task that a handler runs for, and what it may do meanwhile.

    Args:
        task: The record, as the claim of this run wrote it.
        worker: The worker's id.
        limit: Seconds that this run may take.
        logger: For :attr:`logger`; None is the logger ``jetq.task``.
        enqueuer: For :meth:`enqueue`; None leaves it unusable.
        reporter: For :meth:`progress` and :meth:`extend`; without one, nobody hears.
        soft_limit: The run's soft time limit, if it has one.
        state: For :attr:`state`.

    Attributes:
        task: The record.
        worker: The worker's id.
        logger: Its lines carry the task's id, type, queue, attempt and worker.
        arguments: The positional and keyword arguments that the handler is called with, after the context. Of a task
            that is many calls (``Task.starmap``), those of the call that runs; before the first, one list of all.
        soft_limit: See above.
        runner: Watches over the run; None before it begins.
        state: What the application's lifespan yielded; in a process for handlers, what its start hook returned.
        document: jetq's own: the record with every byte that was read, for a handler that hands the task on.
    """

    __slots__ = (
        "_ends",
        "_enqueuer",
        "_payload",
        "_reporter",
        "_results",
        "arguments",
        "document",
        "logger",
        "runner",
        "soft_limit",
        "state",
        "task",
        "worker",
    )

    def __init__(
        self,
        task: TaskRecord,
        *,
        worker: str = "",
        limit: float = float("inf"),
        logger: Any = None,
        enqueuer: Enqueuer | None = None,
        reporter: Reporter | None = None,
        soft_limit: SoftLimit | None = None,
        state: Any = None,
    ) -> None:
        self.task = task
        self.worker = worker
        self.logger: Any = TASK_LOGGER if logger is None else logger
        self._enqueuer = enqueuer
        self._reporter = reporter
        self.soft_limit = soft_limit
        self.state = state
        self.runner: Runner | None = None
        self._ends = time.monotonic() + limit
        self._payload: Any = _UNREAD
        self.arguments: Arguments = ((), {})
        self.document: Document | None = None

    def __repr__(self) -> str:
        return f"<Context {self.task.type} {self.task.id} attempt {self.attempt}>"

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def task_type(self) -> str:
        """The task's type; with a pattern's handler, which of them it is."""
        return self.task.type

    @property
    def queue(self) -> str:
        """The queue that the task came from."""
        return self.task.queue

    @property
    def tries(self) -> int:
        """Tries used so far, with this one; a snooze or a worker's shutdown gave theirs back."""
        return self.task.tries

    @property
    def attempt(self) -> int:
        """The number of this run among all runs of the task, from 1."""
        return self.task.runs

    @property
    def deadline(self) -> datetime | None:
        """After it the task is not started any more."""
        return self.task.deadline

    @property
    def time_left(self) -> float:
        """Seconds until this run's time limit; negative beyond it."""
        return self._ends - time.monotonic()

    @property
    def soft_timed_out(self) -> bool:
        """Whether the soft time limit is reached: the handler should come to an end."""
        return self.soft_limit is not None and self.soft_limit.reached

    @property
    def cancel_requested(self) -> bool:
        """
        Whether this run was told to end: somebody cancelled the task, or its time limit, its lease or its worker ended.

        The handler itself is interrupted then, an async one by its cancellation, a sync one by an exception; this is
        for what no interruption reaches: threads and callbacks that the handler started. It stays true after that.
        """
        runner = self.runner
        return runner is not None and runner.is_over

    @property
    def created_at(self) -> datetime:
        """When the task was enqueued."""
        return self.task.created

    @property
    def scheduled_for(self) -> datetime | None:
        """The moment of the schedule that this task is an occurrence of; None for other tasks."""
        return self.task.scheduled_for

    @property
    def idempotency_key(self) -> str:
        """
        The same in every run of this task, and in no other task.

        A run may be repeated after its effects took place, when its worker dies. Give this key to the systems that
        the handler calls, so that they can tell a repetition.

        It stays the same when the payload is changed after a run: by ``change`` or ``retry`` with a payload, or by an
        enqueue of a unique task (``Unique(mode="replace")`` or ``"latest"``). Where that may happen, add to the key
        what the effect depends on.
        """
        return self.task.id

    @property
    def payload(self) -> Any:
        """
        The payload as plain JSON values, as it was sent; None when there is none.

        Raises:
            InvalidPayloadError: It is no JSON; ``task.payload`` holds the bytes.
        """
        if self._payload is _UNREAD:
            data = self.task.payload
            try:
                self._payload = decode_value(data) if data else None
            except ValueError as error:
                raise InvalidPayloadError(self.task.type, f"it is no JSON ({error})") from None
        return self._payload

    @property
    def dependency_results(self) -> dict[str, Any]:
        """
        What the tasks gave that this one depends on, by their ids in the order in which they were named.

        Each is a result as plain JSON values; or, of a task that failed and for which ``on_failure="run"`` was said,
        an object with the one key ``error``: its ``type``, ``message``, ``state`` and ``end``. One whose failure is
        ignored is not there. Empty unless the task was enqueued with ``load_dependencies=True``.
        """
        try:
            return self._results
        except AttributeError:
            self._results: dict[str, Any] = dependency_values(self.task)
            return self._results

    def progress(self, current: float, total: float | None = None, text: str = "") -> None:
        """
        Say how far this run is. Never blocks, and no server can make it fail; from any thread.

        It is told at once to who listens (``handle.events()``), and kept in the task's record, the last value of
        all, about once a second (``handle.progress()``). A task that ended has none any more.

        Args:
            current: How much is done, in any unit.
            total: How much there is; None if nobody knows.
            text: What is being done; cut to 500 characters.

        Raises:
            InvalidSettingError: A number is none, negative or beyond 2**53, or the text is no string.
        """
        said = make_progress(current, total, text, datetime.now(UTC))
        if self._reporter is not None:
            self._reporter.report(self.task, said)

    def extend(self, duration: Duration) -> None:
        """
        Let this run take *duration* from now on, whatever its limits said; shorter than what is left shortens it.

        The lease of the task is kept as long. The soft limit moves with the hard one, unless less time is left than lay
        between them: then there is none any more. Never blocks; from any thread. (asyncjobs calls it MarkInProgress.)

        Args:
            duration: Seconds or timedelta, more than 0.

        Raises:
            InvalidSettingError: It is no such duration.
            OutsideTaskError: The run was told to end already, or has ended.
        """
        left = seconds("the extension", duration, least=0.001)
        runner = self.runner
        if runner is not None and runner.is_over:
            raise OutsideTaskError("this run was told to end, or has ended; extend it before its limit")
        self._ends = time.monotonic() + left
        if self._reporter is not None:
            self._reporter.extended(self.task, self._ends)
        if runner is not None:
            runner.extended()

    async def aextend(self, duration: Duration) -> None:
        """Let this run take *duration* from now on; see :meth:`extend`."""
        self.extend(duration)

    def enqueue(self, task_type: str, payload: Any = None, **options: Any) -> Any:
        """
        Enqueue another task; blocks, for sync handlers. See :meth:`App.enqueue`.

        It belongs to the flow and the trace of this one, as what the handler enqueues in any other way does.

        Raises:
            BlockingCallError: In an async handler; await :meth:`aenqueue` there.
        """
        before = current_context.set(self)  # for threads that know this context and run in none
        try:
            return self._required().enqueue(task_type, payload, **options)
        finally:
            current_context.reset(before)

    async def aenqueue(self, task_type: str, payload: Any = None, **options: Any) -> Any:
        """Enqueue another task. See :meth:`enqueue` and :meth:`App.aenqueue`."""
        before = current_context.set(self)
        try:
            return await self._required().aenqueue(task_type, payload, **options)
        finally:
            current_context.reset(before)

    def _required(self) -> Enqueuer:
        if self._enqueuer is None:
            raise OutsideTaskError("this context has no application to enqueue with; a worker's has")
        return self._enqueuer


current_context: ContextVar[Context | None] = ContextVar("jetq_context", default=None)
"""Set by the executor around a handler and its middleware."""


def current() -> Context:
    """
    Return the context of the task that the current code runs for.

    Raises:
        OutsideTaskError: No handler runs here.
    """
    context = current_context.get()
    if context is None:
        raise OutsideTaskError
    return context

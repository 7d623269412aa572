"""
context: what a handler may ask about the task that it runs for.

:func:`current` gives the same context to code further down, in the same asyncio task or thread and in what they start
with a copy of their context variables.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, Protocol

from jetq.errors import InvalidPayloadError, OutsideTaskError
from jetq.model.record import TaskRecord
from jetq.routing.binding import Arguments
from jetq.routing.signature import ContextMark
from jetq.routing.values import decode_value

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


class Context(ContextMark):
    """
    The task that a handler runs for, and what it may do meanwhile.

    Args:
        task: The record, as the claim of this run wrote it.
        worker: The worker's id.
        limit: Seconds that this run may take.
        logger: For :attr:`logger`; None is the logger ``jetq.task``.
        enqueuer: For :meth:`enqueue`; None leaves it unusable.

    Attributes:
        task: The record.
        worker: The worker's id.
        logger: Its lines carry the task's id, type, queue, attempt and worker.
        arguments: The positional and keyword arguments that the handler is called with, after the context.
    """

    __slots__ = ("_ends", "_enqueuer", "_payload", "arguments", "logger", "task", "worker")

    def __init__(
        self,
        task: TaskRecord,
        *,
        worker: str = "",
        limit: float = float("inf"),
        logger: Any = None,
        enqueuer: Enqueuer | None = None,
    ) -> None:
        self.task = task
        self.worker = worker
        self.logger: Any = TASK_LOGGER if logger is None else logger
        self._enqueuer = enqueuer
        self._ends = time.monotonic() + limit
        self._payload: Any = _UNREAD
        self.arguments: Arguments = ((), {})

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

    def enqueue(self, task_type: str, payload: Any = None, **options: Any) -> Any:
        """
        Enqueue another task; blocks, for sync handlers. See :meth:`App.enqueue`.

        Raises:
            BlockingCallError: In an async handler; await :meth:`aenqueue` there.
        """
        return self._required().enqueue(task_type, payload, **options)

    async def aenqueue(self, task_type: str, payload: Any = None, **options: Any) -> Any:
        """Enqueue another task. See :meth:`App.aenqueue`."""
        return await self._required().aenqueue(task_type, payload, **options)

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

"""
handle: one enqueued task, in the hands of who enqueued it.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.event_stream import EventStream
from jetq.client.following import TaskEvent, task_events
from jetq.client.operating import Operable
from jetq.client.waiting import wait_for_end
from jetq.errors import (
    TaskCancelledError,
    TaskExpiredError,
    TaskFailedError,
    TaskNotFoundError,
    TaskTerminatedError,
    TaskUnreachableError,
)
from jetq.jetstream.task_store import Stored
from jetq.model.progress import Progress
from jetq.model.quantity import seconds
from jetq.model.record import TaskRecord
from jetq.model.state import End, State
from jetq.wire.progress import decode_progress

R = TypeVar("R")
Timeout = float | timedelta | None


class TaskHandle(Operable, Generic[R]):
    """
    A task's id, what can be asked about the task, and what can be done to it.

    Attributes:
        id: The task's id.
        type: Its task type.
        queue: Its queue.
        is_new: It was made by the enqueue that returned this handle; False for a task that was there already.
    """

    __slots__ = ("_clients", "_decode", "id", "is_new", "queue", "type")

    def __init__(
        self,
        task_id: str,
        task_type: str,
        queue: str,
        *,
        clients: Clients,
        decode: Callable[[bytes], Any],
        is_new: bool = False,
    ) -> None:
        self.id = task_id
        self.type = task_type
        self.queue = queue
        self.is_new = is_new
        self._clients = clients
        self._decode = decode

    def __repr__(self) -> str:
        return f"<TaskHandle {self.type} {self.id} in {self.queue}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskHandle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def events(self) -> EventStream[TaskEvent]:
        """
        Follow the task until its end: ``async for event in handle.events()``, or ``for`` outside of an event loop.

        The state as it is comes first, then each change, and what the handler says of its progress.

        Raises:
            TaskNotFoundError: While reading: there is no record (any more).
            ConnectionClosedError: While reading: this program closed the application before the task's end.
            ServerError: While reading: a refusal.
        """
        return task_events(self._clients, self.id)

    # asynchronous

    async def arecord(self) -> TaskRecord:
        """
        Return the task's record.

        Raises:
            TaskNotFoundError: There is none (any more).
        """
        return await self._read(await self._clients.current())

    async def astate(self) -> str:
        """
        Return the task's state as people see it: ``new``, ``scheduled``, ``active``, ``retry``, ``complete``, ...

        Raises:
            TaskNotFoundError: There is no record (any more).
        """
        return (await self.arecord()).display_state

    async def aprogress(self) -> Progress | None:
        """
        Return what the handler last said of its progress, as its record keeps it about once a second.

        None if it said nothing (``ctx.progress``), and once the task ended.

        Raises:
            TaskNotFoundError: There is no record (any more).
        """
        return decode_progress((await self.arecord()).progress)

    async def await_end(self, timeout: Timeout = None) -> TaskRecord:
        """
        Wait until the task ends, however it does, and return its record.

        Args:
            timeout: Seconds or timedelta; None waits for ever.

        Raises:
            ResultTimeoutError: It did not end in time; it goes on.
            ResultGoneError: There is no record (any more).
            ConnectionClosedError: This program closed the application meanwhile.
        """
        return (await self._wait(await self._clients.current(), timeout)).record

    async def aresult(self, timeout: Timeout = None) -> R:
        """
        Wait for the handler's return value, decoded to the handler's return annotation.

        Args:
            timeout: Seconds or timedelta; None waits for ever.

        Raises:
            TaskFailedError: The task ended without a result; the subclass says how.
            ResultTimeoutError: It did not end in time; it goes on.
            ResultGoneError: There is no record (any more).
            ConnectionClosedError: This program closed the application meanwhile.
        """
        return await self._result(await self._clients.current(), timeout)

    # blocking

    def record(self) -> TaskRecord:
        """Return the task's record; blocking :meth:`arecord`."""
        forbid_in_loop("record", "arecord")
        return self._clients.blocking(self._read)

    def state(self) -> str:
        """Return the task's state as people see it; blocking :meth:`astate`."""
        forbid_in_loop("state", "astate")
        return self._clients.blocking(self._read).display_state

    def progress(self) -> Progress | None:
        """Return what the handler last said of its progress; blocking :meth:`aprogress`."""
        forbid_in_loop("progress", "aprogress")
        return decode_progress(self._clients.blocking(self._read).progress)

    def wait(self, timeout: Timeout = None) -> TaskRecord:
        """Wait until the task ends, however it does; blocking :meth:`await_end`."""
        forbid_in_loop("wait", "await_end")
        return self._clients.blocking(lambda client: self._wait(client, timeout)).record

    def result(self, timeout: Timeout = None) -> R:
        """Wait for the handler's return value; blocking :meth:`aresult`."""
        forbid_in_loop("result", "aresult")
        return self._clients.blocking(lambda client: self._result(client, timeout))

    async def _read(self, client: Client) -> TaskRecord:
        stored = await client.backend.tasks.read(self.id)
        if stored is None:
            raise TaskNotFoundError(self.id)
        return stored.record

    async def _wait(self, client: Client, timeout: Timeout) -> Stored:
        limit = None if timeout is None else seconds("timeout", timeout)
        return await wait_for_end(client.backend, self.id, limit)

    async def _result(self, client: Client, timeout: Timeout) -> R:
        record = (await self._wait(client, timeout)).record
        if record.state is not State.COMPLETE:
            raise failure(record)
        value: R = self._decode(b"null" if record.result is None else bytes(record.result.payload))
        return value


def failure(record: TaskRecord, *, node: str = "") -> TaskFailedError:
    """Return the error that tells how a task ended without a result; *node* is its name in its flow."""
    kinds: dict[State, type[TaskFailedError]] = {
        State.TERMINATED: TaskTerminatedError,
        State.EXPIRED: TaskCancelledError if record.end == End.CANCELLED else TaskExpiredError,
        State.UNREACHABLE: TaskUnreachableError,
    }
    error = record.error
    return kinds.get(record.state, TaskFailedError)(
        record.id,
        record.display_state,
        record.end,
        error_type=error.type if error else "",
        error_message=error.message if error else record.last_err,
        remote_traceback=error.traceback if error else "",
        node=node,
    )

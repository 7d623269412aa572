"""
operating: what the holder of a task's id may do to the task.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from msgspec.structs import replace

from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.waiting import wait_for_end
from jetq.model.operation import UNCHANGED, Effect, OperatedTask, Unchanged
from jetq.model.quantity import Duration, seconds
from jetq.routing.binding import encode

Patience = Duration | None
"""Seconds or timedelta; None does not wait."""


class ChangeValues(TypedDict, total=False):
    """
    What changes in a task; what is not named stays.

    Attributes:
        payload: Anything that is JSON, for a Python handler an object with its arguments by name; None for none. It is
            checked as the worker will check it where this application has the handler.
        deadline: Seconds (or timedelta) from now, or an aware datetime, after which it is not started; None for none.
        max_tries: How often it may run; 0 is unlimited.
        queue: Another queue, which must exist.
    """

    payload: Any
    deadline: Duration | datetime | None
    max_tries: int
    queue: str


class Operable:
    """A task that can be operated on: the part of a handle that changes its task."""

    __slots__ = ()

    id: str
    type: str
    _clients: Clients

    # asynchronous

    async def acancel(self, *, by: str = "", wait: Patience = None) -> OperatedTask:
        """
        Cancel the task: end it, or ask the worker that runs it to stop it.

        An async handler is cancelled, one in a thread is stopped by an exception; a run that ends first keeps its
        outcome. The answer's ``effect`` says ``requested`` while the run may still go on.

        Args:
            by: Who wants that; kept in the record.
            wait: How long to wait for the end of a run, seconds or timedelta; None does not wait.

        Raises:
            OperationRefusedError: It has ended, or a Go worker runs it.
            TaskNotFoundError: There is no record (any more).
            ResultTimeoutError: The run did not end while it was waited for.
        """
        return await self._cancel(await self._clients.current(), by, wait)

    async def aretry(self, *, dependents: bool = False, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """
        Start the task again if it ended, or run it now if it waits; its tries begin anew.

        Args:
            dependents: Tasks that became unreachable, since it failed, wait for it again.
            **changes: ``payload``, ``deadline``, ``max_tries``, ``queue``; what is not named stays.

        Raises:
            OperationRefusedError: It runs; its deadline has passed and no new one is given; another task has its unique
                key; or it is signed, and there is no key to sign the changes with.
            TaskNotFoundError: There is no record (any more).
            InvalidPayloadError: The payload is not JSON, or not what the handler takes.
        """
        return await self._retry(await self._clients.current(), changes, dependents=dependents)

    async def arun_now(self) -> OperatedTask:
        """
        Let the task wait no longer; its tries count on.

        Raises:
            OperationRefusedError: It does not wait for its time.
            TaskNotFoundError: There is no record (any more).
        """
        return await self._run_now(await self._clients.current())

    async def adelete(self, *, force: bool = False) -> OperatedTask:
        """
        Remove the task with all that belongs to it.

        Args:
            force: Also while it runs: the run goes on, and its result is dropped.

        Raises:
            OperationRefusedError: It runs.
            TaskNotFoundError: There is no record (any more).
        """
        return await self._delete(await self._clients.current(), force)

    async def achange(self, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """
        Change the task while it waits, for its time or in its queue.

        Args:
            **changes: ``payload``, ``deadline``, ``max_tries``, ``queue``; what is not named stays.

        Raises:
            OperationRefusedError: It runs or has ended; or it is signed, and there is no key to sign the changes with.
            TaskNotFoundError: There is no record (any more).
            InvalidSettingError: A change cannot be meant, or there is none.
            InvalidPayloadError: The payload is not JSON, or not what the handler takes.
        """
        return await self._change(await self._clients.current(), changes)

    # blocking

    def cancel(self, *, by: str = "", wait: Patience = None) -> OperatedTask:
        """Cancel the task; blocking :meth:`acancel`."""
        return self._blocking("cancel", lambda client: self._cancel(client, by, wait))

    def retry(self, *, dependents: bool = False, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """Start the task again; blocking :meth:`aretry`."""
        return self._blocking("retry", lambda client: self._retry(client, changes, dependents=dependents))

    def run_now(self) -> OperatedTask:
        """Let the task wait no longer; blocking :meth:`arun_now`."""
        return self._blocking("run_now", self._run_now)

    def delete(self, *, force: bool = False) -> OperatedTask:
        """Remove the task; blocking :meth:`adelete`."""
        return self._blocking("delete", lambda client: self._delete(client, force))

    def change(self, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """Change the task while it waits; blocking :meth:`achange`."""
        return self._blocking("change", lambda client: self._change(client, changes))

    # one body for each, in whatever loop

    def _blocking(self, name: str, work: Callable[[Client], Coroutine[Any, Any, OperatedTask]]) -> OperatedTask:
        forbid_in_loop(name, f"a{name}")
        return self._clients.blocking(work)

    async def _cancel(self, client: Client, by: str, wait: Patience) -> OperatedTask:
        limit = None if wait is None else seconds("wait", wait)
        done = await client.operations.cancel(self.id, by=by)
        if limit is None or done.effect is not Effect.REQUESTED:
            return done
        ended = (await wait_for_end(client.backend, self.id, limit)).record
        return replace(done, after=ended.display_state)

    async def _retry(self, client: Client, changes: ChangeValues, *, dependents: bool) -> OperatedTask:
        return await client.operations.retry(
            self.id,
            queue=changes.get("queue"),
            payload=self._payload(changes),
            deadline=_deadline(client, changes),
            max_tries=changes.get("max_tries", UNCHANGED),
            dependents=dependents,
        )

    async def _run_now(self, client: Client) -> OperatedTask:
        return await client.operations.run_now(self.id)

    async def _delete(self, client: Client, force: bool) -> OperatedTask:
        return await client.operations.delete(self.id, force=force)

    async def _change(self, client: Client, changes: ChangeValues) -> OperatedTask:
        return await client.operations.change(
            self.id,
            queue=changes.get("queue", UNCHANGED),
            payload=self._payload(changes),
            deadline=_deadline(client, changes),
            max_tries=changes.get("max_tries", UNCHANGED),
        )

    def _payload(self, changes: ChangeValues) -> bytes | Unchanged | None:
        if "payload" not in changes:
            return UNCHANGED
        payload = changes["payload"]
        return None if payload is None else encode(payload, self.type or self.id, named=False)


def _deadline(client: Client, changes: ChangeValues) -> datetime | Unchanged | None:
    deadline = changes.get("deadline", UNCHANGED)
    if deadline is None or isinstance(deadline, (datetime, Unchanged)):
        return deadline
    return client.backend.connection.clock.now() + timedelta(seconds=seconds("deadline", deadline))

"""
stored_schedules: schedules that are stored, whoever did it; what users of an application see as ``app.add_schedule``.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypedDict, TypeVar, Unpack

from jetq.admin.schedule_keeper import ScheduleKeeper, ScheduleView
from jetq.app.call import TaskCall
from jetq.app.schedules import DeclaredSchedule, Scheduling
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.handle import TaskHandle
from jetq.model.quantity import Duration
from jetq.model.schedule import Spec
from jetq.model.stored_schedule import Misfire
from jetq.settings import Settings
from jetq.wire.signature import Signer

_T = TypeVar("_T")


class ScheduleValues(TypedDict, total=False):
    """What may be said of a schedule; as of :meth:`App.cron`."""

    timezone: str | None
    queue: str | None
    deadline: Duration | None
    max_tries: int | None
    misfire: Misfire | str
    max_late: Duration
    limit: int
    jitter: Duration
    enabled: bool
    start: datetime | None
    end: datetime | None


class ScheduleOperator:
    """Stores schedules, looks at them, and changes them; those that the application declares are :meth:`App.cron`'s."""

    clients: Clients
    settings: Settings

    def handle(self, task_id: str, task_type: str = "", queue: str = "") -> TaskHandle[Any]:
        """Return a handle of a task that somebody enqueued, by its id."""
        raise NotImplementedError

    # asynchronous

    async def alist_schedules(self) -> list[ScheduleView]:
        """Return all stored schedules; see :meth:`list_schedules`."""
        return await self._keep(await self.clients.current(), lambda keeper: keeper.list_all())

    async def aget_schedule(self, name: str) -> ScheduleView:
        """Return one stored schedule; see :meth:`get_schedule`."""
        return await self._keep(await self.clients.current(), lambda keeper: keeper.view(name))

    async def aadd_schedule(
        self, name: str, spec: Spec, call: TaskCall[Any], *, replace: bool = False, **values: Unpack[ScheduleValues]
    ) -> bool:
        """Store a schedule; see :meth:`add_schedule`."""
        declared = Scheduling().cron(name, spec, call, **values)
        return await _add(await self.clients.current(), declared, replace=replace)

    async def adelete_schedule(self, name: str, *, force: bool = False) -> None:
        """Remove a stored schedule; see :meth:`delete_schedule`."""
        await self._keep(await self.clients.current(), lambda keeper: keeper.remove(name, force=force))

    async def adisable_schedule(self, name: str) -> bool:
        """Stop a schedule; see :meth:`disable_schedule`."""
        return await self._keep(await self.clients.current(), lambda keeper: keeper.pause(name, paused=True))

    async def aenable_schedule(self, name: str) -> bool:
        """Let a schedule go on; see :meth:`enable_schedule`."""
        return await self._keep(await self.clients.current(), lambda keeper: keeper.pause(name, paused=False))

    async def arun_schedule(self, name: str) -> TaskHandle[Any]:
        """Make a task of a schedule now; see :meth:`run_schedule`."""
        return self.handle(await self._keep(await self.clients.current(), lambda keeper: keeper.run(name)))

    # blocking

    def list_schedules(self) -> list[ScheduleView]:
        """
        Return all stored schedules of this namespace, whoever stored them, in the order of their names.

        Raises:
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`alist_schedules` there.
        """
        forbid_in_loop("list_schedules", "alist_schedules")
        return self._block(lambda keeper: keeper.list_all())

    def get_schedule(self, name: str) -> ScheduleView:
        """
        Return one stored schedule.

        Raises:
            UnknownScheduleError: There is none.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aget_schedule` there.
        """
        forbid_in_loop("get_schedule", "aget_schedule")
        return self._block(lambda keeper: keeper.view(name))

    def add_schedule(
        self, name: str, spec: Spec, call: TaskCall[Any], *, replace: bool = False, **values: Unpack[ScheduleValues]
    ) -> bool:
        """
        Store a schedule, beside those that the application declares; schedulers that run take it up at once.

        Args:
            name: Its name.
            spec: When it is due, as of :meth:`cron`.
            call: The task and its arguments.
            replace: One of this name takes over what is said, and keeps when it was created.
            **values: As of :meth:`cron`.

        Returns:
            Whether anything was written: a schedule that is stored like this already is left alone.

        Raises:
            ScheduleExistsError: There is one of this name.
            ScheduleOwnedError: An application declares it.
            UnknownQueueError: There is no such queue.
            ConfigurationError: A value cannot be used; see :meth:`cron`.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aadd_schedule` there.
        """
        forbid_in_loop("add_schedule", "aadd_schedule")
        declared = Scheduling().cron(name, spec, call, **values)
        return self.clients.blocking(lambda client: _add(client, declared, replace=replace))

    def delete_schedule(self, name: str, *, force: bool = False) -> None:
        """
        Remove a stored schedule; its tasks stay.

        Args:
            name: Its name.
            force: Also one that an application declares, whose next start brings it back.

        Raises:
            UnknownScheduleError: There is none.
            ScheduleOwnedError: An application declares it, and *force* is off.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`adelete_schedule` there.
        """
        forbid_in_loop("delete_schedule", "adelete_schedule")
        self._block(lambda keeper: keeper.remove(name, force=force))

    def disable_schedule(self, name: str) -> bool:
        """
        Let a schedule make no tasks until it is enabled, whatever is deployed; say whether that changed anything.

        Raises:
            UnknownScheduleError: There is none.
            MalformedScheduleError: What stands there cannot be understood.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`adisable_schedule` there.
        """
        forbid_in_loop("disable_schedule", "adisable_schedule")
        return self._block(lambda keeper: keeper.pause(name, paused=True))

    def enable_schedule(self, name: str) -> bool:
        """Let a disabled schedule make tasks again; what it missed is not made up for. See :meth:`disable_schedule`."""
        forbid_in_loop("enable_schedule", "aenable_schedule")
        return self._block(lambda keeper: keeper.pause(name, paused=False))

    def run_schedule(self, name: str) -> TaskHandle[Any]:
        """
        Make a task of a schedule now, beside its occurrences.

        Raises:
            UnknownScheduleError: There is none.
            MalformedScheduleError: What stands there cannot be understood.
            EnqueueError, ServerError: It was not enqueued.
            BlockingCallError: Called inside a running event loop; await :meth:`arun_schedule` there.
        """
        forbid_in_loop("run_schedule", "arun_schedule")
        return self.handle(self._block(lambda keeper: keeper.run(name)))

    def _block(self, work: Callable[[ScheduleKeeper], Coroutine[Any, Any, _T]]) -> _T:
        return self.clients.blocking(lambda client: self._keep(client, work))

    async def _keep(self, client: Client, work: Callable[[ScheduleKeeper], Coroutine[Any, Any, _T]]) -> _T:
        return await work(ScheduleKeeper(client.backend, Signer.of(self.settings.signing)))


async def _add(client: Client, declared: DeclaredSchedule, *, replace: bool) -> bool:
    now = client.backend.connection.clock.now()
    return await ScheduleKeeper(client.backend).add(declared.stored(now), replace_it=replace)

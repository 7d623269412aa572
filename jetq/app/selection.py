"""
selection: many tasks at once, chosen by what they are like, and what is done to all of them.
"""

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, TypeVar, Unpack

from jetq.admin.bulk_operations import Operate, Pace, operate_many
from jetq.admin.bulk_report import BulkReport
from jetq.admin.bulk_retry import retrying
from jetq.admin.record_listing import list_records
from jetq.admin.task_filter import DEFAULT_LIMIT, TaskFilter
from jetq.admin.task_operations import TaskOperations
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.errors import InvalidSettingError
from jetq.model.quantity import whole
from jetq.model.record import TaskRecord
from jetq.settings import Settings
from jetq.wire.signature import Signer

MOST_LISTED: Final = 10_000
"""Records that a list may hold."""
Records = list[TaskRecord]
_T = TypeVar("_T")


class FilterValues(TypedDict, total=False):
    """
    What tasks must be like; all that is given must hold.

    Attributes:
        states: One or several, as people see them: ``expired``, ``scheduled``, ``cancelled``, ...
        queue: The queue's name.
        task_type: A type, in which ``*`` stands for anything.
        ids: These tasks.
        end: Why they ended, such as ``max_tries``; ``*`` stands for anything.
        error: Part of the last error's type or text, in whatever case; ``*`` stands for anything.
        created_since: Created then or later: an aware datetime, or a timedelta for so long ago by the server's clock.
        created_before: Created earlier.
        changed_since: Their record was written then or later.
        changed_before: Their record was last written earlier.
        limit: So many of them at most, those that were written first.
        flow: The id of the flow that they belong to.
    """

    states: str | Iterable[str]
    queue: str
    task_type: str
    ids: str | Iterable[str]
    end: str
    error: str
    created_since: datetime | timedelta
    created_before: datetime | timedelta
    changed_since: datetime | timedelta
    changed_before: datetime | timedelta
    limit: int
    flow: str


class BulkValues(TypedDict, total=False):
    """
    How an operation goes over many tasks.

    Attributes:
        rate: Tasks a second at most, evenly; as fast as it goes if absent.
        dry_run: Find the tasks, and change nothing.
        on_progress: Called in the loop that does the work, with the report so far, after each task.
    """

    rate: float | None
    dry_run: bool
    on_progress: Callable[[BulkReport], None] | None


class TaskSelection:
    """
    Tasks that match, when an operation on them begins; see `App.select`.

    Each task is operated on once at most, and only if it still matches when its turn comes. Refusals and failures are
    counted in the report, and end nothing.
    """

    def __init__(self, clients: Clients, settings: Settings, chosen: TaskFilter) -> None:
        self._clients = clients
        self._settings = settings
        self._chosen = chosen

    def cancel(self, **bulk: Unpack[BulkValues]) -> BulkReport:
        """End those that wait, and ask workers to stop those that run; blocks until all were tried."""
        return self._blocking("cancel", lambda client: self._cancel(client, bulk))

    async def acancel(self, **bulk: Unpack[BulkValues]) -> BulkReport:
        """End those that wait, and ask workers to stop those that run."""
        return await self._cancel(await self._clients.current(), bulk)

    def retry(self, *, queue: str | None = None, dependents: bool = False, **bulk: Unpack[BulkValues]) -> BulkReport:
        """Run those again that ended, and those now that wait, with all their tries; blocks until all were tried."""
        return self._blocking("retry", lambda client: self._retry(client, queue, bulk, dependents=dependents))

    async def aretry(
        self, *, queue: str | None = None, dependents: bool = False, **bulk: Unpack[BulkValues]
    ) -> BulkReport:
        """
        Run those again that ended, and those now that wait, with all their tries.

        Args:
            queue: Another queue for them; it must exist.
            dependents: Tasks that became unreachable, since these failed, wait for them again; those that are chosen
                themselves are left to these, and do not start alone.
            **bulk: How it goes over them, see `BulkValues`.
        """
        return await self._retry(await self._clients.current(), queue, bulk, dependents=dependents)

    def run_now(self, **bulk: Unpack[BulkValues]) -> BulkReport:
        """Run those now that wait for their time; blocks until all were tried."""
        return self._blocking("run_now", lambda client: self._run_now(client, bulk))

    async def arun_now(self, **bulk: Unpack[BulkValues]) -> BulkReport:
        """Run those now that wait for their time."""
        return await self._run_now(await self._clients.current(), bulk)

    def delete(self, *, force: bool = False, **bulk: Unpack[BulkValues]) -> BulkReport:
        """Remove them, those that run only by force; blocks until all were tried."""
        return self._blocking("delete", lambda client: self._delete(client, force, bulk))

    async def adelete(self, *, force: bool = False, **bulk: Unpack[BulkValues]) -> BulkReport:
        """
        Remove them: records, items and schedules.

        Args:
            force: Also those that run: a run goes on, and its result is dropped.
            **bulk: How it goes over them, see `BulkValues`.
        """
        return await self._delete(await self._clients.current(), force, bulk)

    def list(self, *, limit: int = DEFAULT_LIMIT) -> Records:
        """Return their records, those that changed last first; blocking :meth:`alist`."""
        return self._blocking("list", lambda client: self._list(client, limit))

    async def alist(self, *, limit: int = DEFAULT_LIMIT) -> Records:
        """
        Return their records, those that changed last first.

        They are read as the tasks stand now. The store has no index: what is not found among the last records is looked
        for in all of them.

        Args:
            limit: So many at most, up to 10,000; the selection's own limit counts as well.

        Raises:
            InvalidSettingError: The limit is none.
            ServerError: No answer, or a refusal.
        """
        return await self._list(await self._clients.current(), limit)

    # one body for each, in whatever loop

    def _blocking(self, name: str, work: Callable[[Client], Coroutine[Any, Any, _T]]) -> _T:
        forbid_in_loop(name, f"a{name}")
        return self._clients.blocking(work)

    async def _list(self, client: Client, limit: int) -> Records:
        most = whole("limit", limit, least=1, most=MOST_LISTED)
        return await list_records(client.backend, self._chosen.limited(most))

    async def _cancel(self, client: Client, bulk: BulkValues) -> BulkReport:
        return await self._apply(client, self._operations(client).cancel, bulk)

    async def _retry(self, client: Client, queue: str | None, bulk: BulkValues, *, dependents: bool) -> BulkReport:
        operate = retrying(self._operations(client), self._chosen, queue=queue, dependents=dependents)
        return await self._apply(client, operate, bulk)

    async def _run_now(self, client: Client, bulk: BulkValues) -> BulkReport:
        return await self._apply(client, self._operations(client).run_now, bulk)

    async def _delete(self, client: Client, force: bool, bulk: BulkValues) -> BulkReport:
        operations = self._operations(client)
        return await self._apply(client, lambda task_id: operations.delete(task_id, force=force), bulk)

    def _operations(self, client: Client) -> TaskOperations:
        return TaskOperations(client.backend, signer=Signer.of(self._settings.signing))

    async def _apply(self, client: Client, operate: Operate, bulk: BulkValues) -> BulkReport:
        backend = client.backend
        return await operate_many(
            backend.connection,
            backend.names,
            self._chosen,
            operate,
            pace=Pace(rate=bulk.get("rate")),
            dry_run=bulk.get("dry_run", False),
            on_progress=bulk.get("on_progress"),
        )


def filter_of(values: FilterValues, *, everything: bool) -> TaskFilter:
    """
    Return the filter.

    Raises:
        InvalidSettingError: A value cannot be used, or nothing is asked for and not everything either.
        InvalidNameError: An illegal queue or id.
    """
    given: FilterValues = {"limit": 0, **values}
    chosen = TaskFilter(**given)
    if chosen.is_open is not everything:
        wanted = "a filter such as states='expired', or everything=True, and not both"
        raise InvalidSettingError("the selection", "nothing" if chosen.is_open else "both", wanted)
    return chosen

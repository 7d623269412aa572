"""
task_listing: the tasks of a store that match a filter, those that changed last first.

The store has no index, so a list reads records. It reads them from the end, in windows that double, and stops when it
has enough: the last two hundred tasks cost the same in a store of a million. A record is never older than its task, so
windows that were written before ``created_since`` or ``changed_since`` need not be read either.

The store goes on changing. A record that is written while the list is read moves to the end, behind what is read last;
so the end is read once more, and a task that was found before gives way to what is found then. What is no record is
counted and named, and never ends a list.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from jetq.admin.task_filter import TaskFilter
from jetq.errors import MalformedRecordError
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.connection import Connection
from jetq.jetstream.record_scan import ScannedRecord, StoreExtent, measure_store, scan_records
from jetq.wire.names import Names
from jetq.wire.summary import TaskSummary, decode_summary

_LEAST_WINDOW: Final = 1000
_NAMED: Final = 20
_CLOCKS: Final = timedelta(hours=1)
"""How far the clock of who created a task may be ahead of the server's."""


class MalformedEntry(Struct, frozen=True):
    """What stands in the place of a task's record and is none."""

    task_id: str
    reason: str


class TaskListing(Struct, frozen=True):
    """
    Tasks that match.

    Attributes:
        tasks: Those whose records were written last come first.
        scanned: Records that were read.
        complete: Whether every task that matches is there; False if the limit ended the list.
        malformed: Number of entries that are no records, among those read.
        malformed_entries: The first of them.
    """

    tasks: list[TaskSummary]
    scanned: int
    complete: bool
    malformed: int = 0
    malformed_entries: list[MalformedEntry] = []


async def list_tasks(connection: Connection, names: Names, wanted: TaskFilter) -> TaskListing:
    """
    List the tasks that match *wanted*.

    Raises:
        ServerError: No answer, or a refusal.
    """
    extent = await measure_store(connection, names)
    found = _Finding(wanted.at(connection.clock.now()))
    begin, high, window = max(extent.first, 1), extent.last, _first_window(extent, wanted.limit)
    while high >= begin and not found.is_enough:
        low = max(begin, high - window + 1)
        found.begin_window()
        await scan_records(connection, names, found.visit, first=low, last=high)
        high, window = low - 1, window * 2
    ended = high < begin or found.is_before
    now = await measure_store(connection, names)
    await scan_records(connection, names, found.visit, first=extent.last + 1, last=now.last)
    return found.listing(complete=ended)


def _first_window(extent: StoreExtent, limit: int) -> int:
    """Return a number of sequences that hold about twice the wanted number of records; updates leave gaps."""
    span = extent.last - extent.first + 1
    if not limit or not extent.messages:
        return max(span, 1)
    return max(_LEAST_WINDOW, 2 * limit * span // extent.messages)


class _Finding:
    """What a list found so far."""

    def __init__(self, wanted: TaskFilter) -> None:
        self._wanted = wanted
        self._found: dict[str, tuple[int, TaskSummary]] = {}
        self._bad: dict[str, MalformedEntry] = {}
        self._scanned = 0
        self._oldest = 0
        self._not_before = max(_written_from(wanted.created_since, _CLOCKS), _written_from(wanted.changed_since))
        self._starts = False

    def begin_window(self) -> None:
        self._starts = True

    @property
    def is_before(self) -> bool:
        """Whether the last window reaches back beyond everything that may have been written since the wanted time."""
        return 0 < self._oldest < self._not_before

    @property
    def is_enough(self) -> bool:
        return self.is_before or 0 < self._wanted.limit <= len(self._found)

    def visit(self, entry: ScannedRecord) -> None:
        self._scanned += 1
        if self._starts:
            self._starts, self._oldest = False, entry.written
        known = self._found.get(entry.task_id)
        if known is not None and known[0] > entry.sequence:
            return
        try:
            task = decode_summary(entry.task_id, entry.data)
        except MalformedRecordError as error:
            self._found.pop(entry.task_id, None)
            self._bad[entry.task_id] = MalformedEntry(entry.task_id, error.reason)
            return
        self._bad.pop(entry.task_id, None)
        if self._wanted.matches(task, entry.written):
            self._found[entry.task_id] = entry.sequence, task
        else:
            self._found.pop(entry.task_id, None)

    def listing(self, *, complete: bool) -> TaskListing:
        newest_first = sorted(self._found.values(), key=lambda pair: pair[0], reverse=True)
        tasks = [task for _, task in newest_first]
        limit = self._wanted.limit or len(tasks)
        return TaskListing(
            tasks[:limit],
            self._scanned,
            complete and len(tasks) <= limit,
            len(self._bad),
            list(self._bad.values())[:_NAMED],
        )


def _written_from(since: datetime | None, before: timedelta = timedelta()) -> int:
    """Return the earliest writing, in nanoseconds since the epoch, of a record that may be wanted; 0 for any."""
    return 0 if since is None else int((since - before).timestamp() * NANOSECONDS)

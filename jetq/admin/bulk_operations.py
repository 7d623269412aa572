"""
bulk_operations: one operation on many tasks: all that match a filter, or those with given ids.

The store is read from its beginning to where it ended when the bulk began. Whatever is written afterwards stands behind
that end, also what the bulk itself writes, so each task is operated on once at most: a task that is retried and fails
again is not retried again, and a bulk always ends. What somebody else writes meanwhile is not found either; the next
bulk finds it.

Between the scan and the operation a task may change, and with a low rate there is much time for it. So its record is
read again just before: a task that matches no more is left alone, and from there on the operation decides by its own
reading, as for a single task. A bulk that is interrupted, by whatever, has done what it did and nothing by half that
the operation itself would not mend; it can be begun again.

Memory is bounded: a thousand tasks that match are known at one time, and a few are under way.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from jetq.admin.bulk_report import BulkReport
from jetq.admin.task_filter import TaskFilter
from jetq.admin.time_bounds import bounded
from jetq.errors import (
    InvalidSettingError,
    JetqError,
    MalformedRecordError,
    OperationRefusedError,
    ServerError,
    TaskNotFoundError,
)
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.connection import Connection
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.record_scan import ScannedRecord, measure_store, scan_records
from jetq.jetstream.stream_message import find_message
from jetq.model.operation import OperatedTask
from jetq.model.quantity import whole
from jetq.wire.names import Names
from jetq.wire.summary import TaskSummary, decode_summary

Operate = Callable[[str], Awaitable[OperatedTask]]
"""Does it to one task, by its id; a method of `jetq.admin.task_operations.TaskOperations`."""

AT_ONCE: Final = 32
"""Tasks under way at one time. Each takes a few round trips; more of them would only wait in the server."""

_PART: Final = 1000
"""Tasks that are known at one time. Each part takes a new scan, which costs the server some milliseconds."""
_TOLD_EVERY: Final = 1000
"""Records between two words of progress."""
_CATCH_UP: Final = 0.05
"""Seconds that a bulk may be behind its rate and still make up for; if it is more, it goes on evenly from there."""
_GIVE_UP: Final = 20
"""Failures in a row after which the rest is not tried."""


class Pace(Struct, frozen=True, kw_only=True):
    """
    How fast a bulk goes.

    Attributes:
        rate: Tasks a second, evenly; None is as fast as it goes.
        at_once: Tasks under way at one time.
    """

    rate: float | None = None
    at_once: int = AT_ONCE

    def checked(self) -> "Pace":
        """
        Return this pace.

        Raises:
            InvalidSettingError: It makes no sense.
        """
        rate = self.rate
        if rate is not None and (isinstance(rate, bool) or not 0 < rate < float("inf")):
            raise InvalidSettingError("rate", rate, "a number of tasks a second, above 0")
        whole("at_once", self.at_once, least=1)
        return self


async def operate_many(
    connection: Connection,
    names: Names,
    chosen: TaskFilter,
    operate: Operate,
    *,
    pace: Pace | None = None,
    dry_run: bool = False,
    on_progress: Callable[[BulkReport], None] | None = None,
) -> BulkReport:
    """
    Do one thing to every task that is chosen, those whose records were written first at first.

    Args:
        connection: To the server.
        names: Of the namespace.
        chosen: Which tasks, and how many of them at most.
        operate: What is done.
        pace: How fast.
        dry_run: Find the tasks, and do nothing.
        on_progress: Called with the report so far, now and then in the scan, and after each task.

    Raises:
        InvalidSettingError: The pace makes no sense.
        ServerError: No answer, or a refusal, before a task was found; later the report tells it.
    """
    pace = (pace or Pace()).checked()
    bulk = _Bulk(connection, names, await bounded(chosen, connection, names), operate, pace)
    bulk.report.dry_run = dry_run
    bulk.on_progress = on_progress
    try:
        await (bulk.look() if dry_run else bulk.run())
    except ServerError as error:
        if not bulk.report.matched:
            raise
        bulk.report.give_up(error)
    return bulk.report


class _Bulk:
    """One bulk."""

    def __init__(self, connection: Connection, names: Names, chosen: TaskFilter, operate: Operate, pace: Pace) -> None:
        self.report = BulkReport()
        self.on_progress: Callable[[BulkReport], None] | None = None
        self._connection = connection
        self._names = names
        self._chosen = chosen
        self._operate = operate
        self._rhythm = _Rhythm(pace.rate)
        self._slots = asyncio.Semaphore(pace.at_once)
        self._under_way: set[asyncio.Task[None]] = set()
        self._failed_in_row = 0

    async def look(self) -> None:
        """Find the tasks."""
        if self._chosen.ids:
            for task_id in self._chosen.ids[: self._chosen.limit or None]:
                await self._look_at(task_id)
                self._tell()
            self.report.complete = self.report.tried + self.report.matched == len(self._chosen.ids)
            return
        extent = await measure_store(self._connection, self._names)
        all_of_it = _Part(self._chosen, self.report, self._tell, most=None)
        await scan_records(self._connection, self._names, all_of_it.visit, first=max(extent.first, 1), last=extent.last)
        self._tell()

    async def run(self) -> None:
        """Find the tasks, and do it."""
        try:
            async for part in self._find():
                self._tell()
                for task_id in part:
                    await self._rhythm.beat()
                    await self._slots.acquire()
                    if self.report.fault:
                        return
                    task = asyncio.get_running_loop().create_task(self._one(task_id))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
        finally:
            while self._under_way:  # they end by themselves; whoever interrupts the bulk gets no half operations
                await asyncio.wait(set(self._under_way))

    def _tell(self) -> None:
        if self.on_progress is not None:
            self.on_progress(self.report)

    # finding

    async def _find(self) -> AsyncGenerator[Sequence[str], None]:
        """Yield the ids of tasks that match, a bounded number at one time."""
        if self._chosen.ids:
            ids = self._chosen.ids[: self._chosen.limit or None]
            self.report.matched = len(ids)
            self.report.complete = len(ids) == len(self._chosen.ids)
            if await find_stream(self._connection, self._names.tasks) is None:
                self.report.gone = len(ids)
            else:
                yield ids
            return
        extent = await measure_store(self._connection, self._names)
        begin = max(extent.first, 1)
        while begin <= extent.last and self.report.complete:
            part = _Part(self._chosen, self.report, self._tell, most=_PART)
            begin = await scan_records(self._connection, self._names, part.visit, first=begin, last=extent.last)
            yield part.ids

    async def _look_at(self, task_id: str) -> None:
        try:
            task = await self._read(task_id)
        except TaskNotFoundError:
            self.report.gone += 1
        except MalformedRecordError as error:
            self.report.fail(task_id, error)
        else:
            if task is None:
                self.report.changed += 1
            else:
                self.report.found(task)

    async def _read(self, task_id: str) -> TaskSummary | None:
        """Read a task from the leader; None if it does not match (any more)."""
        found = await find_message(self._connection, self._names.tasks, self._names.record(task_id))
        if found is None:
            raise TaskNotFoundError(task_id)
        task = decode_summary(task_id, found.data)
        return task if self._chosen.matches(task, int(found.time.timestamp() * NANOSECONDS)) else None

    # operating

    async def _one(self, task_id: str) -> None:
        report = self.report
        try:
            if self._chosen.is_by_id or await self._read(task_id) is not None:
                report.did(await self._operate(task_id))
            else:
                report.changed += 1
        except TaskNotFoundError:
            report.gone += 1
        except OperationRefusedError as refused:
            report.refuse(refused)
        except JetqError as error:
            report.fail(task_id, error)
            self._failed_in_row += 1
            if self._failed_in_row >= _GIVE_UP:
                report.give_up(error)
        else:
            self._failed_in_row = 0
        finally:
            self._slots.release()
        self._tell()


class _Part:
    """A part of the scan: so many tasks that match; None counts them all and keeps none."""

    def __init__(self, chosen: TaskFilter, report: BulkReport, tell: Callable[[], None], *, most: int | None) -> None:
        self.ids: list[str] = []
        self._chosen = chosen
        self._report = report
        self._tell = tell
        self._most = most

    def visit(self, entry: ScannedRecord) -> bool:
        report = self._report
        report.scanned += 1
        if not report.scanned % _TOLD_EVERY:
            self._tell()
        try:
            task = decode_summary(entry.task_id, entry.data)
        except MalformedRecordError:
            report.malformed += 1
            return False
        if not self._chosen.matches(task, entry.written):
            return False
        if report.matched == self._chosen.limit > 0:
            report.complete = False
            return True
        report.found(task)
        if self._most is None:
            return False
        self.ids.append(entry.task_id)
        return len(self.ids) >= self._most


class _Rhythm:
    """Lets tasks begin evenly, so many a second."""

    def __init__(self, rate: float | None) -> None:
        self._step = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0

    async def beat(self) -> None:
        """Wait until the next task may begin."""
        if not self._step:
            return
        now = asyncio.get_running_loop().time()
        begins = max(now - _CATCH_UP, self._next)
        self._next = begins + self._step
        if begins > now:
            await asyncio.sleep(begins - now)

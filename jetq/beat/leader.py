"""
leader: one leadership: the schedules, what is due, and its occurrences.

In this order, and each step only while the leadership lasts:

1. The schedules are watched; where their occurrences stand is read, and when the last leadership began.
2. What is due is made: record and item of each occurrence (`admin.occurrences`), and once they are acknowledged its
   schedule's state. So a leader that dies anywhere leaves a state that is too old, never one that is too new, and the
   next one makes again what it finds due, which changes nothing where it exists.
3. When all that was due at the beginning is dealt with, the beginning of this leadership is written down. Only then may
   the next leader take it that nothing before is missing: it catches up from the later of a schedule's last occurrence,
   the time at which the schedule was written, and that beginning.

What two leaders do at one time (one was frozen, or cut off, and does not know) is the same: occurrences are created
with the expectation that there is none, and a state is only ever moved forward, by a compare-and-swap. A leader that
wakes looks at its lease, by a clock that went on, before it does anything; what it had sent already is harmless.

If the leader before was a Go program, which leaves neither ids nor states, nothing is caught up: it is not known what
it made.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from msgspec import Struct

from jetq.admin.occurrences import OccurrenceMaker, Planned
from jetq.beat.agenda import Agenda
from jetq.beat.clock import LeaderClock
from jetq.beat.shelf import Shelf
from jetq.errors import JetqError, SequenceConflictError, ServerError, ServerTimeoutError
from jetq.jetstream.backend import Backend
from jetq.jetstream.schedule_store import SchedulerMark, StoredState
from jetq.model.scheduling import OccurrenceFailed, OccurrenceMade, OccurrencesSkipped
from jetq.model.stored_schedule import ScheduleState
from jetq.model.timetable import Due, Timetable
from jetq.wire.names import GO_NAMESPACE

_BATCH: Final = 500
"""Schedules whose occurrences are made together."""
_ABREAST: Final = 50
"""Batches under way at one time, each of one queue; one whose queue is gone takes seconds to fail."""
_LOOK_EVERY: Final = 0.5
"""Seconds between two looks, while nothing is due, at the leadership and the clock."""
_AGAIN_SILENT: Final = 1.0
"""Seconds until an occurrence is tried again that the server did not answer."""
_AGAIN_REFUSED: Final = 5.0
"""Seconds until one is tried again that it refused."""


class Term(Struct, frozen=True):
    """
    A leadership.

    Attributes:
        name: Of the leader.
        epoch: The revision of its election.
        leads: Whether it goes on; asked before each act.
        after_foreigner: The leader before was none of jetq's.
    """

    name: str
    epoch: int
    leads: Callable[[], bool]
    after_foreigner: bool = False


class Leader:
    """
    Does the work of one leadership.

    Args:
        backend: The server.
        maker: Makes occurrences.
        clock: By which they are made.
        term: The leadership.

    Attributes:
        shelf: The schedules, as they are stored now.
    """

    def __init__(self, backend: Backend, maker: OccurrenceMaker, clock: LeaderClock, term: Term) -> None:
        self._backend = backend
        self._maker = maker
        self._clock = clock
        self._term = term
        self._agenda = Agenda()
        self._wake = asyncio.Event()
        self._batches: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()
        self._defect: BaseException | None = None
        self._states: dict[str, StoredState] = {}
        self.shelf = Shelf(backend, self._agenda, clock, self._states, self._wake.set)

    async def lead(self) -> None:
        """
        Make occurrences until the leadership ends, or the clock is not to be trusted.

        Raises:
            PermissionDeniedError: This user may not do that.
            ServerError: No answer at the beginning, or a refusal.
        """
        began = self._clock.now()
        mark, sequence = await self._begin(began)
        try:
            async with self.shelf.watched() as watching:
                while self._term.leads() and self._clock.is_trusted and not (watching.done() or self._defect):
                    if not self._work() and mark is not None and self._is_settled():
                        await self._write_mark(mark, sequence)
                        mark = None
                    await self._rest()
                if watching.done():
                    await watching
                if self._defect is not None:
                    raise self._defect
        finally:
            await self._end()

    async def _begin(self, began: datetime) -> tuple[SchedulerMark | None, int]:
        """Read where everything stands; return what is to be written when this leadership has caught up."""
        store, term = self._backend.schedules, self._term
        last, sequence = await store.read_mark()
        self._states |= await store.read_states()
        is_shared = self._backend.names.namespace == GO_NAMESPACE
        if term.after_foreigner or (last is None and is_shared):
            self.shelf.floor = began
        elif last is not None:
            self.shelf.floor = min(last.since, began)
        return SchedulerMark(began, term.name, term.epoch), sequence

    def _is_settled(self) -> bool:
        """Whether all that was due so far is dealt with."""
        return self.shelf.is_complete and not self._batches and not self._failing

    async def _write_mark(self, mark: SchedulerMark, sequence: int) -> None:
        """Say since when this leader leads; where another one says so too, there are two, and its word is as good."""
        with contextlib.suppress(ServerError):
            await self._backend.schedules.write_mark(mark, sequence)

    async def _end(self) -> None:
        batches = tuple(self._batches)
        for batch in batches:
            batch.cancel()
        await asyncio.gather(*batches, return_exceptions=True)

    async def _rest(self) -> None:
        """Wait until something is due, or has changed, and no longer than to the next look."""
        at = self._agenda.next_time if len(self._batches) < _ABREAST else None
        left = _LOOK_EVERY if at is None else (at - self._clock.now()).total_seconds()
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_EVERY)):
                    await self._wake.wait()
        else:
            await asyncio.sleep(0)
        self._wake.clear()

    # occurrences

    def _work(self) -> bool:
        """Begin to make what is due; say whether there was anything."""
        if not self.shelf.is_complete or len(self._batches) >= _ABREAST:
            return True
        found = self._agenda.due(self._clock.now(), _BATCH)
        for _, group in groupby(sorted(found, key=_queue), key=_queue):
            batch = asyncio.get_running_loop().create_task(self._deal(list(group)))
            self._batches.add(batch)
            batch.add_done_callback(self._on_done)
        return bool(found)

    def _on_done(self, batch: "asyncio.Task[None]") -> None:
        self._batches.discard(batch)
        self._wake.set()
        if not batch.cancelled() and (error := batch.exception()) is not None:
            self._defect = error

    async def _deal(self, group: list[tuple[Timetable, Due]]) -> None:
        """Make the occurrences of schedules of one queue, then write how far they are."""
        planned = [Planned(table.record, each) for table, due in group for each in due.occurrences]
        errors: list[JetqError | None]
        try:
            errors = await self._maker.make_many(planned) if planned else []
        except JetqError as error:
            errors = [error] * len(planned)
        now, ends = self._clock.now(), iter(errors)
        made: list[tuple[Timetable, Due]] = []
        for table, due in group:
            failed = [error for _, error in zip(due.occurrences, ends, strict=False) if error is not None]
            if failed:
                self._put_off(table, failed[0], now)
                continue
            made.append((table, due))
            for each in due.occurrences:
                late = (now - each.planned).total_seconds()
                self._tell_made(table, each.id, each.planned, late)
            if due.skipped:
                self._backend.bus.emit(OccurrencesSkipped(schedule=table.record.name, count=due.skipped))
        await self._advance(made)

    def _tell_made(self, table: Timetable, task_id: str, planned: datetime, late: float) -> None:
        event = OccurrenceMade(schedule=table.record.name, task_id=task_id, planned=planned, late=late)
        self._backend.bus.emit(event)

    def _put_off(self, table: Timetable, error: JetqError, now: datetime) -> None:
        """Let what could not be made be tried again; when it is too late, the timetable does not bring it any more."""
        name = table.record.name
        self._failing.add(name)
        wait = _AGAIN_SILENT if isinstance(error, ServerTimeoutError) else _AGAIN_REFUSED
        self._agenda.again(table, now + timedelta(seconds=wait))
        kind = type(error).__name__
        self._backend.bus.emit(OccurrenceFailed(schedule=name, error=str(error), kind=kind))

    async def _advance(self, made: Iterable[tuple[Timetable, Due]]) -> None:
        """Write how far schedules are, and have them due again when they are due next."""
        store, listed = self._backend.schedules, list(made)
        wanted = [self._state(table, due) for table, due in listed]
        publications = [
            store.state_publication(table.record.name, state, self._sequence(table))
            for (table, _), state in zip(listed, wanted, strict=True)
        ]
        answers = await self._backend.publisher.publish_many(publications)
        for (table, due), state, answer in zip(listed, wanted, answers, strict=True):
            name = table.record.name
            if isinstance(answer, int):
                self._states[name] = StoredState(state, answer)
            elif isinstance(answer, SequenceConflictError | ServerTimeoutError):
                with contextlib.suppress(ServerError):  # the next one that is written says it as well
                    self._states[name] = await store.advance(name, state)
            self._failing.discard(name)
            if due.until is not None:
                self._agenda.done(table, due.until)

    def _state(self, table: Timetable, due: Due) -> ScheduleState:
        known = self._states.get(table.record.name, StoredState()).state
        task = due.occurrences[-1].id if due.occurrences else known.task
        return ScheduleState(due=due.until, task=task, epoch=self._term.epoch)

    def _sequence(self, table: Timetable) -> int:
        return self._states.get(table.record.name, StoredState()).sequence


def _queue(found: tuple[Timetable, Due]) -> str:
    return found[0].record.queue

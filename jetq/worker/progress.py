"""
progress: what handlers say of how far they are, told at once and kept in their records.

Telling is an event on the bus and waits for nothing. Keeping is a compare-and-swap on the record, at most once a second
and run, with the run as its fence:

======================================  ================================================================================
at                                      what follows
======================================  ================================================================================
write: refused                          the record is read. This run and active → somebody added to it (a cancel
                                        request): the progress is written on top of that. Any other run, or none → this
                                        run is lost, and its handler is stopped
write: answer lost, or another refusal  the record is read before the next write, a second later
the handler ended, a write under way    the closing write waits for it, and goes on from the sequence that it made;
                                        where that is not known it is refused, and reads (`worker.settler`)
the handler ended, a value not written  the closing write takes it along; a final record has no progress
dead at any of these                    the last value that was kept stands there until the next run says another
======================================  ================================================================================

A handler in a thread says what it says on the loop's next turns. One that says more than the loop can tell is not
waited for: what is oldest is then not told, and the last value always counts.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Container
from typing import Final

from msgspec.structs import replace

from jetq.errors import MalformedRecordError, MessageTooLargeError, SequenceConflictError, ServerError
from jetq.jetstream.task_store import Stored
from jetq.model.events import TaskProgressed, UpdateConflict
from jetq.model.progress import Progress
from jetq.model.record import Run, TaskRecord
from jetq.model.state import State
from jetq.settings import RUN_GRACE
from jetq.wire.progress import encode_progress
from jetq.worker.claims import Claim
from jetq.worker.desk import Desk
from jetq.worker.lease_table import LeaseEntry

KEEP_EVERY: Final = 1.0
"""Seconds from one write of a run's progress to the next."""
_TOLD_AT_ONCE: Final = 100
"""Values from threads that are told in one turn of the loop."""
_BACKLOG: Final = 1000
"""Values from threads that wait to be told."""


class Reports:
    """
    Hears what the runs of this worker say while they go on. Made in the worker's loop.

    Args:
        desk: The shared ground.
        running: Nonces of the runs whose handlers run now.
        lose: Stops the handler of a lost run.

    Attributes:
        said: The last value of each run that said something, by its nonce; :meth:`finish` must see to these.
    """

    def __init__(self, desk: Desk, running: Container[str], lose: Callable[[LeaseEntry], None]) -> None:
        self._desk = desk
        self._running = running
        self._lose = lose
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.said: dict[str, Progress] = {}
        self._kept: dict[str, _Keeping] = {}
        self._backlog: deque[tuple[TaskRecord, Progress]] = deque(maxlen=_BACKLOG)

    # in any thread

    def report(self, task: TaskRecord, progress: Progress) -> None:
        """Take what a handler says of its progress."""
        run = task.run
        if run is None or run.nonce not in self._running:
            return
        said = replace(progress, at=self._desk.now())
        self.said[run.nonce] = said
        if threading.get_ident() == self._thread:
            self._take(task, said)
            return
        self._backlog.append((task, said))
        if len(self._backlog) <= _TOLD_AT_ONCE:  # beyond that whoever was first has called the loop
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._take_backlog)

    def extended(self, task: TaskRecord, ends: float) -> None:
        """Keep the lease of a run until its new limit, and its grace."""
        entry = None if task.run is None else self._desk.table.find(task.run)
        if entry is not None:
            entry.ends = ends + RUN_GRACE

    # in the loop

    def _take_backlog(self) -> None:
        for _ in range(_TOLD_AT_ONCE):
            if not self._backlog:
                return
            self._take(*self._backlog.popleft())
        self._loop.call_soon(self._take_backlog)

    def _take(self, task: TaskRecord, said: Progress) -> None:
        run = task.run
        if run is None:
            return
        if run.nonce not in self._running:
            self.said.pop(run.nonce, None)
            return
        self._desk.backend.bus.emit(
            TaskProgressed(
                task_id=task.id,
                task_type=task.type,
                queue=task.queue,
                worker=run.worker,
                attempt=run.attempt,
                progress=said,
            )
        )
        keeping = self._kept.get(run.nonce)
        if keeping is None:
            keeping = self._kept[run.nonce] = _Keeping(self._desk, task.id, run, self._on_lost)
        keeping.keep(said)

    def _on_lost(self, run: Run) -> None:
        entry = self._desk.table.find(run)
        if entry is not None:
            entry.lost = True
            self._lose(entry)

    async def finish(self, claim: Claim) -> None:
        """Prepare the closing write of a run that said something: what was written for it, and what is still to be."""
        nonce = claim.entry.run.nonce
        said, keeping = self.said.pop(nonce), self._kept.pop(nonce, None)
        if keeping is None:
            claim.progress = encode_progress(said)
            return
        await keeping.close()
        if keeping.stored is not None:
            claim.stored = keeping.stored
        if keeping.latest is not said or keeping.is_due:
            claim.progress = encode_progress(said)


class _Keeping:
    """
    Keeps the progress of one run in its record.

    Args:
        desk: The shared ground.
        task_id: The task.
        run: The run.
        lost: Told if the run is found to be lost.

    Attributes:
        stored: The record as this wrote it last; None if that is not known.
        latest: What is to be kept, or was; None before there is anything.
        is_due: It is not written yet.
    """

    def __init__(self, desk: Desk, task_id: str, run: Run, lost: Callable[[Run], None]) -> None:
        self.stored: Stored | None = None
        self.latest: Progress | None = None
        self.is_due = False
        self._desk = desk
        self._task_id = task_id
        self._run = run
        self._lost = lost
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def keep(self, progress: Progress) -> None:
        """Write *progress*, now or when a second is over; the last one that is given counts."""
        self.latest, self.is_due = progress, True
        if self._timer is None and self._writing is None:
            self._begin()

    async def close(self) -> None:
        """Write no more, and wait for what is being written."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    def _begin(self) -> None:
        self._timer = None
        if self.is_due and not self._closed:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            await self._store()
        finally:
            self._writing = None
            if not self._closed:
                self._timer = asyncio.get_running_loop().call_later(KEEP_EVERY, self._begin)

    async def _store(self) -> None:
        """Write the latest value. Whatever is in the way, nothing but the record may stop the run."""
        try:
            while not await self._stored_now() and not self._closed:
                self._desk.backend.bus.emit(UpdateConflict(task_id=self._task_id, what="progress"))
        except MessageTooLargeError:
            self._closed = True  # the record has no room for it
        except (ServerError, MalformedRecordError):
            self.is_due = True

    async def _stored_now(self) -> bool:
        """Try to write the latest value; say whether nothing is to be done any more."""
        stored, self.stored = self.stored or await self._read(), None
        if stored is None or self.latest is None:
            self._closed = True
            self._lost(self._run)
            return True
        self.is_due = False
        document = stored.document.updated(replace(stored.record, progress=encode_progress(self.latest)))
        try:
            self.stored = await self._desk.backend.tasks.write(document, stored.sequence)
        except SequenceConflictError:
            self.is_due = True
            return False
        return True

    async def _read(self) -> Stored | None:
        """Read the record; None if it is not this run's any more."""
        found = await self._desk.backend.tasks.read(self._task_id)
        if found is None or found.record.run != self._run or found.record.state is not State.ACTIVE:
            return None
        return found

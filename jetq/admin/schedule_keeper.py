"""
schedule_keeper: what people and applications do with stored schedules.

Each write is a compare-and-swap on what was read, and repeated from the reading when somebody else wrote in between.
What is written is what changes; a schedule that is as it should be is never written again, since each write makes Go's
schedulers begin anew with it.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jetq.admin.occurrences import OccurrenceMaker, Planned
from jetq.errors import (
    InvalidScheduleError,
    MalformedScheduleError,
    ScheduleChangedError,
    ScheduleExistsError,
    ScheduleOwnedError,
    SequenceConflictError,
    UnknownQueueError,
    UnknownScheduleError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.schedule_store import ScheduleEntry, StoredState
from jetq.jetstream.stream_message import find_message
from jetq.jetstream.task_store import Stored
from jetq.model.record import TaskRecord
from jetq.model.scheduling import SchedulesDeployed
from jetq.model.stored_schedule import StoredSchedule, check_schedule_name, reconciled
from jetq.model.timetable import Occurrence, Timetable
from jetq.settings import Queue
from jetq.wire.ids import new_id
from jetq.wire.schedules import ScheduleDocument, decode_schedule, new_schedule_document
from jetq.wire.signature import Signer

_TRIES: Final = 5
_COMPONENT: Final = "task_scheduler"


class ScheduleView(Struct, frozen=True, kw_only=True):
    """
    A stored schedule, and how it goes with it.

    Attributes:
        name: Its name.
        record: As it is stored; None if that cannot be understood.
        problem: Why it cannot be used; empty if it can.
        next: When it is due next; None if it is not.
        last: When it was due last, as far as its occurrences are dealt with.
        last_task: The id of its last occurrence's task.
        last_record: The record of that; None if there is none (any more).
    """

    name: str
    record: StoredSchedule | None
    problem: str = ""
    next: datetime | None = None
    last: datetime | None = None
    last_task: str = ""
    last_record: TaskRecord | None = None

    @property
    def state(self) -> str:
        """What it does, in a word: ``on``, ``off`` (as declared), ``disabled`` (by somebody), ``over``, ``broken``."""
        if self.record is None or self.problem:
            return "broken"
        if self.record.paused:
            return "disabled"
        if not self.record.enabled:
            return "off"
        return "on" if self.next is not None else "over"

    def to_object(self) -> dict[str, Any]:
        """Return it as JSON shows it: what is stored, by asyncjobs' names and jetq's, and how it goes with it."""
        stored: dict[str, Any] = (
            {} if self.record is None else msgspec.to_builtins(new_schedule_document(self.record).fields)
        )
        return {
            **stored,
            "name": self.name,
            "state": self.state,
            "problem": self.problem,
            "next": self.next,
            "last": self.last,
            "last_task": self.last_task,
            "last_outcome": "" if self.last_record is None else self.last_record.display_state,
        }


class ScheduleKeeper:
    """
    Looks at stored schedules, and changes them.

    Args:
        backend: The server.
        signer: Signs the tasks that are made; None leaves them unsigned.
    """

    def __init__(self, backend: Backend, signer: Signer | None = None) -> None:
        self._backend = backend
        self._store = backend.schedules
        self._maker = OccurrenceMaker(backend, signer)

    # looking

    async def list_all(self) -> list[ScheduleView]:
        """
        Return all stored schedules, in the order of their names.

        Raises:
            ServerError: No answer, or a refusal.
        """
        entries, states = await asyncio.gather(self._store.read_all(), self._store.read_states())
        listed = [(entry, states.get(entry.name, StoredState())) for entry in entries]
        tasks = [state.state.task for _, state in listed if state.state.task]
        records = dict(zip(tasks, await self._backend.tasks.read_each(tasks, _record_of), strict=True))
        return [self._view(entry, state, records.get(state.state.task)) for entry, state in listed]

    async def view(self, name: str) -> ScheduleView:
        """
        Return one stored schedule.

        Raises:
            InvalidNameError: No schedule can have this name.
            UnknownScheduleError: There is none.
            ServerError: No answer, or a refusal.
        """
        entry = await self._existing(name)
        state = await self._store.read_state(name)
        task = state.state.task
        records = await self._backend.tasks.read_each([task], _record_of) if task else [None]
        return self._view(entry, state, records[0])

    async def leader(self) -> str:
        """
        Return the name of the scheduler that leads; empty if none does.

        Raises:
            ServerError: No answer, or a refusal.
        """
        names = self._backend.names
        stream = names.bucket_stream(names.elections)
        found = await find_message(self._backend.connection, stream, names.election(_COMPONENT))
        return "" if found is None else found.data.decode(errors="replace")

    def _view(self, entry: ScheduleEntry, state: StoredState, last_record: TaskRecord | None) -> ScheduleView:
        record: StoredSchedule | None = None
        problem, following = "", None
        try:
            record = decode_schedule(entry.name, entry.data).record
            now = self._backend.connection.clock.now()
            following = Timetable.of(record).after(max(now, state.state.due or now))
        except (MalformedScheduleError, InvalidScheduleError) as error:
            problem = str(error)
        return ScheduleView(
            name=entry.name,
            record=record,
            problem=problem,
            next=following,
            last=state.state.due,
            last_task=state.state.task,
            last_record=last_record,
        )

    async def _existing(self, name: str) -> ScheduleEntry:
        entry = await self._store.read(check_schedule_name(name))
        if not entry.data:
            raise UnknownScheduleError(name)
        return entry

    # changing

    async def add(self, record: StoredSchedule, *, replace_it: bool = False) -> bool:
        """
        Store a schedule.

        Args:
            record: It; its queue must exist, unless it is the default one.
            replace_it: One of this name takes over what *record* says, and keeps when it was created.

        Returns:
            Whether anything was written: a schedule that is stored like this already is left alone.

        Raises:
            InvalidScheduleError: Its spec cannot be meant.
            UnknownQueueError: Its queue does not exist.
            ScheduleExistsError: There is one, and it is not to be replaced.
            ScheduleOwnedError: An application declares it.
            ServerError: No answer, or a refusal.
        """
        Timetable.of(record, strict=True)
        backend = self._backend
        await backend.topology.ensure(())
        if record.queue == backend.settings.default_queue:
            await backend.queue(Queue(record.queue))
        elif await find_stream(backend.connection, backend.names.queue(record.queue)) is None:
            raise UnknownQueueError(record.queue)
        for _ in range(_TRIES):
            entry = await self._store.read(check_schedule_name(record.name))
            if entry.data and not replace_it:
                stored = _understood(entry)
                raise ScheduleExistsError(record.name, "" if stored is None else stored.record.origin)
            if await self._write(entry, record, "replacement"):
                return True
            if entry.data and _is_stored(entry, record):
                return False
        raise ScheduleChangedError(record.name)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """
        Remove a schedule, whatever stands there. Tasks that it made stay.

        Raises:
            UnknownScheduleError: There is none.
            ScheduleOwnedError: An application declares it, and *force* is off.
            ServerError: No answer, or a refusal.
        """
        for _ in range(_TRIES):
            entry = await self._existing(name)
            stored = _understood(entry)
            if stored is not None and stored.record.origin and not force:
                raise ScheduleOwnedError(name, stored.record.origin, "deletion")
            try:
                await self._store.remove(name, entry.sequence)
            except SequenceConflictError:
                continue
            return
        raise ScheduleChangedError(name)

    async def pause(self, name: str, *, paused: bool) -> bool:
        """
        Stop a schedule from making occurrences, or let it go on; say whether that changed anything.

        A deployment does not undo it. What would have been due meanwhile is not made up for.

        Raises:
            UnknownScheduleError: There is none.
            MalformedScheduleError: What stands there cannot be understood.
            ServerError: No answer, or a refusal.
        """
        for _ in range(_TRIES):
            entry = await self._existing(name)
            document = decode_schedule(name, entry.data)
            wanted = replace(document.record, paused=paused)
            if wanted == document.record:
                return False
            if await self._swap(entry, document.updated(wanted)):
                return True
        raise ScheduleChangedError(name)

    async def run(self, name: str) -> str:
        """
        Make a task of a schedule now, beside its occurrences, and return its id.

        Raises:
            UnknownScheduleError: There is none.
            MalformedScheduleError: What stands there cannot be understood.
            EnqueueError: It was not enqueued.
            ServerError: No answer, or a refusal.
        """
        entry = await self._existing(name)
        record = decode_schedule(name, entry.data).record
        now = self._backend.connection.clock.now()
        task_id = new_id()
        errors = await self._maker.make_many([Planned(record, Occurrence(task_id, now, now))])
        if errors[0] is not None:
            raise errors[0]
        return task_id

    async def deploy(self, origin: str, declared: Iterable[StoredSchedule]) -> SchedulesDeployed:
        """
        Store what an application declares, and remove what it declared before and does no more. Idempotent.

        A name that somebody else's schedule has is left to that.

        Args:
            origin: The application, as `model.stored_schedule.code_origin` names it.
            declared: Its schedules, of this origin.

        Raises:
            InvalidScheduleError: A spec cannot be meant; nothing was written.
            ServerError: No answer, or a refusal; the rest is not done.
        """
        wanted = {record.name: record for record in declared}
        stored = {entry.name: entry for entry in await self._store.read_all()}
        told: dict[str, list[str]] = {"written": [], "removed": [], "refused": []}
        for name, record in wanted.items():
            entry = stored.get(name, ScheduleEntry(name, b"", 0))
            told_as = await self._deploy(entry, record)
            if told_as:
                told[told_as].append(name)
        for entry in stored.values():
            known = _understood(entry)
            if known is not None and known.record.origin == origin and entry.name not in wanted:
                try:
                    await self._store.remove(entry.name, entry.sequence)
                except SequenceConflictError:
                    continue  # another process of the same application did it, or somebody took it over
                told["removed"].append(entry.name)
        return SchedulesDeployed(origin=origin, **{key: tuple(names) for key, names in told.items()})

    async def _deploy(self, entry: ScheduleEntry, record: StoredSchedule) -> str:
        for _ in range(_TRIES):
            known = _understood(entry)
            if entry.data and (known is None or known.record.origin != record.origin):
                return "refused"
            if entry.data and known is not None and reconciled(known.record, record) is None:
                return ""
            if await self._write(entry, record, "deployment"):
                return "written"
            entry = await self._store.read(entry.name)
        raise ScheduleChangedError(record.name)

    async def _write(self, entry: ScheduleEntry, record: StoredSchedule, operation: str) -> bool:
        """Write a schedule over what was read; False if it stands there, or if somebody else wrote meanwhile."""
        known = _understood(entry)
        if known is None:
            return await self._swap(entry, new_schedule_document(record))
        if known.record.origin and known.record.origin != record.origin:
            raise ScheduleOwnedError(record.name, known.record.origin, operation)
        wanted = reconciled(known.record, record)
        return wanted is not None and await self._swap(entry, known.updated(wanted))

    async def _swap(self, entry: ScheduleEntry, document: ScheduleDocument) -> bool:
        expect = entry.sequence
        if not expect:  # a name whose schedule was removed holds a marker, of which lists do not tell
            found = await self._store.read(entry.name)
            if found.data:
                return False
            expect = found.sequence
        try:
            await self._store.write(entry.name, document.encode(), expect)
        except SequenceConflictError:
            return False
        return True


def _understood(entry: ScheduleEntry) -> ScheduleDocument | None:
    if not entry.data:
        return None
    try:
        return decode_schedule(entry.name, entry.data)
    except MalformedScheduleError:
        return None


def _is_stored(entry: ScheduleEntry, record: StoredSchedule) -> bool:
    known = _understood(entry)
    return known is not None and reconciled(known.record, record) is None


def _record_of(stored: Stored | None) -> TaskRecord | None:
    return None if stored is None else stored.record

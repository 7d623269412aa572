"""
schedule_store: stored schedules, how far their occurrences are made, and since when a scheduler leads.

All of it stands in the bucket of the configuration. Every write is a compare-and-swap on the sequence of what it
replaces; what decides something is read from the bucket's leader. Go's schedulers watch ``scheduled_tasks.*`` and take
each write there for another schedule, so nothing is written there that does not change a schedule: how far the
occurrences are has a key of its own.
"""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from jetq.errors import MalformedScheduleError, SequenceConflictError
from jetq.jetstream.connection import Connection
from jetq.jetstream.message import encode_headers
from jetq.jetstream.publisher import Publication, Publisher, expecting
from jetq.jetstream.record_scan import ScannedRecord, scan_bucket
from jetq.jetstream.stream_message import find_message, purge_subject
from jetq.model.record import Count, Moment
from jetq.model.stored_schedule import ScheduleState
from jetq.wire.names import EXPECT_SUBJECT_SEQUENCE, KV_DELETED, KV_OPERATION, Names
from jetq.wire.schedules import decode_schedule_state, encode_schedule_state

NOTHING: Final = ScheduleState()
_TRIES: Final = 5
_encode: Final = msgspec.json.Encoder().encode


class SchedulerMark(Struct, frozen=True, omit_defaults=True):
    """
    The last leadership that dealt with all that was due at its beginning. See docs/reference/protocol.md.

    Attributes:
        since: When it began, by the server's clock.
        by: Who it was.
        epoch: The revision of its election.
    """

    since: Moment
    by: str = ""
    epoch: Count = 0


class ScheduleEntry(Struct, frozen=True, gc=False):
    """
    A stored schedule, not looked into.

    Attributes:
        name: As its key has it.
        data: The bytes; empty for one that was removed.
        sequence: Of its message; the next write expects it.
        written: When, by the server's clock; None if it was read in a way that does not tell.
    """

    name: str
    data: bytes
    sequence: int
    written: datetime | None = None


class StoredState(Struct, frozen=True, gc=False):
    """A state and the sequence of its message, 0 if there is none."""

    state: ScheduleState = NOTHING
    sequence: int = 0


_mark: Final = msgspec.json.Decoder(SchedulerMark)


class ScheduleStore:
    """
    Reads and writes schedules.

    Args:
        connection: For reading.
        publisher: For writing.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, publisher: Publisher, names: Names) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names
        self.stream = names.bucket_stream(names.configuration)

    # schedules

    async def read(self, name: str) -> ScheduleEntry:
        """
        Read a schedule; without bytes if there is none.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found = await find_message(self._connection, self.stream, self._names.stored_schedule(name))
        if found is None:
            return ScheduleEntry(name, b"", 0)
        return ScheduleEntry(name, found.data, found.seq, found.time)

    async def read_all(self) -> list[ScheduleEntry]:
        """
        Read all schedules, in the order of their names.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found: dict[str, ScheduleEntry] = {}

        def visit(scanned: ScannedRecord) -> None:
            found[scanned.task_id] = ScheduleEntry(scanned.task_id, scanned.data, scanned.sequence)

        await scan_bucket(self._connection, self.stream, self._names.stored_schedules_subject, visit)
        return sorted((entry for entry in found.values() if entry.data), key=lambda entry: entry.name)

    async def write(self, name: str, data: bytes, expect: int) -> int:
        """
        Write a schedule over the message with the sequence *expect* (0: there must be none), and return its sequence.

        Raises:
            SequenceConflictError: Somebody else wrote, or an earlier copy of this very write did.
            ServerTimeoutError: No answer; it may have been written.
        """
        return await self._publisher.publish(Publication(self._names.stored_schedule(name), data, expecting(expect)))

    async def remove(self, name: str, expect: int) -> None:
        """
        Remove the schedule that was read with the sequence *expect*, as clients of buckets do, and then its state.

        Raises:
            SequenceConflictError: Somebody else wrote, or an earlier copy of this very write did.
            ServerError: No answer, or a refusal.
        """
        headers = encode_headers({EXPECT_SUBJECT_SEQUENCE: str(expect), KV_OPERATION: KV_DELETED})
        await self._publisher.publish(Publication(self._names.stored_schedule(name), b"", headers))
        await purge_subject(self._connection, self.stream, self._names.schedule_state(name))

    # how far their occurrences are made

    async def read_state(self, name: str) -> StoredState:
        """
        Read the state of a schedule; one that cannot be understood says nothing.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found = await find_message(self._connection, self.stream, self._names.schedule_state(name))
        return StoredState() if found is None else _stored_state(name, found.data, found.seq)

    async def read_states(self) -> dict[str, StoredState]:
        """
        Read the states of all schedules, by name.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found: dict[str, StoredState] = {}

        def visit(scanned: ScannedRecord) -> None:
            found[scanned.task_id] = _stored_state(scanned.task_id, scanned.data, scanned.sequence)

        await scan_bucket(self._connection, self.stream, self._names.schedule_states_subject, visit)
        return found

    def state_publication(self, name: str, state: ScheduleState, expect: int) -> Publication:
        """Return the message that writes a state over the one with the sequence *expect*."""
        return Publication(self._names.schedule_state(name), encode_schedule_state(state), expecting(expect))

    async def advance(self, name: str, state: ScheduleState) -> StoredState:
        """
        Write a state unless what stands there is as far, and return what stands there then.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found = await self.read_state(name)
        for _ in range(_TRIES):
            if found.state.due is not None and state.due is not None and found.state.due >= state.due:
                return found
            try:
                sequence = await self._publisher.publish(self.state_publication(name, state, found.sequence))
            except SequenceConflictError:
                found = await self.read_state(name)
                continue
            return StoredState(state, sequence)
        return found

    # who led last

    async def read_mark(self) -> tuple[SchedulerMark | None, int]:
        """
        Return the mark of the last leadership with its sequence; None if that is not known.

        Raises:
            ServerError: No answer, or a refusal.
        """
        found = await find_message(self._connection, self.stream, self._names.scheduler_state)
        if found is None:
            return None, 0
        try:
            return _mark.decode(found.data), found.seq
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None, found.seq

    async def write_mark(self, mark: SchedulerMark, expect: int) -> None:
        """
        Write the mark over the one with the sequence *expect*.

        Raises:
            SequenceConflictError: Another leader wrote.
            ServerError: No answer, or a refusal.
        """
        await self._publisher.publish(Publication(self._names.scheduler_state, _encode(mark), expecting(expect)))


def _stored_state(name: str, data: bytes, sequence: int) -> StoredState:
    try:
        return StoredState(decode_schedule_state(name, data), sequence) if data else StoredState(NOTHING, sequence)
    except MalformedScheduleError:
        return StoredState(NOTHING, sequence)

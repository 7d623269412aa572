"""
dependents: what the end of a task means to those that depend on it.

A child keeps in ``pending`` the parents that it waits for, and a parent in ``dependents`` the children that it must
tell. Whoever writes a parent's final record, or removes it, takes the parent out of each child, by compare-and-swap, so
that it is counted once however often that is tried. The write that counts the last one makes the child runnable; then
its item is published and its marker removed. A parent whose failure the child does not forgive ends the child, and what
depends on that one follows, in chunks, until nobody is left.

The order for a child is: marker → record → the parents' records; for its release: record → item → marker; for its
failure: record → its own dependents → marker. So a marker is there from before a record is blocked until nothing is
left to be done about it, and whoever looks at the markers (`admin.blocked_pass`) finds every child that somebody left
half-way. What a crash or a lost answer at each arrow leads to:

======================================  ================================================================================
at                                      what follows
======================================  ================================================================================
enqueue: dead after the marker          a marker without a record; the pass removes it once it is old
enqueue: dead after the record          a blocked child whose parents do not know it; the pass looks at the parents it
                                        waits for, and takes out those that ended (its caller got no answer)
a parent's record: refused              somebody wrote it; it is read again: ended → taken out here, else written again
a parent's record: answer lost          read again: it names the child, or it is written again
a parent ends meanwhile                 its closing write and this one are compare-and-swaps on one record: it ends with
                                        the child in its dependents, or this one finds that it ended
a parent is run by Go                   its record is left alone, and Go would drop the key; the pass finds its end
finisher dead after its final record    its item is delivered again, and all of this is repeated (the pass, if it had
                                        no item: an operator, a janitor)
a child's record: refused               another parent, or a cancel, was faster; it is read again
a child's record: answer lost           all of this is repeated; a parent that is not pending any more is passed over
dead after a child counted parents      still blocked: nothing is left to do. Runnable with its marker: the next one who
                                        looks, or the pass, publishes its item. Ended with its marker: its own
                                        dependents are followed by them
the child's queue is full               a schedule for now is published, and waits until there is room
the child's queue is gone               its marker stays, so that the pass tries again
dead after a child's item               the marker is left, and the pass removes it; its item is not published twice,
                                        since there is one for the same record (`jetstream.queue_store`)
marker: removal not answered            as above
======================================  ================================================================================
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from jetq.errors import (
    LimitReachedError,
    MalformedRecordError,
    MessageTooLargeError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
)
from jetq.jetstream.connection import Connection
from jetq.jetstream.gathering import Gathering
from jetq.jetstream.key_store import KeyStore
from jetq.jetstream.link_store import LinkStore
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_store import QueueStore
from jetq.jetstream.retention import StoreRetention
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.dependency import MOST_DEPENDENTS, ParentEnd, end_of, gone
from jetq.model.events import UpdateConflict, state_change
from jetq.model.name import is_name
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.observe.bus import Bus
from jetq.observe.fault_points import Point, fault_point
from jetq.settings import RECORD_MARGIN
from jetq.wire.dependencies import MOST_SATISFIED, without_parents
from jetq.wire.names import Names

_TRIES: Final = 50
"""Readings of a record that others write all the time, until it is left to a repetition."""
_AT_ONCE: Final = 50
"""Records that are looked at together."""
_T = TypeVar("_T")


class Fallen(Struct, frozen=True, gc=False):
    """
    A task that ended, and whose dependents are to be told.

    Attributes:
        end: What it came to.
        dependents: Those in its record.
        marker: Sequence of its marker, which says that this is not done yet; 0 for none.
    """

    end: ParentEnd
    dependents: tuple[str, ...]
    marker: int = 0


def nothing() -> None:
    """Do nothing between two steps."""


class Dependents:
    """
    Tells children of their parents' ends.

    Args:
        connection: To the server.
        names: Of the namespace.
        tasks: The records.
        queues: The items of released children.
        keys: Unique keys, which children that fail leave.
        links: Markers and edges.
        retention: How long children that fail are kept.
        bus: Hears of their states.
    """

    def __init__(
        self,
        connection: Connection,
        names: Names,
        *,
        tasks: TaskStore,
        queues: QueueStore,
        keys: KeyStore,
        links: LinkStore,
        retention: StoreRetention,
        bus: Bus,
    ) -> None:
        self._connection = connection
        self._names = names
        self._tasks = tasks
        self._queues = queues
        self._keys = keys
        self._links = links
        self._retention = retention
        self._bus = bus
        self._counting: Gathering[ParentEnd, Fallen | None] = Gathering(self._count)
        self._informing: Gathering[str, ParentEnd | None] = Gathering(self._inform)

    # a parent has ended

    async def follow(self, record: TaskRecord, *, between: Callable[[], None] = nothing) -> None:
        """
        Do what follows for its dependents from the final record of a task. Idempotent.

        Args:
            record: Final.
            between: Called between two steps of what may take long.

        Raises:
            ServerError: No answer, or a refusal; it must be repeated.
        """
        await self._spread(Fallen(end_of(record), record.dependents), between)

    async def follow_removed(self, record: TaskRecord) -> None:
        """
        Do what follows for its dependents from the removal of a task: unless it had ended, it failed them.

        Raises:
            ServerError: No answer, or a refusal; the pass over the markers does it later.
        """
        end = end_of(record) if record.is_final else gone(record.id)
        await self._spread(Fallen(end, record.dependents), nothing)

    async def settle(self, child_id: str, ends: Sequence[ParentEnd] = ()) -> None:
        """
        Take parents out of what a child waits for, and do what follows, also what somebody left half-way.

        Raises:
            ServerError: No answer, or a refusal; it may be repeated.
        """
        fallen = await self._count(child_id, list(ends))
        if fallen is not None:
            await self._spread(fallen, nothing)

    async def _spread(self, first: Fallen, between: Callable[[], None]) -> None:
        """Tell all dependents, and those of whoever fails with them."""
        todo = deque([first])
        while todo:
            fallen = todo.popleft()
            full = len(fallen.dependents) >= MOST_DEPENDENTS
            children = [child for child in fallen.dependents if is_name(child)]
            if full:
                children += await self._links.children(fallen.end.id)
            for start in range(0, len(children), _AT_ONCE):
                some = children[start : start + _AT_ONCE]
                told = await together([self._counting.join(child, fallen.end) for child in some])
                todo.extend(each for each in told if each is not None)
                between()
            if full and fallen.end.is_complete:  # else they may be asked to wait again
                await self._links.remove_edges(parent=fallen.end.id)
            if fallen.marker:
                await self._links.unmark(fallen.end.id, through=fallen.marker)

    async def _count(self, child_id: str, ends: list[ParentEnd]) -> Fallen | None:
        """Take parents out of a child; return it if it failed with them."""
        doubt: ServerError = SequenceConflictError("", 0, "")
        for _ in range(_TRIES):
            child = await self._read(child_id)
            if child is None:
                return None
            if child.record.state is not State.BLOCKED:
                return await self._finish(child)
            if not child.record.pending:  # a Go program's, which has its item (`worker.blocked_items`)
                return None
            most = self.room_in(child)
            changed = without_parents(child.record, ends, self._connection.clock.now(), most=most)
            if changed is None:
                return None
            try:
                return await self._write(child, changed)
            except SequenceConflictError as conflict:
                self._bus.emit(UpdateConflict(task_id=child_id, what="dependency"))
                doubt = conflict
        raise doubt

    def room_in(self, child: Stored) -> int:
        """Return how many bytes what parents gave may take in the record of a child."""
        free = self._connection.max_payload - RECORD_MARGIN - len(child.data)
        return min(MOST_SATISFIED, max(0, len(bytes(child.record.satisfied)) + free))

    async def _write(self, child: Stored, changed: TaskRecord) -> Fallen | None:
        """Write a child that counted parents, and do what follows."""
        if not changed.is_final:
            written = await self._tasks.write(child.document.updated(changed), child.sequence)
            fault_point(Point.PARENT_COUNTED)
            if changed.state is not State.BLOCKED:
                self._tell(written)
                await self.place(written)
            return None
        marker = await self._links.marker(changed.id)  # read before: who blocks the child again marks it anew
        ttl = self._retention.ttl(changed)
        written = await self._tasks.write(child.document.updated(changed), child.sequence, ttl=ttl)
        fault_point(Point.PARENT_COUNTED)
        if changed.key:
            with contextlib.suppress(ServerError):  # it is not valid any more all the same
                await self._keys.leave(changed)
        self._tell(written)
        return Fallen(end_of(changed), changed.dependents, 0 if marker is None else marker.seq)

    async def _finish(self, child: Stored) -> Fallen | None:
        """Do what somebody left half-way for a child that is not blocked (any more)."""
        marker = await self._links.marker(child.record.id)
        if marker is None:
            return None
        if child.record.is_final:
            return Fallen(end_of(child.record), child.record.dependents, marker.seq)
        if child.record.state is State.NEW:
            await self.place(child)
        else:
            await self._links.unmark(child.record.id, through=marker.seq)
        return None

    async def place(self, child: Stored) -> None:
        """
        Bring a released child to its queue, or schedule it, then remove its marker.

        Raises:
            ServerError: No answer, or a refusal; the marker is left, and this is repeated.
        """
        record = child.record
        try:
            if record.is_waiting:
                await self._queues.schedule_unless_newer(child)
            else:
                await self._queues.put(child)
        except LimitReachedError:
            await self._queues.schedule(child)  # it waits there until the queue has room
        except ServerTimeoutError:
            if await find_stream(self._connection, self._names.queue(record.queue)) is not None:
                raise
            return  # its parents' ends must not wait for a queue that is not there
        fault_point(Point.CHILD_PLACED)
        await self._links.unmark(record.id)
        fault_point(Point.CHILD_UNMARKED)

    # a child appears

    async def join(self, child_id: str, parents: Sequence[str]) -> None:
        """
        Let parents know a child that is blocked, and take those out that ended.

        Raises:
            ServerError: No answer, or a refusal; the pass over the markers finds the ends of those that do not know it.
        """
        for start in range(0, len(parents), _AT_ONCE):
            some = parents[start : start + _AT_ONCE]
            ends = await together([self._informing.join(parent, child_id) for parent in some])
            ended = [end for end in ends if end is not None]
            if ended:
                await self.settle(child_id, ended)

    async def _inform(self, parent_id: str, children: list[str]) -> ParentEnd | None:
        """Write children into the record of a parent; return what that came to if it has ended."""
        doubt: ServerError = SequenceConflictError("", 0, "")
        for _ in range(_TRIES):
            parent = await self._read(parent_id)
            if parent is None:
                return gone(parent_id)
            if parent.record.is_final:
                return end_of(parent.record)
            if not _takes_dependents(parent.record):
                return None
            try:
                return await self._add_dependents(parent, children)
            except (SequenceConflictError, ServerTimeoutError) as error:
                self._bus.emit(UpdateConflict(task_id=parent_id, what="dependents"))
                doubt = error
            except MessageTooLargeError:
                return None  # there is no room in its record: the pass over the markers finds its end
        raise doubt

    async def _add_dependents(self, parent: Stored, children: list[str]) -> ParentEnd | None:
        """
        Write children into the record of a parent, and edges to those for which it has no place.

        Edges are written before the record, or before another look at it: whoever ends the parent looks for them after
        that, or has done it by then.
        """
        record = parent.record
        fresh = [child for child in dict.fromkeys(children) if child not in record.dependents]
        place = max(0, MOST_DEPENDENTS - len(record.dependents))
        if fresh[place:]:
            await self._links.add_edges(record.id, fresh[place:])
        if fresh[:place]:
            changed = replace(record, dependents=(*record.dependents, *fresh[:place]))
            await self._tasks.write(parent.document.updated(changed), parent.sequence)
            fault_point(Point.PARENT_INFORMED)
            return None
        return await self.end_of_parent(record.id) if fresh else None

    # what parents came to

    async def ends_of_parents(self, parents: Sequence[str]) -> dict[str, ParentEnd | None]:
        """Return what each came to; None for one that has not ended."""
        found: dict[str, ParentEnd | None] = {}
        for start in range(0, len(parents), _AT_ONCE):
            some = parents[start : start + _AT_ONCE]
            ends = await together([self.end_of_parent(parent) for parent in some])
            found.update(zip(some, ends, strict=True))
        return found

    async def end_of_parent(self, parent_id: str) -> ParentEnd | None:
        """Return what a parent came to; None if it has not ended."""
        parent = await self._read(parent_id) if is_name(parent_id) else None
        if parent is None:
            return gone(parent_id)
        return end_of(parent.record) if parent.record.is_final else None

    async def _read(self, task_id: str) -> Stored | None:
        """Read a record; one that cannot be read is as good as none."""
        try:
            return await self._tasks.read(task_id)
        except MalformedRecordError:
            return None

    def _tell(self, stored: Stored) -> None:
        self._bus.emit(state_change(stored.record, self._connection.clock.now(), sequence=stored.sequence))


def _takes_dependents(record: TaskRecord) -> bool:
    """Whether a record may be written to: one whose enqueue failed is about to be gone, and Go's runs are Go's."""
    return record.state is not State.QUEUE_ERROR and (record.state is not State.ACTIVE or record.run is not None)


async def together(steps: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Await all of them; then raise what one of them raised."""
    if len(steps) == 1:
        return [await steps[0]]
    ended = await asyncio.gather(*steps, return_exceptions=True)
    found: list[_T] = []
    for each in ended:
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    return found

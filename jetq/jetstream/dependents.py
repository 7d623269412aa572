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
a child's record: too large             it ends, without what its parents gave: they must not wait for it for ever
a finisher slow beyond measure          perhaps the parent was started again, and its dependents wait for it anew: so a
                                        failed parent is read again after the child was, and before the child is written
a child's record: answer lost           all of this is repeated; a parent that is not pending any more is passed over
dead after a child counted parents      still blocked: nothing is left to do. Runnable with its marker: the next one who
                                        looks, or the pass, publishes its item. Ended with its marker: its own
                                        dependents are followed by them
the child's queue is full               a schedule for now is published, and waits until there is room
the child's queue is gone               its marker stays, so that the pass tries again
dead after a child's item               the marker is left, and the pass removes it; its item is not published twice,
                                        since there is one for the same record (`jetstream.queue_store`)
marker: removal not answered            as above
an ended child is blocked again         its marker is younger than its end, and nobody removes it who looks at that end
                                        (`admin.rejoining`, `admin.unsticking`); the pass does, once it is old
======================================  ================================================================================
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

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
from jetq.jetstream.gathering import Gathering, together
from jetq.jetstream.key_store import KeyStore
from jetq.jetstream.link_store import LinkStore
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.parents import Parents
from jetq.jetstream.queue_store import QueueStore
from jetq.jetstream.retention import DISCARD_AFTER, StoreRetention
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.dependency import MOST_DEPENDENTS, ParentEnd, end_of, gone
from jetq.model.events import UpdateConflict, state_change
from jetq.model.name import is_name
from jetq.model.record import ABSENT, TaskRecord
from jetq.model.state import End, State
from jetq.model.transition import unreachable
from jetq.observe.bus import Bus
from jetq.observe.fault_points import Point, fault_point
from jetq.settings import RECORD_MARGIN
from jetq.wire.dependencies import MOST_SATISFIED, without_parents
from jetq.wire.names import Names

_TRIES: Final = 50
"""Readings of a record that others write all the time, until it is left to a repetition."""
_AT_ONCE: Final = 50
"""Records that are looked at together."""


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

    @property
    def has_edges(self) -> bool:
        """Whether its record was full, so that others stand beside it."""
        return len(self.dependents) >= MOST_DEPENDENTS


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
        self._parents = Parents(tasks, links, bus)

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
        """Tell all dependents, and those of whoever fails with them; each task once, however many ways lead to it."""
        todo, seen = deque([first]), {first.end.id}
        while todo:
            some = [todo.popleft() for _ in range(min(len(todo), _AT_ONCE))]
            edges = [(child, fallen.end) for fallen in some for child in await self._children(fallen)]
            for start in range(0, len(edges), _AT_ONCE):
                told = await together(
                    [self._counting.join(child, end) for child, end in edges[start : start + _AT_ONCE]]
                )
                for each in told:
                    if each is not None and each.end.id not in seen:
                        seen.add(each.end.id)
                        todo.append(each)
                between()
            await together([self._forget(fallen) for fallen in some])

    async def _children(self, fallen: Fallen) -> list[str]:
        children = [child for child in fallen.dependents if is_name(child)]
        return children + await self._links.children(fallen.end.id) if fallen.has_edges else children

    async def _forget(self, fallen: Fallen) -> None:
        """Remove what says that there is something to be told."""
        if fallen.has_edges and fallen.end.is_complete:  # else they may be asked to wait again
            await self._links.remove_edges(parent=fallen.end.id)
        if fallen.marker:
            await self._links.unmark(fallen.end.id, through=fallen.marker)

    async def _count(self, child_id: str, ends: list[ParentEnd]) -> Fallen | None:
        """Take parents out of a child; return it if it failed with them."""
        doubt: ServerError = SequenceConflictError("", 0, "")
        unfit: list[MessageTooLargeError] = []
        for _ in range(_TRIES):
            child = await self._read(child_id)
            if child is None:
                return None
            if child.record.state is not State.BLOCKED:
                return await self._finish(child)
            if not child.record.pending:  # a Go program's, which has its item (`worker.blocked_items`)
                return None
            if not all(end.is_complete for end in ends):
                ends = await self._parents.confirmed(ends)
            changed = self._changed(child, ends, unfit)
            if changed is None:
                return None
            try:
                return await self._write(child, changed)
            except SequenceConflictError as conflict:
                self._bus.emit(UpdateConflict(task_id=child_id, what="dependency"))
                doubt = conflict
            except MessageTooLargeError as refused:
                unfit.append(refused)
                doubt = refused
        raise doubt

    def _changed(self, child: Stored, ends: list[ParentEnd], unfit: list[MessageTooLargeError]) -> TaskRecord | None:
        """Return a child without parents; one in whose record there is no room for that ends, which fits at last."""
        if unfit:
            small = replace(child.record, satisfied=ABSENT, payload=child.record.payload if len(unfit) == 1 else None)
            reason = f"there is no room for what came of the tasks that it depends on: {unfit[0]}"
            return unreachable(small, End.TOO_LARGE, reason)
        return without_parents(child.record, ends, self._connection.clock.now(), most=self.room_in(child))

    def room_in(self, child: Stored) -> int:
        """Return how many bytes what parents gave may take in the record of a child."""
        free = self._connection.max_payload - RECORD_MARGIN - len(child.data)
        return min(MOST_SATISFIED, max(0, len(bytes(child.record.satisfied)) + free))

    async def _write(self, child: Stored, changed: TaskRecord) -> Fallen | None:
        """Write a child that counted parents, and do what follows."""
        document = child.document.updated(changed)
        if changed.state is State.BLOCKED:
            await self._tasks.write(document, child.sequence)
            fault_point(Point.PARENT_COUNTED)
            return None
        # its marker as it is before the write: another one that is blocked under this id later is marked anew
        marker = await self._links.marker(changed.id)
        ttl = self._retention.ttl(changed) if changed.is_final else None
        written = await self._tasks.write(document, child.sequence, ttl=ttl)
        fault_point(Point.PARENT_COUNTED)
        sequence = 0 if marker is None else marker.seq
        if not changed.is_final:
            self._tell(written)
            await self._place(written, sequence)
            return None
        if changed.key:
            with contextlib.suppress(ServerError):  # it is not valid any more all the same
                await self._keys.leave(changed)
        self._tell(written)
        if self._retention.of(changed) == 0:  # one on which others depend is kept
            await self._tasks.expire(written, DISCARD_AFTER)
        return Fallen(end_of(changed), changed.dependents, sequence)

    async def _finish(self, child: Stored) -> Fallen | None:
        """Do what somebody left half-way for a child that is not blocked (any more)."""
        marker = await self._links.marker(child.record.id)
        if marker is None:
            return None
        if child.record.is_final:
            is_of_it = child.written is None or marker.time <= child.written  # else it is about to be blocked again
            return Fallen(end_of(child.record), child.record.dependents, marker.seq if is_of_it else 0)
        if child.record.state is State.NEW:
            await self._place(child, marker.seq)
        else:
            await self._links.unmark(child.record.id, through=marker.seq)
        return None

    async def _place(self, child: Stored, marker: int) -> None:
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
        await self._links.unmark(record.id, through=marker)
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
            ends = await together([self._parents.inform(parent, child_id) for parent in some])
            ended = [end for end in ends if end is not None]
            if ended:
                await self.settle(child_id, ended)

    async def ends_of_parents(self, parents: Sequence[str]) -> dict[str, ParentEnd | None]:
        """Return what each came to; None for one that has not ended."""
        return await self._parents.ends(parents)

    async def _read(self, task_id: str) -> Stored | None:
        """Read a record; one that cannot be read is as good as none."""
        try:
            return await self._tasks.read(task_id)
        except MalformedRecordError:
            return None

    def _tell(self, stored: Stored) -> None:
        self._bus.emit(state_change(stored.record, self._connection.clock.now(), sequence=stored.sequence))

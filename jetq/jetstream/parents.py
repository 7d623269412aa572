"""
parents: what a task finds out about those that it depends on, and what it leaves with them.

A parent that has not ended keeps the ids of its children in its record; for how that is safe beside its end, and what a
crash leaves behind, see `jetstream.dependents`.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from jetq.errors import (
    MessageTooLargeError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
)
from jetq.jetstream.gathering import Gathering, together
from jetq.jetstream.link_store import LinkStore
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.dependency import GONE, MOST_DEPENDENTS, ParentEnd, end_of, gone
from jetq.model.events import UpdateConflict
from jetq.model.name import is_name
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.observe.bus import Bus
from jetq.observe.fault_points import Point, fault_point

_TRIES: Final = 50
"""Readings of a record that others write all the time, until it is left to a repetition."""
_AT_ONCE: Final = 50
"""Records that are looked at together."""


class Parents:
    """
    Reads parents, and tells them of children.

    Args:
        tasks: The records.
        links: Edges.
        bus: Hears of conflicts.
    """

    def __init__(self, tasks: TaskStore, links: LinkStore, bus: Bus) -> None:
        self._tasks = tasks
        self._links = links
        self._bus = bus
        self._informing: Gathering[str, ParentEnd | None] = Gathering(self._inform)
        self._looking: Gathering[None, ParentEnd | None] = Gathering(lambda parent_id, _: self.end(parent_id))

    # what they came to

    async def ends(self, parents: Sequence[str]) -> dict[str, ParentEnd | None]:
        """Return what each came to; None for one that has not ended."""
        found: dict[str, ParentEnd | None] = {}
        for start in range(0, len(parents), _AT_ONCE):
            some = parents[start : start + _AT_ONCE]
            ends = await together([self.end(parent) for parent in some])
            found.update(zip(some, ends, strict=True))
        return found

    async def end(self, parent_id: str) -> ParentEnd | None:
        """Return what a parent came to; None if it has not ended."""
        parent = await self._tasks.read_sound(parent_id) if is_name(parent_id) else None
        if parent is None:
            return gone(parent_id)
        return end_of(parent.record) if parent.record.is_final else None

    async def confirmed(self, ends: Sequence[ParentEnd]) -> list[ParentEnd]:
        """
        Return what has become of ends, without those of parents that started again.

        The readings begin after this is called. One of a parent serves all who ask meanwhile.
        """
        found: list[ParentEnd] = []
        for start in range(0, len(ends), _AT_ONCE):
            now = await together([self._still(end) for end in ends[start : start + _AT_ONCE]])
            found.extend(end for end in now if end is not None)
        return found

    async def _still(self, end: ParentEnd) -> ParentEnd | None:
        if end.is_complete:  # it has given its result, whatever comes of another run
            return end
        now = await self._looking.join(end.id, None)
        return end if now is not None and now.state == GONE else now

    # what is left with them

    async def inform(self, parent_id: str, child_id: str) -> ParentEnd | None:
        """
        Let a parent know a child; return what it came to if it has ended.

        Raises:
            ServerError: No answer, or a refusal.
        """
        return await self._informing.join(parent_id, child_id)

    async def _inform(self, parent_id: str, children: list[str]) -> ParentEnd | None:
        """Write children into the record of a parent; return what that came to if it has ended."""
        doubt: ServerError = SequenceConflictError("", 0, "")
        for _ in range(_TRIES):
            parent = await self._tasks.read_sound(parent_id)
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
        return await self.end(record.id) if fresh else None


def _takes_dependents(record: TaskRecord) -> bool:
    """Whether a record may be written to: one whose enqueue failed is about to be gone, and Go's runs are Go's."""
    return record.state is not State.QUEUE_ERROR and (record.state is not State.ACTIVE or record.run is not None)

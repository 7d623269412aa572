"""
meaning: what a delivered item asks for, by the state of its record. Pure.

An item only saves a reading. The record decides, and no item is acknowledged before what its record's state asks for
is in place.
"""

from enum import Enum

from jetq.model.record import TaskRecord
from jetq.model.state import State


class Meaning(Enum):
    """What to do about a delivered item."""

    START = "start"
    """Claim the task."""

    RESCHEDULE = "reschedule"
    """The task waits, and the item came too early: publish its schedule again, then acknowledge."""

    CONTESTED = "contested"
    """A run has the task: find out whether it lives."""

    BLOCKED = "blocked"
    """The task waits for others: the item is left over, or the one of a Go program (`worker.blocked_items`)."""

    ENDED = "ended"
    """Repeat the after-effects, then acknowledge."""


def meaning_of(record: TaskRecord, *, by_schedule: bool) -> Meaning:
    """
    Say what to do.

    Args:
        record: As it stands in the store, or in the item if that was published for the newest record.
        by_schedule: The item was brought by the schedule of this very record, so its time has come; clocks are never
            compared.
    """
    if record.is_final:
        return Meaning.ENDED
    if record.state is State.ACTIVE:
        return Meaning.CONTESTED
    if record.state is State.BLOCKED:
        return Meaning.BLOCKED
    if record.is_waiting and not by_schedule:
        return Meaning.RESCHEDULE
    return Meaning.START

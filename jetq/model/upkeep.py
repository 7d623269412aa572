"""
upkeep: what the janitor makes of a record whose item or schedule is missing. Pure.

Whoever makes a task runnable writes its record first and publishes its item then; what dies in between leaves a record
that nothing brings to a worker. An item may also be gone because somebody removed it (an emptied queue, one that drops
its oldest, one with an age limit), and such a task must not come back. The record is the same in both cases; what tells
them apart is its age, by the server's clock:

* Younger than the patience (30 s): an actor may be about to publish. It is left to the next pass.
* Written after the start of the last complete pass, less the patience: no pass has judged it yet, so nobody has
  published what a crash left out, and that is done now.
* Older: the last complete pass saw it, and published its item if that was missing. If it is missing now, the item was
  there in between and was removed. It is remembered, and if the next pass finds the same record without its item again,
  the task ends.

Two passes, since a lone one may look in the moment in which an actor that stalled has taken the old item away and not
yet published the new one. The rule is safe for actors that do not stall longer than from one pass to the next between
their record and their item, and not beyond (tests/model walks it, and shows that limit).

A schedule that is there, and should have become an item longer ago than the patience, is as good as none: the server
forgot it. It is published anew, at any age, since it shows that nobody removed anything.

A record that is active is never ended so. Its item is published at any age past the patience: the worker that gets it
asks the owner of the run, who adopts the item, or takes over.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from jetq.model.state import FINAL, RUNNABLE, End, State


class Repair(StrEnum):
    """What the janitor mends; the label of its count."""

    ITEM = "item"
    """A runnable or active task had no item."""
    SCHEDULE = "schedule"
    """A waiting task had no schedule."""
    ENDED = "ended"
    """The item of a task had been removed; it ended ``purged`` or ``dropped``."""
    REFUSED = "refused"
    """The trace of an enqueue that was refused stood for good; it expires now, or ended."""
    ORPHAN_ITEM = "orphan_item"
    """An item had no record."""
    ORPHAN_SCHEDULE = "orphan_schedule"
    """A schedule had no record, or one that waits no more."""
    KEY = "key"
    """A unique key was held by a task that ended, or is gone."""
    TTL = "ttl"
    """The record of an ended task stood for good; it expires now."""


HOUSEKEEPING: Final = frozenset({Repair.TTL, Repair.KEY, Repair.ORPHAN_ITEM, Repair.ORPHAN_SCHEDULE})
"""Repairs that bring no task back and end none."""


class Need(StrEnum):
    """What a record's state asks for."""

    NOTHING = "nothing"
    ITEM = "item"
    SCHEDULE = "schedule"


class Finding(StrEnum):
    """What to do about a record whose item or schedule is missing."""

    LATER = "later"
    PUBLISH = "publish"
    REMEMBER = "remember"
    END = "end"


class Horizon(Struct, frozen=True):
    """
    The times that a pass judges by, all of the server.

    Attributes:
        started: When this pass began.
        last: When the last complete pass began; None if there was none.
        patience: How long an actor may take between a record and its item.
    """

    started: datetime
    last: datetime | None
    patience: timedelta

    @property
    def young(self) -> datetime:
        """What is written later is left to the next pass."""
        return self.started - self.patience

    def is_seen(self, written: datetime) -> bool:
        """Whether the last complete pass judged a record that was written then."""
        return self.last is not None and written < self.last - self.patience


def need_of(state: State, *, waits: bool) -> Need:
    """
    Say what must be there for a task to go on.

    A blocked one is brought by those that it waits for. The trace of a refused enqueue asks for nothing, since its
    caller was told.
    """
    if state is State.ACTIVE:
        return Need.ITEM
    if state not in RUNNABLE or state is State.QUEUE_ERROR:
        return Need.NOTHING
    return Need.SCHEDULE if waits else Need.ITEM


def judge_missing(
    state: State, written: datetime, horizon: Horizon, *, may_publish: bool, missed_before: bool
) -> Finding:
    """
    Decide about a record whose item or schedule is missing.

    Args:
        state: Of the record.
        written: When its message was stored.
        horizon: Of the pass.
        may_publish: Its queue exists, is not a full one that would drop another item, and has not outlived the task's
            item; its unique key, if it has one, is its own.
        missed_before: The pass before this one remembered the same record.
    """
    if state in FINAL or written > horizon.young:
        return Finding.LATER
    if state is State.ACTIVE or not horizon.is_seen(written):
        return Finding.PUBLISH if may_publish else Finding.LATER
    return Finding.END if missed_before else Finding.REMEMBER


def end_of_missing(*, discards_old: bool) -> End:
    """Return the end of a task whose item was removed."""
    return End.DROPPED if discards_old else End.PURGED

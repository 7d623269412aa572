"""
timetable: which occurrences a stored schedule has, and which of them are due. Pure.

What is *due* lies between the last occurrence that was dealt with and now. Two times tell what that means:

- Up to :data:`GRACE` seconds late is not missed: a change of the leader takes that long. All of it is made, whatever
  the policy.
- When the oldest that is due is later than that, nobody ran for a while (no scheduler, no server, a suspended machine,
  a clock that was put forward), and all that is due is left to the policy: dropped, the last one, or the newest ones.

None is made that is later than ``max_late``. So a machine that slept for a week makes one occurrence of a schedule that
is due every second, or with ``all`` the newest hundred, and no flood.

A clock that was put back makes nothing due until it has passed the last occurrence again: each planned time has its own
occurrence, and that one was made. Only a state that is a day ahead of the clock is not believed, since what wrote it
had a wrong clock, and its schedule would be silent for as long; it counts as if it were of now.

An id is the schedule's name with the planned time, so that two leaders make the same one, and the store takes one.
Jitter is no part of the planned time: it is a delay of the task, drawn from its id, so that all draw the same.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple, Self

from jetq.model.schedule import Schedule, parse_schedule
from jetq.model.stored_schedule import Misfire, StoredSchedule

GRACE: Final = 15.0
"""Seconds; a new leader acts within the 10 s of an election's TTL and 2 s."""
_BELIEVED: Final = timedelta(days=1)
_COUNTED: Final = 100
"""How far what is skipped is counted."""
_UNBOUNDED: Final = 10**9


class Occurrence(NamedTuple):
    """
    One planned run of a schedule.

    Attributes:
        id: The id of its task.
        planned: When it is due, in UTC; the handler sees it as ``ctx.scheduled_for``.
        starts: When the task may run: the planned time and the jitter.
    """

    id: str
    planned: datetime
    starts: datetime


class Due(NamedTuple):
    """
    What is to be done about a schedule now.

    Attributes:
        occurrences: To be made, in order.
        skipped: How many are not made; where they are more than 100, not all of them are counted.
        until: What is dealt with then: the planned time of the last one that was due, made or not. None if none was.
    """

    occurrences: tuple[Occurrence, ...] = ()
    skipped: int = 0
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Timetable:
    """
    A stored schedule with its spec understood.

    Attributes:
        record: As stored.
        schedule: Its spec.
    """

    record: StoredSchedule
    schedule: Schedule

    @classmethod
    def of(cls, record: StoredSchedule, *, strict: bool = False) -> Self:
        """
        Understand a stored schedule; what Go's library takes is taken, unless it is to be *strict*.

        Raises:
            InvalidScheduleError: The spec cannot be meant.
        """
        return cls(record, parse_schedule(record.schedule, strict=strict))

    def after(self, moment: datetime) -> datetime | None:
        """Return the planned time of the first occurrence later than *moment*; None if there is none, or it is off."""
        record = self.record
        if not record.is_on:
            return None
        if record.start is not None and record.start > moment:
            moment = record.start - timedelta(microseconds=1)
        found = self.schedule.after(moment, anchor=record.created_at)
        return None if found is None or (record.end is not None and found >= record.end) else found

    def due(self, since: datetime, now: datetime, *, grace: float = GRACE) -> Due:
        """
        Say which occurrences are to be made now.

        Args:
            since: What was dealt with: the planned time of the last one; a new schedule's creation.
            now: The time.
            grace: Seconds that an occurrence may be late without being missed.
        """
        since = believed(since, now)
        first = self.after(since)
        if first is None or first > now:
            return Due()
        record = self.record
        oldest = now - timedelta(seconds=record.max_late)
        is_missed = first < now - timedelta(seconds=grace)
        policy = {Misfire.SKIP: 0, Misfire.LATEST: 1, Misfire.ALL: record.limit}
        wanted = policy[record.misfire] if is_missed else _UNBOUNDED
        start = since if record.start is None else max(since, record.start - timedelta(microseconds=1))
        end = now if record.end is None else min(now, record.end - timedelta(microseconds=1))
        following = self.after(first)
        if following is None or following > now:  # the usual case, for which there is no need to search
            listed = [first]
        else:
            listed = self.schedule.newest(max(wanted, _COUNTED), after=start, until=end, anchor=record.created_at)
        made = [planned for planned in listed[len(listed) - min(wanted, len(listed)) :] if planned >= oldest]
        return Due(tuple(map(self.occurrence, made)), len(listed) - len(made), listed[-1])

    def occurrence(self, planned: datetime) -> Occurrence:
        """Return the occurrence of a planned time."""
        name = occurrence_id(self.record.name, planned)
        jitter = self.record.jitter
        delay = timedelta(seconds=jitter * _share(name)) if jitter else timedelta()
        return Occurrence(name, planned, planned + delay)


def believed(since: datetime, now: datetime) -> datetime:
    """Return what was dealt with; a time far ahead of *now* was written by a wrong clock, and counts as now."""
    return now if since - now > _BELIEVED else since


def occurrence_id(name: str, planned: datetime) -> str:
    """Return the id of an occurrence's task: ``nightly:20261124T030000Z``."""
    return f"{name}:{planned.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _share(text: str) -> float:
    """Return a number from 0 to 1, the same for the same text everywhere."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64

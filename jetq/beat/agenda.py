"""
agenda: which schedules are due next, of many.

A heap of next times; a schedule leaves it when it is due and comes back when that was dealt with, so a schedule whose
occurrences are being made is never due twice. What was replaced or removed meanwhile stays in the heap with an old
number, and is passed over.

Ten thousand schedules are put in within half a second, and a look at an agenda with nothing due costs a comparison.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Final

from jetq.model.timetable import Due, Timetable, believed

_STEP: Final = timedelta(days=1)


@dataclass(slots=True)
class _Line:
    timetable: Timetable
    since: datetime
    number: int


class Agenda:
    """Schedules by the time at which they are due next."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._heap: list[tuple[datetime, int, str]] = []
        self._count = 0
        self._now: datetime | None = None

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    def __iter__(self) -> Iterator[Timetable]:
        return (line.timetable for line in self._lines.values())

    def put(self, timetable: Timetable, since: datetime, now: datetime) -> None:
        """
        Take in a schedule, or a new version of one.

        Args:
            timetable: The schedule.
            since: What was dealt with: the planned time of its last occurrence.
            now: The time.
        """
        self._push(timetable, believed(since, now))

    def remove(self, name: str) -> None:
        """Forget a schedule; nothing happens if it is not there."""
        self._lines.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        self._lines.clear()
        self._heap.clear()
        self._now = None

    @property
    def next_time(self) -> datetime | None:
        """When something is due next; None if nothing is."""
        self._drop_old()
        return self._heap[0][0] if self._heap else None

    def due(self, now: datetime, most: int | None = None) -> list[tuple[Timetable, Due]]:
        """
        Return what is due, the longest due first. Each schedule must be given back with :meth:`done` or :meth:`again`.

        Args:
            now: The time. Where it is a day earlier than it was, the clock was put right: all is planned anew from it.
            most: How many schedules at most; None for all.
        """
        if self._now is not None and now < self._now - _STEP:
            self._start_anew(now)
        self._now = now
        found: list[tuple[Timetable, Due]] = []
        while (most is None or len(found) < most) and (at := self.next_time) is not None and at <= now:
            line = self._lines[heappop(self._heap)[2]]
            due = line.timetable.due(line.since, now)
            if due.until is None:
                self._push(line.timetable, line.since)
            else:
                found.append((line.timetable, due))
        return found

    def done(self, timetable: Timetable, until: datetime) -> None:
        """Say that a schedule was dealt with, up to a planned time. What was replaced meanwhile is passed over."""
        if self._is_current(timetable):
            self._push(timetable, until)

    def again(self, timetable: Timetable, at: datetime) -> None:
        """Have what was due of a schedule due again at a time, since it could not be dealt with."""
        if self._is_current(timetable):
            line = self._lines[timetable.record.name]
            heappush(self._heap, (at, line.number, timetable.record.name))

    def _is_current(self, timetable: Timetable) -> bool:
        line = self._lines.get(timetable.record.name)
        return line is not None and line.timetable is timetable

    def _push(self, timetable: Timetable, since: datetime) -> None:
        self._count += 1
        name = timetable.record.name
        self._lines[name] = _Line(timetable, since, self._count)
        at = timetable.after(since)
        if at is not None:
            heappush(self._heap, (at, self._count, name))

    def _drop_old(self) -> None:
        while self._heap:
            _, number, name = self._heap[0]
            line = self._lines.get(name)
            if line is not None and line.number == number:
                return
            heappop(self._heap)

    def _start_anew(self, now: datetime) -> None:
        self._heap.clear()
        for line in list(self._lines.values()):
            self._push(line.timetable, believed(line.since, now))

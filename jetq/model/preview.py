"""
preview: what a schedule will do, and what becomes of it where the clock on the wall is put forward or back.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from jetq.model.cron import Cron
from jetq.model.timetable import Timetable
from jetq.model.zone import change, is_fold, wall

_SECOND: Final = timedelta(seconds=1)
_MOST_LOOKED_AT: Final = 1000


class Planned(NamedTuple):
    """
    An occurrence to come.

    Attributes:
        at: When, in UTC.
        local: What the clock on the wall shows then, with its zone.
        note: What the clock does to it; empty for nothing.
    """

    at: datetime
    local: datetime
    note: str


class Preview(NamedTuple):
    """
    What a schedule will do.

    Attributes:
        following: Its next occurrences, each with its note.
        touched: All occurrences of the time asked for that a change of the clock moves, doubles or leaves out.
    """

    following: tuple[Planned, ...]
    touched: tuple[Planned, ...]


def preview(timetable: Timetable, now: datetime, *, count: int, days: int) -> Preview:
    """
    Look ahead.

    Args:
        timetable: The schedule.
        now: From when on.
        count: How many of the next occurrences.
        days: How far changes of the clock are looked for.
    """
    following: list[Planned] = []
    before = now
    while len(following) < count and (moment := timetable.after(before)) is not None:
        following.append(_planned(timetable, before, moment))
        before = moment
    touched = tuple(_touched(timetable, now, now + timedelta(days=days)))
    return Preview(tuple(following), touched)


def _touched(timetable: Timetable, now: datetime, end: datetime) -> Iterator[Planned]:
    """Yield what is near a change of the clock; everything else runs as it says."""
    zone = timetable.schedule.zone
    if timetable.schedule.cron is None:
        return
    put = change(zone, now, end)
    while put is not None:
        shift = abs(wall(zone, put) - wall(zone, put - _SECOND) - _SECOND)
        before = max(now, put - shift - _SECOND)
        for _ in range(_MOST_LOOKED_AT):
            moment = timetable.after(before)
            if moment is None or moment > end or before > put + shift:
                break
            planned = _planned(timetable, before, moment)
            if planned.note:
                yield planned
            before = moment
        put = change(zone, put, end)


def _planned(timetable: Timetable, before: datetime, moment: datetime) -> Planned:
    zone, cron = timetable.schedule.zone, timetable.schedule.cron
    local = moment.astimezone(zone)
    note = "" if cron is None else _note(timetable, cron, before, moment)
    return Planned(moment.astimezone(UTC), local, note)


def _note(timetable: Timetable, cron: Cron, before: datetime, moment: datetime) -> str:
    zone = timetable.schedule.zone
    shown = wall(zone, moment)
    if is_fold(shown, zone):
        if cron.is_fixed:
            return f"{shown:%H:%M} comes twice that day; this is the first time"
        return (
            f"{shown:%H:%M} comes twice that day; this is the {'second' if moment.astimezone(zone).fold else 'first'}"
        )
    put = change(zone, before, moment)
    if put is None or wall(zone, put) <= wall(zone, put - _SECOND) + _SECOND:
        return ""
    missing = cron.at_or_after(wall(zone, put - _SECOND) + _SECOND)
    if missing is None or missing >= wall(zone, put):
        return ""
    if cron.is_fixed:
        return f"{missing:%H:%M} does not come that day; it runs right after"
    return f"{missing:%Y-%m-%d %H:%M} does not come; it is left out"

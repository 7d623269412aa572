"""
wall_clock: when a schedule is due, found by watching the clock on the wall, minute for minute.

It shares no line with `jetq.model`: it knows no offsets and no gaps, and only sees what the clock shows.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

Watched = list[tuple[datetime, datetime]]
"""Instants in order, each with what the clock on the wall shows then."""


def watch(zone: ZoneInfo, start: datetime, end: datetime, step: timedelta) -> Watched:
    """Look at the clock from *start* until before *end*."""
    seen: Watched = []
    while start < end:
        seen.append((start, start.astimezone(zone).replace(tzinfo=None, fold=0)))
        start += step
    return seen


def matches(seen: Watched, wanted: Callable[[datetime], bool]) -> list[datetime]:
    """Return all instants at which the clock shows what is wanted."""
    return [moment for moment, shown in seen if wanted(shown)]


def once_a_day(seen: Watched, named: time, runs_on: Callable[[date], bool]) -> list[datetime]:
    """Return for each local day the first instant at which the clock shows a time, or has passed over it."""
    firsts: dict[datetime, datetime] = {}
    for moment, shown in seen:
        firsts.setdefault(shown, moment)
    days = {shown.date() for _, shown in seen}
    wanted = sorted(datetime.combine(day, named) for day in days if runs_on(day))
    return [moment for target in wanted for moment in _found(seen, firsts, target)]


def _found(seen: Watched, firsts: dict[datetime, datetime], target: datetime) -> Iterator[datetime]:
    if target in firsts:
        yield firsts[target]
        return
    for (_, before), (moment, shown) in pairwise(seen):
        if before < target < shown:
            yield moment
            return


def changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield when the clock is put forward or back, to the quarter of an hour."""
    offset = start.astimezone(zone).utcoffset()
    while start < end:
        start += timedelta(days=1)
        if (now := start.astimezone(zone).utcoffset()) != offset:
            offset, moment = now, start
            while (earlier := moment - timedelta(minutes=15)).astimezone(zone).utcoffset() == now:
                moment = earlier
            yield moment


def course(zone: ZoneInfo, start: datetime, end: datetime) -> tuple[object, ...]:
    """Return all that zones of different names may differ in."""
    moments = [start, *changes(zone, start, end)]
    return tuple((moment, moment.astimezone(zone).utcoffset()) for moment in moments)

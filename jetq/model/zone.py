"""
zone: the clock on the wall of a place, which is sometimes put forward or back.

A second of wall-clock time happens once, twice (when the clock is put back) or never (when it is put forward). Two ways
of running follow (DESIGN: those of Vixie's cron):

- *Times of the day*: each named time runs once a local day. What happens twice runs the first time; what never happens
  runs right after the gap. A local day that does not exist at all, as the 30th of December 2011 in Samoa, has no runs.
- *Every so often*: it runs whenever the wall clock shows a matching time: twice what happens twice, never what does not
  happen. So ``*/15`` runs every 15 minutes of elapsed time, whatever the clock does.

Both give the instants in order. In the first that is so since the walk over wall-clock times and the first instant of
each only go forward; in the second since each stretch between two changes of the clock is walked by itself.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from jetq.errors import UnknownZoneError

Search = Callable[[datetime], datetime | None]
"""Returns the first wall-clock time from one on that is wanted; see `Cron.at_or_after`."""

LAST_YEAR: Final = 9990
"""Nothing is looked for from here on; Python's calendar ends with 9999, and zones need some days around."""
_SECOND: Final = timedelta(seconds=1)
_PROBE: Final = timedelta(days=14)
"""No zone puts its clock forward and back within less: the shortest, in Morocco's Ramadan, takes a month."""
_OF_THE_MACHINE: Final = ("localtime", "posixrules", "posix/", "right/", "Factory")


def find_zone(spec: object, name: str) -> ZoneInfo:
    """
    Return a time zone by its name in the tz database.

    Args:
        spec: What names it, for the error.
        name: Such as ``Europe/Malta``.

    Raises:
        UnknownZoneError: There is none, or it would be another one on another machine.
    """
    zone = None if name.startswith(_OF_THE_MACHINE) else _zone(name)
    if zone is None:
        names = available_timezones()
        same = [known for known in names if known.lower() == name.lower()]
        raise UnknownZoneError(spec, name, same or get_close_matches(name, names, n=2, cutoff=0.7))
    return zone


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def wall(zone: ZoneInfo, moment: datetime) -> datetime:
    """Return what the wall clock shows at a moment."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def next_of_day(search: Search, zone: ZoneInfo, after: datetime) -> datetime | None:
    """
    Return the next instant of named times of the day.

    Args:
        search: Finds the named times on the wall.
        zone: Whose wall.
        after: An instant in UTC; what is returned is later.
    """
    sought = search(_whole(wall(zone, after)) + _SECOND)
    while sought is not None:
        if sought.year >= LAST_YEAR:
            return None
        moment = _once(sought, zone)
        if moment is not None and moment > after:
            return moment
        sought = search(sought + _SECOND)
    return None


def next_match(search: Search, zone: ZoneInfo, after: datetime) -> datetime | None:
    """
    Return the next instant at which the wall clock shows a wanted time.

    Args:
        search: Finds the wanted times on the wall.
        zone: Whose wall.
        after: An instant in UTC; what is returned is later.
    """
    start = _whole(after) + _SECOND
    while True:
        shown = wall(zone, start)
        sought = search(shown)
        if sought is None or sought.year >= LAST_YEAR:
            return None
        moment = start + (sought - shown)
        put = change(zone, start, moment)
        if put is None:
            return moment
        start = put


def is_gap(shown: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock never shows a time."""
    return _offset(shown, zone) < _offset(shown.replace(fold=1), zone)


def is_fold(shown: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock shows a time twice."""
    return _offset(shown, zone) > _offset(shown.replace(fold=1), zone)


def change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """Return the first instant after *start*, up to *end*, from which the clock is put forward or back."""
    low, end = _whole(start), _whole(end)
    own = _offset_at(zone, low)
    while low < end:
        high = min(low + _PROBE, end)
        if _offset_at(zone, high) != own:
            return _first_other(zone, low, high, own)
        low = high
    return None


def _once(shown: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the instant of a time on the wall: the first, or right after the gap; None if its day never was."""
    before, later = _offset(shown, zone), _offset(shown.replace(fold=1), zone)
    if before >= later:
        return (shown - before).replace(tzinfo=UTC)
    low, high = (shown - later).replace(tzinfo=UTC), (shown - before).replace(tzinfo=UTC)
    put = change(zone, low, high) or high
    is_day = wall(zone, put - _SECOND).date() == shown.date() or wall(zone, put).date() == shown.date()
    return put if is_day else None


def _first_other(zone: ZoneInfo, low: datetime, high: datetime, own: timedelta) -> datetime:
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if _offset_at(zone, middle) == own:
            low = middle
        else:
            high = middle
    return high


def _offset(shown: datetime, zone: ZoneInfo) -> timedelta:
    return zone.utcoffset(shown.replace(tzinfo=zone)) or timedelta()


def _offset_at(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)

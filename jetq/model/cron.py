"""
cron: the line of a crontab, and the wall-clock times that it means.

A line says what a clock on the wall must show; it knows no time zone, and that such a clock is sometimes put forward or
back is not its concern (`jetq.model.zone`). The search walks over days, as bits of a month, and never over minutes, so
a line that is due once in a leap year is found as quickly as any other.

Days follow the rule of cron: where both the day of the month and the day of the week are restricted, either is enough.
As in Go's cron library a field is open when one of its parts is ``*`` or ``?``, and ``*/2`` is a restriction.
"""

import re
from bisect import bisect_left
from calendar import month_name, monthrange
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from jetq.errors import InvalidScheduleError
from jetq.model.cron_part import DAY, HOUR, LAST, MINUTE, MONTH, SECOND, WEEKDAY, BadPartError, Field, Part, read_part

FIVE: Final = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)
_YEARS: Final = 60
"""How far ahead days are looked for: a fifth Monday in February may be 40 years away."""
_MOST_FIELDS: Final = 7
_INTERVAL: Final = re.compile(r"(?:every\s+)?((?:\d+[hms])+)", re.ASCII | re.IGNORECASE)
"""What somebody writes who means an interval."""
_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The longest that each month gets."""


@dataclass(frozen=True, slots=True)
class Cron:
    """
    A line, as the numbers that it means.

    Attributes:
        seconds, minutes, hours, months: The numbers, in order.
        days: The days of the month as bits from bit 1; bit 0 is the last day.
        weekdays: For each day of the week from Sunday, which ones of a month as bits; bit 0 is all, ``LAST`` the last.
        days_open, weekdays_open: Whether the field restricts nothing.
        is_fixed: Whether hour and minute are plain numbers, so that the line names times of the day.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    days: int
    weekdays: tuple[int, ...]
    days_open: bool
    weekdays_open: bool
    is_fixed: bool

    def at_or_after(self, wall: datetime) -> datetime | None:
        """
        Return the first time of the line from *wall* on.

        Args:
            wall: A whole second without a time zone.

        Returns:
            None if there is none in the next 60 years, or the calendar ends.
        """
        day = wall.day
        for year in range(wall.year, min(wall.year + _YEARS, 9999) + 1):
            for month in self.months:
                if (year, month) < (wall.year, wall.month):
                    continue
                if (year, month) != (wall.year, wall.month):
                    day = 1
                found = self._in_month(year, month, day, wall)
                if found is not None:
                    return found
        return None

    def _in_month(self, year: int, month: int, day: int, wall: datetime) -> datetime | None:
        left = self.days_of(year, month) >> day
        while left:
            day += (left & -left).bit_length() - 1
            is_first = (year, month, day) == (wall.year, wall.month, wall.day)
            clock = self._clock(wall.hour, wall.minute, wall.second) if is_first else self._first
            if clock is not None:
                return datetime(year, month, day, *clock)  # noqa: DTZ001 - a time on the wall has no zone
            left = self.days_of(year, month) >> (day + 1)
            day += 1
        return None

    @property
    def _first(self) -> tuple[int, int, int]:
        return self.hours[0], self.minutes[0], self.seconds[0]

    def _clock(self, hour: int, minute: int, second: int) -> tuple[int, int, int] | None:
        """Return the first time of a day from the one given on."""
        place = bisect_left(self.hours, hour)
        if place == len(self.hours):
            return None
        if self.hours[place] > hour:
            return self.hours[place], self.minutes[0], self.seconds[0]
        at = bisect_left(self.minutes, minute)
        if at < len(self.minutes) and self.minutes[at] == minute:
            found = bisect_left(self.seconds, second)
            if found < len(self.seconds):
                return hour, minute, self.seconds[found]
            at += 1
        if at < len(self.minutes):
            return hour, self.minutes[at], self.seconds[0]
        if place + 1 < len(self.hours):
            return self.hours[place + 1], self.minutes[0], self.seconds[0]
        return None

    def runs_on(self, day: date) -> bool:
        """Whether there are times of the line on a day."""
        return day.month in self.months and bool(self.days_of(day.year, day.month) >> day.day & 1)

    def days_of(self, year: int, month: int) -> int:
        """Return the days of a month as bits, from bit 1."""
        start, length = monthrange(year, month)
        all_days = (1 << (length + 1)) - 2
        days = self.days & all_days | (1 << length if self.days & 1 else 0)
        if self.weekdays_open:
            return days
        first = (start + 1) % 7
        named = 0
        for weekday, which in enumerate(self.weekdays):
            if which:
                named |= _weekday_bits(1 + (weekday - first) % 7, length, which)
        return days & named if self.days_open else days | named


def _weekday_bits(first: int, length: int, which: int) -> int:
    """Return days as bits: which of those that are a week apart."""
    days = range(first, length + 1, 7)
    if which & 1:
        return sum(1 << day for day in days)
    bits = sum(1 << day for nth, day in enumerate(days, 1) if which >> nth & 1)
    return bits | (1 << days[-1] if which >> LAST & 1 else 0)


def parse_cron(spec: str, line: str, *, strict: bool = True) -> Cron:
    """
    Read a line of five fields, or of six with the seconds first.

    Args:
        spec: The whole schedule, for the error.
        line: Its fields.
        strict: Refuse a line that is never due, and steps that are longer than their field.

    Raises:
        InvalidScheduleError: It means nothing.
    """
    texts = line.lower().split()
    if len(texts) == len(FIVE):
        texts.insert(0, "0")
    if len(texts) != len(FIVE) + 1:
        wanted = "five (minute, hour, day of the month, month, day of the week), or six with the second first"
        count = len(line.split())
        told = spec if count <= _MOST_FIELDS else f"{spec[:40]}..."
        hint = "" if count <= _MOST_FIELDS else "; in a shell, put it in quotes: a bare * becomes the names of files"
        if (interval := _INTERVAL.fullmatch(line)) is not None:
            hint = f"; an interval is written as @every {interval[1]}"
        counted = "1 field" if count == 1 else f"{count} fields"
        raise InvalidScheduleError(told, "fields", f"it has {counted} and needs {wanted}{hint}")
    fields = zip((SECOND, *FIVE), texts, strict=True)
    second, minute, hour, day, month, weekday = [_read(spec, field, text, strict=strict) for field, text in fields]
    cron = Cron(
        seconds=_numbers(second),
        minutes=_numbers(minute),
        hours=_numbers(hour),
        months=_numbers(month),
        days=sum(1 << number for number in _numbers(day)),
        weekdays=tuple(sum({1 << part.nth for part in weekday if n in part.numbers}) for n in range(7)),
        days_open=any(part.is_star for part in day),
        weekdays_open=any(part.is_star for part in weekday),
        is_fixed=all(part.is_plain for part in (*minute, *hour)),
    )
    if strict:
        _check_days(spec, cron)
    return cron


def _read(spec: str, field: Field, text: str, *, strict: bool) -> list[Part]:
    try:
        return [read_part(field, part, strict=strict) for part in text.split(",")]
    except BadPartError as error:
        raise InvalidScheduleError(spec, field.name, str(error)) from None


def _numbers(parts: list[Part]) -> tuple[int, ...]:
    return tuple(sorted({number for part in parts for number in part.numbers}))


def _check_days(spec: str, cron: Cron) -> None:
    """Refuse days that no month of the line has; Go's library takes them, and is never due."""
    longest = max(_LENGTHS[month - 1] for month in cron.months)
    if cron.days & ((1 << (longest + 1)) - 1):
        return
    day = (cron.days & -cron.days).bit_length() - 1
    months = " or ".join(month_name[month] for month in cron.months)
    raise InvalidScheduleError(spec, "day of the month", f"there is no day {day} in {months}")

"""
schedule_words: a schedule as people say it: ``at 03:00 on Monday to Friday, Europe/Malta time``.
"""

from calendar import day_name, month_name
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from typing import Final

from jetq.model.cron import Cron
from jetq.model.cron_part import HOUR, LAST, MINUTE, MONTH, SECOND, Field
from jetq.model.go_duration import NANOSECONDS, format_go_duration
from jetq.model.schedule import Schedule

_NTH: Final = ("", "first", "second", "third", "fourth", "fifth", "last")
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_MOST_TIMES: Final = 6
"""Times of the day that are listed one by one."""
_RUN: Final = 3
"""Numbers in a row that are spelled as a range."""


def describe(schedule: Schedule) -> str:
    """Say in words when a schedule is due."""
    if schedule.at is not None:
        return f"once, at {schedule.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if schedule.cron is None:
        return _interval(schedule.every)
    cron = schedule.cron
    words = [_clock(cron), _days(cron), _months(cron)]
    if cron.is_fixed and not words[1]:
        words[1] = "every day"
    return f"{' '.join(word for word in words if word)}, {_zone(schedule.timezone)}"


def _zone(name: str) -> str:
    return name if name == "UTC" else f"{name} time"


def _interval(seconds: int) -> str:
    for unit, size in _UNITS:
        if seconds % size == 0:
            count = seconds // size
            return f"every {unit}" if count == 1 else f"every {count} {unit}s"
    return f"every {format_go_duration(seconds * NANOSECONDS)}"


def _clock(cron: Cron) -> str:
    times = [(hour, minute) for hour in cron.hours for minute in cron.minutes]
    is_whole = cron.seconds == (0,)
    if cron.is_fixed and len(times) * len(cron.seconds) <= _MOST_TIMES:
        tails = [""] if is_whole else [f":{second:02}" for second in cron.seconds]
        return f"at {_and([f'{hour:02}:{minute:02}{tail}' for hour, minute in times for tail in tails])}"
    parts: list[str] = [] if is_whole else [_beat(SECOND, cron.seconds)]
    is_each = _is_all(MINUTE, cron.minutes)
    if is_whole or not is_each:
        is_hourly = is_whole and cron.minutes == (0,)
        parts.append("every hour" if is_hourly and _is_all(HOUR, cron.hours) else _beat(MINUTE, cron.minutes))
    hours = "" if _is_all(HOUR, cron.hours) else f"in {_numbers('hour', cron.hours)}"
    return " ".join([" of ".join(parts), *filter(None, [hours])])


def _beat(field: Field, numbers: Sequence[int]) -> str:
    """Say which seconds or minutes: ``every 5 minutes``, ``at minute 3``."""
    if _is_all(field, numbers):
        return f"every {field.name}"
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 0
    if step > 1 and tuple(numbers) == tuple(range(0, field.high + 1, step)) and (field.high + 1) % step == 0:
        return f"every {step} {field.name}s"
    return f"at {_numbers(field.name, numbers)}"


def _numbers(name: str, numbers: Sequence[int]) -> str:
    return f"{name} {numbers[0]}" if len(numbers) == 1 else f"{name}s {_runs(numbers, str)}"


def _is_all(field: Field, numbers: Sequence[int]) -> bool:
    return len(numbers) == field.high - field.low + 1


def _days(cron: Cron) -> str:
    of_month = "" if cron.days_open and _bits(cron.days) == list(range(1, 32)) else _days_of_month(cron.days)
    of_week = "" if cron.weekdays_open and all(which & 1 for which in cron.weekdays) else _weekdays(cron.weekdays)
    joint = " and " if cron.days_open or cron.weekdays_open else " or "
    return joint.join(f"on {days}" for days in (of_month, of_week) if days)


def _days_of_month(days: int) -> str:
    numbers = [day for day in _bits(days) if day]
    named = f"day{'s' if len(numbers) > 1 else ''} {_runs(numbers, str)}" if numbers else ""
    last = "the last day" if days & 1 else ""
    return f"{_and([part for part in (named, last) if part])} of the month"


def _weekdays(weekdays: Sequence[int]) -> str:
    plain = [1 + (number - 1) % 7 for number, which in enumerate(weekdays) if which & 1]
    parts = [_runs(sorted(plain), lambda number: day_name[number - 1])] if plain else []
    for number, which in enumerate(weekdays):
        parts += [f"the {_NTH[nth]} {day_name[(number - 1) % 7]}" for nth in range(1, LAST + 1) if which >> nth & 1]
    return _and(parts) if not plain or len(parts) > 1 else parts[0]


def _months(cron: Cron) -> str:
    if _is_all(MONTH, cron.months):
        return ""
    return f"in {_runs(cron.months, lambda month: month_name[month])}"


def _bits(number: int) -> list[int]:
    return [place for place in range(number.bit_length()) if number >> place & 1]


def _runs(numbers: Sequence[int], spell: Callable[[int], str]) -> str:
    """Spell numbers, three and more in a row as a range."""
    parts: list[str] = []
    place = 0
    while place < len(numbers):
        end = place
        while end + 1 < len(numbers) and numbers[end + 1] == numbers[end] + 1:
            end += 1
        if end - place + 1 >= _RUN:
            parts.append(f"{spell(numbers[place])} to {spell(numbers[end])}")
        else:
            parts += [spell(number) for number in numbers[place : end + 1]]
        place = end + 1
    return _and(parts)


def _and(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last

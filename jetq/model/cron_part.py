"""
cron_part: one part of one field of a cron line, such as ``*/5`` or ``mon-fri``, and the numbers that it means.

croniter reads the part; what stands here keeps from it what it would take for something else than was meant: ``R`` is
a random number to it and ``W`` nothing, a range may run backwards, a step may be longer than its field, and ``5/2``
among the days of the week reaches a second Sunday. So each part must first have the shape that is spelled here, which
is that of Go's cron library, and ``L``, ``#`` and 7 for Sunday.

croniter takes two tenths of a millisecond for a line. Parts are few, even where schedules are many, so what it says
about each is remembered. It is imported when the first one is read, since most processes never do.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

LAST: Final = 6
"""In place of a count among the days of a month: the last one."""


@dataclass(frozen=True, slots=True)
class Field:
    """
    A field of a cron line.

    Attributes:
        name: As people call it.
        place: Where it stands in a line without seconds, from 0; seconds stand in no such place.
        low, high: Its numbers.
        names: What may stand for numbers.
    """

    name: str
    place: int
    low: int
    high: int
    names: tuple[str, ...] = ()

    def spell(self, number: int) -> str:
        """Return a number as people read it."""
        return self.names[number - self.low] if self.names else str(number)


SECOND: Final = Field("second", 5, 0, 59)
MINUTE: Final = Field("minute", 0, 0, 59)
HOUR: Final = Field("hour", 1, 0, 23)
DAY: Final = Field("day of the month", 2, 1, 31)
MONTH: Final = Field(
    "month", 3, 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
)
WEEKDAY: Final = Field("day of the week", 4, 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))


class Part(NamedTuple):
    """
    What a part means.

    Attributes:
        numbers: The numbers, Sunday as 0; of :data:`DAY`, 0 stands for the last day of the month.
        is_plain: Whether it is one number alone.
        is_star: Whether it leaves the field open, as ``*`` and ``?`` do.
        nth: Which of these days of the week in a month; 0 for all, ``LAST`` for the last.
    """

    numbers: tuple[int, ...]
    is_plain: bool = False
    is_star: bool = False
    nth: int = 0


class BadPartError(ValueError):
    """A part means nothing; the message says why. It never leaves the reading of a schedule."""


_SHAPE: Final = re.compile(r"(\*|\?|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([0-9]+))?", re.ASCII)
_NTH: Final = re.compile(r"([a-z0-9]+)#([0-9]+)", re.ASCII)
_LAST_WEEKDAY: Final = re.compile(r"l([0-7])|([0-7]|[a-z]{3})l", re.ASCII)
_HASHED: Final = re.compile(r"[hr](\(.*\))?(/[0-9]+)?", re.ASCII)
_NEAREST: Final = re.compile(r"[0-9l]+w", re.ASCII)
_MOST_NTH: Final = 5


@lru_cache(maxsize=4096)
def read_part(field: Field, text: str, *, strict: bool) -> Part:
    """
    Read a part.

    Args:
        field: Where it stands.
        text: The part, in small letters.
        strict: Refuse what means something, but surely not what was meant: steps beyond the field.

    Raises:
        BadPartError: It means nothing; the message says why.
    """
    if field is DAY and text == "l":
        return Part((0,))
    if field is WEEKDAY and (special := _special_weekday(text)) is not None:
        return special
    found = None if _HASHED.fullmatch(text) or _NEAREST.fullmatch(text) else _SHAPE.fullmatch(text)
    if found is None or (found[1] in {"*", "?"} and found[2] is not None):
        raise BadPartError(_shapeless(field, text))
    low, high, step = found[1], found[2], found[3]
    if low in {"*", "?"}:
        if step is None or int(step) == 1:
            return Part(tuple(range(field.low, field.high + 1)), is_star=True)
        return Part(_numbers(field, f"*/{_step(field, step, strict=strict)}"))
    first = _number(field, low)
    if high is None and step is None:
        return Part(_numbers(field, str(first)), is_plain=True)
    last = field.high if high is None else _number(field, high)
    if first > last:
        ways = ((first, field.high), (field.low, last))
        way = ",".join(field.spell(a) if a == b else f"{field.spell(a)}-{field.spell(b)}" for a, b in ways)
        raise BadPartError(f"the range {text} runs backwards; write {way}")
    stepped = "" if step is None else f"/{_step(field, step, strict=strict)}"
    return Part(_numbers(field, f"{first}-{last}{stepped}" if first < last else str(first)))


def _numbers(field: Field, text: str) -> tuple[int, ...]:
    """Return what croniter reads in a part of sound shape."""
    from croniter import croniter  # noqa: PLC0415 - see the module's docstring

    line = ["*"] * 6
    line[field.place] = text
    fields, _ = croniter.expand(" ".join(line), strict=True)
    found = fields[field.place]
    if found == ["*"]:
        return tuple(range(field.low, field.high + 1))
    return tuple(sorted(int(number) for number in found))


def _number(field: Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdigit():
        if field.names:
            near = next((name for name in field.names if text.startswith(name)), "")
            hint = (
                f"write {near}" if near else f"use {field.low} to {field.high} or {field.names[0]} to {field.names[-1]}"
            )
        else:
            hint = f"use {field.low} to {field.high}"
        raise BadPartError(f"{text!r} is no {field.name}; {hint}")
    number = int(text)
    highest = 7 if field is WEEKDAY else field.high
    if not field.low <= number <= highest:
        raise BadPartError(f"{number} is no {field.name}; use {field.low} to {field.high}")
    return number


def _step(field: Field, text: str, *, strict: bool) -> int:
    step = int(text)
    if step == 0:
        raise BadPartError("a step of 0 leads nowhere; use 1 or more")
    if strict and step > field.high - field.low:
        unit = {"second": "s", "minute": "m", "hour": "h"}.get(field.name)
        way = f"; for every {step} {field.name}s write @every {step}{unit}" if unit else ""
        raise BadPartError(f"a step of {step} goes beyond {field.low} to {field.high}{way}")
    return min(step, field.high - field.low + 1)


def _special_weekday(text: str) -> Part | None:
    """Read ``fri#2`` (the second Friday) and ``friL`` or ``L5`` (the last one)."""
    if found := _NTH.fullmatch(text):
        nth = int(found[2])
        if not 1 <= nth <= _MOST_NTH:
            raise BadPartError(f"a month has no day of the week number {nth}; use 1 to {_MOST_NTH} after #")
        return Part(_numbers(WEEKDAY, str(_number(WEEKDAY, found[1]))), nth=nth)
    if found := _LAST_WEEKDAY.fullmatch(text):
        return Part(_numbers(WEEKDAY, str(_number(WEEKDAY, found[1] or found[2]))), nth=LAST)
    return None


def _shapeless(field: Field, text: str) -> str:
    if not text:
        return "there is nothing between two commas"
    if _HASHED.fullmatch(text):
        return f"{text.upper()} means a number drawn by the program, which jetq does not do; name one, or use jitter="
    if _NEAREST.fullmatch(text):
        return "W, the nearest weekday, is not known here; name the days"
    shapes = f"write *, a number, a range a-b, or one with a step, as */5 ({field.low} to {field.high})"
    return f"{text!r} is no {field.name}; {shapes}"

"""
schedule: when something is to happen again and again, or once. Pure.

A schedule is a text that Go's cron library reads too: five fields, ``@hourly`` and its like, ``@every 10m``, with
``CRON_TZ=Europe/Malta`` before it. Go knows neither the six fields with the seconds first, nor ``L``, ``#`` and 7 for
Sunday, nor ``@at 2026-11-24T03:00:00Z``, which is once.

Occurrences are whole seconds in UTC. What makes them is the text alone, and for an interval the moment that it is
counted from, so that all programs that know a schedule find the same ones.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from jetq.errors import InvalidScheduleError
from jetq.model.cron import Cron, parse_cron
from jetq.model.go_duration import NANOSECONDS, format_go_duration, parse_go_duration
from jetq.model.zone import LAST_YEAR, find_zone, next_match, next_of_day

UTC_NAME: Final = "UTC"
DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LONGEST_SPEC: Final = 500
"""Characters."""
_SECOND: Final = timedelta(seconds=1)
_ZONED: Final = re.compile(r"(?:CRON_)?TZ=(\S*)\s*(.*)", re.DOTALL)
_LONGEST_EVERY: Final = 100 * 366 * 86_400
"""Seconds, a century."""

Spec = str | timedelta | datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    A schedule that can be meant; made by :func:`parse_schedule`.

    Attributes:
        spec: As it is stored: with the time zone before it, if one was named.
        zone: The time zone, UTC if none was named.
        cron: The line, where it is one.
        every: Seconds, where it is an interval.
        at: The moment, where it is once.
    """

    spec: str
    zone: ZoneInfo
    cron: Cron | None = None
    every: int = 0
    at: datetime | None = None

    @property
    def timezone(self) -> str:
        """The name of the time zone."""
        return self.zone.key

    @property
    def is_daily(self) -> bool:
        """Whether it names times of the day, each of which runs once a local day, however the clock is put."""
        return self.cron is not None and self.cron.is_fixed

    def after(self, moment: datetime, *, anchor: datetime) -> datetime | None:
        """
        Return the first occurrence later than *moment*, in UTC.

        Args:
            moment: An aware datetime.
            anchor: Since when an interval is counted, an aware datetime; its fraction of a second does not count.

        Returns:
            None if there is none.
        """
        if moment.year >= LAST_YEAR:
            return None
        since = moment.astimezone(UTC)
        if self.cron is None:
            return self._counted(since, anchor)
        find = next_of_day if self.cron.is_fixed else next_match
        return find(self.cron.at_or_after, self.zone, since)

    def newest(self, count: int, *, after: datetime, until: datetime, anchor: datetime) -> list[datetime]:
        """
        Return the last occurrences of a stretch of time, in order. Its length does not matter for what this costs.

        Args:
            count: How many at most.
            after: Where the stretch begins; an occurrence at this very moment is not in it.
            until: Where it ends; an occurrence at this very moment is in it.
            anchor: As of :meth:`after`.
        """
        length = _SECOND
        while True:
            start = max(after, until - length)
            found = self._all(start, until, anchor)
            if len(found) >= count or start == after:
                return found[-count:]
            length *= 4

    def _all(self, after: datetime, until: datetime, anchor: datetime) -> list[datetime]:
        found: list[datetime] = []
        occurrence = self.after(after, anchor=anchor)
        while occurrence is not None and occurrence <= until:
            found.append(occurrence)
            occurrence = self.after(occurrence, anchor=anchor)
        return found

    def _counted(self, since: datetime, anchor: datetime) -> datetime | None:
        if self.at is not None:
            return self.at if self.at > since else None
        start = anchor.astimezone(UTC).replace(microsecond=0)
        steps = max(0, (since - start) // timedelta(seconds=self.every)) + 1
        found = start + timedelta(seconds=self.every * steps)
        return found if found.year < LAST_YEAR else None


def parse_schedule(spec: Spec, timezone: str | None = None, *, strict: bool = True) -> Schedule:
    """
    Read a schedule.

    Args:
        spec: A cron line of five fields, or of six with the seconds first; ``@hourly`` or its like, also without the
            ``@``; ``@every`` with a Go duration, or a timedelta; ``@at`` with a time, or an aware datetime. A time zone
            may stand before a line, as ``CRON_TZ=Europe/Malta``.
        timezone: A name of the tz database. Without it, and without ``CRON_TZ=``, times are those of UTC.
        strict: Refuse what Go's library takes and which is surely not meant: a line that is never due, steps that are
            longer than their field, intervals with fractions of a second.

    Raises:
        InvalidScheduleError: It cannot be meant; the error names the field.
        UnknownZoneError: There is no such time zone.
    """
    if isinstance(spec, timedelta):
        return _every(spec, str(spec), spec // timedelta(microseconds=1) * 1000, timezone, strict=strict)
    if isinstance(spec, datetime):
        return _at(spec, spec, timezone)
    text = _checked_text(spec)
    named, text = _split_zone(spec, text, timezone)
    word = text.lower()
    if word.startswith("@every"):
        return _every(spec, text[6:].strip(), parse_go_duration(text[6:].strip()), named, strict=strict)
    if word.startswith("@at"):
        return _at(spec, _moment(spec, text[3:].strip()), named)
    described = word if word.startswith("@") else f"@{word}"
    line = DESCRIPTORS.get(described)
    if line is None and word.startswith("@"):
        raise InvalidScheduleError(spec, "word", f"{text.split()[0]} is none of {', '.join(DESCRIPTORS)}, @every, @at")
    zone = find_zone(spec, named or UTC_NAME)
    stored = " ".join(text.split()) if line is None else described
    cron = parse_cron(spec, line or text, strict=strict)
    return Schedule(f"CRON_TZ={named} {stored}" if named else stored, zone, cron=cron)


def _checked_text(spec: object) -> str:
    if not isinstance(spec, str):
        raise InvalidScheduleError(spec, "spec", "it must be a text, a timedelta or an aware datetime")
    text = spec.strip()
    if not text:
        raise InvalidScheduleError(spec, "spec", "it is empty; write five fields such as '0 3 * * *', or '@every 10m'")
    if len(text) > LONGEST_SPEC:
        raise InvalidScheduleError(f"{text[:60]}...", "spec", f"it has more than {LONGEST_SPEC} characters")
    return text


def _split_zone(spec: str, text: str, timezone: str | None) -> tuple[str, str]:
    """Return the named time zone, if any, and what stands behind it."""
    found = _ZONED.fullmatch(text)
    if found is None:
        return timezone or "", text
    named = found[1]
    if not named or not found[2]:
        raise InvalidScheduleError(spec, "time zone", "write CRON_TZ=Europe/Malta, a blank, and the fields")
    if timezone and timezone != named:
        raise InvalidScheduleError(spec, "time zone", f"it names {named}, and timezone= {timezone}; say it once")
    return named, found[2]


def _every(spec: object, text: str, length: int | None, timezone: str | None, *, strict: bool) -> Schedule:
    """Return an interval of so many nanoseconds; as in Go, what is less than a second is one, and fractions are cut."""
    if length is None:
        days = "; a day is 24h" if re.search(r"\d\s*[dw]", text) else ""
        raise InvalidScheduleError(spec, "@every", f"{text!r} is no duration; write it as 90s, 10m or 1h30m{days}")
    seconds = max(1, length // NANOSECONDS)
    if strict and (length < NANOSECONDS or length % NANOSECONDS):
        raise InvalidScheduleError(spec, "@every", "an interval has whole seconds, and at least one")
    if seconds > _LONGEST_EVERY:
        raise InvalidScheduleError(spec, "@every", "it is longer than a century")
    if timezone:
        find_zone(spec, timezone)
    return Schedule(f"@every {format_go_duration(seconds * NANOSECONDS)}", ZoneInfo(UTC_NAME), every=seconds)


def _at(spec: object, moment: datetime, timezone: str | None) -> Schedule:
    if moment.utcoffset() is None and timezone:
        moment = moment.replace(tzinfo=find_zone(spec, timezone))
    if moment.utcoffset() is None:
        raise InvalidScheduleError(spec, "@at", "the time has no zone; end it with Z or +01:00, or name the time zone")
    if not 1970 <= moment.year < LAST_YEAR:  # noqa: PLR2004 - where the clocks of computers begin
        raise InvalidScheduleError(spec, "@at", f"the year is outside of 1970 to {LAST_YEAR - 1}")
    at = moment.astimezone(UTC).replace(microsecond=0)
    return Schedule(f"@at {at:%Y-%m-%dT%H:%M:%SZ}", find_zone(spec, timezone or UTC_NAME), at=at)


def _moment(spec: object, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidScheduleError(spec, "@at", f"{text!r} is no time; write 2026-11-24T03:00:00Z") from None

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, strategies as st

from jetq.model.schedule import Schedule, parse_schedule
from jetq.model.zone import change, is_fold, is_gap
from tests.unit.model.wall_clock import changes, course, matches, once_a_day, watch

START = datetime(2026, 1, 1, tzinfo=UTC)
YEARS = timedelta(days=3 * 365)
QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)
ZONES = sorted(
    name for name in available_timezones() if not name.startswith(("Factory", "localtime", "posix", "right"))
)
TIMES = [time(0, 0), time(0, 30), time(1, 45), time(2, 0), time(2, 30), time(3, 0), time(23, 30)]


def every_day(_day: date) -> bool:
    return True


def run(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """All occurrences after *start* and before *end*."""
    found: list[datetime] = []
    moment = schedule.after(start, anchor=start)
    while moment is not None and moment < end:
        found.append(moment)
        moment = schedule.after(moment, anchor=start)
    return found


def check_zone(name: str, start: datetime, end: datetime, times: list[time]) -> None:
    """Compare all kinds of schedules with the clock on the wall; *start* and *end* must not be near a change."""
    zone = ZoneInfo(name)
    seen = watch(zone, start - DAY, end + DAY, QUARTER)
    inside = [pair for pair in seen if start < pair[0] < end]
    for named in times:
        schedule = parse_schedule(f"{named.minute} {named.hour} * * *", name)
        expected = [moment for moment in once_a_day(seen, named, every_day) if start < moment < end]
        assert run(schedule, start, end) == expected, (name, named)
    half_hours = parse_schedule("*/30 * * * *", name)
    assert run(half_hours, start, end) == matches(inside, lambda shown: shown.minute % 30 == 0), name
    even = parse_schedule("0 */2 * * *", name)
    assert run(even, start, end) == matches(inside, lambda shown: shown.minute == 0 and shown.hour % 2 == 0), name
    quarters = run(parse_schedule("*/15 * * * *", name), start, end)
    assert {after - before for before, after in pairwise(quarters)} == {QUARTER}, name


def test_a_job_with_a_time_of_day_runs_once_a_local_day_wherever_a_clock_is_put_forward_or_back() -> None:
    seen: set[tuple[object, ...]] = set()
    for name in ZONES:
        zone = ZoneInfo(name)
        for day in changes(zone, START, START + YEARS):
            kind = day, (day - 2 * DAY).astimezone(zone).utcoffset(), (day + DAY).astimezone(zone).utcoffset()
            if kind not in seen:  # zones that share a change differ in name only
                seen.add(kind)
                check_zone(name, day.replace(minute=0) - 2 * DAY, day.replace(minute=0) + 2 * DAY, TIMES)
    assert len(seen) > 50


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_job_with_a_time_of_day_runs_once_a_local_day_in_every_zone_for_three_years() -> None:
    start = START + timedelta(hours=7)
    different = {course(ZoneInfo(name), start - DAY, START + YEARS + DAY): name for name in ZONES}
    assert len(different) > 50
    for name in different.values():
        check_zone(name, start, START + YEARS, TIMES)


@pytest.mark.parametrize(
    ("zone", "spec", "start", "expected"),
    [
        ("Europe/Malta", "30 2 * * *", "2026-03-28T12:00Z", ["29T01:00", "30T00:30"]),  # forward at 2:00
        ("Europe/Malta", "30 2 * * *", "2026-10-24T12:00Z", ["25T00:30", "26T01:30"]),  # back at 3:00
        ("Europe/Malta", "*/30 2 * * *", "2026-10-24T12:00Z", ["25T00:00", "25T00:30", "25T01:00", "25T01:30"]),
        ("Europe/Malta", "*/30 2 * * *", "2026-03-28T12:00Z", ["30T00:00", "30T00:30"]),
        ("Europe/Malta", "0,30 2 * * *", "2026-03-28T12:00Z", ["29T01:00", "30T00:00", "30T00:30"]),
        ("Europe/Malta", "*/20 30 2 * * *", "2026-03-28T12:00Z", ["29T01:00", "30T00:30"]),
        ("America/Nuuk", "30 23 * * *", "2026-03-28T12:00Z", ["29T01:00", "30T00:30"]),  # the gap ends the day
        ("Africa/Cairo", "15 0 * * *", "2026-04-23T12:00Z", ["23T22:00", "24T21:15"]),  # the day begins with a gap
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00Z", ["03T15:30", "04T15:15"]),  # half an hour
        ("Pacific/Apia", "0 3 * * *", "2011-12-28T20:00Z", ["29T13:00", "30T13:00"]),  # there was no 30th
        ("America/St_Johns", "0 0 * * *", "2006-10-28T12:00Z", ["29T02:30", "30T03:30"]),  # back at 00:01
    ],
)  # fmt: skip
def test_what_the_clock_does_to_a_schedule(zone: str, spec: str, start: str, expected: list[str]) -> None:
    schedule, moment = parse_schedule(spec, zone), datetime.fromisoformat(start)
    found: list[str] = []
    for _ in expected:
        moment = schedule.after(moment, anchor=moment)
        assert moment is not None
        found.append(f"{moment:%dT%H:%M}")
    assert found == expected


FIELDS = st.sampled_from(["*", "0", "30", "59", "*/20", "1-5", "15,45"])
HOURS = st.sampled_from(["*", "0", "1", "2", "3", "23", "*/3", "22-23", "1,2", "0-23"])
DAYS = st.sampled_from([("*", "*"), ("*", "sun"), ("29", "sat"), ("*/2", "*"), ("L", "*")])


def is_wanted(field: str, number: int, low: int = 0) -> bool:
    """Whether a number stands in a field of the kinds above, read with a few lines."""
    if field.startswith("*"):
        return (number - low) % int(field[2:] or 1) == 0
    if "-" in field:
        first, last = field.split("-")
        return int(first) <= number <= int(last)
    return str(number) in field.split(",")


def is_day(days: tuple[str, str], day: date) -> bool:
    """Whether a day is meant by one of the pairs above."""
    of_month, of_week = days
    if of_month == "L":
        return (day + DAY).day == 1
    weekday = of_week == "*" or f"{day:%a}".lower() == of_week
    if of_month == "29":
        return day.day == 29 or weekday
    return weekday and is_wanted(of_month, day.day, 1)


@given(st.sampled_from(ZONES), st.integers(0, 60 * 365), st.tuples(FIELDS, HOURS), DAYS, st.booleans())
def test_any_schedule_runs_when_the_clock_on_the_wall_says_so(
    zone: str, day: int, clock: tuple[str, str], days: tuple[str, str], near: bool
) -> None:
    minute, hour = clock
    start = datetime(1975, 1, 1, 5, tzinfo=UTC) + timedelta(days=day)
    tz = ZoneInfo(zone)
    start = next(changes(tz, start, start + timedelta(days=400)), start) - 2 * DAY if near else start
    end = start + 4 * DAY
    schedule = parse_schedule(f"{minute} {hour} {days[0]} * {days[1]}", zone)
    seen = watch(tz, start - 2 * DAY, end + 2 * DAY, timedelta(minutes=1))
    if schedule.is_daily:
        named = [time(h, m) for h in range(24) for m in range(60) if is_wanted(hour, h) and is_wanted(minute, m)]
        found = {moment for each in named for moment in once_a_day(seen, each, lambda day: is_day(days, day))}
        expected = sorted(moment for moment in found if start < moment < end)
    else:
        expected = matches(
            [pair for pair in seen if start < pair[0] < end],
            lambda shown: (
                is_wanted(minute, shown.minute) and is_wanted(hour, shown.hour) and is_day(days, shown.date())
            ),
        )
    assert run(schedule, start, end) == expected


def test_times_that_never_come_and_come_twice_are_known() -> None:
    zone = ZoneInfo("Europe/Malta")
    spring, autumn = datetime(2026, 3, 29), datetime(2026, 10, 25)  # noqa: DTZ001 - on the wall
    assert [is_gap(spring.replace(hour=hour), zone) for hour in (1, 2, 3)] == [False, True, False]
    assert [is_fold(autumn.replace(hour=hour), zone) for hour in (1, 2, 3)] == [False, True, False]


@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_a_change_is_found_from_any_moment_up_to_any(before: int, after: int) -> None:
    put, zone = datetime(2026, 3, 29, 1, tzinfo=UTC), ZoneInfo("Europe/Malta")
    early, late = put - timedelta(microseconds=1 + before), put + timedelta(microseconds=after)
    assert change(zone, early, late) == put
    assert change(zone, early - 99 * DAY, late + 99 * DAY) == put
    assert change(zone, late, late + 99 * DAY) is None
    assert change(zone, early - DAY, put - timedelta(microseconds=1)) is None

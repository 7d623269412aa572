import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from croniter import croniter
from hypothesis import assume, given, strategies as st

from jetq.errors import InvalidScheduleError, UnknownZoneError
from jetq.model.schedule import Schedule, parse_schedule
from tests.golden.files import FOLDER

START = datetime(2026, 11, 24, 3, tzinfo=UTC)
GO = {line["spec"]: line for line in json.loads((FOLDER / "cron.json").read_text(encoding="utf-8"))}
ONLY_JETQ = {
    "0 3 * * * *", "0 0 * * 7", "0 0 * * 5-7", "0 0 L * *", "0 0 * * 1#2", "@Daily", "daily", "@at 2026-11-24T03:00:00Z"
}  # fmt: skip
"""Seconds, 7 for Sunday, the last and the second of a month, words in any letters, and once."""
ONLY_GO = {"*-5 * * * *", "1,,2 * * * *", "+5 * * * *", ", * * * *"}
"""Slips that Go's library does not see."""
SURELY_NOT_MEANT = {
    "@every 1500ms", "@every 10ms", "@every 1m0.5s", "@every -5m", "@every 0", "0 0 30 2 *", "*/90 * * * *",
    "0 */48 * * *", "0 0 31 2 1",
}  # fmt: skip
"""Taken from the store, where Go may have put it, and refused from people."""


def times(schedule: Schedule, count: int, start: datetime = START) -> list[datetime]:
    found: list[datetime] = []
    moment: datetime | None = start
    while len(found) < count and (moment := schedule.after(moment or start, anchor=start)) is not None:
        found.append(moment)
    return found


def is_taken(spec: str, *, strict: bool) -> bool:
    try:
        parse_schedule(spec, strict=strict)
    except InvalidScheduleError:
        return False
    return True


@pytest.mark.parametrize("spec", GO)
def test_gos_cron_library_finds_the_same_times(spec: str) -> None:
    assert is_taken(spec, strict=False) == ((GO[spec]["taken"] and spec not in ONLY_GO) or spec in ONLY_JETQ)
    assert is_taken(spec, strict=True) == (is_taken(spec, strict=False) and spec not in SURELY_NOT_MEANT)
    if GO[spec]["taken"] and spec not in ONLY_GO:
        found = times(parse_schedule(spec, strict=False), 8)
        assert [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in found] == GO[spec]["next"]


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    """Fields that croniter and Go's library read alike."""
    number = st.integers(low, high)
    span = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    step = st.integers(2, high - low)
    part = st.one_of(
        number.map(str),
        span,
        st.tuples(span, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        step.map(lambda by: f"*/{by}"),
    )
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the bounds


@given(st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 28), numbers(1, 12)), numbers(0, 6), MOMENTS)
def test_croniter_finds_the_same_times_in_utc(line: tuple[str, ...], weekday: str, start: datetime) -> None:
    assume(line[2] == "*" or weekday == "*")  # with both, croniter does not count */2 as a restriction
    spec = " ".join((*line, weekday))
    theirs = croniter(spec, start, ret_type=datetime)
    assert times(parse_schedule(spec), 5, start) == [theirs.get_next() for _ in range(5)]


@given(st.tuples(numbers(0, 59), numbers(0, 59), numbers(0, 23)), MOMENTS)
def test_seconds_stand_first(line: tuple[str, ...], start: datetime) -> None:
    second, minute, hour = line
    theirs = croniter(f"{minute} {hour} * * * {second}", start, ret_type=datetime)
    assert times(parse_schedule(f"{second} {minute} {hour} * * *"), 5, start) == [theirs.get_next() for _ in range(5)]


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ("0 0 30 2 *", "day of the month", "there is no day 30 in February"),
        ("0 0 31 4,6 *", "day of the month", "there is no day 31 in April or June"),
        ("60 * * * *", "minute", "60 is no minute; use 0 to 59"),
        ("0 24 * * *", "hour", "24 is no hour; use 0 to 23"),
        ("0 0 0 * *", "day of the month", "0 is no day of the month; use 1 to 31"),
        ("0 0 * january *", "month", "'january' is no month; write jan"),
        ("0 0 * * 8", "day of the week", "8 is no day of the week; use 0 to 6"),
        ("0 0 * * xyz", "day of the week", "'xyz' is no day of the week; use 0 to 6 or sun to sat"),
        ("*/0 * * * *", "minute", "a step of 0 leads nowhere; use 1 or more"),
        ("*/90 * * * *", "minute", "a step of 90 goes beyond 0 to 59; for every 90 minutes write @every 90m"),
        ("0 22-2 * * *", "hour", "the range 22-2 runs backwards; write 22-23,0-2"),
        ("0 0 * * sat-sun", "day of the week", "the range sat-sun runs backwards; write sat,sun"),
        ("1,,2 * * * *", "minute", "there is nothing between two commas"),
        ("a b c d e", "minute", "'a' is no minute; use 0 to 59"),
        ("H * * * *", "minute", "H means a number drawn by the program, which jetq does not do"),
        ("0 0 15W * *", "day of the month", "W, the nearest weekday, is not known here; name the days"),
        ("0 0 * * fri#6", "day of the week", "a month has no day of the week number 6; use 1 to 5 after #"),
        ("61 0 3 * * *", "second", "61 is no second; use 0 to 59"),
        ("0 3 * *", "fields", "it has 4 fields and needs five"),
        ("0 3 * * * * 2026", "fields", "it has 7 fields and needs five"),
        ("0 3 a.py b.py c.py d.py e.py f.py", "fields", "in a shell, put it in quotes"),
        ("", "spec", "it is empty"),
        ("* " * 300, "spec", "more than 500 characters"),
        (5, "spec", "it must be a text, a timedelta or an aware datetime"),
        ("@fortnightly", "word", "@fortnightly is none of @yearly"),
        ("fortnightly", "fields", "it has 1 field and needs five"),
        ("90s", "fields", "an interval is written as @every 90s"),
        ("every 1h30m", "fields", "an interval is written as @every 1h30m"),
        ("@every", "@every", "'' is no duration; write it as 90s, 10m or 1h30m"),
        ("@every 1d", "@every", "'1d' is no duration; write it as 90s, 10m or 1h30m; a day is 24h"),
        ("@every 500ms", "@every", "an interval has whole seconds, and at least one"),
        (timedelta(milliseconds=1500), "@every", "an interval has whole seconds, and at least one"),
        (timedelta(0), "@every", "an interval has whole seconds, and at least one"),
        ("@every 900000h", "@every", "it is longer than a century"),
        ("@at tomorrow", "@at", "'tomorrow' is no time; write 2026-11-24T03:00:00Z"),
        ("@at 2026-11-24T03:00:00", "@at", "the time has no zone; end it with Z or +01:00, or name the time zone"),
        ("@at 1969-12-31T23:59:59Z", "@at", "the year is outside of 1970 to 9989"),
        ("CRON_TZ=Europe/Malta", "time zone", "write CRON_TZ=Europe/Malta, a blank, and the fields"),
        ("CRON_TZ= 0 3 * * *", "time zone", "write CRON_TZ=Europe/Malta, a blank, and the fields"),
        ("CRON_TZ=Europe/Valetta 0 3 * * *", "time zone", "there is no time zone 'Europe/Valetta' here; did you mean"),
        ("CRON_TZ=../etc/passwd 0 3 * * *", "time zone", "there is no time zone '../etc/passwd' here"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_the_field_and_the_reason(spec: Any, field: str, reason: str) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        parse_schedule(spec)
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert reason in str(caught.value)


@pytest.mark.parametrize("zone", ["europe/malta", "Europe", "localtime", "posix/UTC", "UTC\0", "Mars/Base", "é"])
def test_a_wrong_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(UnknownZoneError) as caught:
        parse_schedule("0 3 * * *", zone)
    assert caught.value.zone == zone
    assert (zone != "europe/malta") or caught.value.near == ("Europe/Malta",)


def test_a_time_zone_is_said_once() -> None:
    assert parse_schedule("CRON_TZ=Europe/Malta 0 3 * * *", "Europe/Malta").spec == "CRON_TZ=Europe/Malta 0 3 * * *"
    with pytest.raises(InvalidScheduleError, match="say it once"):
        parse_schedule("CRON_TZ=Europe/Malta 0 3 * * *", "UTC")


@pytest.mark.parametrize(
    ("spec", "zone", "stored"),
    [
        (" 0   3 * * MON ", None, "0 3 * * MON"),
        ("0 3 * * *", "Europe/Malta", "CRON_TZ=Europe/Malta 0 3 * * *"),
        ("TZ=Europe/Malta  @daily", None, "CRON_TZ=Europe/Malta @daily"),
        ("hourly", None, "@hourly"),
        ("Midnight", "Asia/Tokyo", "CRON_TZ=Asia/Tokyo @midnight"),
        ("@every 90m", None, "@every 1h30m"),
        ("@every 1.5h", "Asia/Tokyo", "@every 1h30m"),
        (timedelta(minutes=5), None, "@every 5m"),
        (datetime(2026, 11, 24, 3, tzinfo=timezone(timedelta(hours=1))), None, "@at 2026-11-24T02:00:00Z"),
        ("@at 2026-11-24T03:00:00.9+01:00", None, "@at 2026-11-24T02:00:00Z"),
        ("@at 2026-11-24 03:00", "Europe/Malta", "@at 2026-11-24T02:00:00Z"),
    ],
    ids=str,
)
def test_a_spec_is_stored_so_that_it_is_read_again_alike(spec: Any, zone: str | None, stored: str) -> None:
    schedule = parse_schedule(spec, zone)
    assert schedule.spec == stored
    assert times(parse_schedule(stored), 5) == times(schedule, 5)


def test_an_interval_is_counted_from_its_anchor_whoever_asks_and_when() -> None:
    schedule, anchor = parse_schedule("@every 7m"), START + timedelta(seconds=5, microseconds=123)
    first = START + timedelta(minutes=7, seconds=5)
    assert schedule.after(START - timedelta(days=9), anchor=anchor) == first
    assert schedule.after(first - timedelta(microseconds=1), anchor=anchor) == first
    assert schedule.after(first, anchor=anchor) == first + timedelta(minutes=7)


def test_a_single_moment_comes_once() -> None:
    schedule = parse_schedule(START)
    assert schedule.after(START - timedelta(seconds=1), anchor=START) == START
    assert schedule.after(START, anchor=START) is None


def test_a_line_that_is_due_once_in_decades_is_found() -> None:
    leap_mondays = parse_schedule("0 0 * 2 1#5")  # a leap year whose February begins with a Monday
    assert [moment.year for moment in times(leap_mondays, 2)] == [2044, 2072]
    assert times(parse_schedule("0 0 29 2 *"), 1, datetime(2096, 3, 1, tzinfo=UTC)) == [
        datetime(2104, 2, 29, tzinfo=UTC)
    ]


def test_nothing_comes_when_the_calendar_ends() -> None:
    end = datetime(9989, 12, 31, 23, 59, tzinfo=UTC)
    for spec in (
        "* * * * *",
        "0 0 * * *",
        "@every 1h",
        "CRON_TZ=Asia/Tokyo */5 * * * *",
        "CRON_TZ=Asia/Tokyo 0 9 * * *",
    ):
        assert parse_schedule(spec).after(end, anchor=START) is None
        assert parse_schedule(spec).after(datetime.max.replace(tzinfo=UTC), anchor=START) is None


@given(st.sampled_from(["*/7 * * * *", "30 2 * * *", "@every 7s", "0 0 1 * *"]), MOMENTS, st.integers(0, 10**6))
def test_the_newest_of_a_stretch_are_the_last_of_all(spec: str, end: datetime, length: int) -> None:
    schedule, start = parse_schedule(spec, None), end - timedelta(seconds=length % 10**5 if "s" in spec else length)
    every: list[datetime] = []
    moment = schedule.after(start, anchor=START)
    while moment is not None and moment <= end:
        every.append(moment)
        moment = schedule.after(moment, anchor=START)
    for count in (1, 3, 100):
        assert schedule.newest(count, after=start, until=end, anchor=START) == every[-count:]

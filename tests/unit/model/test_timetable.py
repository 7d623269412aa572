from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from jetq.errors import InvalidScheduleError
from jetq.model.stored_schedule import Misfire, StoredSchedule
from jetq.model.timetable import GRACE, Due, Timetable, believed, occurrence_id

CREATED = datetime(2026, 11, 24, 3, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPECS = [
    "@every 1s",
    "@every 7s",
    "*/5 * * * * *",
    "* * * * *",
    "CRON_TZ=Europe/Malta 0 3 * * *",
    "@at 2026-11-24T04:00:00Z",
]


def table(spec: str = "@every 1s", **values: Any) -> Timetable:
    record = StoredSchedule(name="tick", schedule=spec, queue="Q", task_type="a:b", created_at=CREATED, **values)
    return Timetable.of(record)


def planned(due: Due) -> list[float]:
    """Seconds after the creation."""
    return [(occurrence.planned - CREATED).total_seconds() for occurrence in due.occurrences]


def at(seconds: float) -> datetime:
    return CREATED + timedelta(seconds=seconds)


@pytest.mark.parametrize("misfire", Misfire)
def test_a_change_of_the_leader_misses_nothing_whatever_the_policy(misfire: Misfire) -> None:
    due = table(misfire=misfire).due(at(100), at(100 + GRACE))
    assert planned(due) == [float(n) for n in range(101, 116)]
    assert (due.skipped, due.until) == (0, at(115))


@pytest.mark.parametrize(
    ("misfire", "made"),
    [(Misfire.SKIP, []), (Misfire.LATEST, [130.0]), (Misfire.ALL, [float(n) for n in range(101, 131)])],
)
def test_after_thirty_seconds_the_policy_says_what_is_made(misfire: Misfire, made: list[float]) -> None:
    due = table(misfire=misfire).due(at(100), at(130.5))
    assert planned(due) == made
    assert (due.skipped, due.until) == (30 - len(made), at(130))


def test_all_makes_the_newest_up_to_the_limit() -> None:
    due = table(misfire=Misfire.ALL, limit=3).due(at(0), at(60))
    assert (planned(due), due.skipped) == ([58, 59, 60], 57)


@pytest.mark.parametrize("misfire", Misfire)
def test_nothing_is_made_that_is_later_than_max_late(misfire: Misfire) -> None:
    due = table("0 * * * *", misfire=misfire, max_late=600).due(at(0), at(3600 + 601))
    assert (planned(due), due.skipped, due.until) == ([], 1, at(3600))
    within = table(misfire=misfire, max_late=2).due(at(0), at(10))
    assert planned(within) == [8, 9, 10]


def test_a_machine_that_slept_for_a_year_makes_no_flood_and_takes_no_time() -> None:
    now = at(365 * 86_400)
    assert len(table(misfire=Misfire.ALL, max_late=1e9).due(at(0), now).occurrences) == 100
    assert planned(table(max_late=1e9).due(at(0), now)) == [365 * 86_400]
    skipped = table(misfire=Misfire.SKIP).due(at(0), now)
    assert (skipped.occurrences, skipped.until) == ((), now)
    assert skipped.skipped >= 100


def test_a_clock_that_was_put_back_makes_nothing_twice() -> None:
    assert table().due(at(7200), at(3600)) == Due()
    assert planned(table().due(at(7200), at(7201))) == [7201]


def test_a_state_of_a_wrong_clock_is_not_believed() -> None:
    ahead = at(365 * 86_400)
    assert believed(ahead, at(10)) == at(10)
    assert believed(at(86_400), at(10)) == at(86_400)
    assert table().due(ahead, at(10)) == Due()


def test_start_and_end_bound_the_occurrences() -> None:
    bounded = table(start=at(5), end=at(8))
    assert planned(bounded.due(at(0), at(10))) == [5, 6, 7]
    assert bounded.after(at(0)) == at(5)
    assert bounded.after(at(7)) is None


@pytest.mark.parametrize("values", [{"enabled": False}, {"paused": True}], ids=str)
def test_what_is_off_is_never_due(values: dict[str, bool]) -> None:
    off = table(**values)
    assert off.after(at(0)) is None
    assert off.due(at(0), at(10)) == Due()


def test_an_id_is_the_name_with_the_planned_time_in_utc() -> None:
    assert occurrence_id("nightly", datetime.fromisoformat("2026-11-24T04:00:00+01:00")) == "nightly:20261124T030000Z"


@given(st.integers(0, 10**6), st.floats(0.001, 1e5))
def test_jitter_delays_the_start_alike_for_all_and_never_beyond_its_length(seconds: int, jitter: float) -> None:
    one, other = (table(jitter=jitter).occurrence(at(seconds)) for _ in range(2))
    assert one == other
    assert timedelta() <= one.starts - one.planned <= timedelta(seconds=jitter)
    assert one.id == occurrence_id("tick", at(seconds))


def test_jitter_spreads() -> None:
    starts = {table(jitter=60).occurrence(at(n)).starts - at(n) for n in range(100)}
    assert len(starts) > 90
    assert min(starts) < timedelta(seconds=6)
    assert max(starts) > timedelta(seconds=54)


def test_what_go_takes_is_taken_from_the_store() -> None:
    assert planned(table("@every 10ms").due(at(0), at(2))) == [1, 2]
    with pytest.raises(InvalidScheduleError):
        table("0 3 * *")


POLICIES = st.builds(
    lambda misfire, max_late, limit: {"misfire": misfire, "max_late": max_late, "limit": limit},
    st.sampled_from(Misfire),
    st.sampled_from([1.0, 60.0, 600.0]),
    st.integers(1, 50),
)


@given(st.sampled_from(SPECS), POLICIES, st.lists(st.floats(0, 5000), min_size=1, max_size=20))
def test_whatever_pauses_there_are_nothing_is_made_twice_or_out_of_order(
    spec: str, policy: dict[str, Any], pauses: list[float]
) -> None:
    every = table(spec, **policy)
    since = now = CREATED
    made: list[datetime] = []
    for pause in pauses:
        now += timedelta(seconds=pause)
        due = every.due(since, now)
        made += [occurrence.planned for occurrence in due.occurrences]
        assert all(since < occurrence.planned <= now for occurrence in due.occurrences)
        assert len(due.occurrences) <= max(policy["limit"], GRACE)
        since = due.until or since
        following = every.after(since)
        assert following is None or following > now
    assert made == sorted(set(made))


@given(st.sampled_from(SPECS), st.lists(st.floats(0, GRACE - 1), min_size=1, max_size=40))
def test_while_no_pause_is_longer_than_the_grace_every_occurrence_is_made(spec: str, pauses: list[float]) -> None:
    every = table(spec, misfire=Misfire.SKIP)
    since = now = CREATED
    made: list[datetime] = []
    for pause in pauses:
        now += timedelta(seconds=pause)
        due = every.due(since, now)
        made += [occurrence.planned for occurrence in due.occurrences]
        since = due.until or since
    assert made == every.schedule.newest(10**6, after=CREATED, until=now, anchor=CREATED)


def test_a_changed_schedule_keeps_its_anchor() -> None:
    record = table("@every 10m").record
    changed = Timetable.of(replace(record, schedule="@every 4m"))
    assert changed.after(at(600)) == at(720)

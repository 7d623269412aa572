from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any

import pytest

from jetq.beat.agenda import Agenda
from jetq.model.stored_schedule import Misfire, StoredSchedule
from jetq.model.timetable import Timetable

CREATED = datetime(2026, 11, 24, 3, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return CREATED + timedelta(seconds=seconds)


def table(name: str, spec: str = "@every 10s", **values: Any) -> Timetable:
    record = StoredSchedule(name=name, schedule=spec, queue="Q", task_type="a:b", created_at=CREATED, **values)
    return Timetable.of(record)


def names(agenda: Agenda, now: datetime) -> list[str]:
    return [timetable.record.name for timetable, _ in agenda.due(now)]


@pytest.fixture
def agenda() -> Agenda:
    made = Agenda()
    for name, spec in (("slow", "@every 1h"), ("quick", "@every 10s"), ("middle", "@every 1m")):
        made.put(table(name, spec), CREATED, CREATED)
    return made


def test_the_longest_due_come_first(agenda: Agenda) -> None:
    assert agenda.next_time == at(10)
    assert names(agenda, at(9.9)) == []
    assert names(agenda, at(60)) == ["quick", "middle"]
    assert agenda.next_time == at(3600)


def test_a_schedule_is_due_again_after_it_was_dealt_with(agenda: Agenda) -> None:
    [(quick, due)] = agenda.due(at(10))
    assert names(agenda, at(20)) == []
    assert due.until is not None
    agenda.done(quick, due.until)
    assert names(agenda, at(20)) == ["quick"]


def test_what_could_not_be_made_is_due_again_with_all_that_became_due_meanwhile(agenda: Agenda) -> None:
    [(quick, _)] = agenda.due(at(10))
    agenda.again(quick, at(25))
    assert names(agenda, at(24)) == []
    [(again, due)] = agenda.due(at(25))
    assert again is quick
    assert [each.planned for each in due.occurrences] == [at(10), at(20)]


def test_a_new_version_takes_the_place_of_the_old_one(agenda: Agenda) -> None:
    [(old, due)] = agenda.due(at(10))
    agenda.put(table("quick", "@every 7s"), at(10), at(10))
    agenda.done(old, due.until or at(10))
    agenda.again(old, at(11))
    assert agenda.next_time == at(14)
    assert len(agenda) == 3


def test_what_was_removed_is_not_due(agenda: Agenda) -> None:
    agenda.remove("quick")
    agenda.remove("quick")
    assert ("quick" in agenda, agenda.next_time) == (False, at(60))
    [(middle, due)] = agenda.due(at(60))
    agenda.remove("middle")
    agenda.done(middle, due.until or at(60))
    assert [timetable.record.name for timetable in agenda] == ["slow"]
    agenda.clear()
    assert agenda.next_time is None


def test_what_is_off_or_over_waits_for_a_new_version() -> None:
    agenda = Agenda()
    agenda.put(table("off", paused=True), CREATED, CREATED)
    agenda.put(table("once", "@at 2026-11-24T03:00:05Z"), CREATED, CREATED)
    [(once, due)] = agenda.due(at(5))
    agenda.done(once, due.until or at(5))
    assert (agenda.next_time, len(agenda)) == (None, 2)
    agenda.put(table("off"), at(5), at(5))
    assert agenda.next_time == at(10)


def test_a_clock_that_is_put_right_after_being_a_year_ahead_silences_nothing(agenda: Agenda) -> None:
    year = 365 * 86_400
    for timetable, due in agenda.due(at(year)):
        assert due.until is not None
        agenda.done(timetable, due.until)
    assert names(agenda, at(100)) == []
    assert agenda.next_time == at(110)


def test_only_so_many_are_handed_out_as_are_asked_for(agenda: Agenda) -> None:
    assert [timetable.record.name for timetable, _ in agenda.due(at(3600), most=1)] == ["quick"]
    assert names(agenda, at(3600)) == ["middle", "slow"]


def test_ten_thousand_schedules_start_at_once() -> None:
    specs = [f"CRON_TZ=Europe/Malta {n % 60} {n // 60 % 24} {n % 28 + 1} * {n % 7}" for n in range(10_000)]
    records = [
        StoredSchedule(name=f"n{n}", schedule=spec, queue="Q", task_type="a:b", created_at=CREATED, misfire=Misfire.ALL)
        for n, spec in enumerate(specs)
    ]
    agenda, start = Agenda(), process_time()
    for record in records:
        agenda.put(Timetable.of(record), CREATED, CREATED)
    assert process_time() - start < 4  # 0.4 on a machine of its own
    start = process_time()
    assert sum(len(agenda.due(CREATED)) for _ in range(10_000)) == 0
    assert process_time() - start < 0.5

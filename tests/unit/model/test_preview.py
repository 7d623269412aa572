from datetime import UTC, datetime

import pytest

from jetq.model.preview import preview
from jetq.model.stored_schedule import StoredSchedule
from jetq.model.timetable import Timetable

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def table(spec: str) -> Timetable:
    record = StoredSchedule(name="a", schedule=spec, queue="Q", task_type="t", created_at=NOW)
    return Timetable.of(record)


def touched(spec: str, days: int = 300) -> list[tuple[str, str]]:
    return [
        (f"{each.local:%m-%d %H:%M%z}", each.note) for each in preview(table(spec), NOW, count=1, days=days).touched
    ]


@pytest.mark.parametrize(
    ("spec", "notes"),
    [
        (
            "30 2 * * *",
            [
                ("03-29 03:00+0200", "02:30 does not come that day; it runs right after"),
                ("10-25 02:30+0200", "02:30 comes twice that day; this is the first time"),
            ],
        ),
        (
            "*/30 2 * * *",
            [
                ("03-30 02:00+0200", "2026-03-29 02:00 does not come; it is left out"),
                ("10-25 02:00+0200", "02:00 comes twice that day; this is the first"),
                ("10-25 02:30+0200", "02:30 comes twice that day; this is the first"),
                ("10-25 02:00+0100", "02:00 comes twice that day; this is the second"),
                ("10-25 02:30+0100", "02:30 comes twice that day; this is the second"),
            ],
        ),
        ("0 3 * * *", []),
        ("0 12 * * mon", []),
    ],
)
def test_what_the_clock_moves_doubles_and_leaves_out_is_told(spec: str, notes: list[tuple[str, str]]) -> None:
    assert touched(f"CRON_TZ=Europe/Malta {spec}") == notes


@pytest.mark.parametrize("spec", ["30 2 * * *", "@every 1h", "@at 2026-03-29T02:30:00Z"])
def test_where_no_clock_is_put_nothing_is_told(spec: str) -> None:
    assert touched(spec) == []


def test_only_the_days_that_are_asked_for_are_looked_at() -> None:
    assert touched("CRON_TZ=Europe/Malta 30 2 * * *", days=20) == []
    assert len(touched("CRON_TZ=Europe/Malta 30 2 * * *", days=200)) == 1


def test_the_next_occurrences_are_those_of_the_schedule() -> None:
    found = preview(table("CRON_TZ=Europe/Malta 30 2 28-31 * *"), NOW, count=3, days=0)
    assert [f"{each.at:%d %H:%M}" for each in found.following] == ["28 01:30", "29 01:00", "30 00:30"]
    assert [bool(each.note) for each in found.following] == [False, True, False]
    assert len(preview(table("@at 2026-03-29T02:30:00Z"), NOW, count=3, days=0).following) == 1


def test_a_schedule_of_every_second_is_looked_at_quickly() -> None:
    assert 0 < len(touched("CRON_TZ=Europe/Malta * * * * * *")) <= 4000

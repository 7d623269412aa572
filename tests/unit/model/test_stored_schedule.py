from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.errors import InvalidNameError, InvalidSettingError
from jetq.model.stored_schedule import (
    Misfire,
    StoredSchedule,
    check_schedule_name,
    code_origin,
    misfire_policy,
    schedule_deadline,
)
from jetq.model.timetable import occurrence_id

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
RECORD = StoredSchedule(name="a", schedule="@daily", queue="Q", task_type="t", created_at=NOW)


def test_a_name_leaves_room_for_the_planned_time_in_the_ids_of_its_tasks() -> None:
    longest = "x" * 183
    assert check_schedule_name(longest) == longest
    assert len(occurrence_id(longest, NOW)) == 200
    with pytest.raises(InvalidNameError, match="it has 184 characters and the limit is 183"):
        check_schedule_name("x" * 184)


def test_a_name_is_a_key_too() -> None:
    with pytest.raises(InvalidNameError, match="it is a key too"):
        check_schedule_name("a:b")


@pytest.mark.parametrize(
    ("deadline", "after"),
    [(0, None), (-5, None), (30 * 10**9, timedelta(seconds=30)), (90_000_000_500, timedelta(seconds=90))],
)
def test_a_deadline_counts_from_the_making_of_a_task(deadline: int, after: timedelta | None) -> None:
    found = replace(RECORD, deadline=deadline).deadline_after
    assert found is None if after is None else found is not None and abs(found - after) < timedelta(microseconds=2)


@pytest.mark.parametrize(
    ("value", "nanoseconds"), [(None, 0), (30, 30 * 10**9), (timedelta(minutes=1), 60 * 10**9), (30.5, 30_500_000_000)]
)
def test_a_deadline_is_stored_in_nanoseconds(value: Any, nanoseconds: int) -> None:
    assert schedule_deadline(value) == nanoseconds


@pytest.mark.parametrize("value", ["", "Latest", None, 1])
def test_a_policy_has_one_of_three_names(value: Any) -> None:
    assert [misfire_policy(str(policy)) for policy in Misfire] == list(Misfire)
    with pytest.raises(InvalidSettingError, match="one of skip, latest, all"):
        misfire_policy(value)


def test_applications_keep_their_own_schedules() -> None:
    assert code_origin("shop") == "code:shop" != code_origin("bank")

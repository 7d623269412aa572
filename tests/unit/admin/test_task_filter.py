from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq.admin.task_filter import DISPLAY_STATES, TaskFilter
from jetq.errors import InvalidNameError, InvalidSettingError
from jetq.model.state import State
from jetq.wire.summary import ErrorKind, TaskSummary

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def task(**fields: Any) -> TaskSummary:
    return TaskSummary(
        **{"id": "t1", "type": "email:new", "created": NOW, "state": State.NEW, "queue": "EMAIL"} | fields
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, True),
        ({"queue": "EMAIL"}, True),
        ({"queue": "OTHER"}, False),
        ({"states": ["new", "retry"]}, True),
        ({"states": ["complete"]}, False),
        ({"states": ["scheduled"]}, False),
        ({"task_type": "email:new"}, True),
        ({"task_type": "email:*"}, True),
        ({"task_type": "*:new"}, True),
        ({"task_type": "*"}, True),
        ({"task_type": "email"}, False),
        ({"task_type": "EMAIL:new"}, False),
        ({"task_type": "email.new"}, False),
        ({"task_type": "e*n*"}, True),
        ({"created_since": NOW}, True),
        ({"created_since": NOW + timedelta(microseconds=1)}, False),
        ({"created_before": NOW}, False),
        ({"created_before": NOW + timedelta(microseconds=1)}, True),
        ({"changed_since": NOW}, True),
        ({"changed_since": NOW + timedelta(seconds=1)}, False),
        ({"changed_before": NOW}, False),
        ({"changed_before": NOW + timedelta(seconds=1)}, True),
        ({"ids": ["t2", "t1"]}, True),
        ({"ids": ["t2"]}, False),
        ({"end": "max_tries"}, True),
        ({"end": "max*"}, True),
        ({"end": "max"}, False),
        ({"error": "no luck"}, True),
        ({"error": "NO LUCK"}, True),
        ({"error": "no*today"}, True),
        ({"error": "today*no"}, False),
        ({"error": "timeouterror"}, True),
        ({"error": "time?"}, False),
        ({"error": "l.ck"}, False),
        ({"queue": "EMAIL", "states": ["new"], "task_type": "order:*"}, False),
    ],
)
def test_a_task_matches_when_everything_that_is_asked_for_holds(wanted: dict[str, Any], found: bool) -> None:
    failed = task(end="max_tries", last_err="no luck\nat all today", error=ErrorKind("shop.TimeoutError"))

    assert TaskFilter(**wanted).matches(failed, int(NOW.timestamp()) * 1_000_000_000) is found


def test_a_task_without_an_error_has_none_that_matches() -> None:
    assert not TaskFilter(error="*e*").matches(task())
    assert not TaskFilter(end="max_tries").matches(task())


def test_a_filter_says_whether_it_lets_everything_through() -> None:
    assert TaskFilter().is_open
    assert TaskFilter(limit=3).is_open
    for one in ({"queue": "Q"}, {"states": ["new"]}, {"task_type": "x"}, {"ids": ["t1"]}, {"end": "e"}, {"error": "x"}):
        given: dict[str, Any] = one
        assert not TaskFilter(**given).is_open
    assert TaskFilter(ids=["t1"]).is_by_id
    assert not TaskFilter(ids=["t1"], queue="Q").is_by_id
    assert not TaskFilter().is_by_id
    for time in ("created_since", "created_before", "changed_since", "changed_before"):
        late: dict[str, Any] = {time: NOW}
        assert not TaskFilter(**late).is_open


@pytest.mark.parametrize(
    ("time", "found"),
    [("created_since", True), ("created_before", False), ("changed_since", True), ("changed_before", False)],
)
def test_a_time_ago_counts_from_whatever_time_it_is_said_to_be(time: str, found: bool) -> None:
    wanted: dict[str, Any] = {time: timedelta(hours=2)}
    written = int(NOW.timestamp()) * 1_000_000_000
    chosen = TaskFilter(limit=7, **wanted)

    assert not chosen.is_open
    assert chosen.at(NOW + timedelta(hours=1)).matches(task(), written) is found
    assert chosen.at(NOW + timedelta(hours=3)).matches(task(), written) is not found
    assert chosen.at(NOW).at(NOW + timedelta(hours=3)).matches(task(), written) is found  # it has been said
    assert chosen.limited(5).at(NOW).limit == 5


def test_until_it_is_said_a_time_ago_counts_from_now() -> None:
    young, old = (task(created=datetime.now(UTC) - timedelta(hours=hours)) for hours in (1, 3))

    assert [TaskFilter(created_before=timedelta(hours=2)).matches(each) for each in (young, old)] == [False, True]


def test_states_are_those_that_people_see() -> None:
    assert TaskFilter(states=["scheduled"]).matches(task(due=NOW))
    assert not TaskFilter(states=["new"]).matches(task(due=NOW))
    assert TaskFilter(states=["cancelled"]).matches(task(state=State.EXPIRED, end="cancelled"))
    assert TaskFilter(states=["unknown"]).matches(task(state=State.UNKNOWN))


@pytest.mark.parametrize("state", sorted(State))
def test_every_state_can_be_asked_for(state: State) -> None:
    assert task(state=state).display_state in DISPLAY_STATES


@pytest.mark.parametrize(
    ("wanted", "setting"),
    [
        ({"states": ["finished"]}, "state"),
        ({"limit": -1}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"created_since": NOW.replace(tzinfo=None)}, "created_since"),
        ({"created_before": NOW.replace(tzinfo=None)}, "created_before"),
        ({"changed_since": NOW.replace(tzinfo=None)}, "changed_since"),
        ({"changed_before": NOW.replace(tzinfo=None)}, "changed_before"),
        ({"created_before": timedelta(-1)}, "created_before"),
        ({"changed_since": timedelta(365 * 101)}, "changed_since"),
        ({"task_type": ""}, "task_type"),
        ({"end": ""}, "end"),
        ({"error": ""}, "error"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(wanted: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        TaskFilter(**wanted)

    assert refused.value.setting == setting


def test_an_illegal_queue_is_refused() -> None:
    with pytest.raises(InvalidNameError):
        TaskFilter(queue="a b")
    with pytest.raises(InvalidNameError):
        TaskFilter(ids=["t1", "t.2"])

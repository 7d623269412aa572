from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq.admin.task_filter import DISPLAY_STATES, TaskFilter
from jetq.errors import InvalidNameError, InvalidSettingError
from jetq.model.state import State
from jetq.wire.summary import TaskSummary

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
        ({"queue": "EMAIL", "states": ["new"], "task_type": "order:*"}, False),
    ],
)
def test_a_task_matches_when_everything_that_is_asked_for_holds(wanted: dict[str, Any], found: bool) -> None:
    assert TaskFilter(**wanted).matches(task()) is found


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
    ],
)
def test_what_cannot_be_asked_for_is_refused(wanted: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        TaskFilter(**wanted)

    assert refused.value.setting == setting


def test_an_illegal_queue_is_refused() -> None:
    with pytest.raises(InvalidNameError):
        TaskFilter(queue="a b")

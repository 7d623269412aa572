from datetime import timedelta
from typing import Any

import pytest

from jetq.errors import InvalidSettingError
from jetq.jetstream.bound_queue import BoundQueue
from jetq.jetstream.queue_changes import QueueChanges, changed_consumer, changed_stream

BOUND = BoundQueue(name="EMAIL", lease=15.0, max_run_time=60.0, max_tries=3, max_concurrent=5)
CONSUMER = {
    "ack_wait": 15_000_000_000,
    "max_deliver": -1,
    "max_ack_pending": 5,
    "max_waiting": 512,
    "metadata": {"jetq.max_run_time": "60", "jetq.max_tries": "3", "jetq.lease": "15", "team": "mail"},
}


def test_no_change_changes_nothing() -> None:
    config = {"max_age": 7, "max_msgs": 3, "discard": "old", "duplicate_window": 5}

    assert changed_stream(config, QueueChanges().checked()) == config
    assert changed_consumer(CONSUMER, BOUND, QueueChanges().checked()) == CONSUMER


def test_durations_may_be_timedeltas() -> None:
    changes = QueueChanges(max_age=timedelta(hours=1), max_run_time=timedelta(minutes=2), lease=5).checked()

    assert (changes.max_age, changes.max_run_time, changes.lease) == (3600.0, 120.0, 5.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_age": -1},
        {"max_age": 0.5},
        {"max_entries": -1},
        {"max_entries": 1.5},
        {"max_tries": -1},
        {"max_run_time": 0},
        {"max_concurrent": 0},
        {"lease": 0.5},
        {"lease": float("inf")},
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_name(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        QueueChanges(**changes).checked()

    assert [refused.value.setting] == list(changes)


@pytest.mark.parametrize(("age", "window"), [(60.0, 60), (600.0, 120), (0.0, 120)])
def test_the_window_of_duplicates_is_never_longer_than_the_age(age: float, window: int) -> None:
    changed = changed_stream({"duplicate_window": 120_000_000_000}, QueueChanges(max_age=age).checked())

    assert changed["duplicate_window"] == window * 1_000_000_000


def test_metadata_of_others_stay() -> None:
    changed = changed_consumer(CONSUMER, BOUND, QueueChanges(max_tries=9).checked())

    assert changed["metadata"] == CONSUMER["metadata"] | {"jetq.max_tries": "9"}
    assert changed["max_waiting"] == 512

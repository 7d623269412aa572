from datetime import timedelta
from typing import Any

import pytest

from jetq.errors import InvalidSettingError
from jetq.jetstream.bound_queue import BoundQueue
from jetq.jetstream.queue_changes import QueueChanges, changed_consumer, changed_stream
from jetq.jetstream.store_changes import StoreChanges, changed_store

SECOND = 1_000_000_000
CONFIG: dict[str, Any] = {
    "name": "T_TASKS",
    "num_replicas": 1,
    "max_age": 0,
    "duplicate_window": 120 * SECOND,
    "allow_msg_ttl": True,
    "metadata": {"_nats.level": "1", "jetq.ended_kept": "60"},
    "something": "else",
}


def changed(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return changed_store(config, StoreChanges(**changes).checked())


def test_no_change_leaves_all_as_it_is() -> None:
    assert changed(CONFIG) == CONFIG


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"retention": 90}, {"jetq.complete_kept": "90", "jetq.ended_kept": "90"}),
        (
            {"retention": timedelta(hours=1), "ended_kept": 1.5},
            {"jetq.complete_kept": "3600", "jetq.ended_kept": "1.5"},
        ),
        ({"complete_kept": 5}, {"jetq.complete_kept": "5", "jetq.ended_kept": "60"}),
        ({"ended_kept": 0}, {}),
        ({"retention": 0}, {}),
    ],
    ids=str,
)
def test_retention_stands_in_the_metadata_and_foreign_keys_stay(changes: dict[str, Any], kept: dict[str, str]) -> None:
    assert changed(CONFIG, **changes) == CONFIG | {"metadata": {"_nats.level": "1"} | kept}


def test_a_store_without_message_ttl_gets_it_with_a_retention() -> None:
    assert changed(CONFIG | {"allow_msg_ttl": False}, retention=90)["allow_msg_ttl"] is True
    assert changed(CONFIG | {"allow_msg_ttl": False}, replicas=3)["allow_msg_ttl"] is False


@pytest.mark.parametrize(("retention", "window"), [(60, 60), (3600, 120)])
def test_an_age_limit_follows_the_retention_alone(retention: int, window: int) -> None:
    limited = CONFIG | {"max_age": 86_400 * SECOND}

    followed = changed(limited, retention=retention)

    assert (followed["max_age"], followed["duplicate_window"]) == (retention * SECOND, window * SECOND)
    assert changed(limited, complete_kept=60, ended_kept=60)["max_age"] == limited["max_age"]
    assert changed(limited, retention=0)["max_age"] == limited["max_age"]


def test_copies_are_changed_alone() -> None:
    assert changed(CONFIG, replicas=3) == CONFIG | {"num_replicas": 3}


@pytest.mark.parametrize("replicas", [0, 6, 1.5, True], ids=str)
def test_copies_that_make_no_sense_are_refused(replicas: Any) -> None:
    with pytest.raises(InvalidSettingError, match="replicas"):
        StoreChanges(replicas=replicas).checked()
    with pytest.raises(InvalidSettingError, match="replicas"):
        QueueChanges(replicas=replicas).checked()


def test_the_copies_of_a_queue_are_its_streams() -> None:
    bound = BoundQueue(name="Q", lease=15, max_run_time=60)
    changes = QueueChanges(replicas=3).checked()
    consumer = changed_consumer({"ack_wait": 15 * SECOND}, bound, QueueChanges().checked())

    assert changed_stream({"name": "T_Q_Q", "num_replicas": 1}, changes) == {"name": "T_Q_Q", "num_replicas": 3}
    assert changed_consumer({"ack_wait": 15 * SECOND}, bound, changes) == consumer

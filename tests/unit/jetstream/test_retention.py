from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.jetstream.bound_queue import BoundStore, read_store
from jetq.jetstream.retention import StoreRetention
from jetq.model.record import TaskRecord
from jetq.model.retention import Retention
from jetq.model.state import State
from jetq.settings import DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT, StoreSettings

NO_TOPOLOGY: Any = None


def store(**metadata: str) -> BoundStore:
    return read_store({"name": "T_TASKS", "metadata": {f"jetq.{name}": text for name, text in metadata.items()}})


@pytest.mark.parametrize(
    ("settings", "metadata", "complete", "ended"),
    [
        ({}, {}, DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT),
        ({}, {"complete_kept": "60"}, 60, DEFAULT_ENDED_KEPT),
        ({}, {"complete_kept": "60", "ended_kept": "90.5"}, 60, 90.5),
        ({"ended_kept": timedelta(hours=1)}, {"complete_kept": "60", "ended_kept": "90"}, 60, 3600),
        ({"complete_kept": 5}, {}, 5, DEFAULT_ENDED_KEPT),
    ],
    ids=["nobody", "the-store-half", "the-store", "both", "the-application"],
)
def test_the_application_wins_over_the_store_and_the_store_over_the_defaults(
    settings: dict[str, Any], metadata: dict[str, str], complete: float, ended: float
) -> None:
    retention = StoreRetention(StoreSettings(**settings), NO_TOPOLOGY)
    retention.observe(store(**metadata))

    assert retention.kept(State.COMPLETE) == complete
    assert {retention.kept(state) for state in (State.EXPIRED, State.TERMINATED, State.UNREACHABLE)} == {ended}


@pytest.mark.parametrize("text", ["soon", "-1", "0", "0.5", "nan", "inf", ""])
def test_what_makes_no_sense_in_the_store_says_nothing(text: str) -> None:
    assert store(complete_kept=text, ended_kept=text) == store()


def test_before_the_store_was_read_the_settings_and_the_defaults_count() -> None:
    retention = StoreRetention(StoreSettings(complete_kept=5), NO_TOPOLOGY)

    assert (retention.complete_kept, retention.ended_kept) == (5, DEFAULT_ENDED_KEPT)


@pytest.mark.parametrize("said", [0, 60, 30 * 86_400])
def test_a_task_on_which_others_depend_is_kept_for_a_week_at_least(said: float) -> None:
    retention = StoreRetention(StoreSettings(), NO_TOPOLOGY, Retention(complete=said))
    record = TaskRecord(id="A", type="t", state=State.COMPLETE, created=datetime.now(UTC))

    assert retention.of(record) == said
    assert retention.of(replace(record, dependents=("B",))) == max(said, 7 * 86_400)

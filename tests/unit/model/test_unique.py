from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.errors import InvalidSettingError
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.model.unique import KeyEntry, Unique, UniqueMode, as_unique, key_text

RECORD = TaskRecord(id="T", type="x:y", queue="Q", state=State.NEW, created=datetime(2026, 11, 24, tzinfo=UTC))


def by_name(name: str) -> str:
    return name


@pytest.mark.parametrize(
    ("value", "wish"),
    [
        (True, Unique()),
        (False, None),
        ("k", Unique("k")),
        (by_name, Unique(by_name)),
        (Unique(mode="latest"), Unique(mode=UniqueMode.LATEST)),
    ],
)
def test_every_shape_of_a_wish_is_understood(value: Any, wish: Unique | None) -> None:
    assert as_unique(value) == wish


@pytest.mark.parametrize(
    "make",
    [
        lambda: as_unique(5),  # type: ignore[arg-type]
        lambda: as_unique(["k"]),  # type: ignore[arg-type]
        lambda: as_unique(""),
        lambda: Unique(""),
        lambda: Unique("\udcff"),
        lambda: Unique(5),  # type: ignore[arg-type]
        lambda: Unique(mode="other"),
        lambda: Unique(mode="period"),
        lambda: Unique(mode="replace", period=5),
        lambda: Unique(mode=UniqueMode.LATEST, period=timedelta(5)),
        lambda: key_text("x:y", ""),
        lambda: key_text("x:y", None),
        lambda: key_text("x:y", 5),
        lambda: key_text("x:y", "a\ud800"),
        lambda: key_text("x:y", "k" * 4093),
        lambda: key_text("x:y", "ü" * 2047),
    ],
    ids=range(16),
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidSettingError, match="expected unique"):
        make()


@pytest.mark.parametrize("key", ["k", " ", "k" * 4092, "ü" * 2046, "日本\n語\0.>*", "😀"], ids=range(6))
def test_a_key_is_any_text_and_belongs_to_its_type(key: str) -> None:
    assert key_text("x:y", key) == f"x:y {key}"
    assert key_text("x:z", key) != key_text("x:y", key)


@pytest.mark.parametrize("state", State)
def test_a_key_counts_until_its_task_has_ended(state: State) -> None:
    record = replace(RECORD, state=state)
    unfinished = state in {State.UNKNOWN, State.NEW, State.ACTIVE, State.RETRY, State.BLOCKED}

    assert KeyEntry("x:y k", "T").is_held(record) is unfinished
    assert KeyEntry("x:y k", "T", period=5).is_held(record) is (state is not State.QUEUE_ERROR)


def test_a_key_of_a_task_without_record_counts_for_its_period_alone() -> None:
    assert not KeyEntry("x:y k", "T").is_held(None)
    assert KeyEntry("x:y k", "T", period=5).is_held(None)

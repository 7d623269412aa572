"""What a record says of itself."""

from datetime import UTC, datetime

import pytest

from jetq.model.record import TaskRecord
from jetq.model.state import FINAL, RUNNABLE, State

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize("due", [None, NOW], ids=["at once", "later"])
@pytest.mark.parametrize("state", sorted(State))
def test_a_record_is_final_waiting_runnable_or_none_of_these(state: State, due: datetime | None) -> None:
    record = TaskRecord(id="A1", type="t", state=state, created=NOW, due=due)

    assert record.is_final == (state in FINAL)
    assert record.is_waiting == (state in RUNNABLE and due is not None)
    assert record.is_runnable == (state in RUNNABLE and due is None)
    assert record.is_final + record.is_waiting + record.is_runnable <= 1


def test_a_record_shows_people_its_state() -> None:
    assert TaskRecord(id="A1", type="t", state=State.NEW, created=NOW, due=NOW).display_state == "scheduled"
    assert TaskRecord(id="A1", type="t", state=State.EXPIRED, created=NOW, end="cancelled").display_state == "cancelled"


def test_records_share_no_list() -> None:
    one, another = (TaskRecord(id="A1", type="t", created=NOW) for _ in range(2))

    assert one.dependencies is not another.dependencies

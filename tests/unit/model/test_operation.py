"""Operations on one task: the table that decides, and the moves that they make."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Raw

from jetq.errors import IllegalTransitionError, OperationRefusedError
from jetq.model.operation import RULES, UNCHANGED, Changes, Effect, Operation, Standing, rule_for, standing_of
from jetq.model.record import ABSENT, CancelRequest, Run, TaskRecord
from jetq.model.state import FINAL, RUNNABLE, TRANSITIONS, End, State
from jetq.model.transition import ended, hastened, stopping

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
RUN = Run("W1", 1, "cafe")


def record(state: State = State.NEW, **fields: Any) -> TaskRecord:
    return TaskRecord(id="A1", type="t", state=state, created=NOW, **fields)


@pytest.mark.parametrize(
    ("task", "standing"),
    [
        (record(State.NEW, due=NOW), Standing.SCHEDULED),
        (record(State.NEW), Standing.NEW),
        (record(State.RETRY, due=NOW), Standing.RETRY),
        (record(State.RETRY), Standing.QUEUED_RETRY),
        (record(State.QUEUE_ERROR, due=NOW), Standing.QUEUE_ERROR),
        (record(State.UNKNOWN), Standing.UNKNOWN),
        (record(State.ACTIVE, run=RUN), Standing.ACTIVE),
        (record(State.ACTIVE), Standing.ACTIVE_GO),
        (record(State.EXPIRED, end="cancelled"), Standing.CANCELLED),
        (record(State.EXPIRED, end="purged"), Standing.EXPIRED),
        (record(State.TERMINATED, end="cancelled"), Standing.TERMINATED),
    ],
    ids=lambda value: str(value) if isinstance(value, Standing) else "",
)
def test_a_task_stands_where_people_and_operations_see_it(task: TaskRecord, standing: Standing) -> None:
    assert standing_of(task) is standing


@pytest.mark.parametrize("state", sorted(State))
def test_every_record_stands_somewhere(state: State) -> None:
    for due in (None, NOW):
        for end in ("", "cancelled", "another program's word"):
            assert set(RULES[standing_of(record(state, due=due, end=end))]) == set(Operation)


def test_no_rule_allows_what_no_move_allows() -> None:
    for state in State:
        row = RULES[standing_of(record(state, run=RUN))]
        if row[Operation.RETRY].effect is Effect.STARTED:
            assert State.RETRY in TRANSITIONS[state]
        if row[Operation.CANCEL].effect is Effect.ENDED:
            assert State.EXPIRED in TRANSITIONS[state]


def test_a_refusal_names_the_task_its_state_and_what_to_do() -> None:
    with pytest.raises(OperationRefusedError) as caught:
        rule_for(record(State.ACTIVE), Operation.CANCEL)

    assert str(caught.value) == (
        "cancel of task A1 is refused: the task is active; "
        "a Go worker runs it, and knows of no such wish; wait for its end"
    )


def test_what_is_not_named_is_not_changed_and_none_is_something() -> None:
    assert Changes().given() == {}
    assert Changes(payload=None, max_tries=0).given() == {"payload": None, "max_tries": 0}
    assert repr(UNCHANGED) == "UNCHANGED"


@pytest.mark.parametrize(("by", "text"), [("", "cancelled"), ("ops", "cancelled by ops")])
def test_a_request_says_by_whom(by: str, text: str) -> None:
    assert CancelRequest(by, NOW).text == text


@pytest.mark.parametrize("state", sorted(RUNNABLE | {State.BLOCKED}))
def test_what_does_not_run_is_ended_with_a_reason(state: State) -> None:
    after = ended(record(state, due=NOW, progress=Raw(b"1"), last_err="before", tries=2), End.PURGED, "emptied")

    assert (after.state, after.end, after.last_err, after.due, after.tries) == (
        State.EXPIRED,
        "purged",
        "emptied",
        None,
        2,
    )
    assert after.progress == ABSENT


@pytest.mark.parametrize("state", sorted(FINAL | {State.ACTIVE}))
def test_what_runs_or_has_ended_is_not_ended(state: State) -> None:
    with pytest.raises(IllegalTransitionError):
        ended(record(state), End.CANCELLED, "")


def test_the_first_request_counts() -> None:
    first, second = CancelRequest("a", NOW), CancelRequest("b", NOW)

    assert stopping(stopping(record(State.ACTIVE), first), second).cancel_requested == first
    with pytest.raises(IllegalTransitionError):
        stopping(record(State.NEW), first)


def test_only_what_waits_is_hastened() -> None:
    assert hastened(record(State.RETRY, due=NOW, tries=3)) == record(State.RETRY, tries=3)
    for waits_not in (record(State.NEW), record(State.ACTIVE, due=NOW), record(State.COMPLETE)):
        with pytest.raises(IllegalTransitionError):
            hastened(waits_not)

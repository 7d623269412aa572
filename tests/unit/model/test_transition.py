"""The named moves of a record."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import Raw

from jetq.errors import IllegalTransitionError
from jetq.model.record import ABSENT, CancelRequest, ErrorInfo, Result, Run, StoredOptions, TaskRecord
from jetq.model.state import FINAL, RUNNABLE, End, State
from jetq.model.transition import (
    blocked_again,
    claimed,
    closed,
    counted,
    ended,
    refused,
    rejoined,
    released,
    renewed,
    replaced,
    retried,
    unreachable,
    waiting,
)
from jetq.model.verdict import Settlement, Verdict
from tests.unit.wire.examples import Move, moves, records

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
RUN = Run("W1", 4, "cafe")
BOOM = ErrorInfo("ValueError", "boom")
EVERY = sorted(State)


def record(state: State = State.NEW, **fields: Any) -> TaskRecord:
    return TaskRecord(id="A1", type="t", state=state, created=NOW, **fields)


def changes(before: TaskRecord, after: TaskRecord) -> dict[str, object]:
    names = before.__struct_fields__
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}


def test_a_claim_uses_a_try_names_the_run_and_ends_the_wait() -> None:
    before = record(State.RETRY, tries=1, runs=3, due=NOW, last_err="no", error=BOOM, run=Run("W0", 3, "babe"))

    assert changes(before, claimed(before, RUN, LATER)) == {
        "state": State.ACTIVE,
        "tried": LATER,
        "tries": 2,
        "runs": 4,
        "run": RUN,
        "due": None,
        "last_err": "",
    }


def test_a_take_over_counts_a_crash() -> None:
    before = record(State.ACTIVE, tries=1, runs=3, crashes=1, run=Run("W0", 3, "babe"))

    after = claimed(before, RUN, LATER, crashed=True)

    assert (after.crashes, after.tries, after.run) == (2, 2, RUN)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_what_ended_is_neither_claimed_nor_closed_nor_put_off_nor_refused(state: State) -> None:
    ended = record(state)
    attempts: list[Callable[[], TaskRecord]] = [
        lambda: claimed(ended, RUN, NOW),
        lambda: closed(ended, Verdict(state=State.RETRY, settlement=Settlement.RELEASE), NOW),
        lambda: closed(ended, Verdict(state=State.COMPLETE, result=b"1"), NOW),
        lambda: waiting(ended, LATER),
        lambda: refused(ended, "full"),
        lambda: renewed(ended, record()),
        lambda: replaced(ended, record()),
        lambda: replaced(record(State.ACTIVE), record()),
    ]

    for move in attempts:
        with pytest.raises(IllegalTransitionError):
            move()


def test_success_leaves_the_result_and_no_trace_of_errors() -> None:
    before = record(State.ACTIVE, tries=2, last_err="no", error=BOOM, progress=Raw(b"0.5"), run=RUN, crashes=1)

    after = closed(before, Verdict(state=State.COMPLETE, result=b'{"sent":1}'), LATER)

    assert changes(before, after) == {
        "state": State.COMPLETE,
        "tried": LATER,
        "result": Result(Raw(b'{"sent":1}'), LATER),
        "last_err": "",
        "error": None,
        "progress": ABSENT,
    }


def test_a_retry_keeps_progress_and_run_and_waits() -> None:
    before = record(State.ACTIVE, tries=2, progress=Raw(b"0.5"), run=RUN)
    verdict = Verdict(
        state=State.RETRY, settlement=Settlement.SCHEDULE, due=LATER, last_err="ValueError: boom", error=BOOM
    )

    after = closed(before, verdict, NOW)

    assert changes(before, after) == {
        "state": State.RETRY,
        "tried": NOW,
        "due": LATER,
        "last_err": "ValueError: boom",
        "error": BOOM,
    }
    assert after.is_waiting
    assert not after.is_runnable


def test_a_try_that_is_given_back_was_not_used() -> None:
    before = record(State.NEW, tries=1)
    run = claimed(before, RUN, NOW)

    after = closed(run, Verdict(state=State.RETRY, settlement=Settlement.RELEASE, refund=True), NOW)

    assert after.tries == before.tries
    assert after.is_runnable


def test_a_task_that_never_started_was_not_tried() -> None:
    after = closed(record(State.NEW), Verdict(state=State.EXPIRED, end="deadline", last_err="late"), NOW)

    assert (after.tried, after.end, after.last_err) == (None, "deadline", "late")


def test_an_operators_retry_starts_from_nothing_but_the_task() -> None:
    before = record(
        State.TERMINATED,
        tries=3,
        crashes=3,
        runs=5,
        due=NOW,
        end="crash",
        error=BOOM,
        last_err="boom",
        result=Result(Raw(b"1"), NOW),
        cancel_requested=CancelRequest("me"),
        payload=b"1",
        run=RUN,
    )

    assert changes(before, retried(before)) == {
        "state": State.RETRY,
        "tries": 0,
        "crashes": 0,
        "due": None,
        "end": "",
        "error": None,
        "result": None,
        "cancel_requested": None,
    }


@pytest.mark.parametrize("state", [State.ACTIVE, State.BLOCKED])
def test_what_runs_or_waits_for_others_cannot_be_retried(state: State) -> None:
    with pytest.raises(IllegalTransitionError, match=f"{state.value} and cannot become retry"):
        retried(record(state))


@pytest.mark.parametrize("state", sorted(FINAL | RUNNABLE))
def test_everything_else_can(state: State) -> None:
    assert retried(record(state)).is_runnable


@pytest.mark.parametrize("state", EVERY)
def test_only_what_could_run_can_be_put_off(state: State) -> None:
    if state in RUNNABLE:
        assert waiting(record(state), LATER).is_waiting
    else:
        with pytest.raises(IllegalTransitionError):
            waiting(record(state), LATER)


def test_an_item_that_was_refused_shows_in_the_record() -> None:
    before = record(State.NEW)

    assert changes(before, refused(before, "full")) == {"state": State.QUEUE_ERROR, "last_err": "full"}


def test_a_failed_enqueue_is_renewed_as_it_is_wanted_now() -> None:
    options = StoredOptions(timeout=5)
    before = record(State.QUEUE_ERROR, last_err="full", nonce="old", max_tries=1)
    wanted = record(State.NEW, nonce="new", due=LATER, deadline=LATER, max_tries=7, options=options)

    assert changes(before, renewed(before, wanted)) == {
        "state": State.NEW,
        "nonce": "new",
        "due": LATER,
        "deadline": LATER,
        "max_tries": 7,
        "options": options,
        "last_err": "",
    }


@given(records, st.lists(moves, max_size=8))
def test_no_walk_of_moves_leaves_an_end_but_an_operators_retry(start: TaskRecord, walk: list[Move]) -> None:
    now = start
    for move in walk:
        try:
            after = move(now)
        except IllegalTransitionError:
            continue
        assert not now.is_final or move is retried
        assert (after.id, after.type, after.queue, after.payload, after.created) == (
            start.id,
            start.type,
            start.queue,
            start.payload,
            start.created,
        )
        assert after.tries >= 0
        now = after


def test_a_task_that_does_not_run_takes_over_what_another_would_have_brought_with_all_its_tries() -> None:
    before = record(
        State.RETRY,
        queue="Q",
        key="t k",
        payload=b"1",
        tries=2,
        runs=3,
        crashes=1,
        due=NOW,
        deadline=LATER,
        last_err="no",
        error=BOOM,
        signature="aa",
        nonce="n1",
    )
    wanted = record(queue="OTHER", key="t k", payload=b"2", max_tries=7, nonce="n2")

    assert changes(before, replaced(before, wanted)) == {
        "payload": b"2",
        "tries": 0,
        "crashes": 0,
        "deadline": None,
        "max_tries": 7,
        "last_err": "",
        "error": None,
        "signature": "",
        "nonce": "n2",
    }


def test_a_replaced_task_waits_for_the_time_that_the_new_one_names_and_else_for_its_own() -> None:
    before = record(due=NOW)

    assert replaced(before, record()).due == NOW
    assert replaced(before, record(due=LATER)).due == LATER


def test_a_released_task_is_runnable_with_what_its_parents_gave() -> None:
    before = record(State.BLOCKED, pending=("P",), satisfied=Raw(b"{}"), due=NOW, last_err="old")

    after = released(before, LATER, satisfied=ABSENT, results=Raw(b'{"P":1}'))

    assert changes(before, after) == {
        "state": State.NEW,
        "pending": (),
        "satisfied": ABSENT,
        "dependency_results": Raw(b'{"P":1}'),
        "due": None,
        "last_err": "",
    }


def test_what_is_unreachable_remembers_for_whom_it_waited_and_may_wait_again() -> None:
    before = record(State.BLOCKED, pending=("P", "Q"), due=NOW)

    after = unreachable(before, End.DEPENDENCY, "P failed")
    again = blocked_again(after)

    assert changes(before, after) == {
        "state": State.UNREACHABLE,
        "end": "dependency",
        "last_err": "P failed",
        "due": None,
    }
    assert changes(before, again) == {"due": None}


@pytest.mark.parametrize("state", sorted(set(State) - {State.BLOCKED}))
def test_only_what_is_blocked_counts_parents_and_ends_with_them(state: State) -> None:
    other = record(state)
    for move in (
        lambda: counted(other, (), ABSENT),
        lambda: released(other, NOW, satisfied=ABSENT, results=ABSENT),
        lambda: unreachable(other, End.GONE, "gone"),
    ):
        with pytest.raises(IllegalTransitionError):
            move()


def test_a_task_that_was_cancelled_while_it_waited_may_wait_again() -> None:
    before = record(State.BLOCKED, pending=("P", "Q"))

    again = rejoined(ended(before, End.CANCELLED, "cancelled"), ("Q",))

    assert changes(before, again) == {"pending": ("Q",)}
    with pytest.raises(IllegalTransitionError):
        rejoined(record(State.COMPLETE), ("Q",))


def test_a_retried_task_waits_for_nobody() -> None:
    assert retried(record(State.UNREACHABLE, pending=("P",))).pending == ()

"""
What follows from what happened, as tables.

A row says what becomes of the task in each of four situations; where several hold at one time, the one further left in
the table decides. So every outcome is tried with every combination of tries (the first, one in the middle, the last,
one beyond the limit, an only one, and without limit), cancel request and deadline.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_args

import pytest
from msgspec.structs import replace

from jetq.model.outcome import (
    Cancelled,
    Crashed,
    Expired,
    Failed,
    GivenUp,
    Interrupted,
    Invalid,
    Outcome,
    Retried,
    Snoozed,
    Succeeded,
    Terminated,
    TimedOut,
    Unroutable,
    Unstorable,
)
from jetq.model.record import CancelRequest, ErrorInfo, Run, TaskRecord
from jetq.model.retry import MAX_WAIT, Custom, Exponential, Fixed, RetryPolicy
from jetq.model.state import State
from jetq.model.transition import claimed, closed
from jetq.model.verdict import MAX_CRASHES, Rules, Settlement, Verdict, crashed, judge, max_tries, refusal

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
EARLIER = ErrorInfo("OldError", "of an earlier try")
BOOM = ErrorInfo("ValueError", "boom", "Traceback ...")
WAIT = 60.0
FAR, NEAR = NOW + timedelta(days=1), NOW + timedelta(seconds=WAIT)

COMPLETE, TERMINATED, INVALID = "complete", "terminated terminated", "terminated invalid"
GIVEN_UP = "terminated given_up"
CANCELLED, EXHAUSTED, LATE = "expired cancelled", "expired max_tries", "expired deadline"
AGAIN, ELSEWHERE = "retry in 60 s", "retry in 60 s in BULK"
SNOOZED, AT_ONCE = "retry in 60 s, try given back", "retry at once, try given back"

Row = tuple[Outcome, str, str | None, str, str]

# fmt: off
OUTCOMES: list[Row] = [
    #                          cancel      last try    deadline    else
    #                          requested   (None: no   within
    #                                      matter)     60 s
    (Succeeded(b"1"),          COMPLETE,   COMPLETE,   COMPLETE,   COMPLETE),
    (Failed(BOOM),             CANCELLED,  EXHAUSTED,  LATE,       AGAIN),
    (TimedOut(30),             CANCELLED,  EXHAUSTED,  LATE,       AGAIN),
    (Crashed(BOOM),            CANCELLED,  EXHAUSTED,  LATE,       AGAIN),
    (Retried(None, "again"),   CANCELLED,  EXHAUSTED,  LATE,       AGAIN),
    (Retried(60, "again"),     CANCELLED,  EXHAUSTED,  LATE,       AGAIN),
    (Retried(60, "", "BULK"),  CANCELLED,  EXHAUSTED,  LATE,       ELSEWHERE),
    (Retried(60, "", "EMAIL"), CANCELLED,  EXHAUSTED,  LATE,       AGAIN),
    (Retried(60, "", error=BOOM), CANCELLED, EXHAUSTED, LATE,      AGAIN),
    (Unroutable("email:new"),  CANCELLED,  EXHAUSTED,  LATE,       AGAIN),
    (GivenUp(BOOM),            CANCELLED,  GIVEN_UP,   GIVEN_UP,   GIVEN_UP),
    (Terminated("no use"),     TERMINATED, TERMINATED, TERMINATED, TERMINATED),
    (Invalid("to: missing"),   INVALID,    INVALID,    INVALID,    INVALID),
    (Unstorable(BOOM),         INVALID,    INVALID,    INVALID,    INVALID),
    (Cancelled("me"),          CANCELLED,  CANCELLED,  CANCELLED,  CANCELLED),
    (Expired(NOW),             LATE,       LATE,       LATE,       LATE),
    (Snoozed(60),              CANCELLED,  None,       LATE,       SNOOZED),
    (Snoozed(60, BOOM),        CANCELLED,  None,       LATE,       SNOOZED),
    (Interrupted(),            CANCELLED,  None,       AT_ONCE,    AT_ONCE),
]
# fmt: on


class Situation(NamedTuple):
    tries: int
    limit: int
    cancel: bool
    deadline: datetime | None

    @property
    def last_try(self) -> bool:
        return 0 < self.limit <= self.tries

    def record(self) -> TaskRecord:
        return TaskRecord(
            id="A1",
            type="email:new",
            queue="EMAIL",
            state=State.ACTIVE,
            created=NOW - timedelta(hours=1),
            tries=self.tries,
            deadline=self.deadline,
            error=EARLIER,
            cancel_requested=CancelRequest("me") if self.cancel else None,
        )


SITUATIONS = [
    Situation(tries, limit, cancel, deadline)
    for tries, limit in [(1, 3), (2, 3), (3, 3), (4, 3), (1, 1), (1, 0), (7, 0), (7, -1)]
    for cancel in (False, True)
    for deadline in (None, FAR, NEAR, NOW)
]


def in_words(verdict: Verdict) -> str:
    """Say a verdict as the tables do, and check what the words leave out."""
    given_back = ", try given back" if verdict.refund else ""
    elsewhere = f" in {verdict.queue}" if verdict.queue else ""
    match verdict.settlement:
        case Settlement.ACK:
            assert (verdict.due, verdict.queue) == (None, "")
            return f"{verdict.state} {verdict.end}".strip()
        case Settlement.SCHEDULE:
            assert (verdict.state, verdict.end) == (State.RETRY, "")
            assert verdict.due is not None
            return f"retry in {(verdict.due - NOW).total_seconds():g} s{elsewhere}{given_back}"
        case Settlement.RELEASE:
            assert (verdict.state, verdict.end, verdict.due, verdict.queue) == (State.RETRY, "", None, "")
            return f"retry at once{given_back}"


def verdict_of(outcome: Outcome, record: TaskRecord, limit: int = 3, retry: RetryPolicy | None = None) -> Verdict:
    return judge(outcome, record, Rules(retry=retry or Fixed(WAIT), max_tries=limit), now=NOW, chance=0.5)


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
@pytest.mark.parametrize("row", OUTCOMES, ids=lambda row: str(row[0]))
def test_an_outcome_leads_where_the_table_says(row: Row, situation: Situation) -> None:
    outcome, cancelled, last, late, else_ = row
    if situation.cancel:
        expected = cancelled
    elif situation.last_try and last is not None:
        expected = last
    elif situation.deadline in (NOW, NEAR):
        expected = late
    else:
        expected = else_

    assert in_words(verdict_of(outcome, situation.record(), situation.limit)) == expected


def test_the_death_of_a_process_counts_as_a_crash_whatever_follows() -> None:
    for situation in SITUATIONS:
        assert verdict_of(Crashed(BOOM), situation.record(), situation.limit).crashed


def test_the_third_process_that_dies_ends_the_task() -> None:
    record = replace(SITUATIONS[0].record(), crashes=MAX_CRASHES - 1)

    verdict = verdict_of(Crashed(BOOM), record)

    assert in_words(verdict) == "terminated crash"
    assert (verdict.crashed, verdict.error) == (True, BOOM)
    assert verdict.last_err == "ValueError: boom (3 runs of this task killed what ran them)"


def test_a_task_that_somebody_cancelled_ends_cancelled_when_its_process_dies() -> None:
    record = replace(SITUATIONS[0].record(), crashes=MAX_CRASHES - 1, cancel_requested=CancelRequest("me"))

    assert in_words(verdict_of(Crashed(BOOM), record)) == CANCELLED


def test_the_table_has_a_row_for_every_outcome() -> None:
    assert {type(row[0]) for row in OUTCOMES} == set(get_args(Outcome))


@pytest.mark.parametrize(
    ("outcome", "last_err", "error"),
    [
        (Succeeded(b"1"), "", None),
        (Failed(BOOM), "ValueError: boom", BOOM),
        (Failed(BOOM, "odd"), "ValueError: boom (odd)", BOOM),
        (GivenUp(BOOM), "ValueError: boom", BOOM),
        (GivenUp(BOOM, "no use"), "ValueError: boom (no use)", BOOM),
        (Retried(1, "asked", error=BOOM, note="later"), "ValueError: boom (later)", BOOM),
        (Retried(1, "not yet", note="odd"), "not yet (odd)", ErrorInfo(message="not yet")),
        (Snoozed(1, BOOM), "ValueError: boom", BOOM),
        (TimedOut(30, "odd"), "TimeoutError: ran longer than its limit of 30 s (odd)", None),
        (TimedOut(30), "TimeoutError: ran longer than its limit of 30 s", None),
        (Retried(None, "not yet"), "not yet", ErrorInfo(message="not yet")),
        (Unroutable("x"), "no handler for the task type 'x' on this worker", None),
        (Terminated("no use"), "no use", ErrorInfo(message="no use")),
        (Invalid("to: missing"), "to: missing", ErrorInfo(message="to: missing")),
        (Unstorable(BOOM), "boom", BOOM),
        (Cancelled(), "cancelled", EARLIER),
        (Cancelled("ops"), "cancelled by ops", EARLIER),
        (Expired(NOW), "the deadline passes before the task can start", EARLIER),
        (Snoozed(1), "", EARLIER),
        (Interrupted(), "", EARLIER),
    ],
)
def test_the_record_tells_the_last_error(outcome: Outcome, last_err: str, error: ErrorInfo | None) -> None:
    verdict = verdict_of(outcome, Situation(1, 3, cancel=False, deadline=None).record())

    assert verdict.last_err == last_err
    if error is not None or isinstance(outcome, Succeeded):
        assert verdict.error == error
    else:
        assert verdict.error is not None
        assert verdict.error.message in last_err


@pytest.mark.parametrize(
    ("cancel", "tries", "deadline", "end"),
    [(True, 1, None, "cancelled"), (False, 3, None, "max_tries"), (False, 1, NEAR, "deadline")],
)
def test_a_task_that_fails_for_the_last_time_tells_why(
    *, cancel: bool, tries: int, deadline: datetime | None, end: str
) -> None:
    verdict = verdict_of(Failed(BOOM), Situation(tries, 3, cancel, deadline).record())

    assert (verdict.end, verdict.last_err, verdict.error, verdict.refund) == (end, "ValueError: boom", BOOM, False)


@pytest.mark.parametrize("deadline", [None, NEAR])
def test_an_error_that_snoozes_its_task_is_told_and_an_earlier_one_kept(*, deadline: datetime | None) -> None:
    record = replace(Situation(1, 3, cancel=False, deadline=deadline).record(), last_err="the last one")
    told = verdict_of(Snoozed(60, BOOM), record)
    plain = verdict_of(Snoozed(60), record)

    assert (told.last_err, told.error) == ("ValueError: boom", BOOM)
    assert (plain.last_err, plain.error) == ("the last one" if deadline else "", EARLIER)


def test_a_retry_moves_to_another_queue() -> None:
    record = Situation(1, 3, cancel=False, deadline=None).record()

    moved = closed(record, verdict_of(Retried(60, "", "BULK"), record), NOW)
    stayed = closed(record, verdict_of(Failed(BOOM), record), NOW)

    assert (moved.queue, stayed.queue) == ("BULK", "EMAIL")
    assert moved.due == NOW + timedelta(seconds=60)


def test_a_signed_task_stays_in_its_queue_and_says_so() -> None:
    record = replace(Situation(1, 3, cancel=False, deadline=None).record(), signature="ab" * 64)

    verdict = verdict_of(Retried(60, "not yet", "BULK"), record)

    assert in_words(verdict) == AGAIN
    assert verdict.last_err == "not yet (it cannot move to BULK, since it is signed for the queue EMAIL)"
    assert verdict_of(Retried(60, "not yet", "EMAIL"), record).last_err == "not yet"


@pytest.mark.parametrize(
    ("outcome", "told"), [(Failed(BOOM), True), (Retried(None, ""), True), (Retried(5, ""), False)], ids=str
)
def test_a_policy_that_cannot_be_used_is_told_where_a_policy_is_needed(outcome: Outcome, *, told: bool) -> None:
    rules = Rules(retry=Fixed(WAIT), max_tries=3, complaint=" (and who?)")
    record = Situation(1, 3, cancel=False, deadline=None).record()

    verdict = judge(outcome, record, rules, now=NOW, chance=0.5)

    assert verdict.last_err.endswith(" (and who?)") == told


@pytest.mark.parametrize("outcome", [Snoozed(60), Interrupted()], ids=str)
@pytest.mark.parametrize(("cancel", "deadline"), [(True, None), (False, NEAR), (False, None)])
def test_a_run_that_gives_its_try_back_does_so_however_it_ends(
    outcome: Outcome, *, cancel: bool, deadline: datetime | None
) -> None:
    assert verdict_of(outcome, Situation(1, 3, cancel, deadline).record()).refund


def test_success_keeps_the_result_and_nothing_else_has_one() -> None:
    record = Situation(1, 3, cancel=False, deadline=None).record()
    results = {row[0]: verdict_of(row[0], record).result for row in OUTCOMES}

    assert results.pop(Succeeded(b"1")) == b"1"
    assert set(results.values()) == {None}


# Waits


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(0.0, 0), (-5.0, 0), (float("nan"), 0), (1e30, MAX_WAIT), (float("inf"), MAX_WAIT), (2.5, 2.5)],
)
def test_any_wait_that_a_handler_asks_for_can_be_written(asked: float, waited: float) -> None:
    record = Situation(1, 3, cancel=False, deadline=None).record()

    for outcome in (Snoozed(asked), Retried(asked, "")):
        verdict = verdict_of(outcome, record)
        assert verdict.due == NOW + timedelta(seconds=waited)


def test_the_policy_is_asked_for_the_try_that_comes() -> None:
    asked: list[int] = []

    def policy(retry: int) -> float:
        asked.append(retry)
        return 5

    for tries in (1, 2):
        verdict_of(Failed(BOOM), Situation(tries, 3, cancel=False, deadline=None).record(), retry=Custom(policy))

    assert asked == [1, 2]


def fails(_retry: int) -> float:
    raise KeyError("table")


def fails_without_words(_retry: int) -> float:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise ValueError

    raise SilentError


def takes_nothing() -> float:
    return 5


def returning(value: Any) -> Callable[[int], Any]:
    return lambda _: value


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (fails, "KeyError: 'table'"),
        (fails_without_words, "SilentError: <exception str() failed>"),
        (takes_nothing, "TypeError: "),
        (returning(-1), "zero or more, got: -1"),
        (returning(float("nan")), "zero or more, got: nan"),
        (returning(None), "zero or more, got: None"),
        (returning("5"), "zero or more, got: '5'"),
        (returning(float("inf")), "zero or more, got: inf"),
        (returning(10**400), "zero or more, got: 1000"),
        (returning(timedelta(seconds=-1)), "zero or more, got: datetime.timedelta("),
        (returning("x" * 100_000), "zero or more, got: 'xxx"),
    ],
)
def test_a_policy_that_fails_does_not_fail_the_task(policy: Any, complaint: str) -> None:
    record = Situation(1, 3, cancel=False, deadline=None).record()

    verdict = verdict_of(Failed(BOOM), record, retry=Custom(policy))

    assert verdict.due == NOW + timedelta(seconds=Exponential().delay(1, 0.5))
    assert verdict.error == BOOM
    assert verdict.last_err.startswith("ValueError: boom (and the retry policy failed: ")
    assert complaint in verdict.last_err
    assert len(verdict.last_err) < 1000


def test_a_policy_of_years_is_cut() -> None:
    record = Situation(1, 3, cancel=False, deadline=None).record()

    assert verdict_of(Failed(BOOM), record, retry=Fixed(1e12)).due == NOW + timedelta(seconds=MAX_WAIT)


# May it start?


class Start(NamedTuple):
    tries: int
    limit: int
    crashes: int
    crashed: bool
    cancel: bool
    deadline: datetime | None


STARTS = [
    Start(tries, limit, crashes, crashed, cancel, deadline)
    for tries, limit in [(0, 3), (2, 3), (3, 3), (5, 3), (0, 1), (1, 1), (9, 0)]
    for crashes in (0, MAX_CRASHES - 1, MAX_CRASHES)
    for crashed in (False, True)
    for cancel in (False, True)
    for deadline in (None, FAR, NOW, NOW - timedelta(seconds=1))
]


@pytest.mark.parametrize("start", STARTS, ids=str)
def test_a_task_is_refused_for_the_first_reason_that_holds(start: Start) -> None:
    reasons = [
        (start.cancel, "expired cancelled"),
        (start.crashes + start.crashed >= MAX_CRASHES, "terminated crash"),
        (start.deadline is not None and start.deadline <= NOW, "expired deadline"),
        (0 < start.limit <= start.tries, "expired max_tries"),
    ]
    state = State.ACTIVE if start.crashed else State.RETRY
    record = Situation(start.tries, start.limit, start.cancel, start.deadline).record()
    record = replace(record, state=state, crashes=start.crashes)

    verdict = refusal(record, limit=start.limit, now=NOW, crashed=start.crashed)

    expected = next((words for holds, words in reasons if holds), None)
    if expected is None:
        assert verdict is None
        return
    assert verdict is not None
    assert in_words(verdict) == expected
    assert verdict.last_err != ""
    assert verdict.error == EARLIER
    ended = closed(record, verdict, NOW)
    assert (ended.crashes, ended.tries, ended.is_final) == (start.crashes + start.crashed, start.tries, True)


@pytest.mark.parametrize(
    ("task", "queue", "limit"),
    [
        (3, 5, 3),
        (5, 3, 3),
        (1, 5, 1),
        (5, 1, 1),
        (3, 0, 3),
        (0, 3, 3),
        (0, 0, 0),
        (-1, 3, 3),
        (-1, -1, 0),
        (3, -1, 3),
        (0, -1, 0),
    ],
)
def test_the_queue_caps_the_tries_of_its_tasks(task: int, queue: int, limit: int) -> None:
    assert max_tries(task, queue) == limit


def test_the_third_crash_is_the_last() -> None:
    assert MAX_CRASHES == 3


def test_a_claim_that_was_allowed_runs_out_of_tries_at_its_end() -> None:
    record = TaskRecord(id="A1", type="t", state=State.NEW, created=NOW, max_tries=2)
    runs = 0
    while refusal(record, limit=2, now=NOW) is None:
        runs += 1
        record = claimed(record, Run("W", runs, "n"), NOW)
        record = closed(record, verdict_of(Failed(BOOM), record, limit=2), NOW)
        if record.is_final:
            break

    assert (runs, record.tries, record.end) == (2, 2, "max_tries")


DEATH = "the worker's process was killed by SIGKILL"
DIED = ErrorInfo("WorkerDied", DEATH)


def running(**changes: Any) -> TaskRecord:
    record = TaskRecord(id="T1", type="a", created=NOW)
    return replace(claimed(record, Run("W", 1, "n"), NOW), **changes)


def test_the_death_of_a_worker_costs_a_try_and_a_crash_and_is_told() -> None:
    record = running()
    verdict = crashed(record, limit=0, now=NOW, death=DEATH)
    after = closed(record, verdict, NOW)

    assert (verdict.state, verdict.settlement, verdict.due) == (State.RETRY, Settlement.RELEASE, None)
    assert (after.tries, after.crashes, after.error) == (1, 1, DIED)
    assert after.last_err == f"WorkerDied: {DEATH}"


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"crashes": MAX_CRASHES - 1}, "crash"),
        ({"tries": 5}, "max_tries"),
        ({"deadline": NOW}, "deadline"),
        ({"cancel_requested": CancelRequest("ops")}, "cancelled"),
    ],
    ids=["crashes", "tries", "deadline", "cancelled"],
)
def test_a_task_that_may_not_run_again_ends_with_its_workers_death(changes: dict[str, Any], end: str) -> None:
    record = running(**changes)
    verdict = crashed(record, limit=5, now=NOW, death=DEATH)
    after = closed(record, verdict, NOW)

    assert (verdict.settlement, after.end, after.error) == (Settlement.ACK, end, DIED)
    assert after.crashes == record.crashes + 1

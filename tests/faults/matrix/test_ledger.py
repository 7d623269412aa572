"""The checker of the fault suite notices what must not be."""

from datetime import UTC, datetime

import pytest

from jetq.model.record import TaskRecord
from jetq.model.state import State
from tests.faults.matrix.ledger import PATIENCE, Account, Entry

NOW = datetime.now(UTC)
WELL = """
offered 0 a
acknowledged 1 a 0
start 2 a 1 77
end 3 a 1 77
"""


def record(task: str = "a", state: State = State.COMPLETE, **fields: object) -> TaskRecord:
    return TaskRecord(id=task, type="t", created=NOW, state=state, **fields)  # type: ignore[arg-type]


def account(ledger: str, *records: TaskRecord) -> Account:
    """Read a ledger whose second word of each line is the time."""
    lines = [Entry.of(line) for line in ledger.splitlines() if line]
    return Account(lines, {each.id: each for each in records})


def problems(ledger: str, *records: TaskRecord) -> str:
    return "; ".join(account(ledger, *records).verdict().problems)


def test_what_went_well_is_no_problem() -> None:
    verdict = account(WELL, record()).verdict()

    assert verdict.problems == ()
    assert (verdict.acknowledged, verdict.completed, verdict.lost, verdict.doubled) == (1, 1, 0, 0)


def test_nothing_acknowledged_is_a_problem() -> None:
    assert "nothing was acknowledged" in problems("offered 0 a\nrefused 5 a EnqueueTimeoutError")


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "a is gone"),
        ([record(state=State.NEW)], "a is new at the end"),
        ([record(state=State.ACTIVE)], "a is active at the end"),
        ([record(state=State.RETRY, due=NOW)], "a is retry at the end"),
    ],
    ids=["gone", "new", "active", "waiting"],
)
def test_an_acknowledged_task_without_an_end_is_lost(records: list[TaskRecord], words: str) -> None:
    found = account(WELL, *records)

    assert words in "; ".join(found.verdict().problems)
    assert found.verdict().lost == 1


def test_a_task_that_is_complete_without_a_run_that_ended_is_lost() -> None:
    assert "no run of it ended" in problems("acknowledged 1 a 0\nstart 2 a 1 77", record())


def test_a_task_that_was_not_acknowledged_may_be_there_or_not() -> None:
    ledger = WELL + "offered 3 b\nrefused 4 b EnqueueTimeoutError\noffered 4 c\nrefused 5 c QueueFullError\n"

    verdict = account(ledger, record(), record("b", State.NEW)).verdict()

    assert verdict.problems == ()
    assert (verdict.unacknowledged, verdict.stored) == (2, 1)
    assert verdict.errors == ("EnqueueTimeoutError", "QueueFullError")


AGAIN = WELL + "start 4 a 2 78\nend 5 a 2 78\n"


def test_a_second_run_without_a_death_is_a_problem() -> None:
    assert "ran again, and attempt 1 in 77 was neither killed nor robbed" in problems(AGAIN, record())
    assert account(AGAIN, record()).verdict().doubled == 1


@pytest.mark.parametrize("excuse", ["died 3.5 77", "cut 3.5 a 1 77", "lost 6 a"])
def test_a_second_run_is_counted_and_excused_by_a_death_or_a_lost_lease(excuse: str) -> None:
    verdict = account(f"{AGAIN}{excuse}\n", record(crashes=1)).verdict()

    assert (verdict.problems, verdict.doubled) == ((), 1)


def test_a_second_run_after_a_death_that_the_record_does_not_count_is_a_problem() -> None:
    assert "ran again after 1 deaths, and its record counts 0" in problems(f"{AGAIN}died 3.5 77\n", record())


@pytest.mark.parametrize("stranger", ["died 3.5 78", "cut 3.5 b 1 77", "lost 6 b"])
def test_the_death_of_another_one_excuses_nothing(stranger: str) -> None:
    assert "ran again" in problems(f"{AGAIN}{stranger}\n", record())


def test_a_run_in_a_process_is_excused_by_the_death_of_the_process_or_of_its_worker() -> None:
    ledger = AGAIN.replace("77", "76+77")

    assert "ran again" in problems(ledger, record())
    assert problems(f"{ledger}died 4 76\n", record(crashes=1)) == ""
    assert problems(f"{ledger}died 4 77\n", record(crashes=1)) == ""


def test_the_run_after_one_that_failed_as_told_is_not_doubled() -> None:
    ledger = AGAIN.replace("end 3 a 1", "failed 3 a 1")

    assert (problems(ledger, record()), account(ledger, record()).doubled()) == ("", 0)


@pytest.mark.parametrize(("deaths", "is_well"), [(2, False), (3, True)])
def test_a_task_may_end_by_crashes_only_if_its_workers_died_so_often(deaths: int, is_well: bool) -> None:
    runs = "".join(f"start {number} a {number} {number}\n" for number in (2, 3, 4))
    died = "".join(f"died {number}.5 {number}\n" for number in range(2, 2 + deaths))

    found = problems(f"acknowledged 1 a 0\n{runs}{died}", record(state=State.TERMINATED, end="crash", crashes=3))

    assert (found == "") == is_well


def test_a_task_that_ended_for_another_reason_is_a_problem() -> None:
    assert "a is expired (purged)" in problems("acknowledged 1 a 0", record(state=State.EXPIRED, end="purged"))


LATE = PATIENCE + 5


def test_a_task_that_waits_too_long_with_nothing_broken_hangs() -> None:
    ledger = f"acknowledged 1 a 0\nstart {LATE} a 1 77\nend {1 + LATE} a 1 77"

    assert f"a took {LATE:.1f} s with nothing broken" in problems(ledger, record())


def test_the_time_in_which_something_is_away_is_no_hang_and_is_in_the_stall() -> None:
    ledger = f"acknowledged 1 a 0\ndown 2 server\nup {LATE} server\nstart {LATE} a 1 7\nend {1 + LATE} a 1 7"

    verdict = account(ledger, record()).verdict()

    assert verdict.problems == ()
    assert (verdict.stall, verdict.recovery, verdict.wait) == (LATE, 1.0, 1.0)


def test_nothing_that_ends_for_too_long_after_a_fault_is_a_problem() -> None:
    ledger = f"acknowledged 1 a 0\nfault 2 kill\nstart 3 a 1 77\nend {3 + LATE} a 1 77"

    assert f"nothing ended for {1 + LATE:.1f} s after a fault" in problems(ledger, record())


def test_a_time_without_work_is_no_stall() -> None:
    ledger = WELL + f"acknowledged {LATE} b 0\nstart {LATE} b 1 77\nend {LATE + 1} b 1 77\n"

    assert account(ledger, record(), record("b")).verdict().stall == 2.0


def test_a_task_is_not_waited_for_before_it_is_due() -> None:
    ledger = f"acknowledged 1 a {LATE}\nstart {1 + LATE} a 1 77\nend {2 + LATE} a 1 77"

    verdict = account(ledger, record()).verdict()

    assert (verdict.problems, verdict.stall, verdict.wait) == ((), 1.0, 1.0)

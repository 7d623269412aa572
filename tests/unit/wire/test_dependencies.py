"""What a task keeps of its parents, and what each of them does to it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import Raw
from msgspec.structs import replace

from jetq.errors import IllegalTransitionError
from jetq.model.dependency import Edge, OnFailure, ParentEnd, end_of, gone
from jetq.model.record import ABSENT, ErrorInfo, Result, TaskRecord
from jetq.model.state import State
from jetq.wire.dependencies import (
    MOST_INLINE,
    Gift,
    decode_gifts,
    decode_policies,
    dependency_values,
    encode_gifts,
    encode_policies,
    references,
    with_results,
    without_parents,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def child(*parents: str, **fields: Any) -> TaskRecord:
    given: dict[str, Any] = {"state": State.BLOCKED, "dependencies": list(parents), "pending": parents}
    return TaskRecord(id="C", type="t", created=NOW, **(given | {"load_dependencies": True} | fields))


def complete(parent: str, value: object = 1) -> ParentEnd:
    return ParentEnd(parent, "complete", result=Result(Raw(msgspec.json.encode(value)), NOW))


def failed(parent: str) -> ParentEnd:
    return ParentEnd(parent, "expired", "max_tries", "ValueError: no", error=ErrorInfo("ValueError", "no", "Traceback"))


def after(record: TaskRecord, *ends: ParentEnd, **options: Any) -> TaskRecord:
    changed = without_parents(record, ends, NOW, **options)
    assert changed is not None
    return changed


def policies(**words: str) -> Raw:
    return Raw(msgspec.json.encode(words))


def test_a_child_waits_for_those_that_are_left() -> None:
    changed = after(child("A", "B"), complete("A"))

    assert (changed.state, changed.pending) == (State.BLOCKED, ("B",))
    assert decode_gifts(changed.satisfied) == {"A": Gift(Raw(b"1"), NOW)}


def test_the_last_parent_makes_the_child_runnable() -> None:
    changed = after(after(child("A", "B"), complete("B", [2])), complete("A"))

    assert (changed.state, changed.pending, changed.satisfied) == (State.NEW, (), ABSENT)
    assert dependency_values(changed) == {"A": 1, "B": [2]}
    assert list(dependency_values(changed)) == ["A", "B"]


@given(st.permutations(["A", "B", "C", "D"]), st.integers(0, 3))
def test_neither_order_nor_repetition_makes_a_difference(order: list[str], again: int) -> None:
    record = child("A", "B", "C", "D")
    for name in [*order[:again], *order]:
        record = without_parents(record, [complete(name, name)], NOW) or record if record.pending else record

    assert record.state is State.NEW
    assert dependency_values(record) == {name: name for name in "ABCD"}


def test_parents_that_it_does_not_wait_for_change_nothing() -> None:
    assert without_parents(child("A"), [complete("X"), failed("Y")], NOW) is None


def test_a_child_that_waits_for_its_flow_fails_with_nobody_before_that_is_committed() -> None:
    waiting = child("A", "B", "C", pending=("F", "A", "B", "C"), flow="F", on_failure=policies(C="ignore"))
    assert without_parents(waiting, [failed("A"), gone("B")], NOW) is None

    counted = after(waiting, failed("A"), complete("B"), failed("C"))
    assert (counted.state, counted.pending) == (State.BLOCKED, ("F", "A"))
    begun = after(counted, ParentEnd("F", State.COMPLETE))
    assert (begun.state, begun.pending) == (State.BLOCKED, ("A",))
    assert decode_gifts(begun.satisfied) == {"B": Gift(Raw(b"1"), NOW), "C": Gift()}
    assert after(begun, failed("A")).state is State.UNREACHABLE
    assert after(counted, ParentEnd("F", State.COMPLETE), failed("A")).state is State.UNREACHABLE
    assert after(begun, complete("A", 2)).state is State.NEW


def test_results_that_nobody_wants_are_not_kept() -> None:
    changed = after(child("A", "B", load_dependencies=False), complete("A"))

    assert (changed.pending, changed.satisfied) == (("B",), ABSENT)
    assert after(changed, complete("B")).dependency_results is ABSENT


def test_a_failed_parent_takes_the_child_along_and_says_why() -> None:
    changed = after(child("A", "B"), failed("B"))

    assert (changed.state, changed.end) == (State.UNREACHABLE, "dependency")
    assert changed.last_err == "task B, which it depends on, ended expired: ValueError: no"
    assert changed.pending == ("A", "B")


def test_a_parent_that_is_gone_is_a_failed_one() -> None:
    changed = after(child("A"), gone("A"))

    assert (changed.state, changed.end) == (State.UNREACHABLE, "gone")
    assert "task A, which it depends on, is gone" in changed.last_err


def test_a_long_chain_of_failures_names_its_beginning_and_stays_short() -> None:
    end = failed("A0")
    for number in range(1, 50):
        end = end_of(after(named(f"A{number}", end.id), end))

    assert end.last_err == (
        "task A48, which it depends on, is unreachable: task A0, which it depends on, ended expired: ValueError: no"
    )


def named(task_id: str, parent: str) -> TaskRecord:
    return replace(child(parent), id=task_id)


def test_a_failure_that_is_ignored_gives_nothing() -> None:
    changed = after(child("A", "B", on_failure=policies(B="ignore")), failed("B"), complete("A"))

    assert changed.state is State.NEW
    assert dependency_values(changed) == {"A": 1}


def test_a_failure_with_which_it_runs_is_its_result() -> None:
    changed = after(child("A", on_failure=policies(A="run")), failed("A"))

    error = {"type": "ValueError", "message": "no", "state": "expired", "end": "max_tries"}
    assert dependency_values(changed) == {"A": {"error": error}}


@pytest.mark.parametrize("said", [b'{"A":"sometimes"}', b"7", b'{"A":1}', b"[", b"\xff"], ids=range(5))
def test_words_that_nobody_knows_do_not_forgive(said: bytes) -> None:
    assert after(child("A", on_failure=Raw(said)), failed("A")).state is State.UNREACHABLE


def test_a_large_result_is_left_where_it_is() -> None:
    changed = after(child("A", "B"), complete("A", "x" * MOST_INLINE), complete("B"))

    assert dependency_values(changed) == {"B": 1}
    assert references(changed) == ["A"]
    assert dependency_values(with_results(changed, [complete("A", "long")])) == {"A": "long", "B": 1}


def test_results_that_do_not_fit_together_become_references() -> None:
    changed = after(child("A", "B", "C"), *(complete(name, "x" * 100) for name in "ABC"), most=320)

    assert list(dependency_values(changed)) == ["A", "B"]
    assert references(changed) == ["C"]


def test_an_error_that_does_not_fit_keeps_its_kind() -> None:
    changed = after(child("A", on_failure=policies(A="run")), failed("A"), most=0)

    error = {"type": "", "message": "", "state": "expired", "end": "max_tries"}
    assert dependency_values(changed) == {"A": {"error": error}}


@pytest.mark.parametrize(("wait", "left"), [(-1, None), (60, NOW + timedelta(seconds=60))])
def test_a_due_time_that_has_not_come_is_waited_for(wait: float, left: datetime | None) -> None:
    changed = after(child("A", due=NOW + timedelta(seconds=wait)), complete("A"))

    assert (changed.state, changed.due) == (State.NEW, left)


@pytest.mark.parametrize("state", sorted(set(State) - {State.BLOCKED}))
def test_only_a_blocked_task_counts_its_parents(state: State) -> None:
    with pytest.raises(IllegalTransitionError):
        without_parents(child("A", state=state), [complete("A")], NOW)


def test_only_what_is_not_the_rule_is_written_of_failures() -> None:
    edges = [Edge("A"), Edge("B", OnFailure.IGNORE), Edge("C", OnFailure.RUN)]

    assert bytes(encode_policies(edges)) == b'{"B":"ignore","C":"run"}'
    assert decode_policies(encode_policies(edges)) == {"B": OnFailure.IGNORE, "C": OnFailure.RUN}
    assert encode_policies(edges[:1]) is ABSENT


def test_a_gift_of_another_program_that_nobody_can_read_is_none() -> None:
    raw = Raw(b'{"A":7,"B":null,"C":{"payload":{"x":1},"completed":"2026-11-24T03:00:07.5Z"}}')

    assert [gift.is_result for gift in decode_gifts(raw).values()] == [False, False, True]
    assert decode_gifts(Raw(b"[1]")) == {}
    assert encode_gifts({}) is ABSENT

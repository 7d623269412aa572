"""States, and the moves between them."""

import pytest
from hypothesis import given, strategies as st

from jetq.errors import IllegalTransitionError
from jetq.model.state import FAILED, FINAL, RUNNABLE, TRANSITIONS, End, State, advance, display_state

EVERY = sorted(State)


def test_the_states_are_the_ten_words_of_the_protocol() -> None:
    assert set(State) == {
        "", "new", "active", "retry", "expired", "terminated", "complete", "queue_error", "blocked", "unreachable",
    }  # fmt: skip


def test_the_moves_are_these_and_no_others() -> None:
    moves = {state.value: " ".join(sorted(target.value for target in TRANSITIONS[state])) for state in State}

    assert moves == {
        "": "active blocked expired new queue_error retry terminated",
        "new": "active expired new queue_error retry terminated",
        "retry": "active expired queue_error retry terminated",
        "queue_error": "active expired new queue_error retry terminated",
        "active": "active complete expired retry terminated",
        "blocked": "active expired new unreachable",
        "complete": "retry",
        "expired": "blocked retry",
        "terminated": "retry",
        "unreachable": "blocked retry",
    }


def test_what_ended_and_what_may_run() -> None:
    assert {"complete", "expired", "terminated", "unreachable"} == FINAL
    assert {"expired", "terminated", "unreachable"} == FAILED
    assert {"", "new", "retry", "queue_error"} == RUNNABLE


@pytest.mark.parametrize("state", sorted(FINAL - {State.UNREACHABLE, State.EXPIRED}))
def test_only_a_retry_leaves_a_final_state(state: State) -> None:
    assert TRANSITIONS[state] == {State.RETRY}


@pytest.mark.parametrize("state", [State.UNREACHABLE, State.EXPIRED])
def test_what_ended_while_it_waited_may_wait_again(state: State) -> None:
    assert TRANSITIONS[state] == {State.RETRY, State.BLOCKED}


@given(st.data())
def test_no_walk_leaves_a_final_state_except_by_a_retry(data: st.DataObject) -> None:
    state = data.draw(st.sampled_from(EVERY))
    for _ in range(12):
        target = data.draw(st.sampled_from(EVERY))
        try:
            found = advance("A1", state, target)
        except IllegalTransitionError:
            continue
        waits_again = state in {State.UNREACHABLE, State.EXPIRED} and found is State.BLOCKED
        assert state not in FINAL or found is State.RETRY or waits_again
        state = found


@pytest.mark.parametrize("state", EVERY)
def test_every_state_leads_to_an_end(state: State) -> None:
    reached, todo = {state}, [state]
    while todo:
        new = TRANSITIONS[todo.pop()] - reached
        reached |= new
        todo.extend(new)

    assert reached >= {State.COMPLETE, State.EXPIRED, State.TERMINATED}


def test_what_is_runnable_may_be_claimed_and_nothing_that_ended_is() -> None:
    assert all(State.ACTIVE in TRANSITIONS[state] for state in RUNNABLE)
    assert not RUNNABLE & FINAL


def test_success_comes_from_a_run_alone() -> None:
    assert [state for state in State if State.COMPLETE in TRANSITIONS[state]] == [State.ACTIVE]


@pytest.mark.parametrize("current", EVERY)
@pytest.mark.parametrize("target", EVERY)
def test_advance_goes_where_the_table_says(current: State, target: State) -> None:
    if target in TRANSITIONS[current]:
        assert advance("A1", current, target) is target
    else:
        with pytest.raises(IllegalTransitionError) as refused:
            advance("A1", current, target)
        assert (refused.value.task_id, refused.value.current, refused.value.target) == ("A1", current, target)


@pytest.mark.parametrize(
    ("state", "due", "end", "shown"),
    [
        (State.NEW, False, "", "new"),
        (State.NEW, True, "", "scheduled"),
        (State.RETRY, True, "", "retry"),
        (State.EXPIRED, False, End.CANCELLED, "cancelled"),
        (State.EXPIRED, False, End.MAX_TRIES, "expired"),
        (State.TERMINATED, False, End.CANCELLED, "terminated"),
        (State.UNKNOWN, False, "", "unknown"),
        (State.QUEUE_ERROR, False, "", "queue_error"),
    ],
)
def test_people_see_words_that_the_wire_does_not_have(state: State, *, due: bool, end: str, shown: str) -> None:
    assert display_state(state, due=due, end=end) == shown

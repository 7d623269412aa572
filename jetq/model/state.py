"""
state: the states of a task and the moves between them.

On the wire the state is one of asyncjobs' ten words, so that Go programs can read it. What people see is derived
by :func:`display_state`: ``scheduled`` is ``new`` with a due time, ``cancelled`` is ``expired`` that ended as such.
"""

from collections.abc import Mapping
from enum import StrEnum

from jetq.errors import IllegalTransitionError


class State(StrEnum):
    """Where a task stands, in the protocol's words."""

    UNKNOWN = ""
    NEW = "new"
    ACTIVE = "active"
    RETRY = "retry"
    EXPIRED = "expired"
    TERMINATED = "terminated"
    COMPLETE = "complete"
    QUEUE_ERROR = "queue_error"
    BLOCKED = "blocked"
    UNREACHABLE = "unreachable"


class End(StrEnum):
    """Why a task reached its final state; the record's ``end``, empty after success."""

    ABANDONED = "abandoned"
    CANCELLED = "cancelled"
    CRASH = "crash"
    DEADLINE = "deadline"
    DEPENDENCY = "dependency"
    DROPPED = "dropped"
    DUPLICATE = "duplicate"
    GIVEN_UP = "given_up"
    GONE = "gone"
    INVALID = "invalid"
    MAX_TRIES = "max_tries"
    PURGED = "purged"
    SIGNATURE = "signature"
    SUPERSEDED = "superseded"
    TERMINATED = "terminated"
    TOO_LARGE = "too_large"


FINAL = frozenset({State.COMPLETE, State.EXPIRED, State.TERMINATED, State.UNREACHABLE})
"""States that only an operator's retry leaves."""

FAILED = FINAL - {State.COMPLETE}
"""Final states without a result."""

DISPLAY_STATES = frozenset({state.value for state in State if state} | {"scheduled", "cancelled", "unknown"})
"""Every state as people see it, which is how one is asked for."""

RUNNABLE = frozenset({State.NEW, State.RETRY, State.QUEUE_ERROR, State.UNKNOWN})
"""States in which a delivered item may be claimed, unless the record waits for its due time."""

_ENDS = {State.COMPLETE, State.EXPIRED, State.TERMINATED, State.RETRY}
_WAITING = {State.ACTIVE, State.RETRY, State.EXPIRED, State.TERMINATED, State.QUEUE_ERROR}

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.UNKNOWN: frozenset(_WAITING | {State.NEW, State.BLOCKED}),
    State.NEW: frozenset(_WAITING | {State.NEW}),
    State.RETRY: frozenset(_WAITING),
    State.QUEUE_ERROR: frozenset(_WAITING | {State.NEW}),
    State.ACTIVE: frozenset(_ENDS | {State.ACTIVE}),
    State.BLOCKED: frozenset({State.NEW, State.ACTIVE, State.UNREACHABLE, State.EXPIRED}),
    State.COMPLETE: frozenset({State.RETRY}),
    State.EXPIRED: frozenset({State.RETRY, State.BLOCKED}),
    State.TERMINATED: frozenset({State.RETRY}),
    State.UNREACHABLE: frozenset({State.RETRY, State.BLOCKED}),
}
"""
The moves a task may make. ``active`` to ``active`` is a take-over; leaving a final state is an operator's retry, of the
task itself or of one that it depends on.
"""


def advance(task_id: str, current: State, target: State) -> State:
    """
    Return *target* if a task may go there from *current*.

    Raises:
        IllegalTransitionError: The table has no such move.
    """
    if target not in TRANSITIONS[current]:
        raise IllegalTransitionError(task_id, current, target)
    return target


def display_state(state: State, *, due: bool, end: str) -> str:
    """Say the state as people see it."""
    if state is State.NEW and due:
        return "scheduled"
    if state is State.EXPIRED and end == End.CANCELLED:
        return "cancelled"
    return state.value or "unknown"

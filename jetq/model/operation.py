"""
operation: what people may do to one task, and what that means in each of its states.

One table, as data: `admin.task_operations` decides by it, docs/reference/states.md shows it, and a test takes every
cell to a real server. The columns are :class:`Operation`; the rows are :class:`Standing`: the states as people see
them, and of two states two kinds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from jetq.errors import OperationRefusedError
from jetq.model.record import TaskRecord
from jetq.model.state import State


class Operation(StrEnum):
    """What is done to a task."""

    CANCEL = "cancel"
    RETRY = "retry"
    RUN_NOW = "run now"
    DELETE = "delete"
    CHANGE = "change"


class Standing(StrEnum):
    """Where a task stands, as an operation sees it."""

    SCHEDULED = "scheduled"
    NEW = "new"
    RETRY = "retry"
    QUEUED_RETRY = "retry (queued)"
    QUEUE_ERROR = "queue_error"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"
    ACTIVE = "active"
    ACTIVE_GO = "active (Go)"
    COMPLETE = "complete"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    UNREACHABLE = "unreachable"


def standing_of(record: TaskRecord) -> Standing:
    """Say where a task stands."""
    if record.state is State.RETRY and record.due is None:
        return Standing.QUEUED_RETRY
    if record.state is State.ACTIVE and record.run is None:
        return Standing.ACTIVE_GO
    return Standing(record.display_state)


class Effect(StrEnum):
    """What an operation does to a task."""

    REFUSED = "refused"
    NOTHING = "nothing"
    """It is so already."""
    ENDED = "ended"
    REQUESTED = "requested"
    """Its worker is asked; how it ends is seen in its record."""
    STARTED = "started"
    """It waits no longer, or starts again."""
    QUEUED = "queued"
    """Its item is made sure of; the record stays as it is."""
    REMOVED = "removed"
    CHANGED = "changed"
    WAITS = "waits"
    """It waits for those that it depends on."""


class Rule(Struct, frozen=True):
    """
    One cell of the table.

    Attributes:
        effect: What happens.
        text: The same in words; why, where it is refused.
        force: Only with force.
    """

    effect: Effect
    text: str
    force: bool = False


def _refused(reason: str) -> Rule:
    return Rule(Effect.REFUSED, reason)


_END: Final = Rule(Effect.ENDED, "ends as `cancelled`; its item and its schedule are removed")
_ASK: Final = Rule(Effect.REQUESTED, "its worker is asked to stop it; a run that ends first keeps its outcome")
_GO: Final = "a Go worker runs it, and knows of no such wish; wait for its end"
_ENDED: Final = _refused("it has ended")

_START: Final = Rule(Effect.STARTED, "runs now, with all its tries")
_AGAIN: Final = Rule(Effect.STARTED, "starts again, with all its tries")
_QUEUE: Final = Rule(Effect.QUEUED, "stays as it is; its item is put into the queue if it is not there")
_BLOCKED: Final = "it waits for other tasks; cancel it, or wait for them"

_HASTEN: Final = Rule(Effect.STARTED, "runs now; its tries count on")
_QUEUED: Final = _refused("it is in its queue already, and waits for a free slot alone")
_RUNS: Final = "it runs; cancel it, or wait for its end"
_RETRY_IT: Final = "it has ended; retry starts it again"

_REMOVE: Final = Rule(Effect.REMOVED, "its record, its item and its schedule are removed")
_FORCE: Final = Rule(Effect.REMOVED, "only with force: the run goes on, and its result is dropped", force=True)

_CHANGE: Final = Rule(Effect.CHANGED, "is changed, with its item or its schedule")
_RETRY_CHANGED: Final = _refused("it has ended; retry it with the changes")
_RETRY_WITH: Final = _refused("it is not in its queue; retry it with the changes")

_BEGUN: Final = _refused("it runs, with what it was given")
_FINAL: Final = {
    Operation.CANCEL: _ENDED,
    Operation.RETRY: _AGAIN,
    Operation.RUN_NOW: _refused(_RETRY_IT),
    Operation.DELETE: _REMOVE,
    Operation.CHANGE: _RETRY_CHANGED,
}
_WAITING: Final = {
    Operation.CANCEL: _END,
    Operation.RETRY: _START,
    Operation.RUN_NOW: _HASTEN,
    Operation.DELETE: _REMOVE,
    Operation.CHANGE: _CHANGE,
}
_IN_QUEUE: Final = {**_WAITING, Operation.RETRY: _QUEUE, Operation.RUN_NOW: _QUEUED}
_UNQUEUED: Final = {
    **_WAITING,
    Operation.RETRY: _AGAIN,
    Operation.RUN_NOW: _refused("it is not in its queue; retry it"),
    Operation.CHANGE: _RETRY_WITH,
}
_RUNNING: Final = {
    Operation.CANCEL: _ASK,
    Operation.RETRY: _refused(_RUNS),
    Operation.RUN_NOW: _refused("it runs already"),
    Operation.DELETE: _FORCE,
    Operation.CHANGE: _BEGUN,
}

RULES: Final[Mapping[Standing, Mapping[Operation, Rule]]] = {
    Standing.SCHEDULED: _WAITING,
    Standing.NEW: _IN_QUEUE,
    Standing.RETRY: _WAITING,
    Standing.QUEUED_RETRY: _IN_QUEUE,
    Standing.QUEUE_ERROR: _UNQUEUED,
    Standing.UNKNOWN: _UNQUEUED,
    Standing.BLOCKED: {
        Operation.CANCEL: _END,
        Operation.RETRY: _refused(_BLOCKED),
        Operation.RUN_NOW: _refused(_BLOCKED),
        Operation.DELETE: _REMOVE,
        Operation.CHANGE: _refused(_BLOCKED),
    },
    Standing.ACTIVE: _RUNNING,
    Standing.ACTIVE_GO: {**_RUNNING, Operation.CANCEL: _refused(_GO)},
    Standing.COMPLETE: _FINAL,
    Standing.EXPIRED: _FINAL,
    Standing.CANCELLED: {**_FINAL, Operation.CANCEL: Rule(Effect.NOTHING, "is cancelled already")},
    Standing.TERMINATED: _FINAL,
    Standing.UNREACHABLE: _FINAL,
}
"""Every state, and what each operation does to a task in it."""


def rule_for(record: TaskRecord, operation: Operation) -> Rule:
    """
    Say what an operation does to a task as it stands.

    Raises:
        OperationRefusedError: It is refused.
    """
    rule = RULES[standing_of(record)][operation]
    if rule.effect is Effect.REFUSED:
        raise OperationRefusedError(record.id, operation, record.display_state, rule.text)
    return rule


class Unchanged:
    """The kind of :data:`UNCHANGED`."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()
"""Stands for what an operation leaves as it is; None would take it away."""


class Changes(Struct, frozen=True, kw_only=True):
    """
    What an operation changes in a task; all of it is signed.

    Attributes:
        payload: JSON bytes; None for none.
        deadline: After it the task is not started, a moment or a time from now on; None for none.
        max_tries: 0 is unlimited.
        queue: Where it goes.
    """

    payload: bytes | Unchanged | None = UNCHANGED
    deadline: datetime | timedelta | Unchanged | None = UNCHANGED
    max_tries: int | Unchanged = UNCHANGED
    queue: str | Unchanged = UNCHANGED

    def given(self) -> dict[str, object]:
        """Return the fields that change, by name."""
        return {
            name: value for name in self.__struct_fields__ if not isinstance(value := getattr(self, name), Unchanged)
        }


class OperatedTask(Struct, frozen=True, kw_only=True):
    """
    What an operation did.

    Attributes:
        task_id: The task.
        operation: What was asked for.
        effect: What happened; ``requested`` is not over yet.
        before, after: The state as people see it; after is empty for a task that was removed.
        queue: Of the task, in the end.
        detail: What happened, in words.
        dependents: So many, which were unreachable, wait for it again.
    """

    task_id: str
    operation: Operation
    effect: Effect
    before: str
    after: str
    queue: str = ""
    detail: str = ""
    dependents: int = 0

"""
dependency: a task that waits for others: what it wants of them, and what they came to. Pure.

The tasks that are waited for are the parents, the one that waits is their child. An :class:`Edge` leads from a child to
a parent and says what a failure of the parent means to the child. A parent that has ended, or is gone, is a
:class:`ParentEnd`; what its child makes of it is worked out in `wire.dependencies`, since it is written as JSON.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from jetq.model.record import ErrorInfo, Result, TaskRecord
from jetq.model.state import State

MOST_DEPENDENTS: Final = 1000
"""Children whose ids a parent's record holds; those of further ones stand beside it, an edge each."""
DEPENDED_KEPT: Final = 7 * 86_400.0
"""Seconds that the record of a task with dependents is kept after its end at least, since they may read its result."""
_DEPENDED: Final = ", which it depends on,"
_UNREACHABLE: Final = f"{_DEPENDED} is unreachable: "
_LONGEST_REASON: Final = 500
"""Characters of a parent's last error in its child's."""
GONE: Final = "gone"
"""How a parent ended whose record is not there any more."""


class OnFailure(StrEnum):
    """What the failure of a parent means to its child."""

    FAIL = "fail"
    """The child fails as well: it ends ``unreachable``."""

    IGNORE = "ignore"
    """The parent counts as done, without a result."""

    RUN = "run"
    """The parent counts as done, with its error in the place of its result."""


class Edge(Struct, frozen=True, gc=False):
    """A parent, by its id, and what its failure means."""

    task_id: str
    on_failure: OnFailure = OnFailure.FAIL


class ParentEnd(Struct, frozen=True, gc=False):
    """
    What a parent came to.

    Attributes:
        id: Its id.
        state: As people see it, or ``gone``.
        end: Why it ended so; empty after success.
        last_err: Its last error as text.
        result: After success.
        error: Its last error in full, if it has one.
    """

    id: str
    state: str
    end: str = ""
    last_err: str = ""
    result: Result | None = None
    error: ErrorInfo | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it succeeded."""
        return self.state == State.COMPLETE

    @property
    def text(self) -> str:
        """What a child that fails with it says: which one it was, and where the failure began."""
        why = self.last_err or self.end
        if self.state == GONE:
            return f"task {self.id}{_DEPENDED} is gone: it was deleted, or was kept long enough"
        if self.state == State.UNREACHABLE:
            why = why.partition(_UNREACHABLE)[2] or why
            return f"task {self.id}{_UNREACHABLE}{why[:_LONGEST_REASON]}"
        return f"task {self.id}{_DEPENDED} ended {self.state}{': ' if why else ''}{why[:_LONGEST_REASON]}"


def end_of(record: TaskRecord) -> ParentEnd:
    """Return what the parent came to whose final record this is."""
    return ParentEnd(
        record.id,
        record.display_state,
        record.end,
        record.last_err,
        record.result if record.state is State.COMPLETE else None,
        record.error,
    )


def gone(task_id: str) -> ParentEnd:
    """Return what a parent came to that has no record any more."""
    return ParentEnd(task_id, GONE, GONE)


def first_failure(ends: Mapping[str, ParentEnd], policies: Mapping[str, OnFailure]) -> ParentEnd | None:
    """Return the first of the parents that takes the child with it."""
    for end in ends.values():
        if not end.is_complete and policies.get(end.id, OnFailure.FAIL) is OnFailure.FAIL:
            return end
    return None

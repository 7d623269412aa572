"""
summary: what a list shows of a task, read from a record's bytes.

A list reads every record of the store, so this decodes only what it shows, several times faster than the codec does a
record that is to be written back.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from jetq.errors import MalformedRecordError
from jetq.model.name import is_name
from jetq.model.record import CancelRequest, Moment
from jetq.model.state import FINAL, State, display_state
from jetq.wire.unreadable import UNREADABLE


class ErrorKind(Struct, frozen=True):
    """The class of the last error; its message is in ``last_err``, and its traceback in no list."""

    type: str = ""


class TaskSummary(Struct, frozen=True):
    """
    A line of a list; the fields are the record's.

    Attributes:
        progress: Whatever stands there, as JSON.
    """

    id: str
    type: str
    created: Moment
    state: State = State.UNKNOWN
    queue: str = ""
    tries: int = 0
    max_tries: int = 0
    tried: Moment | None = None
    due: Moment | None = None
    end: str = ""
    last_err: str = ""
    error: ErrorKind | None = None
    deadline: Moment | None = None
    key: str = ""
    cancel_requested: CancelRequest | None = None
    progress: Any = None
    flow: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the task ended."""
        return self.state in FINAL

    @property
    def display_state(self) -> str:
        """The state as people see it."""
        return display_state(self.state, due=self.due is not None, end=self.end)


_decoder: Final = msgspec.json.Decoder(TaskSummary)


def decode_summary(task_id: str, data: bytes) -> TaskSummary:
    """
    Read the record that stands where the task *task_id* belongs.

    Raises:
        MalformedRecordError: It is no record, or another task's, or its names are not legal.
    """
    try:
        summary = _decoder.decode(data)
    except UNREADABLE as error:
        raise MalformedRecordError(str(error)) from error
    if summary.id != task_id or not is_name(task_id):
        raise MalformedRecordError(f"it says that its id is {summary.id[:80]!r}")
    if not is_name(summary.type) or (summary.queue and not is_name(summary.queue)):
        raise MalformedRecordError(f"type {summary.type[:80]!r} or queue {summary.queue[:80]!r} is not legal")
    return summary

"""
request: what a caller wants enqueued, before it is a record.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from jetq.model.record import StoredOptions, TaskRecord
from jetq.model.state import State
from jetq.model.unique import UniqueKey


class EnqueueRequest(Struct, frozen=True, kw_only=True, gc=False):
    """
    A checked wish: the names are legal, the payload is JSON.

    Attributes:
        type: The task type.
        queue: The queue's name.
        payload: JSON bytes; None for no payload.
        max_tries: 0 is unlimited.
        deadline: After it a handler is not started. A timedelta counts from when the task is stored, by the server's
            clock, as that of *due* does: this machine's may be wrong.
        due: When the task becomes runnable; None at once.
        task_id: The caller's own id; empty lets jetq choose.
        options: What the worker must know.
        unique: There is to be one such task only.
        after: The id of the task whose end it waits for.
    """

    type: str
    queue: str
    payload: bytes | None
    max_tries: int
    deadline: datetime | timedelta | None = None
    due: datetime | timedelta | None = None
    task_id: str = ""
    options: StoredOptions | None = None
    unique: UniqueKey | None = None
    after: str = ""

    def record(self, task_id: str, nonce: str, now: datetime) -> TaskRecord:
        """Return the record of a new task."""
        return TaskRecord(
            id=task_id,
            type=self.type,
            queue=self.queue,
            payload=self.payload,
            max_tries=self.max_tries,
            deadline=_moment(self.deadline, now),
            state=State.NEW,
            created=now,
            due=_moment(self.due, now),
            options=self.options,
            nonce=nonce,
            key="" if self.unique is None else self.unique.text,
            after=self.after,
        )


def _moment(when: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now + when if isinstance(when, timedelta) else when

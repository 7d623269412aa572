"""
request: what a caller wants enqueued, before it is a record.
"""

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from jetq.model.dependency import Edge, ParentEnd
from jetq.model.record import StoredOptions, TaskRecord
from jetq.model.state import State
from jetq.model.unique import UniqueKey
from jetq.wire.dependencies import encode_policies, without_parents


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
        depends_on: The tasks that must end before, each named once.
        load_dependencies: The handler wants their results.
        ended: What those of them came to that have ended, unless they take the task along.
        flow: The id of the flow that it belongs to.
        trace: The trace that it is part of, as a W3C traceparent.
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
    depends_on: tuple[Edge, ...] = ()
    load_dependencies: bool = False
    ended: tuple[ParentEnd, ...] = ()
    flow: str = ""
    trace: str = ""

    def record(self, task_id: str, nonce: str, now: datetime) -> TaskRecord:
        """Return the record of a new task."""
        record = self._plain(task_id, nonce, now)
        return self._waiting(record, now) if self.depends_on else record

    def _waiting(self, record: TaskRecord, now: datetime) -> TaskRecord:
        """Return the record of a task that waits for others, unless all of them have ended."""
        parents = [edge.task_id for edge in self.depends_on]
        blocked = replace(
            record,
            state=State.BLOCKED,
            dependencies=parents,
            pending=tuple(parents),
            on_failure=encode_policies(self.depends_on),
            load_dependencies=self.load_dependencies,
        )
        return without_parents(blocked, self.ended, now) or blocked

    def _plain(self, task_id: str, nonce: str, now: datetime) -> TaskRecord:
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
            flow=self.flow,
            trace=self.trace,
        )


def _moment(when: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now + when if isinstance(when, timedelta) else when

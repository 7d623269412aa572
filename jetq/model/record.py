"""
record: the task record, the only truth about a task.

It says what is to be done and where it stands. A record is a value: the named moves in :mod:`jetq.model.transition`
return new ones. The fields are the protocol's keys; ``wire.codec`` keeps the bytes of fields that did not change and
of keys that this version does not know.

A value that is made for every task holds data and forms no cycle, so the garbage collector need not look at it
(``gc=False``, in all rooms); else it would look often, and take a tenth of a worker's processor time.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from jetq.model.state import FINAL, RUNNABLE, State, display_state

Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its zone; one without cannot be compared with others, and Go refuses it too."""
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""How often something happened; far below Go's 64 bits, so that counting on never leaves them."""
Limit = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""How often something may happen; 0 or less is unlimited."""

ABSENT: Final = Raw(b"")
"""A raw value that is not there. (msgspec reads no union with Raw, so None cannot say it.)"""


class Run(Struct, frozen=True, gc=False):
    """
    Who runs the task: written by the claim, kept until the next one, the fence of every later write of the run.

    Attributes:
        worker: The worker's id, new with each process start.
        attempt: The number of this run among all runs of the task.
        nonce: Random, so that two claims are never mistaken for each other.
    """

    worker: str
    attempt: Count
    nonce: str


class Result(Struct, frozen=True, gc=False):
    """What the handler returned, and when."""

    payload: Raw
    completed: Moment


class ErrorInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """An exception of a handler as text, since its class may not exist where it is read."""

    type: str = ""
    message: str = ""
    traceback: str = ""


class CancelRequest(Struct, frozen=True, omit_defaults=True, gc=False):
    """Somebody wants a running task to stop."""

    by: str = ""
    at: Moment | None = None

    @property
    def text(self) -> str:
        """What the record of a task that ended so says."""
        return f"cancelled by {self.by}" if self.by else "cancelled"


class StoredOptions(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    Options of one task that its worker must know; they win over the handler's.

    Attributes:
        timeout: Seconds a run may take.
        soft_timeout: Seconds after which a run is asked to end.
        retry: The retry policy as JSON: a name, or an object (`wire.retry_option`); read when it is needed, since
            another program may have put anything here.
        retention: How long the record is kept after its end, as JSON: seconds, or an object by end (`wire.retention`);
            read at the end alone.
        into: Which parameters take the results of which parents, as JSON (`wire.into`).
        each: The payload is a list of payloads; the handler is called with one after the other.
    """

    timeout: float | None = None
    soft_timeout: float | None = None
    retry: Raw = ABSENT
    retention: Raw = ABSENT
    into: Raw = ABSENT
    each: bool = False


class TaskRecord(Struct, frozen=True, kw_only=True, gc=False):
    """
    A task as stored. See docs/reference/protocol.md for each key.

    Attributes:
        dependency_results, progress: JSON as stored; ``ABSENT`` when there is none.
        payload: The bytes of the encoded payload; None when there is none.
        tries: Runs that count against ``max_tries``; ``runs`` counts all.
        due: When a waiting task becomes runnable; None when it does not wait.
        end: Why a final state was reached, one of ``model.state.End`` or another program's word.
        nonce: Of the creation, so that a producer recognises its own record.
        key: The unique key, with the task type before it; empty for a task that is one among many.
        after: The id of the task with the same key whose end this one waits for.
        dependencies: The ids of all tasks that this one was to wait for; ``pending`` are those that it still waits for.
        satisfied: What the others gave, as JSON by id (`wire.dependencies`).
        dependents: The ids of tasks that wait for this one.
        on_failure: What the failure of a task that is waited for means, as JSON by id; read when that counts.
        flow: The id of the flow that the task belongs to.
        trace: The trace that the task is part of, as a W3C traceparent.
    """

    id: str
    type: str
    queue: str = ""
    dependencies: list[str] = []
    dependency_results: Raw = ABSENT
    load_dependencies: bool = False
    payload: bytes | None = None
    deadline: Moment | None = None
    max_tries: Limit = 0
    result: Result | None = None
    state: State = State.UNKNOWN
    created: Moment
    tried: Moment | None = None
    tries: Count = 0
    last_err: str = ""
    signature: str = ""
    run: Run | None = None
    due: Moment | None = None
    end: str = ""
    error: ErrorInfo | None = None
    crashes: Count = 0
    runs: Count = 0
    cancel_requested: CancelRequest | None = None
    options: StoredOptions | None = None
    progress: Raw = ABSENT
    schedule: str = ""
    scheduled_for: Moment | None = None
    nonce: str = ""
    key: str = ""
    after: str = ""
    pending: tuple[str, ...] = ()
    satisfied: Raw = ABSENT
    dependents: tuple[str, ...] = ()
    on_failure: Raw = ABSENT
    flow: str = ""
    trace: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the task ended."""
        return self.state in FINAL

    @property
    def is_waiting(self) -> bool:
        """Whether the task waits for its due time."""
        return self.due is not None and self.state in RUNNABLE

    @property
    def is_runnable(self) -> bool:
        """Whether a delivered item of the task may be claimed."""
        return self.due is None and self.state in RUNNABLE

    @property
    def display_state(self) -> str:
        """The state as people see it."""
        return display_state(self.state, due=self.due is not None, end=self.end)

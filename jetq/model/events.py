"""
events: what happens, as values for `observe.bus`.

One :class:`TaskStateChanged` a transition; logs, metrics, traces and the published lifecycle event all listen to it.
"""

from datetime import datetime

from msgspec import Struct

from jetq.model.answering import AnsweringEvent
from jetq.model.progress import Progress
from jetq.model.record import ErrorInfo, TaskRecord
from jetq.model.scheduling import SchedulingEvent
from jetq.model.serving import ServingEvent
from jetq.model.state import State
from jetq.model.supervision import (
    ChildEnded,
    ChildReady,
    ChildReplaced,
    ChildStarted,
    LoopBlocked,
    ReloadEnded,
    RestartDelayed,
    RunsHandedOver,
    SupervisorLost,
)
from jetq.model.surroundings import HookFailed, PoolEvent


class TaskStateChanged(Struct, frozen=True, kw_only=True, gc=False):
    """
    A record was written with a new state, by this process.

    Attributes:
        tries: Tries used so far.
        created: Of the task.
        at: Of the change.
        sequence: Of the record that was written, in the task store; 0 if unknown. Later changes have higher ones.
        repeated: It was told before, unless who wrote the record died before that. Whoever counts passes over it.
        attempt: The number of the last run among all runs of the task.
        crashes: Runs that died so far.
        pattern: The handler's pattern, where one ran; bounded, so metrics use it as label.
        outcome: What led here, as the outcome's name in lower case; empty without a run.
        duration: Seconds that the handler ran.
        due: When a waiting task becomes runnable.
        runnable_since: When a task that was started could have been; None where nobody knows any more.
        end: Why a final state was reached.
    """

    task_id: str
    task_type: str
    queue: str
    state: State
    tries: int
    created: datetime
    at: datetime
    sequence: int = 0
    repeated: bool = False
    attempt: int = 0
    crashes: int = 0
    worker: str = ""
    pattern: str = ""
    outcome: str = ""
    duration: float | None = None
    due: datetime | None = None
    runnable_since: datetime | None = None
    end: str = ""
    last_err: str = ""
    error: ErrorInfo | None = None


def state_change(
    record: TaskRecord,
    at: datetime,
    *,
    sequence: int,
    repeated: bool = False,
    worker: str = "",
    pattern: str = "",
    outcome: str = "",
    duration: float | None = None,
    runnable_since: datetime | None = None,
) -> TaskStateChanged:
    """Return the event of a record that was just written, with the *sequence* that the server gave it."""
    return TaskStateChanged(
        task_id=record.id,
        task_type=record.type,
        queue=record.queue,
        state=record.state,
        tries=record.tries,
        created=record.created,
        at=at,
        sequence=sequence,
        repeated=repeated,
        attempt=record.runs,
        crashes=record.crashes,
        worker=worker,
        pattern=pattern,
        outcome=outcome,
        duration=duration,
        due=record.due,
        runnable_since=runnable_since,
        end=record.end,
        last_err=record.last_err,
        error=record.error,
    )


class TaskProgressed(Struct, frozen=True, kw_only=True, gc=False):
    """A handler of this process said how far it is; *attempt* is the number of its run."""

    task_id: str
    task_type: str
    queue: str
    worker: str
    attempt: int
    progress: Progress


class LeaderElected(Struct, frozen=True, kw_only=True):
    """
    This process leads a component from now on.

    Attributes:
        component: What it leads, such as ``task_scheduler`` or ``janitor``.
        name: Its own, as the election knows it.
        at: When it was elected.
    """

    component: str
    name: str
    at: datetime


class DeliveryDiscarded(Struct, frozen=True, kw_only=True):
    """An item was removed that no handler will see: ``malformed_item``, ``malformed_record``, ``not_found``."""

    queue: str
    reason: str
    detail: str = ""
    task_id: str = ""


class RunLost(Struct, frozen=True, kw_only=True):
    """Another worker has the task; this run's result is dropped."""

    task_id: str
    queue: str
    worker: str


class UpdateConflict(Struct, frozen=True, kw_only=True):
    """A compare-and-swap lost and was decided anew."""

    task_id: str
    what: str


class EnqueueFailed(Struct, frozen=True, kw_only=True):
    """A task was not enqueued, or nobody knows; *error* is the class of what its caller got."""

    task_type: str
    queue: str
    error: str


class SignatureRefused(Struct, frozen=True, kw_only=True):
    """This worker ended a task, since nobody whom it trusts signed it as it stands."""

    task_id: str
    task_type: str
    queue: str
    worker: str
    reason: str


class AttemptFailed(Struct, frozen=True, kw_only=True):
    """
    A delivery was left where it is, since the server refused what had to be written; it comes again after its lease.

    An *unexpected* error is a defect of jetq, with its traceback in *error*.
    """

    queue: str
    error: str
    unexpected: bool = False


class TaskTakenOver(Struct, frozen=True, kw_only=True):
    """This worker took a task from a dead run."""

    task_id: str
    queue: str
    worker: str
    dead_worker: str
    crashes: int


class TaskDeduplicated(Struct, frozen=True, kw_only=True):
    """
    An enqueue made no task, since another one has its unique key.

    Attributes:
        task_id: The task that its caller got.
        task_type: Of both.
        queue: Of the task that its caller got, as far as it is known.
        key: The unique key, with the task type before it.
        mode: What the caller wanted, one of ``model.unique.UniqueMode``.
        replaced: The task took over what the enqueue brought.
    """

    task_id: str
    task_type: str
    queue: str
    key: str
    mode: str
    replaced: bool = False


class ListenerFailed(Struct, frozen=True, kw_only=True):
    """A listener of the bus raised; it is told once for each kind of event."""

    listener: str
    error: str


class ConnectionLost(Struct, frozen=True, kw_only=True):
    """A connection to the server is gone; it is being renewed. *connection*: what it is for (worker, lease, client)."""

    reason: str
    connection: str = ""


class ConnectionRestored(Struct, frozen=True, kw_only=True):
    """A connection to the server is back; *connection* as of `ConnectionLost`."""

    server: str
    generation: int
    connection: str = ""


class ClockSkewed(Struct, frozen=True, kw_only=True):
    """This machine's clock is *ahead* of the server's by so many seconds, behind if negative; 0: not any more."""

    ahead: float


class AccessDenied(Struct, frozen=True, kw_only=True):
    """The server does not permit to publish to a subject, or to subscribe to it; both as the server spells them."""

    subject: str
    action: str


class TopologyChanged(Struct, frozen=True, kw_only=True):
    """
    Something that a stream, consumer or bucket lacked was added, or could not be.

    Attributes:
        name: Of the stream, as the server knows it.
        change: What was added; or what is missing, why, and what follows from that.
        failed: It could not be added; work goes on without it.
    """

    name: str
    change: str
    failed: bool = False


class WorkerStarted(Struct, frozen=True, kw_only=True):
    """A worker is ready."""

    worker: str
    queues: tuple[str, ...]
    patterns: tuple[str, ...]
    slots: int


class WorkerStopping(Struct, frozen=True, kw_only=True):
    """A worker takes no more tasks and waits for those that run."""

    worker: str
    running: int


class WorkerStopped(Struct, frozen=True, kw_only=True):
    """A worker ended; *released* tasks went back to their queues."""

    worker: str
    released: int


class LeadershipEnded(Struct, frozen=True, kw_only=True):
    """This process leads no more, and why."""

    component: str
    name: str
    reason: str


class TaskRepaired(Struct, frozen=True, kw_only=True):
    """
    The janitor mended what a crash had left behind.

    Attributes:
        kind: One of ``model.upkeep.Repair``.
        task_id: The task; empty where none can be named.
        queue: Its queue, where that is known.
    """

    kind: str
    task_id: str
    queue: str = ""


class JanitorPassed(Struct, frozen=True, kw_only=True):
    """
    A pass of the janitor is over.

    Attributes:
        records: How many were read.
        repairs: What was mended, by kind.
        missed: Tasks without an item whose item was removed, it seems; they end if the next pass finds the same.
        complete: Nothing that should be mended was left because the server refused or was silent.
        duration: Seconds.
    """

    records: int
    repairs: dict[str, int]
    missed: int
    complete: bool
    duration: float


class JanitorFailed(Struct, frozen=True, kw_only=True):
    """
    A pass of the janitor was given up.

    Attributes:
        error: Why.
        final: This process may not do what a janitor does, and does not try again.
    """

    error: str
    final: bool = False


Event = (
    TaskStateChanged
    | TaskProgressed
    | LeaderElected
    | DeliveryDiscarded
    | RunLost
    | UpdateConflict
    | EnqueueFailed
    | SignatureRefused
    | AttemptFailed
    | TaskTakenOver
    | TaskDeduplicated
    | ListenerFailed
    | ConnectionLost
    | ConnectionRestored
    | ClockSkewed
    | AccessDenied
    | TopologyChanged
    | WorkerStarted
    | WorkerStopping
    | WorkerStopped
    | LeadershipEnded
    | TaskRepaired
    | JanitorPassed
    | JanitorFailed
    | HookFailed
    | PoolEvent
    | ChildStarted
    | ChildReady
    | ChildReplaced
    | ChildEnded
    | RestartDelayed
    | ReloadEnded
    | RunsHandedOver
    | LoopBlocked
    | SupervisorLost
    | ServingEvent
    | SchedulingEvent
    | AnsweringEvent
)

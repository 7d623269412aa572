"""
explanation: why a task does not run, or what became of it. Pure: facts in, sentences out.

There may be several reasons at one time; the first is what must change first. Each says what is the case, and what can
be done about it, if anything can.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from jetq.model.flow import FlowState
from jetq.model.record import TaskRecord
from jetq.model.serving import paused_until
from jetq.model.span import format_duration
from jetq.model.state import State

_SHOWN: Final = 5
"""Tasks that are named where many are waited for."""
_LONGEST: Final = 200
"""Characters of an error in a sentence."""
_MENDS: Final = "The janitor of a worker mends that within ten minutes; jetq tasks repair does it now."
_UNDERWAY: Final = timedelta(seconds=5)
"""What is written may take that long to be followed by what belongs to it."""


class Cause(StrEnum):
    """Why a task does not run; for programs."""

    NO_SUCH_TASK = "no_such_task"
    ENDED = "ended"
    RUNNING = "running"
    RUNNING_ELSEWHERE = "running_elsewhere"
    WORKER_LOST = "worker_lost"
    CANCEL_REQUESTED = "cancel_requested"
    NOT_DUE = "not_due"
    RETRY_DUE = "retry_due"
    WAITS_FOR_KEY = "waits_for_key"
    BLOCKED = "blocked"
    FLOW_NOT_COMMITTED = "flow_not_committed"
    QUEUE_PAUSED = "queue_paused"
    QUEUE_FULL = "queue_full"
    NO_QUEUE = "no_queue"
    NOT_QUEUED = "not_queued"
    DEADLINE_PASSED = "deadline_passed"
    NO_WORKER = "no_worker"
    QUEUE_NOT_SERVED = "queue_not_served"
    TYPE_NOT_HANDLED = "type_not_handled"
    WORKERS_QUIET = "workers_quiet"
    MAX_CONCURRENT = "max_concurrent"
    NO_FREE_SLOT = "no_free_slot"
    MISSING = "missing"
    QUEUED = "queued"


class Reason(Struct, frozen=True):
    """One reason: *cause* for programs, *text* and *advice* for people; no advice where nothing is to be done."""

    cause: Cause
    text: str
    advice: str = ""


class Explanation(Struct, frozen=True, kw_only=True):
    """
    Why a task does not run.

    Attributes:
        id, type, queue, state: Of the task; empty if there is none.
        reasons: The first is what must change first.
    """

    id: str
    type: str = ""
    queue: str = ""
    state: str = ""
    reasons: list[Reason]


class QueueFacts(Struct, frozen=True, kw_only=True):
    """A queue: items that workers have, how many they may have (0 is unlimited), items that wait, until when paused."""

    running: int = 0
    max_concurrent: int = 0
    pending: int = 0
    paused: datetime | None = None


class WorkerFacts(Struct, frozen=True, kw_only=True):
    """A live worker: whether it serves the queue and has a handler for the type, whether it takes tasks, free slots."""

    id: str
    serves: bool = True
    handles: bool = True
    takes: bool = True
    free: int = 1


class ParentFacts(Struct, frozen=True):
    """A task that is waited for, with its state as people see it; ``gone`` for one without record."""

    id: str
    state: str


class Facts(Struct, frozen=True, kw_only=True):
    """
    What is known about a task and its surroundings.

    Attributes:
        record: The task.
        written: When the record was, by the server's clock.
        now: By the same clock.
        places: Where it is on its way: ``queue``, ``schedule``, ``due``.
        queue: Its queue; None if there is none.
        workers: Those that live.
        runs: Whether the worker that the record names says that it runs the task; None if it does not answer.
        parents: The tasks that it still waits for.
        flow: How far its flow is stored; None if it has none or that is gone.
    """

    record: TaskRecord
    written: datetime
    now: datetime
    places: tuple[str, ...] = ()
    queue: QueueFacts | None = None
    workers: tuple[WorkerFacts, ...] = ()
    runs: bool | None = None
    parents: tuple[ParentFacts, ...] = ()
    flow: FlowState | None = None


def explain_missing(task_id: str) -> Explanation:
    """Explain a task of which there is no record."""
    text = "There is no such task: it never existed, was deleted, or was kept long enough after its end."
    advice = "Look at the id and the namespace; jetq tasks history shows what happened to it, where events are kept."
    return Explanation(id=task_id, reasons=[Reason(Cause.NO_SUCH_TASK, text, advice)])


def explain(facts: Facts) -> Explanation:
    """Say why a task does not run, or that it does, or how it ended."""
    record = facts.record
    return Explanation(
        id=record.id, type=record.type, queue=record.queue, state=record.display_state, reasons=list(_reasons(facts))
    )


def _reasons(facts: Facts) -> Iterator[Reason]:
    record = facts.record
    if record.is_final:
        yield _ended(facts)
    elif record.state is State.ACTIVE:
        yield from _active(facts)
    elif record.state is State.BLOCKED:
        yield from _blocked(facts)
    elif record.state is State.QUEUE_ERROR:
        text = f"It was not put into its queue: {_short(record.last_err)}."
        yield Reason(Cause.NOT_QUEUED, text, f"Its caller was told; jetq tasks retry {record.id} queues it now.")
    elif record.is_waiting and "queue" not in facts.places:
        yield from _waiting(facts)
        yield from _surroundings(facts)
    else:
        yield from _runnable(facts)


def _ended(facts: Facts) -> Reason:
    record = facts.record
    ago = f"{_span(facts.now - (record.tried or facts.written))} ago"
    if record.state is State.COMPLETE:
        return Reason(Cause.ENDED, f"It completed {ago}, after {_times(record.runs or record.tries)}.")
    why = f" ({record.end})" if record.end and record.end != record.display_state else ""
    error = f": {_short(record.last_err)}" if record.last_err else ""
    text = f"It ended {record.display_state}{why} {ago}, after {_times(record.runs or record.tries)}{error}."
    return Reason(Cause.ENDED, text, f"jetq tasks retry {record.id} starts it again.")


def _active(facts: Facts) -> Iterator[Reason]:
    record = facts.record
    since = _span(facts.now - record.tried) if record.tried else "some time"
    if record.run is None:
        text = f"A worker that is no jetq worker runs it since {since}."
        yield Reason(Cause.RUNNING_ELSEWHERE, text, "If that worker died, the task starts again after the run time.")
        return
    worker = record.run.worker
    if facts.runs:
        text = f"It runs since {since} on worker {worker} (attempt {record.run.attempt})."
        yield Reason(Cause.RUNNING, text, f"jetq workers inspect {worker} shows what else runs there.")
    elif facts.runs is None and any(each.id == worker for each in facts.workers):
        text = f"Worker {worker} runs it since {since}, and does not answer now."
        yield Reason(Cause.RUNNING, text, f"jetq workers ping {worker} asks again.")
    else:
        text = f"Worker {worker}, which ran it since {since}, is gone or lost it."
        yield Reason(Cause.WORKER_LOST, text, "Another worker takes it over when the lease is over.")
        yield from _surroundings(facts)
    if record.cancel_requested is not None:
        text = f"It was {record.cancel_requested.text}, and its handler has not ended yet."
        yield Reason(Cause.CANCEL_REQUESTED, text)


def _blocked(facts: Facts) -> Iterator[Reason]:
    record = facts.record
    if facts.flow is FlowState.BUILDING:
        text = f"Its flow {record.flow} is not stored completely yet, and nothing of it runs before that."
        advice = "If who submits it died, all of it ends as abandoned after five minutes."
        yield Reason(Cause.FLOW_NOT_COMMITTED, text, advice)
    elif facts.flow is not FlowState.COMMITTED and record.flow in record.pending:
        text = f"Its flow {record.flow} was abandoned before all of it was stored."
        yield Reason(Cause.FLOW_NOT_COMMITTED, text, "Who looks after that ends the task within half a minute.")
        return
    others = [parent for parent in facts.parents if parent.id != record.flow]
    number = len(record.pending) - (record.flow in record.pending)
    if others:
        named = ", ".join(f"{parent.id} ({parent.state})" for parent in others[:_SHOWN])
        more = f", and {number - _SHOWN} others" if number > _SHOWN else ""
        first = others[0].id
        if len(others) == 1:
            text, advice = f"It waits for the task {named}.", f"jetq explain {first} says what that one waits for."
        else:
            text = f"It waits for {number} tasks: {named}{more}."
            advice = f"jetq explain {first} says what the first of them waits for."
        if all(parent.state == "gone" for parent in others):
            advice = "A task that is gone counts as failed; who looks after that does so within half a minute."
        yield Reason(Cause.BLOCKED, text, advice)
    elif facts.flow is not FlowState.BUILDING:
        text = "What it waited for has ended, and it was not let go yet."
        yield Reason(Cause.BLOCKED, text, "Who looks after that does so within half a minute.")


def _waiting(facts: Facts) -> Iterator[Reason]:
    record = facts.record
    left = (record.due - facts.now) if record.due else timedelta()
    now = f"jetq tasks run-now {record.id} lets it wait no longer."
    if not facts.places and facts.now - facts.written > _UNDERWAY:
        yield Reason(Cause.MISSING, "It waits for its time, and its schedule is missing.", _MENDS)
    elif "due" in facts.places and "schedule" not in facts.places and left < -_UNDERWAY:
        text = f"Its time has come {_span(-left)} ago, and its queue {record.queue} has no room for it."
        yield Reason(Cause.QUEUE_FULL, text, f"jetq queues configure {record.queue} --max-entries gives it more.")
    elif record.after:
        text = f"It waits for the end of task {record.after}, which has the same unique key."
        yield Reason(Cause.WAITS_FOR_KEY, text, f"jetq explain {record.after} says what that one does.")
    elif record.state is State.RETRY:
        tries = f"{record.tries} of {record.max_tries} tries" if record.max_tries > 0 else _times(record.tries)
        error = f": {_short(record.last_err)}" if record.last_err else ""
        yield Reason(Cause.RETRY_DUE, f"It tries again {_in(left)}, after {tries}{error}.", now)
    else:
        yield Reason(Cause.NOT_DUE, f"It is to start {_in(left)}, not before.", now)


def _runnable(facts: Facts) -> Iterator[Reason]:
    record = facts.record
    if "queue" not in facts.places and "due" not in facts.places and facts.queue is not None:
        if facts.now - facts.written > _UNDERWAY:
            yield Reason(Cause.MISSING, f"Its item is missing in queue {record.queue}.", _MENDS)
        else:
            yield Reason(Cause.QUEUED, "It is on its way into its queue.")
        return
    found = list(_surroundings(facts))
    yield from found
    if not found and facts.queue is not None:
        text = f"It is in queue {record.queue}, where {facts.queue.pending:,} items wait, and workers have free slots."
        yield Reason(Cause.QUEUED, text, "It starts as soon as those before it have started.")


def _surroundings(facts: Facts) -> Iterator[Reason]:
    """Give the reasons that lie in the queue and the workers, and keep any task of its kind from running."""
    record, queue = facts.record, facts.queue
    if queue is None:
        text = f"There is no queue {record.queue}."
        yield Reason(Cause.NO_QUEUE, text, f"jetq queues add {record.queue} creates it, and so does a worker with it.")
        return
    if queue.paused is not None:
        until = paused_until(queue.paused)
        how = "until it is resumed" if until is None else f"for {_span(until - facts.now)} more"
        text = f"Its queue {record.queue} is paused {how}."
        yield Reason(Cause.QUEUE_PAUSED, text, f"jetq queues resume {record.queue} ends that.")
    if record.deadline is not None and record.deadline < facts.now:
        text = f"Its deadline passed {_span(facts.now - record.deadline)} ago; the worker that gets it ends it."
        yield Reason(Cause.DEADLINE_PASSED, text)
    yield from _workers(facts, queue)


def _workers(facts: Facts, queue: QueueFacts) -> Iterator[Reason]:
    record = facts.record
    serving = [worker for worker in facts.workers if worker.serves]
    handling = [worker for worker in serving if worker.handles]
    taking = [worker for worker in handling if worker.takes]
    if not facts.workers:
        yield Reason(Cause.NO_WORKER, "No worker lives in this namespace.", "jetq worker MODULE:APP starts one.")
    elif not serving:
        text = f"No live worker serves its queue {record.queue}."
        yield Reason(Cause.QUEUE_NOT_SERVED, text, f"Start one that does: jetq worker MODULE:APP -Q {record.queue}")
    elif not handling:
        text = f"No worker of its queue has a handler for the type {record.type}."
        advice = "It is retried with the reason until a worker knows the type; deploy one with its handler."
        yield Reason(Cause.TYPE_NOT_HANDLED, text, advice)
    elif not taking:
        text = "The workers of its queue take no more tasks: they are quiet, or stopping."
        yield Reason(Cause.WORKERS_QUIET, text, "Start another one, or stop a quiet one that its supervisor replaces.")
    elif queue.max_concurrent and queue.running >= queue.max_concurrent:
        text = f"{queue.running:,} tasks of its queue run, as many as may run at one time."
        advice = f"jetq queues configure {record.queue} --max-concurrent raises that."
        yield Reason(Cause.MAX_CONCURRENT, text, advice)
    elif all(worker.free <= 0 for worker in taking):
        text = "All slots of the workers of its queue are taken."
        yield Reason(Cause.NO_FREE_SLOT, text, "jetq workers list shows them; more workers, or a greater -c, help.")


def _times(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def _span(length: timedelta) -> str:
    return format_duration(max(0.0, length.total_seconds()))


def _in(left: timedelta) -> str:
    return f"in {_span(left)}" if left > timedelta() else "in a moment"


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

"""
words: what a log says of each event: its level, a few words that never vary, and fields.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from jetq.model.events import (
    AccessDenied,
    AttemptFailed,
    ClockSkewed,
    ConnectionLost,
    ConnectionRestored,
    DeliveryDiscarded,
    EnqueueFailed,
    Event,
    JanitorFailed,
    JanitorPassed,
    LeaderElected,
    LeadershipEnded,
    ListenerFailed,
    RunLost,
    SignatureRefused,
    TaskDeduplicated,
    TaskProgressed,
    TaskRepaired,
    TaskStateChanged,
    TaskTakenOver,
    TopologyChanged,
    UpdateConflict,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from jetq.model.serving import FetchingRestored, FetchingStalled, QueuePaused, QueueResumed, WorkerQuieted
from jetq.model.state import FAILED, End, State
from jetq.model.supervision import (
    ChildEnded,
    ChildReady,
    ChildReplaced,
    ChildStarted,
    LoopBlocked,
    ReloadEnded,
    Replacement,
    RestartDelayed,
    RunsHandedOver,
    SupervisorLost,
)
from jetq.model.surroundings import CallsWaiting, HookFailed, ProcessEnd, ProcessEnded, ProcessNotStarted, ProcessReady
from jetq.model.upkeep import HOUSEKEEPING
from jetq.observe.answering_words import ANSWERING_LINES
from jetq.observe.saying import Told, one_line
from jetq.observe.scheduling_words import SCHEDULING_LINES

_SHOWN_PATTERNS: Final = 10


def told(event: Event) -> Told:
    """Say what a log says of an event that is no change of a task's state."""
    return _LINES[type(event)](event)


def words_of(event: TaskStateChanged) -> tuple[int, str]:
    """Return the level and the event of a state change."""
    match event.state:
        case State.ACTIVE:
            return logging.DEBUG, "task started"
        case State.COMPLETE:
            return logging.DEBUG, "task succeeded"
        case State.RETRY if event.outcome == "interrupted":
            return logging.INFO, "task released"
        case State.RETRY if event.outcome == "snoozed":
            return logging.DEBUG, "task snoozed"
        case State.RETRY:
            return logging.WARNING, "task retries"
        case State.EXPIRED if event.end == End.CANCELLED:
            return logging.WARNING, "task cancelled"
        case state if state in FAILED:
            return logging.ERROR, f"task {state}"
        case State.NEW:
            return logging.DEBUG, "task enqueued"
        case State.BLOCKED:
            return logging.DEBUG, "task waits for others"
        case state:
            return logging.WARNING, f"task {state.value or 'unknown'}"


def _discarded(event: DeliveryDiscarded) -> Told:
    fields = {"queue": event.queue, "reason": event.reason, "detail": event.detail, "task_id": event.task_id}
    return logging.WARNING, "delivery discarded", fields


def _attempt_failed(event: AttemptFailed) -> Told:
    if event.unexpected:
        return logging.ERROR, "delivery left, a defect of jetq", {"queue": event.queue, "exception": event.error}
    return logging.WARNING, "delivery left", {"queue": event.queue, "error": one_line(event.error)}


def _access_denied(event: AccessDenied) -> Told:
    return logging.WARNING, "access denied", {"action": event.action, "subject": event.subject}


def _clock_skewed(event: ClockSkewed) -> Told:
    if not event.ahead:
        return logging.INFO, "this machine's clock agrees with the server's again", {}
    fields = {"ahead": round(event.ahead, 1)}
    return logging.WARNING, "this machine's clock differs from the server's, whose time is used", fields


def _run_lost(event: RunLost) -> Told:
    fields = {"task_id": event.task_id, "queue": event.queue, "worker": event.worker}
    return logging.WARNING, "run lost, its result is dropped", fields


def _enqueue_failed(event: EnqueueFailed) -> Told:
    fields = {"task_type": event.task_type, "queue": event.queue, "error": event.error}
    return logging.DEBUG, "task not enqueued", fields


def _signature_refused(event: SignatureRefused) -> Told:
    fields = {
        "task_id": event.task_id,
        "task_type": event.task_type,
        "queue": event.queue,
        "worker": event.worker,
        "reason": event.reason,
    }
    return logging.WARNING, "signature refused", fields


def _conflict(event: UpdateConflict) -> Told:
    return logging.DEBUG, "update conflict, decided anew", {"task_id": event.task_id, "what": event.what}


def _taken_over(event: TaskTakenOver) -> Told:
    fields = {
        "task_id": event.task_id,
        "queue": event.queue,
        "worker": event.worker,
        "dead_worker": event.dead_worker,
        "crashes": event.crashes,
    }
    return logging.WARNING, "task taken over from a dead worker", fields


def _progressed(event: TaskProgressed) -> Told:
    said = event.progress
    fields = {"task_id": event.task_id, "current": said.current, "total": said.total, "text": one_line(said.text)}
    return logging.DEBUG, "task progresses", fields


def _leader_elected(event: LeaderElected) -> Told:
    return logging.INFO, "leader elected", {"component": event.component, "leader": event.name}


def _deduplicated(event: TaskDeduplicated) -> Told:
    fields = {"task_id": event.task_id, "task_type": event.task_type, "queue": event.queue, "key": event.key}
    return logging.DEBUG, "task replaced" if event.replaced else "task is there already", fields


def _listener_failed(event: ListenerFailed) -> Told:
    return logging.ERROR, "listener failed", {"listener": event.listener, "error": one_line(event.error)}


def _connection_lost(event: ConnectionLost) -> Told:
    return logging.WARNING, "connection lost", {"connection": event.connection, "reason": one_line(event.reason)}


def _connection_restored(event: ConnectionRestored) -> Told:
    return logging.WARNING, "connection restored", {"connection": event.connection, "server": event.server}


def _topology(event: TopologyChanged) -> Told:
    return logging.WARNING if event.failed else logging.INFO, "topology", {"stream": event.name, "change": event.change}


def _started(event: WorkerStarted) -> Told:
    patterns = [*event.patterns[:_SHOWN_PATTERNS], *(["..."] if len(event.patterns) > _SHOWN_PATTERNS else [])]
    fields = {
        "worker": event.worker,
        "queues": ",".join(event.queues),
        "tasks": ",".join(patterns) or "none",
        "slots": event.slots,
    }
    return logging.INFO, "worker started", fields


def _stopping(event: WorkerStopping) -> Told:
    return logging.INFO, "worker stopping", {"worker": event.worker, "running": event.running}


def _stopped(event: WorkerStopped) -> Told:
    return logging.INFO, "worker stopped", {"worker": event.worker, "released": event.released}


def _leads_no_more(event: LeadershipEnded) -> Told:
    fields = {"component": event.component, "leader": event.name, "reason": one_line(event.reason)}
    return logging.INFO, "leads no more", fields


def _repaired(event: TaskRepaired) -> Told:
    level = logging.DEBUG if event.kind in HOUSEKEEPING else logging.WARNING
    return level, "task repaired", {"kind": event.kind, "task_id": event.task_id, "queue": event.queue}


def _passed(event: JanitorPassed) -> Told:
    mended = ",".join(f"{kind}:{count}" for kind, count in sorted(event.repairs.items()))
    fields = {
        "records": event.records,
        "repairs": mended or "none",
        "missed": event.missed or None,
        "complete": event.complete,
        "duration": round(event.duration, 3),
    }
    told = bool(mended or event.missed) or not event.complete
    return logging.INFO if told else logging.DEBUG, "janitor passed", fields


def _pass_failed(event: JanitorFailed) -> Told:
    if event.final:
        return logging.INFO, "no janitor here, this user may not", {"error": one_line(event.error)}
    return logging.WARNING, "janitor's pass failed", {"error": one_line(event.error)}


def _child_started(event: ChildStarted) -> Told:
    return logging.DEBUG, "child started", {"pid": event.pid, "place": event.place}


def _child_ready(event: ChildReady) -> Told:
    fields = {"pid": event.pid, "place": event.place, "worker": event.worker, "after": round(event.after, 3)}
    return logging.INFO, "child ready", fields


def _child_replaced(event: ChildReplaced) -> Told:
    level = logging.INFO if event.reason in _PLANNED else logging.WARNING
    fields = {"pid": event.pid, "place": event.place, "reason": event.reason.value, "detail": event.detail}
    return level, "child is replaced", fields


_PLANNED: Final = frozenset({Replacement.MAX_TASKS, Replacement.MAX_MEMORY, Replacement.RELOAD, Replacement.STOPPED})


def _child_ended(event: ChildEnded) -> Told:
    fields = {
        "pid": event.pid,
        "place": event.place,
        "worker": event.worker,
        "how": event.how,
        "uptime": round(event.uptime, 3),
        "peak_memory": event.peak_memory or None,
        "in_flight": event.in_flight or None,
    }
    return logging.INFO if event.orderly else logging.ERROR, "child ended", fields


def _restart_delayed(event: RestartDelayed) -> Told:
    return logging.WARNING, "child crashes again and again", {"place": event.place, "restart_in": event.after}


def _reload_ended(event: ReloadEnded) -> Told:
    if event.error:
        return logging.ERROR, "rolling restart given up", {"error": one_line(event.error)}
    return logging.INFO, "rolling restart done", {}


def _handed_over(event: RunsHandedOver) -> Told:
    fields = {"dead_worker": event.dead_worker, "runs": event.runs, "heir": event.heir}
    if not event.heir:
        return logging.WARNING, "runs of a dead child wait for their leases to end", fields
    return logging.DEBUG if not event.runs else logging.WARNING, "runs of a dead child handed over", fields


def _loop_blocked(event: LoopBlocked) -> Told:
    fields = {
        "worker": event.worker,
        "seconds": round(event.seconds, 3),
        "task_id": event.task_id,
        "task_type": event.task_type,
        "exception": event.stack.rstrip(),
    }
    return logging.WARNING, "event loop is blocked", fields


def _supervisor_lost(event: SupervisorLost) -> Told:
    return logging.WARNING, "the supervisor is gone; this worker stops", {"worker": event.worker}


def _hook_failed(event: HookFailed) -> Told:
    last = event.error.rstrip().rpartition("\n")[2]
    fields = {"hook": event.hook, "function": event.function, "error": one_line(last)}
    if last != event.error.rstrip():
        fields["exception"] = event.error.rstrip()
    return logging.WARNING, "a hook failed", fields


def _process_not_started(event: ProcessNotStarted) -> Told:
    return logging.WARNING, "a process for handlers did not start", {"worker": event.worker, "error": event.error}


def _process_ready(event: ProcessReady) -> Told:
    return logging.DEBUG, "process ready", {"pid": event.pid, "after": round(event.after, 3), "worker": event.worker}


def _process_ended(event: ProcessEnded) -> Told:
    fields = {
        "pid": event.pid,
        "reason": event.reason.value,
        "how": event.how,
        "calls": event.calls,
        "peak_memory": event.peak_memory or None,
        "worker": event.worker,
    }
    return logging.WARNING if event.reason is ProcessEnd.CRASH else logging.DEBUG, "process ended", fields


def _calls_waiting(event: CallsWaiting) -> Told:
    return logging.DEBUG, "calls wait for a process", {"waiting": event.waiting, "worker": event.worker}


def _paused(event: QueuePaused) -> Told:
    until = "it is resumed" if event.until is None else event.until.isoformat(timespec="seconds")
    return logging.INFO, "queue paused", {"queue": event.queue, "until": until, "worker": event.worker}


def _resumed(event: QueueResumed) -> Told:
    return logging.INFO, "queue resumed", {"queue": event.queue, "worker": event.worker}


def _quieted(event: WorkerQuieted) -> Told:
    return logging.INFO, "worker takes no more tasks", {"worker": event.worker}


def _stalled(event: FetchingStalled) -> Told:
    fields = {
        "queue": event.queue,
        "reason": one_line(event.reason),
        "seconds": round(event.seconds, 3),
        "worker": event.worker,
    }
    return logging.ERROR, "tasks wait, slots are free, and nothing arrives; asking anew", fields


def _restored(event: FetchingRestored) -> Told:
    return logging.WARNING, "tasks arrive again", {"queue": event.queue, "worker": event.worker}


_LINES: Final[dict[type, Callable[[Any], Told]]] = {
    AccessDenied: _access_denied,
    ClockSkewed: _clock_skewed,
    AttemptFailed: _attempt_failed,
    DeliveryDiscarded: _discarded,
    RunLost: _run_lost,
    UpdateConflict: _conflict,
    EnqueueFailed: _enqueue_failed,
    SignatureRefused: _signature_refused,
    TaskTakenOver: _taken_over,
    TaskDeduplicated: _deduplicated,
    TaskProgressed: _progressed,
    LeaderElected: _leader_elected,
    ListenerFailed: _listener_failed,
    ConnectionLost: _connection_lost,
    ConnectionRestored: _connection_restored,
    TopologyChanged: _topology,
    WorkerStarted: _started,
    WorkerStopping: _stopping,
    WorkerStopped: _stopped,
    LeadershipEnded: _leads_no_more,
    TaskRepaired: _repaired,
    JanitorPassed: _passed,
    JanitorFailed: _pass_failed,
    HookFailed: _hook_failed,
    ProcessNotStarted: _process_not_started,
    ProcessReady: _process_ready,
    ProcessEnded: _process_ended,
    CallsWaiting: _calls_waiting,
    ChildStarted: _child_started,
    ChildReady: _child_ready,
    ChildReplaced: _child_replaced,
    ChildEnded: _child_ended,
    RestartDelayed: _restart_delayed,
    ReloadEnded: _reload_ended,
    RunsHandedOver: _handed_over,
    LoopBlocked: _loop_blocked,
    SupervisorLost: _supervisor_lost,
    QueuePaused: _paused,
    QueueResumed: _resumed,
    WorkerQuieted: _quieted,
    FetchingStalled: _stalled,
    FetchingRestored: _restored,
    **SCHEDULING_LINES,
    **ANSWERING_LINES,
}

"""
logs: what happens, as lines of a log.

The flow of a task logs nothing. It emits events, and :class:`EventLog` turns them into lines of Python's own logging,
under loggers called ``jetq.*``; so a program that configures logging itself gets them wherever it wants. Only
``jetq worker`` and ``jetq dev`` configure anything (:func:`configure`), and only what the application left alone.

A line of jetq is a :class:`Line`: an event of few words, and fields. Under a format of the user's it reads
``task retries task_id=... error=...``, with the fields as attributes of the record; under ours the fields stay fields.
Ours add the names of the current run to every line, whoever writes it: they are read from `observe.scope` when the
line is made, so a task that logs nothing pays nothing. No line holds a payload, and no traceback holds variables.
"""

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter

from jetq.model.events import (
    AccessDenied,
    AttemptFailed,
    ClockSkewed,
    ConnectionLost,
    ConnectionRestored,
    DeliveryDiscarded,
    Event,
    JanitorFailed,
    JanitorPassed,
    LeaderElected,
    LeadershipEnded,
    ListenerFailed,
    RunLost,
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
from jetq.model.state import FAILED, End, State
from jetq.model.upkeep import HOUSEKEEPING
from jetq.observe.scope import current_scope

LogFormat = Literal["console", "json"]
Fields = MutableMapping[str, Any]

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_SHOWN_PATTERNS: Final = 10
_TALKATIVE: Final = ("asyncio", "watchfiles")
"""Loggers whose lines below a warning are about themselves."""


class Line:
    """
    The message of a log record: an event and its fields.

    Attributes:
        event: A few words that never vary, to search for.
        fields: What varies.
    """

    __slots__ = ("event", "fields")

    def __init__(self, event: str, fields: Mapping[str, Any]) -> None:
        self.event = event
        self.fields = fields

    def __str__(self) -> str:
        """Return the event and the fields on one line, for any format."""
        shown = (f"{name}={value}" for name, value in self.fields.items() if name != "exception")
        return " ".join([self.event, *shown])


class Log:
    """
    Writes lines to one logger.

    Args:
        name: Of the logger.
    """

    def __init__(self, name: str) -> None:
        self.logger = logging.getLogger(name)

    def write(self, level: int, event: str, **fields: Any) -> None:
        """Write a line; fields that are None or empty are left out."""
        if self.logger.isEnabledFor(level):
            told = {name: value for name, value in fields.items() if value not in (None, "")}
            self.logger.log(level, Line(event, told), extra=told)

    def debug(self, event: str, **fields: Any) -> None:
        """Write what only a search for a fault wants to know."""
        self.write(logging.DEBUG, event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write what happens in the life of a process."""
        self.write(logging.INFO, event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write what is not as it should be, and is being mended."""
        self.write(logging.WARNING, event, **fields)


class EventLog:
    """
    A listener of the bus that writes a line for each event.

    Args:
        name: Of the logger.
    """

    def __init__(self, name: str = "jetq.worker") -> None:
        self._log = Log(name)

    def __call__(self, event: Event) -> None:
        """Write the line of *event*."""
        if isinstance(event, TaskStateChanged):
            self._task(event)
        else:
            level, text, fields = _LINES[type(event)](event)
            self._log.write(level, text, **fields)

    def _task(self, event: TaskStateChanged) -> None:
        level, text = (logging.DEBUG, "task told again") if event.repeated else _words(event)
        if not self._log.logger.isEnabledFor(level):
            return
        failed = level > logging.INFO
        self._log.write(
            level,
            text,
            task_id=event.task_id,
            task_type=event.task_type,
            queue=event.queue,
            tries=event.tries,
            worker=event.worker,
            duration=None if event.duration is None else round(event.duration, 6),
            end=event.end,
            error=_one_line(event.last_err) if failed else "",
            due=None if event.due is None else event.due.isoformat(timespec="milliseconds"),
            exception=event.error.traceback.rstrip() if failed and event.error is not None else "",
        )


def _words(event: TaskStateChanged) -> tuple[int, str]:
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
        case state:
            return logging.WARNING, f"task {state.value or 'unknown'}"


_Told = tuple[int, str, dict[str, Any]]


def _discarded(event: DeliveryDiscarded) -> _Told:
    fields = {"queue": event.queue, "reason": event.reason, "detail": event.detail, "task_id": event.task_id}
    return logging.WARNING, "delivery discarded", fields


def _attempt_failed(event: AttemptFailed) -> _Told:
    if event.unexpected:
        return logging.ERROR, "delivery left, a defect of jetq", {"queue": event.queue, "exception": event.error}
    return logging.WARNING, "delivery left", {"queue": event.queue, "error": _one_line(event.error)}


def _access_denied(event: AccessDenied) -> _Told:
    return logging.WARNING, "access denied", {"action": event.action, "subject": event.subject}


def _clock_skewed(event: ClockSkewed) -> _Told:
    if not event.ahead:
        return logging.INFO, "this machine's clock agrees with the server's again", {}
    fields = {"ahead": round(event.ahead, 1)}
    return logging.WARNING, "this machine's clock differs from the server's, whose time is used", fields


def _run_lost(event: RunLost) -> _Told:
    fields = {"task_id": event.task_id, "queue": event.queue, "worker": event.worker}
    return logging.WARNING, "run lost, its result is dropped", fields


def _conflict(event: UpdateConflict) -> _Told:
    return logging.DEBUG, "update conflict, decided anew", {"task_id": event.task_id, "what": event.what}


def _taken_over(event: TaskTakenOver) -> _Told:
    fields = {
        "task_id": event.task_id,
        "queue": event.queue,
        "worker": event.worker,
        "dead_worker": event.dead_worker,
        "crashes": event.crashes,
    }
    return logging.WARNING, "task taken over from a dead worker", fields


def _progressed(event: TaskProgressed) -> _Told:
    said = event.progress
    fields = {"task_id": event.task_id, "current": said.current, "total": said.total, "text": _one_line(said.text)}
    return logging.DEBUG, "task progresses", fields


def _leader_elected(event: LeaderElected) -> _Told:
    return logging.INFO, "leader elected", {"component": event.component, "name": event.name}


def _deduplicated(event: TaskDeduplicated) -> _Told:
    fields = {"task_id": event.task_id, "task_type": event.task_type, "queue": event.queue, "key": event.key}
    return logging.DEBUG, "task replaced" if event.replaced else "task is there already", fields


def _listener_failed(event: ListenerFailed) -> _Told:
    return logging.ERROR, "listener failed", {"listener": event.listener, "error": _one_line(event.error)}


def _connection_lost(event: ConnectionLost) -> _Told:
    return logging.WARNING, "connection lost", {"reason": _one_line(event.reason)}


def _connection_restored(event: ConnectionRestored) -> _Told:
    return logging.WARNING, "connection restored", {"server": event.server}


def _topology(event: TopologyChanged) -> _Told:
    return logging.WARNING if event.failed else logging.INFO, "topology", {"stream": event.name, "change": event.change}


def _started(event: WorkerStarted) -> _Told:
    patterns = [*event.patterns[:_SHOWN_PATTERNS], *(["..."] if len(event.patterns) > _SHOWN_PATTERNS else [])]
    fields = {
        "worker": event.worker,
        "queues": ",".join(event.queues),
        "tasks": ",".join(patterns) or "none",
        "slots": event.slots,
    }
    return logging.INFO, "worker started", fields


def _stopping(event: WorkerStopping) -> _Told:
    return logging.INFO, "worker stopping", {"worker": event.worker, "running": event.running}


def _stopped(event: WorkerStopped) -> _Told:
    return logging.INFO, "worker stopped", {"worker": event.worker, "released": event.released}


def _leads_no_more(event: LeadershipEnded) -> _Told:
    fields = {"component": event.component, "name": event.name, "reason": _one_line(event.reason)}
    return logging.INFO, "leads no more", fields


def _repaired(event: TaskRepaired) -> _Told:
    level = logging.DEBUG if event.kind in HOUSEKEEPING else logging.WARNING
    return level, "task repaired", {"kind": event.kind, "task_id": event.task_id, "queue": event.queue}


def _passed(event: JanitorPassed) -> _Told:
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


def _pass_failed(event: JanitorFailed) -> _Told:
    if event.final:
        return logging.INFO, "no janitor here, this user may not", {"error": _one_line(event.error)}
    return logging.WARNING, "janitor's pass failed", {"error": _one_line(event.error)}


_LINES: Final[dict[type, Callable[[Any], _Told]]] = {
    AccessDenied: _access_denied,
    ClockSkewed: _clock_skewed,
    AttemptFailed: _attempt_failed,
    DeliveryDiscarded: _discarded,
    RunLost: _run_lost,
    UpdateConflict: _conflict,
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
}


def _one_line(text: str) -> str:
    return " ".join(text.split())


# Configuration of a process


def add_scope(_logger: object, _method: str, fields: Fields) -> Fields:
    """Add the names of the current run to a line; a structlog processor."""
    scope = current_scope.get()
    if scope is not None:
        fields.setdefault("task_id", scope.task_id)
        fields.setdefault("task_type", scope.task_type)
        fields.setdefault("queue", scope.queue)
        fields.setdefault("attempt", scope.attempt)
        fields.setdefault("worker", scope.worker)
    return fields


def _own_words(_logger: object, _method: str, fields: Fields) -> Fields:
    """Take the event of our own lines without the fields, which the record carries as well."""
    message = fields["_record"].msg
    if isinstance(message, Line):
        fields["event"] = message.event
    return fields


def configure(level: str, log_format: LogFormat, *, stream: TextIO, colors: bool) -> bool:
    """
    Let this process log to *stream*, unless the application configured its logging.

    Args:
        level: One of :data:`LEVELS`.
        log_format: ``console`` is for people, ``json`` gives one object a line.
        stream: Where to.
        colors: For ``console``.

    Returns:
        False if the root logger had handlers; it is left alone then, and so is structlog if it was configured.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        add_scope,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *shared,
                structlog.stdlib.PositionalArgumentsFormatter(),
                structlog.processors.StackInfoRenderer(),
                ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
    root = logging.getLogger()
    if root.handlers:
        return False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[_own_words, *shared, structlog.stdlib.ExtraAdder()],
            processors=[ProcessorFormatter.remove_processors_meta, *_renderers(log_format, colors=colors)],
        )
    )
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    return True


def _renderers(log_format: LogFormat, *, colors: bool) -> list[Any]:
    """Return the last processors; neither of them shows the variables of a traceback, which may hold payloads."""
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, sort_keys=False)]

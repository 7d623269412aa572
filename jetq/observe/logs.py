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
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter

from jetq.model.events import Event, TaskStateChanged
from jetq.observe.log_setup import LogFormat, LogSetup, remember
from jetq.observe.saying import one_line
from jetq.observe.scope import current_scope
from jetq.observe.words import told, words_of

Fields = MutableMapping[str, Any]

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
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
            known = {name: value for name, value in fields.items() if value not in (None, "")}
            self.logger.log(level, Line(event, known), extra=known)

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
            level, text, fields = told(event)
            self._log.write(level, text, **fields)

    def _task(self, event: TaskStateChanged) -> None:
        level, text = (logging.DEBUG, "task told again") if event.repeated else words_of(event)
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
            error=one_line(event.last_err) if failed else "",
            due=None if event.due is None else event.due.isoformat(timespec="milliseconds"),
            exception=event.error.traceback.rstrip() if failed and event.error is not None else "",
        )


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
    remember(LogSetup(level, log_format, colors, getattr(stream, "lock", -1)))
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

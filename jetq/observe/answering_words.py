"""
answering_words: what a log says of the work of a server of remote handlers.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from jetq.model.answering import (
    RequestAnswered,
    RequestRefused,
    ResponderStarted,
    ResponderStopped,
    ResponderStopping,
)
from jetq.observe.saying import Told, one_line

_SHOWN: Final = 10


def _started(event: ResponderStarted) -> Told:
    subjects = [*event.subjects[:_SHOWN], *(["..."] if len(event.subjects) > _SHOWN else [])]
    fields = {
        "responder": event.responder,
        "service": event.service,
        "group": event.group,
        "subjects": ",".join(subjects),
        "slots": event.slots,
    }
    return logging.INFO, "server of remote handlers started", fields


def _stopping(event: ResponderStopping) -> Told:
    fields = {"responder": event.responder, "running": event.running}
    return logging.INFO, "server of remote handlers stops", fields


def _stopped(event: ResponderStopped) -> Told:
    fields = {"responder": event.responder, "interrupted": event.interrupted}
    return logging.INFO, "server of remote handlers stopped", fields


def _answered(event: RequestAnswered) -> Told:
    fields = {
        "task_id": event.task_id,
        "task_type": event.task_type,
        "outcome": event.outcome,
        "duration": round(event.duration, 6),
        "error": one_line(event.error),
    }
    return (logging.WARNING if event.error else logging.DEBUG), "request answered", fields


def _refused(event: RequestRefused) -> Told:
    fields = {
        "subject": event.subject,
        "reason": event.reason.value,
        "detail": one_line(event.detail),
        "task_id": event.task_id,
    }
    return logging.WARNING, "request refused", fields


ANSWERING_LINES: Final[dict[type, Callable[[Any], Told]]] = {
    ResponderStarted: _started,
    ResponderStopping: _stopping,
    ResponderStopped: _stopped,
    RequestAnswered: _answered,
    RequestRefused: _refused,
}
"""By the kind of event."""

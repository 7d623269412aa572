"""
answering: the work of a server of remote handlers, as values for `observe.bus`.
"""

from enum import StrEnum

from msgspec import Struct


class Refusal(StrEnum):
    """Why a request was not given to a handler; the label of a metric."""

    MALFORMED = "malformed"
    """Its body is no task."""

    LATE = "late"
    """Its deadline had passed, or passed before a slot was free, or is none."""

    BUSY = "busy"
    """Too much waits already."""

    SIGNATURE = "signature"
    """Nobody who is trusted signed the task."""

    UNROUTABLE = "unroutable"
    """There is no handler for the task's type."""


class ResponderStarted(Struct, frozen=True, kw_only=True):
    """
    A server of remote handlers answers requests.

    Attributes:
        responder: Its id.
        service: What it is called as a micro service.
        group: Of the servers of which one gets each request.
        subjects: Where it listens.
        slots: Handlers that may run at one time.
    """

    responder: str
    service: str
    group: str
    subjects: tuple[str, ...]
    slots: int


class ResponderStopping(Struct, frozen=True, kw_only=True):
    """It takes no requests any more, and waits for *running* handlers."""

    responder: str
    running: int


class ResponderStopped(Struct, frozen=True, kw_only=True):
    """It ended, and had to interrupt *interrupted* handlers."""

    responder: str
    interrupted: int


class RequestAnswered(Struct, frozen=True, kw_only=True, gc=False):
    """
    A handler ran for a worker elsewhere, and its answer was sent.

    Attributes:
        task_id, task_type: Of the task.
        pattern: Of the handler.
        outcome: The kind of its outcome, in lower case.
        error: What is said of one that is no success.
        duration: Seconds that it ran.
    """

    task_id: str
    task_type: str
    pattern: str
    outcome: str
    error: str
    duration: float


class RequestRefused(Struct, frozen=True, kw_only=True):
    """
    A request was answered with an error, without a handler.

    Attributes:
        subject: Where it came.
        reason: Why.
        detail: What was answered.
        task_id: Of the task, as far as it could be read.
    """

    subject: str
    reason: Refusal
    detail: str
    task_id: str = ""


AnsweringEvent = ResponderStarted | ResponderStopping | ResponderStopped | RequestAnswered | RequestRefused

"""
outcome: what happened to one delivery of a task.

The executor returns an outcome and never raises; :func:`jetq.model.verdict.judge` says what follows from it.
"""

from datetime import datetime

from msgspec import Struct

from jetq.model.record import ErrorInfo


class Succeeded(Struct, frozen=True, gc=False):
    """The handler returned; *result* is its value as JSON."""

    result: bytes


class Failed(Struct, frozen=True):
    """The handler raised."""

    error: ErrorInfo


class TimedOut(Struct, frozen=True):
    """The handler ran beyond its time limit of *limit* seconds."""

    limit: float


class Retried(Struct, frozen=True):
    """The handler asked for another try; *delay* in seconds, None for the policy's."""

    delay: float | None
    reason: str


class Terminated(Struct, frozen=True):
    """The handler wants no further try."""

    reason: str


class Snoozed(Struct, frozen=True):
    """The handler wants to be called again in *delay* seconds, at no cost."""

    delay: float


class Cancelled(Struct, frozen=True):
    """Somebody cancelled the run, and the handler stopped."""

    by: str = ""


class Interrupted(Struct, frozen=True):
    """The worker shut down before the handler ended."""


class Unroutable(Struct, frozen=True):
    """This worker has no handler for the type."""

    type: str


class Invalid(Struct, frozen=True):
    """The payload is not what the handler takes."""

    reason: str


class Unstorable(Struct, frozen=True):
    """The handler returned something that is not JSON."""

    error: ErrorInfo


class Expired(Struct, frozen=True):
    """The deadline passed before the handler could start."""

    deadline: datetime


Outcome = (
    Succeeded
    | Failed
    | TimedOut
    | Retried
    | Terminated
    | Snoozed
    | Cancelled
    | Interrupted
    | Unroutable
    | Invalid
    | Unstorable
    | Expired
)

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
    """The handler raised. The *note* is shown beside the error."""

    error: ErrorInfo
    note: str = ""


class TimedOut(Struct, frozen=True):
    """
    The handler ran beyond its time limit, or ended when it was asked to at its soft limit.

    Attributes:
        limit: Of which, in seconds.
        note: Shown beside the error.
        soft: It was the soft limit.
    """

    limit: float
    note: str = ""
    soft: bool = False

    @property
    def error(self) -> ErrorInfo:
        """The time-out as an error, as which it counts."""
        kind = "soft limit" if self.soft else "limit"
        return ErrorInfo(type="TimeoutError", message=f"ran longer than its {kind} of {self.limit:g} s")


class Crashed(Struct, frozen=True):
    """The process of the handler died under it."""

    error: ErrorInfo


class GivenUp(Struct, frozen=True):
    """The handler raised what no further try helps against. The *note* is shown beside the error."""

    error: ErrorInfo
    note: str = ""


class Retried(Struct, frozen=True):
    """
    The handler, or what decides about its errors, asked for another try.

    Attributes:
        delay: Seconds; None for the policy's.
        reason: In words.
        queue: Where the next try is to be; empty for the same queue.
        error: What the handler raised, if *reason* is about that.
        note: Shown beside the error or the reason.
    """

    delay: float | None
    reason: str
    queue: str = ""
    error: ErrorInfo | None = None
    note: str = ""


class Terminated(Struct, frozen=True):
    """The handler wants no further try."""

    reason: str


class Snoozed(Struct, frozen=True):
    """Another call in *delay* seconds is wanted, at no cost; after an *error*, or by the handler's own word."""

    delay: float
    error: ErrorInfo | None = None


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
    """The handler returned something that is not JSON, or *too_large*."""

    error: ErrorInfo
    too_large: bool = False


class Expired(Struct, frozen=True):
    """The deadline passed before the handler could start."""

    deadline: datetime


Outcome = (
    Succeeded
    | Failed
    | TimedOut
    | Crashed
    | GivenUp
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

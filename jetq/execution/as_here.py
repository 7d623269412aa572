"""
as_here: what middleware sees of a handler that ran in a process of its own, as if it had run beside it.
"""

from typing import Any

from jetq.errors import HandlerFailedError, Retry, Snooze, Terminate
from jetq.model.outcome import (
    Expired,
    Failed,
    GivenUp,
    Invalid,
    Outcome,
    Retried,
    Snoozed,
    Succeeded,
    Terminated,
    Unstorable,
)
from jetq.model.record import ErrorInfo
from jetq.routing.values import decode_value


def as_here(outcome: Outcome) -> Any:
    """Return or raise for middleware what a handler of this process would."""
    match outcome:
        case Succeeded():
            return decode_value(outcome.result)
        case Terminated():
            raise Terminate(outcome.reason)
        case Retried(delay, reason, queue) if outcome.error is None:
            raise Retry(delay, reason, queue or None)
        case Snoozed() if outcome.error is None:
            raise Snooze(outcome.delay)
        case _:
            error = _error_of(outcome)
            raise HandlerFailedError(error.type, error.message, error.traceback, outcome=outcome)


def _error_of(outcome: Outcome) -> ErrorInfo:
    match outcome:
        case Failed() | GivenUp() | Unstorable():
            return outcome.error
        case Retried() | Snoozed():
            return outcome.error or ErrorInfo()
        case Invalid():
            return ErrorInfo(type="InvalidPayloadError", message=outcome.reason)
        case Expired():
            return ErrorInfo(message="the deadline passed before a process was free")
        case _:
            return ErrorInfo(message=f"an unexpected outcome: {type(outcome).__name__}")

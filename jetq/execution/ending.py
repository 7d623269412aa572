"""
ending: what a handler's return value, or its exception, means.

Signals mean the same raised and returned, and also as the only content of an exception group, since a handler's task
group wraps what its children raise. What a handler asks for and cannot have (a delay that is no duration, a result that
is not JSON) is said as its error.
"""

import inspect
from typing import Any, Final

from jetq.errors import (
    CommandFailedError,
    CommandStartError,
    InvalidNameError,
    InvalidSettingError,
    JetqError,
    OutputTooLargeError,
    ProcessDiedError,
    ProcessStartError,
    Retry,
    Signal,
    Snooze,
    Terminate,
    ValueNotJsonError,
)
from jetq.execution.failure import MAX_MESSAGE, describe, leaves, shorten, text_of
from jetq.model.name import check_name
from jetq.model.outcome import Crashed, Failed, Outcome, Retried, Snoozed, Succeeded, Terminated, Unstorable
from jetq.model.quantity import seconds
from jetq.model.record import ErrorInfo
from jetq.routing.values import encode_value

_LONGEST: Final = 10 * 365 * 24 * 3600.0
"""Seconds that a handler may ask for: ten years. Beyond lies a slip of units, and soon the end of datetime."""

_START_AGAIN: Final = 5.0
"""Seconds until a task runs again, here or elsewhere, for which no process came up; that costs it no try."""

_PRECEDENCE: Final = (Terminate, Retry, Snooze)
"""Which signal of a group counts."""


def after_return(value: Any) -> Outcome:
    """Say what a return value means."""
    if isinstance(value, Signal):
        return _signalled(value)
    try:
        return Succeeded(encode_value(value))
    except ValueNotJsonError as error:
        if inspect.iscoroutine(value):
            value.close()
            text = "the handler returned a coroutine; make it async def, or await what it calls"
            return Failed(ErrorInfo(type="TypeError", message=text))
        text = shorten(f"the handler's result cannot be stored: {error}", MAX_MESSAGE)
        return Unstorable(ErrorInfo(type="ValueNotJsonError", message=text))


def after_error(error: BaseException) -> Outcome:
    """Say what an exception means."""
    if isinstance(error, Signal):
        return _signalled(error)
    if isinstance(error, ProcessDiedError):
        return Crashed(ErrorInfo(type="ProcessDiedError", message=str(error)))
    if isinstance(error, ProcessStartError):
        return Snoozed(_START_AGAIN, describe(error))
    if isinstance(error, CommandFailedError | CommandStartError):
        return Failed(_told(error))
    if isinstance(error, OutputTooLargeError):
        return Unstorable(_told(error), too_large=True)
    parts = leaves(error)
    if all(isinstance(part, _PRECEDENCE) for part in parts):
        return _signalled(next(part for kind in _PRECEDENCE for part in parts if isinstance(part, kind)))
    return Failed(describe(error))


def _told(error: JetqError) -> ErrorInfo:
    """Return an error of a program of its own, of which no line of Python says more."""
    return ErrorInfo(type=type(error).__name__, message=shorten(str(error), MAX_MESSAGE))


def _signalled(signal: Signal) -> Outcome:
    try:
        return after_signal(signal)
    except (InvalidSettingError, InvalidNameError) as error:
        return Failed(describe(error))


def after_signal(signal: Signal) -> Outcome:
    """
    Say what a signal means.

    Raises:
        InvalidSettingError: It asks for a delay that cannot be waited.
        InvalidNameError: It asks for a queue that cannot exist.
    """
    match signal:
        case Terminate():
            return Terminated(_reason(signal.reason))
        case Retry():
            delay = None if signal.delay is None else _delay("the delay of Retry", signal.delay)
            queue = "" if signal.queue is None else check_name("queue", signal.queue)
            return Retried(delay, _reason(signal.reason), queue)
        case Snooze():
            return Snoozed(_delay("the delay of Snooze", signal.delay))
        case _:
            return Failed(describe(signal))


def _reason(reason: object) -> str:
    return shorten(text_of(reason), MAX_MESSAGE)


def _delay(name: str, value: float) -> float:
    delay = seconds(name, value)
    if delay > _LONGEST:
        raise InvalidSettingError(name, value, "ten years at most")
    return delay

"""
deciding: what an exception of a handler means for its task, by the rules of handler and application.

A function that the user gave (``on_error``) is asked first. Where there is none, or it returns None, the classes
decide: an exception of ``give_up_on`` ends the task, and so does one that is not of ``retry_on`` where that is given.
All others are tried again. A time-out counts as a TimeoutError. An exception group is given up if any exception in it
is, and is worth a retry if all of them are, or the group itself.

The function is the user's code and runs on the event loop: when it raises, or returns what is no decision, the task
goes on as if there were none, and that is noted beside the error.
"""

import inspect
from collections.abc import Callable
from traceback import format_exception_only
from typing import Any, Final

from msgspec.structs import replace

from jetq.errors import HandlerFailedError, InvalidSettingError, Retry, Signal, Snooze, Terminate
from jetq.execution.context import Context
from jetq.execution.ending import after_error, after_signal
from jetq.execution.failure import leaves, shorten
from jetq.model.outcome import Failed, GivenUp, Outcome, Retried, Snoozed, Terminated, TimedOut
from jetq.model.record import ErrorInfo
from jetq.routing.error_rules import ErrorRules

Decision = Retry | Terminate | Snooze | None
"""What may be decided about an exception; None leaves it to the classes, and then to the retry policy."""

OnError = Callable[[Exception, Context], Decision]
"""Decides about an exception of a handler."""

_MAX_NOTE: Final = 500
"""Bytes of what is said beside an error."""
_UNSAID: Final = {Terminate().reason, Retry().reason}
"""Reasons that nobody gave."""


class RanElsewhere(Exception):  # noqa: N818 - it is none of a handler's
    """
    Carries the outcome of a handler that ran in a process of its own, where no middleware would look at it.

    Args:
        outcome: Decided there.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def outcome_of(error: BaseException, rules: ErrorRules | None, ctx: Context) -> Outcome:
    """
    Say what an exception means for its run: a signal speaks for itself, about all others there may be rules.

    What a handler raised in a process of its own was decided there.
    """
    if isinstance(error, RanElsewhere):
        return error.outcome
    if isinstance(error, HandlerFailedError) and error.outcome is not None:
        decision: Any = error.outcome
        return decision  # type: ignore[no-any-return]  # errors know no outcomes
    outcome = after_error(error)
    if rules is None or not isinstance(outcome, Failed):
        return outcome
    if all(isinstance(part, Signal) for part in leaves(error)):
        return outcome
    return decided(outcome, error, rules, ctx)


def decided(outcome: Failed | TimedOut, error: BaseException, rules: ErrorRules, ctx: Context) -> Outcome:
    """
    Say what follows from a failure.

    Args:
        outcome: The failure.
        error: The exception behind it.
        rules: Of handler and application together.
        ctx: Of the run, for the function.
    """
    note = ""
    if rules.on_error is not None and isinstance(error, Exception):
        try:
            decision = _asked(rules.on_error, error, ctx)
            if decision is not None:
                return _followed(decision, outcome.error)
        except BaseException as wrong:  # noqa: BLE001 - the function is the user's code
            note = shorten(f"and on_error failed: {format_exception_only(wrong)[-1].strip()}", _MAX_NOTE)
    if _is_given_up(error, rules):
        return GivenUp(outcome.error, note)
    return replace(outcome, note=note) if note else outcome


def _asked(on_error: Callable[..., Any], error: Exception, ctx: Context) -> Decision:
    """Return the function's decision, which it may raise as well, as handlers do."""
    try:
        answer = on_error(error, ctx)
    except (Retry, Terminate, Snooze) as signal:
        return signal
    if answer is None or isinstance(answer, (Retry, Terminate, Snooze)):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
    raise InvalidSettingError("the decision of on_error", answer, "Retry(...), Terminate(...), Snooze(...) or None")


def _followed(decision: Signal, error: ErrorInfo) -> Outcome:
    """
    Return the outcome that a decision makes of an error.

    Raises:
        InvalidSettingError, InvalidNameError: What it asks for cannot be had.
    """
    match after_signal(decision):
        case Terminated(reason):
            return GivenUp(error, _note(reason))
        case Retried(delay, reason, queue):
            return Retried(delay, reason, queue, error, _note(reason))
        case Snoozed(delay):
            return Snoozed(delay, error)
        case other:
            return other


def _note(reason: str) -> str:
    return "" if reason in _UNSAID else reason


def _is_given_up(error: BaseException, rules: ErrorRules) -> bool:
    parts = [part for part in leaves(error) if not isinstance(part, Signal)]
    if any(isinstance(part, rules.give_up_on or ()) for part in (error, *parts)):
        return True
    wanted = rules.retry_on
    return wanted is not None and not (isinstance(error, wanted) or all(isinstance(part, wanted) for part in parts))

"""
verdict: what to do about an outcome. Pure: no I/O, no clock; tested as a table.

Two questions are answered here and nowhere else: may this task be started (:func:`refusal`), and what follows from
what happened (:func:`judge`). The settler applies the answer.
"""

from datetime import datetime, timedelta
from enum import Enum
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from jetq.model.outcome import (
    Cancelled,
    Crashed,
    Expired,
    Failed,
    GivenUp,
    Interrupted,
    Invalid,
    Outcome,
    Retried,
    Snoozed,
    Succeeded,
    Terminated,
    TimedOut,
    Unroutable,
    Unstorable,
)
from jetq.model.record import CancelRequest, ErrorInfo, TaskRecord
from jetq.model.retry import MAX_WAIT, RetryPolicy, next_wait
from jetq.model.state import End, State

MAX_CRASHES = 3
"""Take-overs after which a task is ended: it is likelier to kill its workers than to be unlucky."""

_TOO_LATE: Final = "the deadline passes before the task can start"


class Settlement(Enum):
    """What becomes of the item once the record is written."""

    ACK = "ack"
    SCHEDULE = "schedule"
    RELEASE = "release"


class Verdict(Struct, frozen=True, kw_only=True, gc=False):
    """
    The next state of a record and what becomes of its item.

    Attributes:
        state: What the record becomes.
        settlement: ACK removes the item; SCHEDULE publishes a schedule for *due*, then removes the item; RELEASE
            gives the item back at once.
        due: When a retry becomes runnable.
        end: Why a final state was reached.
        queue: Where the next try is; empty for the same queue.
        refund: The run costs no try.
        result: JSON of the handler's return value.
        crashed: One more run died: this one, or that before a start that is refused.
        last_err: The last error as text.
        error: The last error in full.
    """

    state: State
    settlement: Settlement = Settlement.ACK
    due: datetime | None = None
    end: str = ""
    queue: str = ""
    refund: bool = False
    crashed: bool = False
    result: bytes | None = None
    last_err: str = ""
    error: ErrorInfo | None = None


class Rules(Struct, frozen=True, kw_only=True, gc=False):
    """
    What a verdict depends on besides the outcome.

    Attributes:
        retry: The policy for the waits.
        max_tries: The task's limit capped to its queue's; 0 or less is unlimited.
        complaint: Beside the error, why the policy that the task asks for cannot be used; in the form of `next_wait`'s.
    """

    retry: RetryPolicy
    max_tries: int
    complaint: str = ""


def max_tries(task: int, queue: int) -> int:
    """Return the task's limit capped to the queue's; 0 or less is unlimited in each."""
    if task <= 0:
        return max(queue, 0)
    return min(task, queue) if queue > 0 else task


def refusal(record: TaskRecord, *, limit: int, now: datetime, crashed: bool = False) -> Verdict | None:
    """
    Say why *record* may not be started, or None if it may.

    Args:
        record: The record as stored.
        limit: From :func:`max_tries`.
        now: The current time.
        crashed: The start is a take-over from a dead run, which counts as one more crash.
    """
    crashes = record.crashes + crashed
    if record.cancel_requested is not None:
        return _cancelled(record, record.cancel_requested, crashed=crashed)
    if crashes >= MAX_CRASHES:
        text = f"the worker died {crashes} times while it ran this task"
        return Verdict(state=State.TERMINATED, end=End.CRASH, crashed=crashed, last_err=text, error=record.error)
    if record.deadline is not None and now >= record.deadline:
        return _expired(End.DEADLINE, record, _TOO_LATE, crashed=crashed)
    if 0 < limit <= record.tries:
        return _expired(End.MAX_TRIES, record, f"all {limit} tries are used", crashed=crashed)
    return None


def crashed(record: TaskRecord, *, limit: int, now: datetime, death: str) -> Verdict:
    """
    Say what follows for *record* from the death of the process that ran it, which is known and counts as a crash.

    Args:
        record: The active record.
        limit: From :func:`max_tries`.
        now: The current time.
        death: How the process died, in words.
    """
    error = ErrorInfo(type="WorkerDied", message=death)
    dead = replace(record, last_err=_text(error), error=error)
    verdict = refusal(dead, limit=limit, now=now, crashed=True)
    if verdict is not None:
        return verdict
    return Verdict(state=State.RETRY, settlement=Settlement.RELEASE, crashed=True, last_err=dead.last_err, error=error)


def distrusted(complaint: str, *, crashed: bool = False) -> Verdict:
    """Say what becomes of a task whose signature does not count, which no try and no time would mend."""
    return Verdict(state=State.TERMINATED, end=End.SIGNATURE, crashed=crashed, last_err=complaint)


def _cancelled(record: TaskRecord, request: CancelRequest, *, refund: bool = False, crashed: bool = False) -> Verdict:
    return Verdict(
        state=State.EXPIRED,
        end=End.CANCELLED,
        refund=refund,
        crashed=crashed,
        last_err=request.text,
        error=record.error,
    )


def _expired(end: End, record: TaskRecord, text: str, *, refund: bool = False, crashed: bool = False) -> Verdict:
    return Verdict(
        state=State.EXPIRED,
        end=end,
        refund=refund,
        crashed=crashed,
        last_err=record.last_err or text,
        error=record.error,
    )


def judge(outcome: Outcome, record: TaskRecord, rules: Rules, *, now: datetime, chance: float) -> Verdict:
    """
    Say what follows from *outcome*.

    Args:
        outcome: What happened.
        record: The record that the run wrote when it claimed the task; its ``tries`` counts this run.
        rules: Policy and limit.
        now: The current time.
        chance: A random number in [0, 1) for the jitter of a wait.
    """
    match outcome:
        case Succeeded():
            return Verdict(state=State.COMPLETE, result=outcome.result)
        case Terminated():
            return _terminated(End.TERMINATED, ErrorInfo(message=outcome.reason))
        case Invalid() | Unstorable():
            return _unusable(outcome)
        case Cancelled():
            return _cancelled(record, record.cancel_requested or CancelRequest(outcome.by))
        case Expired():
            return _expired(End.DEADLINE, record, _TOO_LATE)
        case Interrupted() | Snoozed():
            return _another_time(outcome, record, now)
        case GivenUp():
            return _given_up(outcome, record)
        case Crashed():
            return _crashed_again_or_never(outcome, record, rules, now, chance)
        case Failed() | TimedOut() | Retried() | Unroutable():
            return _again_or_never(outcome, record, rules, now, chance)
        case _:
            assert_never(outcome)


def _terminated(end: End, error: ErrorInfo) -> Verdict:
    return Verdict(state=State.TERMINATED, end=end, last_err=error.message, error=error)


def _unusable(outcome: Invalid | Unstorable) -> Verdict:
    """End the task, whose payload or result would be the same in another try."""
    if isinstance(outcome, Invalid):
        return _terminated(End.INVALID, ErrorInfo(message=outcome.reason))
    return _terminated(End.TOO_LARGE if outcome.too_large else End.INVALID, outcome.error)


def _another_time(outcome: Interrupted | Snoozed, record: TaskRecord, now: datetime) -> Verdict:
    """Give the try back. Who wants the task to stop need not wait until it is claimed again."""
    if record.cancel_requested is not None:
        return _cancelled(record, record.cancel_requested, refund=True)
    if isinstance(outcome, Interrupted):
        return Verdict(state=State.RETRY, settlement=Settlement.RELEASE, refund=True, error=record.error)
    due, error = _later(now, outcome.delay), outcome.error or record.error
    last_err = "" if outcome.error is None else _text(outcome.error)
    if record.deadline is not None and due >= record.deadline:
        last_err = last_err or record.last_err or _TOO_LATE
        return Verdict(state=State.EXPIRED, end=End.DEADLINE, refund=True, last_err=last_err, error=error)
    return Verdict(
        state=State.RETRY, settlement=Settlement.SCHEDULE, due=due, refund=True, last_err=last_err, error=error
    )


def _later(now: datetime, delay: float) -> datetime:
    """Return a time that can be written, whatever a handler asked for."""
    return now + timedelta(seconds=min(max(0.0, delay), MAX_WAIT))


def _given_up(outcome: GivenUp, record: TaskRecord) -> Verdict:
    """End the task, unless somebody wanted it cancelled: what was asked for is what is told."""
    last_err = _text(outcome.error, outcome.note)
    if record.cancel_requested is not None:
        return Verdict(state=State.EXPIRED, end=End.CANCELLED, last_err=last_err, error=outcome.error)
    return Verdict(state=State.TERMINATED, end=End.GIVEN_UP, last_err=last_err, error=outcome.error)


def _text(error: ErrorInfo, *notes: str) -> str:
    """Say an error in one line, and in brackets what there is to say beside it."""
    text = f"{error.type}: {error.message}" if error.type else error.message
    return " ".join([text, *(f"({note})" for note in notes if note)])


def _crashed_again_or_never(
    outcome: Crashed, record: TaskRecord, rules: Rules, now: datetime, chance: float
) -> Verdict:
    """Count the death of the handler's process as that of a worker; it costs the try, and waits as an error does."""
    verdict, crashes = _again_or_never(Failed(outcome.error), record, rules, now, chance), record.crashes + 1
    if crashes >= MAX_CRASHES and record.cancel_requested is None:
        note = f"{crashes} runs of this task killed what ran them"
        last_err = _text(outcome.error, note)
        return Verdict(state=State.TERMINATED, end=End.CRASH, crashed=True, last_err=last_err, error=outcome.error)
    return replace(verdict, crashed=True)


def _again_or_never(
    outcome: Failed | TimedOut | Retried | Unroutable, record: TaskRecord, rules: Rules, now: datetime, chance: float
) -> Verdict:
    error = _error_of(outcome)
    last_err = _text(error, "" if isinstance(outcome, Unroutable) else outcome.note)
    if record.cancel_requested is not None:
        return Verdict(state=State.EXPIRED, end=End.CANCELLED, last_err=last_err, error=error)
    if 0 < rules.max_tries <= record.tries:
        return Verdict(state=State.EXPIRED, end=End.MAX_TRIES, last_err=last_err, error=error)
    if isinstance(outcome, Retried) and outcome.delay is not None:
        due = _later(now, outcome.delay)
    else:
        wait, complaint = next_wait(rules.retry, record.tries, chance)
        due, last_err = _later(now, wait), last_err + rules.complaint + complaint
    if record.deadline is not None and due >= record.deadline:
        return Verdict(state=State.EXPIRED, end=End.DEADLINE, last_err=last_err, error=error)
    queue, kept = _next_queue(outcome, record)
    return Verdict(
        state=State.RETRY, settlement=Settlement.SCHEDULE, due=due, queue=queue, last_err=last_err + kept, error=error
    )


def _next_queue(outcome: Failed | TimedOut | Retried | Unroutable, record: TaskRecord) -> tuple[str, str]:
    """Return the queue to move to, or none, and why not. The queue is part of what a signature signs."""
    if not isinstance(outcome, Retried) or outcome.queue in {"", record.queue}:
        return "", ""
    if record.signature:
        return "", f" (it cannot move to {outcome.queue}, since it is signed for the queue {record.queue})"
    return outcome.queue, ""


def _error_of(outcome: Failed | TimedOut | Retried | Unroutable) -> ErrorInfo:
    match outcome:
        case Failed() | TimedOut():
            return outcome.error
        case Retried():
            return outcome.error or ErrorInfo(message=outcome.reason)
        case Unroutable():
            return ErrorInfo(message=f"no handler for the task type {outcome.type!r} on this worker")

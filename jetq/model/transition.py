"""
transition: the named moves of a record. Each returns a new record; nothing else changes one.
"""

from datetime import datetime

from msgspec import Raw
from msgspec.structs import replace

from jetq.errors import IllegalTransitionError
from jetq.model.record import ABSENT, CancelRequest, Result, Run, TaskRecord
from jetq.model.state import FINAL, RUNNABLE, End, State, advance
from jetq.model.verdict import Verdict


def claimed(record: TaskRecord, run: Run, now: datetime, *, crashed: bool = False) -> TaskRecord:
    """
    Start a run. A crash uses a try, so tries rise here and not at the end.

    Args:
        record: A runnable record, or an active one whose run is dead (*crashed*).
        run: The new run.
        now: The current time.
        crashed: The run before this one died.
    """
    advance(record.id, record.state, State.ACTIVE)
    return replace(
        record,
        state=State.ACTIVE,
        tried=now,
        tries=record.tries + 1,
        runs=run.attempt,
        run=run,
        due=None,
        last_err="",
        crashes=record.crashes + crashed,
    )


def closed(record: TaskRecord, verdict: Verdict, now: datetime) -> TaskRecord:
    """
    End a run, or a task that must not start, as *verdict* says.

    Raises:
        IllegalTransitionError: The task ended already; only an operator's word makes it runnable again.
    """
    if record.is_final:
        raise IllegalTransitionError(record.id, record.state, verdict.state)
    state = advance(record.id, record.state, verdict.state)
    result = None if verdict.result is None else Result(Raw(verdict.result), now)
    return replace(
        record,
        state=state,
        queue=verdict.queue or record.queue,
        tried=now if record.state is State.ACTIVE else record.tried,
        tries=max(0, record.tries - verdict.refund),
        result=result,
        due=verdict.due,
        end=verdict.end,
        last_err=verdict.last_err,
        error=verdict.error,
        crashes=record.crashes + verdict.crashed,
        progress=ABSENT if state in FINAL else record.progress,
    )


def waiting(record: TaskRecord, due: datetime) -> TaskRecord:
    """
    Let a runnable record wait until *due*.

    Raises:
        IllegalTransitionError: It runs, waits for others, or ended.
    """
    if record.state not in RUNNABLE:
        raise IllegalTransitionError(record.id, record.state, "scheduled")
    return replace(record, due=due)


def refused(record: TaskRecord, reason: str) -> TaskRecord:
    """Say that the record is stored and its item is not."""
    return replace(record, state=advance(record.id, record.state, State.QUEUE_ERROR), last_err=reason)


def renewed(record: TaskRecord, wanted: TaskRecord) -> TaskRecord:
    """Turn the trace of an enqueue that failed into a new enqueue of the same task, which is to be signed anew."""
    return replace(
        record,
        state=advance(record.id, record.state, State.NEW),
        nonce=wanted.nonce,
        due=wanted.due,
        deadline=wanted.deadline,
        max_tries=wanted.max_tries,
        options=wanted.options,
        key=wanted.key,
        signature="",
        last_err="",
    )


def replaced(record: TaskRecord, wanted: TaskRecord) -> TaskRecord:
    """
    Let a task that does not run take over what another one would have brought, with all its tries.

    It keeps its id, its queue and its place; its due time as well, unless *wanted* has one.

    Raises:
        IllegalTransitionError: It runs, or ended.
    """
    if record.state is State.ACTIVE or record.is_final:
        raise IllegalTransitionError(record.id, record.state, "replaced")
    return replace(
        record,
        payload=wanted.payload,
        deadline=wanted.deadline,
        max_tries=wanted.max_tries,
        options=wanted.options,
        due=wanted.due or record.due,
        nonce=wanted.nonce,
        signature="",
        tries=0,
        crashes=0,
        last_err="",
        error=None,
    )


def retried(record: TaskRecord) -> TaskRecord:
    """
    Make a task runnable again, on an operator's word.

    Raises:
        IllegalTransitionError: It runs now, or waits for others.
    """
    if record.state is State.ACTIVE:
        raise IllegalTransitionError(record.id, record.state, State.RETRY)
    return replace(
        record,
        state=advance(record.id, record.state, State.RETRY),
        tries=0,
        crashes=0,
        due=None,
        end="",
        error=None,
        result=None,
        cancel_requested=None,
        pending=(),
    )


def rejoined(record: TaskRecord, pending: tuple[str, ...]) -> TaskRecord:
    """
    Let a task that ended while it waited for others wait for them again, on an operator's word.

    Args:
        record: It.
        pending: Those that it had not counted.

    Raises:
        IllegalTransitionError: It did not end so.
    """
    return replace(
        record,
        state=advance(record.id, record.state, State.BLOCKED),
        pending=pending,
        tries=0,
        crashes=0,
        due=None,
        end="",
        last_err="",
        error=None,
        result=None,
        cancel_requested=None,
    )


def ended(record: TaskRecord, end: End, reason: str) -> TaskRecord:
    """
    End a task that does not run, on somebody's word.

    Raises:
        IllegalTransitionError: It runs, or ended already.
    """
    if record.state is State.ACTIVE:
        raise IllegalTransitionError(record.id, record.state, State.EXPIRED)
    return replace(
        record,
        state=advance(record.id, record.state, State.EXPIRED),
        due=None,
        end=end,
        last_err=reason,
        progress=ABSENT,
    )


def stopping(record: TaskRecord, request: CancelRequest) -> TaskRecord:
    """
    Ask that a running task stops; the first request counts.

    Raises:
        IllegalTransitionError: It does not run.
    """
    if record.state is not State.ACTIVE:
        raise IllegalTransitionError(record.id, record.state, "stopping")
    return record if record.cancel_requested is not None else replace(record, cancel_requested=request)


def hastened(record: TaskRecord) -> TaskRecord:
    """
    Let a waiting task wait no longer.

    Raises:
        IllegalTransitionError: It does not wait.
    """
    if not record.is_waiting:
        raise IllegalTransitionError(record.id, record.state, "runnable")
    return replace(record, due=None)


def counted(record: TaskRecord, pending: tuple[str, ...], satisfied: Raw) -> TaskRecord:
    """
    Let a blocked task wait for fewer others.

    Args:
        record: It.
        pending: Those that it still waits for.
        satisfied: What the others gave.

    Raises:
        IllegalTransitionError: It is not blocked.
    """
    _must_be_blocked(record, State.BLOCKED)
    return replace(record, pending=pending, satisfied=satisfied)


def released(record: TaskRecord, now: datetime, *, satisfied: Raw, results: Raw) -> TaskRecord:
    """
    Make a blocked task runnable, whose parents are all accounted for, or let it wait for its due time.

    Args:
        record: It.
        now: The current time; a due time that has passed is none.
        satisfied: What is left to be read when it runs.
        results: What its handler gets of its parents.

    Raises:
        IllegalTransitionError: It is not blocked.
    """
    _must_be_blocked(record, State.NEW)
    return replace(
        record,
        state=advance(record.id, record.state, State.NEW),
        pending=(),
        satisfied=satisfied,
        dependency_results=results,
        due=None if record.due is None or record.due <= now else record.due,
        last_err="",
    )


def unreachable(record: TaskRecord, end: End, reason: str) -> TaskRecord:
    """
    End a blocked task, since one that it waits for failed; it remembers for which ones it waited.

    Raises:
        IllegalTransitionError: It is not blocked.
    """
    _must_be_blocked(record, State.UNREACHABLE)
    return replace(
        record, state=advance(record.id, record.state, State.UNREACHABLE), due=None, end=end, last_err=reason
    )


def blocked_again(record: TaskRecord) -> TaskRecord:
    """
    Let a task that became unreachable wait once more for those that it waited for.

    Raises:
        IllegalTransitionError: It is not unreachable.
    """
    return replace(
        record, state=advance(record.id, record.state, State.BLOCKED), end="", last_err="", error=None, due=None
    )


def _must_be_blocked(record: TaskRecord, target: State) -> None:
    if record.state is not State.BLOCKED:
        raise IllegalTransitionError(record.id, record.state, target)

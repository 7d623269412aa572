"""
options: what a caller may say about one task, and how that merges with the handler's and the application's words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self, TypedDict, Unpack

from msgspec.structs import replace as with_fields

from jetq.app.dependency import DependsOn, as_policy as as_failure_policy, edges, parents_shape, tasks_of
from jetq.app.uniqueness import checked_unique, unique_key
from jetq.client.request import EnqueueRequest
from jetq.errors import InvalidSettingError
from jetq.execution.context import current_context
from jetq.model.dependency import OnFailure
from jetq.model.flow import Shape
from jetq.model.name import check_name
from jetq.model.quantity import Duration, seconds, whole
from jetq.model.record import ABSENT, StoredOptions
from jetq.model.retention import RetentionLike, as_retention
from jetq.model.retry import RetryLike, as_policy
from jetq.model.trace import check_trace
from jetq.model.unique import UniqueKey, UniqueLike, UniqueMode
from jetq.routing.handler import Handler, HandlerOptions
from jetq.settings import Settings
from jetq.wire.into import encode_into
from jetq.wire.retention import encode_retention
from jetq.wire.retry_option import encode_retry

Deadline = Duration | datetime

SHORTEST_DEADLINE: Final = 0.001
"""Seconds from the enqueue; a task whose deadline has passed would never run."""


class OptionValues(TypedDict, total=False):
    """The options of :class:`CallOptions`, as keyword arguments."""

    queue: str | None
    delay: Duration | None
    run_at: datetime | None
    deadline: Deadline | None
    max_tries: int | None
    timeout: Duration | None
    soft_timeout: Duration | None
    retention: RetentionLike | None
    retry: RetryLike | None
    id: str | None
    type: str | None
    unique: UniqueLike | None
    depends_on: DependsOn | None
    load_dependencies: bool | None
    into: str | None
    on_failure: OnFailure | str | None
    trace: str | None


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """
    Options of one enqueue; None leaves the choice to the handler, then to the application.

    Attributes:
        queue: Where the task goes.
        delay: Seconds (or timedelta) until it becomes runnable.
        run_at: An aware datetime at which it becomes runnable.
        deadline: Seconds (or timedelta) from now, or an aware datetime, after which it is not started any more. What
            "now" is says the server's clock, here and for *delay*; a deadline that has passed is refused.
        max_tries: How often it may run; 0 is unlimited.
        timeout: Seconds (or timedelta) that a run may take.
        soft_timeout: Seconds (or timedelta) after which a run is asked to end; it matters below the limit alone.
        retention: How long the task is kept after its end: seconds (or timedelta), or a :class:`Retention` by end;
            0 discards it.
        retry: The waits between tries: ``Exponential``, ``Linear``, ``Fixed`` or ``Steps``, seconds, or a name of the
            application's ``retry_policies`` or of asyncjobs. It travels with the task, so it is no function.
        id: The caller's own task id.
        type: The task type; a handler of a pattern needs it.
        unique: There is to be one such task only: True (the type with this payload), a key, or :class:`jetq.Unique`;
            False if the handler's word is not to count.
        depends_on: Tasks that must end before, by id or handle, or by calls (``task.s(...)``), which are sent together
            with the task then, all or nothing; :class:`jetq.Dependency` says what the failure of one means. Without
            that the task ends ``unreachable`` if one of them fails.
        load_dependencies: The handler gets their results, as ``ctx.dependency_results``.
        into: The parameter that takes their results: that of the one, or a list in order if a list was given, or if
            several come before the task in a flow. In a flow it is the first that is not given, if nobody says.
        on_failure: What the failure of one of them means where nothing else is said: ``fail``, ``ignore`` or ``run``;
            see :class:`jetq.Dependency`.
        trace: The trace that the task is part of, as a W3C ``traceparent``; without it that of the task whose handler
            enqueues it.
    """

    queue: str | None = None
    delay: Duration | None = None
    run_at: datetime | None = None
    deadline: Deadline | None = None
    max_tries: int | None = None
    timeout: Duration | None = None
    soft_timeout: Duration | None = None
    retention: RetentionLike | None = None
    retry: RetryLike | None = None
    id: str | None = None
    type: str | None = None
    unique: UniqueLike | None = None
    depends_on: DependsOn | None = None
    load_dependencies: bool | None = None
    into: str | None = None
    on_failure: OnFailure | str | None = None
    trace: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.queue is not None:
            check_name("queue", self.queue)
        if self.id is not None:
            check_name("task id", self.id)
        if self.type is not None:
            check_name("task type", self.type)
        self._check_times()
        if self.max_tries is not None:
            whole("max_tries", self.max_tries, least=0)
        if self.timeout is not None:
            seconds("timeout", self.timeout, least=0.001)
        check_soft_timeout(self.soft_timeout, self.timeout)
        as_retention(self.retention)
        if self.retry is not None:
            encode_retry(self.retry)
        checked_unique(self.unique)
        if self.depends_on is not None:
            tasks_of(self.depends_on, self.id)
        check_parameter("into", self.into)
        if self.on_failure is not None:
            as_failure_policy(self.on_failure)
        if self.trace is not None:
            check_trace(self.trace)

    def _check_times(self) -> None:
        if self.delay is not None and self.run_at is not None:
            raise InvalidSettingError("run_at", self.run_at, "absent when delay is given: choose one")
        if self.delay is not None:
            seconds("delay", self.delay)
        if self.run_at is not None:
            _aware("run_at", self.run_at)
        if isinstance(self.deadline, datetime):
            _aware("deadline", self.deadline)
        elif self.deadline is not None:
            seconds("deadline", self.deadline, least=SHORTEST_DEADLINE)

    def merged(self, **changes: Unpack[OptionValues]) -> Self:
        """Return the options with *changes* in place of their own words."""
        return replace(self, **changes)


_NO_HANDLER = HandlerOptions()


def build_request(
    task_type: str, payload: bytes | None, call: CallOptions, handler: Handler | None, settings: Settings
) -> EnqueueRequest:
    """
    Merge the options, the caller's first, and return what is to be enqueued.

    What a handler enqueues belongs to the flow of its task, and to its trace unless another one is given.

    Raises:
        InvalidNameError: The task type is illegal.
        InvalidSettingError: Nobody knows the name of the retry policy; or there is no unique key to be had from what is
            said; or it is said how results or failures of other tasks are taken, and there are none.
        InvalidPayloadError: The unique key is to be had from arguments, and the payload does not fit the handler.
    """
    if not call.depends_on and (call.into, call.on_failure) != (None, None):
        raise without_parents(call)
    own = _NO_HANDLER if handler is None else handler.options
    setting, start = ("delay", call.delay) if call.run_at is None else ("run_at", call.run_at)
    deadline = own.deadline if call.deadline is None else call.deadline
    tries = own.max_tries if call.max_tries is None else call.max_tries
    context = current_context.get()
    options = _stored(call, settings)
    if call.into is not None:
        options = with_into(options, {call.into: parents_shape(call.depends_on)})
    return EnqueueRequest(
        type=check_name("task type", task_type),
        queue=call.queue or own.queue or settings.default_queue,
        payload=payload,
        max_tries=settings.max_tries if tries is None else tries,
        deadline=_when("deadline", deadline),
        due=_when(setting, start),
        task_id=call.id or "",
        options=options,
        unique=_unique(task_type, payload, call, handler),
        depends_on=() if call.depends_on is None else edges(call.depends_on, call.id, call.on_failure),
        load_dependencies=bool(call.load_dependencies) or call.into is not None,
        flow="" if context is None else context.task.flow,
        trace=call.trace or ("" if context is None else context.task.trace),
    )


def check_parameter(setting: str, value: object) -> None:
    """
    Refuse what can be no parameter's name; None says nothing.

    Raises:
        InvalidSettingError: It is none.
    """
    if value is not None and not (isinstance(value, str) and value.isidentifier()):
        raise InvalidSettingError(setting, value, "the name of a parameter")


def without_parents(call: CallOptions) -> InvalidSettingError:
    """Return the error that says that there are no results or failures to be taken."""
    setting, value = ("into", call.into) if call.into is not None else ("on_failure", call.on_failure)
    return InvalidSettingError(
        setting, value, "absent for a task that waits for no other (by depends_on=, or in a flow)"
    )


def with_into(options: StoredOptions | None, shapes: Mapping[str, Shape]) -> StoredOptions | None:
    """Return what the worker must know, with the parameters that take results of parents."""
    if not shapes:
        return options
    return with_fields(options or StoredOptions(), into=encode_into(shapes))


def _unique(task_type: str, payload: bytes | None, call: CallOptions, handler: Handler | None) -> UniqueKey | None:
    unique = unique_key(task_type, payload, call.unique, handler)
    if unique is not None and call.depends_on is not None:
        raise InvalidSettingError("depends_on", call.depends_on, "absent for a unique task (unique=False makes it one)")
    if unique is not None and unique.mode is UniqueMode.LATEST and (call.delay, call.run_at) != (None, None):
        setting, value = ("delay", call.delay) if call.run_at is None else ("run_at", call.run_at)
        wanted = "absent with the unique mode 'latest': the task runs as soon as the one before it has ended"
        raise InvalidSettingError(setting, value, wanted)
    return unique


def _stored(call: CallOptions, settings: Settings) -> StoredOptions | None:
    """Return what the worker must know; None for nothing."""
    if call.timeout is None and call.soft_timeout is None and call.retention is None and call.retry is None:
        return None
    retention = as_retention(call.retention)
    if isinstance(call.retry, str):
        as_policy(call.retry, settings.retry_policies)
    return StoredOptions(
        timeout=None if call.timeout is None else seconds("timeout", call.timeout),
        soft_timeout=check_soft_timeout(call.soft_timeout, call.timeout),
        retention=ABSENT if retention is None else encode_retention(retention),
        retry=ABSENT if call.retry is None else encode_retry(call.retry),
    )


def check_soft_timeout(soft: Duration | None, hard: Duration | None) -> float | None:
    """
    Return a soft time limit in seconds.

    Raises:
        InvalidSettingError: It is no duration, or not below the hard limit that was given with it.
    """
    if soft is None:
        return None
    checked = seconds("soft_timeout", soft, least=0.001)
    if hard is not None and checked >= (limit := seconds("timeout", hard)):
        raise InvalidSettingError("soft_timeout", soft, f"below the timeout of {limit:g} s")
    return checked


def _when(setting: str, value: Deadline | None) -> datetime | timedelta | None:
    """Return a moment, or what is to be counted from when the task is stored."""
    if value is None:
        return None
    return _aware(setting, value) if isinstance(value, datetime) else timedelta(seconds=seconds(setting, value))


def _aware(setting: str, value: object) -> datetime:
    """Return a moment in UTC; one without a zone could mean any of two dozen."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidSettingError(setting, value, "an aware datetime (give it a time zone, e.g. datetime.now(UTC))")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidSettingError(setting, value, "a time within the years 1 to 9999 of UTC") from None

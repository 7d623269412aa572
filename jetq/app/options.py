"""
options: what a caller may say about one task, and how that merges with the handler's and the application's words.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self, TypedDict, Unpack

from jetq.client.request import EnqueueRequest
from jetq.errors import InvalidSettingError
from jetq.model.name import check_name
from jetq.model.record import StoredOptions
from jetq.routing.handler import HandlerOptions
from jetq.settings import Duration, Settings, seconds, whole

Deadline = Duration | datetime


class OptionValues(TypedDict, total=False):
    """The options of :class:`CallOptions`, as keyword arguments."""

    queue: str | None
    delay: Duration | None
    run_at: datetime | None
    deadline: Deadline | None
    max_tries: int | None
    timeout: Duration | None
    id: str | None
    type: str | None


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """
    Options of one enqueue; None leaves the choice to the handler, then to the application.

    Attributes:
        queue: Where the task goes.
        delay: Seconds (or timedelta) until it becomes runnable.
        run_at: An aware datetime at which it becomes runnable.
        deadline: Seconds (or timedelta) from now, or an aware datetime, after which it is not started any more.
        max_tries: How often it may run; 0 is unlimited.
        timeout: Seconds (or timedelta) that a run may take.
        id: The caller's own task id.
        type: The task type; a handler of a pattern needs it.
    """

    queue: str | None = None
    delay: Duration | None = None
    run_at: datetime | None = None
    deadline: Deadline | None = None
    max_tries: int | None = None
    timeout: Duration | None = None
    id: str | None = None
    type: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.queue is not None:
            check_name("queue", self.queue)
        if self.id is not None:
            check_name("task id", self.id)
        if self.type is not None:
            check_name("task type", self.type)
        if self.delay is not None and self.run_at is not None:
            raise InvalidSettingError("run_at", self.run_at, "absent when delay is given: choose one")
        if self.max_tries is not None:
            whole("max_tries", self.max_tries, least=0)
        if self.timeout is not None:
            seconds("timeout", self.timeout, least=0.001)

    def merged(self, **changes: Unpack[OptionValues]) -> Self:
        """Return the options with *changes* in place of their own words."""
        return replace(self, **changes)


_NO_HANDLER = HandlerOptions()


def build_request(
    task_type: str, payload: bytes | None, call: CallOptions, handler: HandlerOptions | None, settings: Settings
) -> EnqueueRequest:
    """
    Merge the options, the caller's first, and return what is to be enqueued.

    Raises:
        InvalidNameError: The task type is illegal.
        InvalidSettingError: A time is naive, or a duration is none.
    """
    own = handler or _NO_HANDLER
    now = datetime.now(UTC)
    timeout = None if call.timeout is None else seconds("timeout", call.timeout)
    return EnqueueRequest(
        type=check_name("task type", task_type),
        queue=call.queue or own.queue or settings.default_queue,
        payload=payload,
        max_tries=next(n for n in (call.max_tries, own.max_tries, settings.max_tries) if n is not None),
        deadline=_moment("deadline", own.deadline if call.deadline is None else call.deadline, now),
        due=_moment("delay", call.delay, now) if call.run_at is None else _moment("run_at", call.run_at, now),
        task_id=call.id or "",
        options=None if timeout is None else StoredOptions(timeout=timeout),
    )


def _moment(setting: str, value: Deadline | None, now: datetime) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        return now + timedelta(seconds=seconds(setting, value))
    if value.tzinfo is None:
        raise InvalidSettingError(setting, value, "an aware datetime (give it a time zone, e.g. datetime.now(UTC))")
    return value.astimezone(UTC)

"""
task_filter: which tasks somebody means.
"""

import re
from collections.abc import Iterable
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

from jetq.errors import InvalidSettingError
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.model.name import check_name
from jetq.model.quantity import seconds, whole
from jetq.model.state import State
from jetq.wire.summary import TaskSummary

DISPLAY_STATES: Final = frozenset({state.value for state in State if state} | {"scheduled", "cancelled", "unknown"})
"""Every state as people see it, which is how one is asked for."""

DEFAULT_LIMIT: Final = 200
"""Tasks in a list that asks for no number."""

Moment = datetime | timedelta
"""A time, or how long ago it was."""
_Bound = Literal["created_since", "created_before", "changed_since", "changed_before"]


class TaskFilter:
    """
    Which tasks, and how many of them. A task must match all that is given.

    What is said as a time ago counts from when the filter is made, by this machine's clock, until :meth:`at` says
    another time; what reads the store says the server's.

    Args:
        states: One or several, as people see them: ``scheduled`` and ``cancelled`` beside the protocol's; empty for
            all.
        queue: The queue's name; None for all.
        task_type: A type, in which ``*`` stands for any run of characters; None for all.
        ids: Only this task or these; empty for all.
        end: Why the task ended, such as ``max_tries``; ``*`` as above; None for all.
        error: Part of the last error's type or text, in whatever case, with ``*`` as above; None for all.
        created_since: Only tasks that were created then or later; a time, or a timedelta for so long ago.
        created_before: Only tasks that were created earlier.
        changed_since: Only tasks whose record was written then or later, by the server's clock.
        changed_before: Only tasks whose record was last written earlier.
        limit: The number of tasks; 0 for all.
        flow: The id of the flow that they belong to; None for no matter which.

    Raises:
        InvalidSettingError: An unknown state, a time without its zone, an empty text, or a negative limit.
        InvalidNameError: An illegal queue or id.
    """

    def __init__(
        self,
        *,
        states: str | Iterable[str] = (),
        queue: str | None = None,
        task_type: str | None = None,
        ids: str | Iterable[str] = (),
        end: str | None = None,
        error: str | None = None,
        created_since: Moment | None = None,
        created_before: Moment | None = None,
        changed_since: Moment | None = None,
        changed_before: Moment | None = None,
        limit: int = DEFAULT_LIMIT,
        flow: str | None = None,
    ) -> None:
        self.states = frozenset(_several(states))
        for state in sorted(self.states - DISPLAY_STATES):
            raise InvalidSettingError("state", state, f"one of {', '.join(sorted(DISPLAY_STATES))}")
        self.queue = None if queue is None else check_name("queue", queue)
        self.flow = None if flow is None else check_name("flow id", flow)
        self.ids = tuple(dict.fromkeys(check_name("task id", task_id) for task_id in _several(ids)))
        self._ago: dict[_Bound, timedelta] = {}
        self.created_since = self._time("created_since", created_since)
        self.created_before = self._time("created_before", created_before)
        self.changed_since = self._time("changed_since", changed_since)
        self.changed_before = self._time("changed_before", changed_before)
        self.limit = whole("limit", limit, least=0)
        self._ids = frozenset(self.ids)
        self._type = None if task_type is None else _pattern(_said("task_type", task_type))
        self._end = None if end is None else _pattern(_said("end", end))
        self._error = None if error is None else _pattern(_said("error", error), re.IGNORECASE | re.DOTALL)
        self._written_since = _nanoseconds(self.changed_since)
        self._written_before = _nanoseconds(self.changed_before)

    def _time(self, setting: _Bound, moment: Moment | None) -> datetime | None:
        if isinstance(moment, timedelta):
            self._ago[setting] = timedelta(seconds=seconds(setting, moment))
            return datetime.now(UTC) - self._ago[setting]
        if moment is not None and moment.tzinfo is None:
            raise InvalidSettingError(setting, moment, "a time with its zone, or a timedelta for so long ago")
        return moment

    @property
    def is_relative(self) -> bool:
        """Whether it says a time ago."""
        return bool(self._ago)

    def at(self, now: datetime) -> Self:
        """Return the same filter, in which what was said as a time ago counts from *now*."""
        if not self._ago:
            return self
        other = copy(self)
        vars(other).update({setting: now - ago for setting, ago in self._ago.items()}, _ago={})
        since, before = _nanoseconds(other.changed_since), _nanoseconds(other.changed_before)
        vars(other).update(_written_since=since, _written_before=before)
        return other

    def limited(self, limit: int) -> Self:
        """
        Return the same filter with another limit, unless its own is smaller.

        Raises:
            InvalidSettingError: The limit is negative.
        """
        other = copy(self)
        other.limit = min(whole("limit", limit, least=0), self.limit or limit)
        return other

    @property
    def is_open(self) -> bool:
        """Whether every task matches."""
        return not self.ids and self._asks_nothing

    @property
    def is_by_id(self) -> bool:
        """Whether the ids alone decide."""
        return bool(self.ids) and self._asks_nothing

    @property
    def _asks_nothing(self) -> bool:
        times = self.created_since, self.created_before, self.changed_since, self.changed_before
        return not any((self.states, self.queue, self.flow, self._type, self._end, self._error, *times))

    def matches(self, task: TaskSummary, written: int = 0) -> bool:
        """
        Whether *task* is wanted.

        Args:
            task: The task.
            written: When its record was written, in nanoseconds since the epoch.
        """
        return (
            (self.queue is None or task.queue == self.queue)
            and (self.flow is None or task.flow == self.flow)
            and (not self.states or task.display_state in self.states)
            and (self._type is None or self._type.fullmatch(task.type) is not None)
            and (self.created_since is None or task.created >= self.created_since)
            and (self.created_before is None or task.created < self.created_before)
            and (self._written_since is None or written >= self._written_since)
            and (self._written_before is None or written < self._written_before)
            and (not self._ids or task.id in self._ids)
            and (self._end is None or self._end.fullmatch(task.end) is not None)
            and (self._error is None or self._failed_so(task, self._error))
        )

    def _failed_so(self, task: TaskSummary, error: re.Pattern[str]) -> bool:
        if error.search(task.last_err) is not None:
            return True
        return task.error is not None and error.search(task.error.type) is not None


def _several(values: str | Iterable[str]) -> Iterable[str]:
    return (values,) if isinstance(values, str) else values


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), flags)


def _said(setting: str, text: str) -> str:
    if not text:
        raise InvalidSettingError(setting, text, "some text, or absent")
    return text


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * NANOSECONDS)

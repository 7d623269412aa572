"""
schedules: what an application says is to be done again and again; what its users see as ``app.cron``.

What is declared is checked at once, as far as this program can know it, so that a mistake ends the program that makes
it and not the scheduler at night. It is stored when a process with the application's code begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from jetq.app.call import TaskCall
from jetq.errors import DuplicateScheduleError, InvalidSettingError
from jetq.model.name import check_name
from jetq.model.quantity import Duration, seconds, whole
from jetq.model.schedule import Schedule, Spec, parse_schedule
from jetq.model.schedule_words import describe
from jetq.model.stored_schedule import (
    LIMIT,
    MAX_LATE,
    MOST_LIMIT,
    Misfire,
    StoredSchedule,
    check_bounds,
    check_schedule_name,
    code_origin,
    misfire_policy,
    schedule_deadline,
)
from jetq.model.timetable import Timetable

_NOT_HERE: Final = {
    "id": "absent in a schedule: its tasks have the schedule's name and the planned time as their ids",
    "delay": "absent in a schedule: its spec says when; jitter= spreads the starts",
    "run_at": "absent in a schedule: its spec says when, also once, as a datetime",
    "depends_on": "absent in a schedule: what its tasks would wait for ends once",
    "unique": "absent in a schedule: there is one task for each planned time",
    "trace": "absent in a schedule: each of its tasks begins a trace of its own",
}
_CREATED: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class DeclaredSchedule:
    """
    A schedule that an application declares.

    Attributes:
        name: Its name.
        schedule: When it is due.
        call: The task and its arguments.
        settings: What else was said, as fields of what is stored.
        queue, max_tries, deadline: What wins over the call's and the handler's own; None lets them say it.
    """

    name: str
    schedule: Schedule
    call: TaskCall[Any]
    settings: Mapping[str, Any]
    queue: str | None
    max_tries: int | None
    deadline: Duration | None

    def __repr__(self) -> str:
        return f"<DeclaredSchedule {self.name} {self.schedule.spec!r} {self.call!r}>"

    @property
    def words(self) -> str:
        """When it is due, as people say it."""
        return describe(self.schedule)

    def occurrences(self, count: int = 5, *, after: datetime | None = None) -> list[datetime]:
        """
        Return its next planned times, in its time zone.

        Args:
            count: How many at most.
            after: An aware datetime since when; None is now. An interval is counted from here, and from when it was
                stored where it runs.

        Raises:
            InvalidPayloadError, InvalidSettingError, AppLoadError: As of :meth:`stored`.
        """
        moment = datetime.now(UTC) if after is None else after
        table, found = Timetable(self.stored(moment), self.schedule), list[datetime]()
        while len(found) < count and (following := table.after(moment)) is not None:
            moment = following
            found.append(following.astimezone(self.schedule.zone))
        return found

    def stored(self, created_at: datetime, *, app: str = "") -> StoredSchedule:
        """
        Return what is stored.

        Args:
            created_at: Since when an interval is counted, unless it is stored already.
            app: The name of the application, of which the store says then that it keeps the schedule.

        Raises:
            InvalidPayloadError: An argument is missing.
            InvalidSettingError: The deadline is none, or under 30 s.
            AppLoadError: The task is of a group that no application has included.
        """
        request = self.call.request()
        deadline: object = self.deadline
        if deadline is None:
            deadline = request.deadline
        if isinstance(deadline, datetime):
            raise InvalidSettingError("deadline", deadline, "a duration: it counts anew for each task of a schedule")
        return StoredSchedule(
            name=self.name,
            schedule=self.schedule.spec,
            queue=self.queue or request.queue,
            task_type=request.type,
            payload=request.payload,
            deadline=schedule_deadline(deadline),  # type: ignore[arg-type]  # it says itself what it cannot be
            max_tries=request.max_tries if self.max_tries is None else self.max_tries,
            created_at=created_at,
            origin=code_origin(app) if app else "",
            options=request.options,
            **self.settings,
        )


class Scheduling:
    """Declares schedules. The part of App and Tasks that their users see as ``.cron``."""

    @cached_property
    def _declared(self) -> dict[str, DeclaredSchedule]:
        return {}

    @property
    def schedules(self) -> Mapping[str, DeclaredSchedule]:
        """The declared schedules by name."""
        return MappingProxyType(self._declared)

    def _schedule(self, declared: DeclaredSchedule) -> None:
        """Take in a schedule."""
        if declared.name in self._declared:
            raise DuplicateScheduleError(declared.name, repr(self._declared[declared.name]))
        self._declared[declared.name] = declared

    def cron(
        self,
        name: str,
        spec: Spec,
        call: TaskCall[Any],
        *,
        timezone: str | None = None,
        queue: str | None = None,
        deadline: Duration | None = None,
        max_tries: int | None = None,
        misfire: Misfire | str = Misfire.LATEST,
        max_late: Duration = MAX_LATE,
        limit: int = LIMIT,
        jitter: Duration = 0,
        enabled: bool = True,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> DeclaredSchedule:
        """
        Declare that a task is to be done again and again; ``jetq beat`` does it.

        It is stored when a scheduler or a worker of the application starts, and removed from the store when a later
        version does not declare it any more.

        Args:
            name: Of letters, digits, ``_`` and ``-``; the tasks are called ``name:20261124T030000Z``.
            spec: A cron line of five fields (minute, hour, day of the month, month, day of the week), or of six with
                the second first; ``@hourly``, ``@daily`` and their like; ``@every 10m``, or a timedelta; for once a
                datetime.
            call: The task and its arguments: ``handler.s(...)``, or ``app.s("type", payload)`` for one of elsewhere.
            timezone: A name such as ``Europe/Malta``; None is what the spec names, else UTC.
            queue: Where its tasks go; None is what the call or its handler says, as for the two that follow.
            deadline: Seconds (or timedelta), at least 30, from the making of a task until it is not started any more.
            max_tries: How often a task may run; 0 is unlimited.
            misfire: What becomes of occurrences that were missed, since no scheduler ran or no server was there:
                ``skip`` drops them, ``latest`` makes the last one, ``all`` makes the newest *limit* ones.
            max_late: Seconds (or timedelta) after which an occurrence is not made any more.
            limit: How many are made up for at once, up to 1,000.
            jitter: Seconds (or timedelta) over which the starts of its tasks are spread.
            enabled: Whether tasks are made.
            start: An aware datetime before which no task is planned.
            end: An aware datetime from which on no task is planned.

        Raises:
            InvalidNameError: The name cannot be used.
            DuplicateScheduleError: There is a schedule of this name.
            InvalidScheduleError: The spec cannot be meant; the error names the field.
            InvalidSettingError: A value cannot be used.
            InvalidPayloadError: An argument of the task is missing.
        """
        check_bounds(start, end)
        declared = DeclaredSchedule(
            name=check_schedule_name(name),
            schedule=parse_schedule(spec, timezone),
            call=_checked_call(call),
            settings={
                "misfire": misfire_policy(misfire),
                "max_late": seconds("max_late", max_late),
                "limit": whole("limit", limit, least=1, most=MOST_LIMIT),
                "jitter": seconds("jitter", jitter),
                "enabled": _truth("enabled", enabled),
                "start": None if start is None else start.astimezone(UTC),
                "end": None if end is None else end.astimezone(UTC),
            },
            queue=None if queue is None else check_name("queue", queue),
            max_tries=None if max_tries is None else whole("max_tries", max_tries, least=0),
            deadline=deadline,
        )
        schedule_deadline(deadline)
        self._schedule(declared)
        return declared


def check_declared(declared: DeclaredSchedule) -> None:
    """
    Refuse what can be known to fail, once the application is known.

    Raises:
        InvalidPayloadError, InvalidSettingError: As of :meth:`DeclaredSchedule.stored`.
    """
    declared.stored(_CREATED)


def _truth(setting: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidSettingError(setting, value, "True or False")
    return value


def _checked_call(call: object) -> TaskCall[Any]:
    if not isinstance(call, TaskCall):
        raise InvalidSettingError(
            "call", call, "one task with its arguments, as handler.s(...) or app.s('type', {...})"
        )
    checked: TaskCall[Any] = call  # pyright: ignore[reportUnknownVariableType] # whatever it returns
    for option, wanted in _NOT_HERE.items():
        value = getattr(checked.options, option)
        if value is not None and not (option == "unique" and value is False):
            raise InvalidSettingError(option, value, wanted)
    return checked

"""
schedule_bodies: schedules as requests and answers hold them.
"""

from typing import Any

from msgspec import Raw, Struct, field

from jetq.model.record import Moment
from jetq.model.stored_schedule import LIMIT, MAX_LATE, Misfire


class ScheduleRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A schedule that is to be stored.

    Attributes:
        name: Letters, digits, ``_`` and ``-``.
        schedule: When: a cron line, ``@daily``, ``@every 10m``, ``@at TIME``.
        task_type: The type of its tasks.
        queue: Where they go; absent is what the type's handler says, else the default queue.
        payload: Their payload, any JSON.
        payload_base64: The bytes of it, in place of *payload*.
        deadline_offset: From the making of a task until it is not started any more; a duration of at least ``30s``.
        max_tries: How often each may run; 0 is unlimited.
        timezone: Such as ``Europe/Malta``; absent is what the schedule names, else UTC.
        misfire: What becomes of missed occurrences: ``skip``, ``latest`` or ``all``.
        max_late: A duration; what is missed for longer is not made up for.
        limit: With ``all``, so many at most.
        jitter: A duration over which the starts are spread.
        enabled: Whether it makes tasks.
        start: Nothing before.
        end: Nothing from then on.
    """

    name: str = ""
    schedule: str
    task_type: str
    queue: str | None = None
    payload: Raw = field(default_factory=Raw)
    payload_base64: str | None = None
    deadline_offset: str | None = None
    max_tries: int | None = None
    timezone: str | None = None
    misfire: str = Misfire.LATEST.value
    max_late: str | None = None
    limit: int = LIMIT
    jitter: str | None = None
    enabled: bool = True
    start: Moment | None = None
    end: Moment | None = None


class Schedule(Struct, frozen=True, kw_only=True):
    """
    A schedule, and how it goes with it; of one that cannot be understood only the name, the state and the problem.

    Attributes:
        name: Its name.
        schedule: When, with its time zone.
        queue, task_type: Of its tasks.
        payload: The base64 of their payload; null for none.
        deadline: Nanoseconds from the making of a task until it is not started any more.
        max_tries: How often each may run; 0 is unlimited.
        created_at: Since when an interval is counted.
        origin: The application that declares it; absent for people and other programs.
        misfire, limit, enabled, start, end: As they were given; absent where they are the defaults.
        max_late, jitter: As they were given, in seconds.
        paused: Somebody disabled it.
        options: What the workers of its tasks must know.
        state: ``on``, ``off`` (as declared), ``disabled`` (by somebody), ``over`` or ``broken``.
        problem: Why it cannot be used; empty if it can.
        next: When it is due next; null if it is not.
        last: When it was due last.
        last_task: The id of its last task.
        last_outcome: The state of that, as people see it; empty if its record is gone.
    """

    name: str
    state: str
    problem: str
    next: Moment | None
    last: Moment | None
    last_task: str
    last_outcome: str
    schedule: str = ""
    queue: str = ""
    task_type: str = ""
    payload: str | None = None
    deadline: int = 0
    max_tries: int = 0
    created_at: Moment | None = None
    origin: str = ""
    misfire: Misfire = Misfire.LATEST
    max_late: float = MAX_LATE
    limit: int = LIMIT
    jitter: float = 0.0
    enabled: bool = True
    paused: bool = False
    start: Moment | None = None
    end: Moment | None = None
    options: dict[str, Any] | None = None


class ScheduleList(Struct, frozen=True):
    """
    All schedules.

    Attributes:
        schedules: In the order of their names.
    """

    schedules: list[Schedule]


class TaskMade(Struct, frozen=True):
    """
    A task that was made of a schedule.

    Attributes:
        name: Of the schedule.
        id: Of the task.
    """

    name: str
    id: str


class PlannedTime(Struct, frozen=True, omit_defaults=True):
    """
    An occurrence to come.

    Attributes:
        at: When.
        local: What the clock on the wall shows then.
        note: What a change of the clock does to it.
    """

    at: Moment
    local: Moment
    note: str = ""


class NextTimes(Struct, frozen=True, kw_only=True):
    """
    What a schedule will do.

    Attributes:
        name: Its name.
        schedule: When it is due.
        timezone: Its time zone.
        words: When it is due, as people say it.
        on: Whether it makes tasks.
        next: Its next occurrences.
        clock_changes: All that a change of the clock moves, doubles or leaves out in the days asked for.
    """

    name: str
    schedule: str
    timezone: str
    words: str
    on: bool
    next: list[PlannedTime]
    clock_changes: list[PlannedTime]

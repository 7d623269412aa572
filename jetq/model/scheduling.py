"""
scheduling: what a scheduler does with stored schedules, as values for `observe.bus`.
"""

from datetime import datetime

from msgspec import Struct


class SchedulerStarted(Struct, frozen=True, kw_only=True):
    """This process is a candidate for the lead of the schedules from now on, under a *name* that no other one has."""

    name: str


class SchedulerStopped(Struct, frozen=True, kw_only=True):
    """This process is no candidate any more."""

    name: str


class SchedulerFailed(Struct, frozen=True, kw_only=True):
    """
    The schedules could not be looked after; it is tried again.

    Attributes:
        error: Why.
        final: This process may not do what a scheduler does, and does not try again.
    """

    error: str
    final: bool = False


class ClockDistrusted(Struct, frozen=True, kw_only=True):
    """
    This machine's clock differs so much from the server's that this process does not lead.

    Attributes:
        ahead: Seconds, negative if it is behind; 0 when they agree again.
    """

    ahead: float


class OccurrenceMade(Struct, frozen=True, kw_only=True, gc=False):
    """
    An occurrence is stored and queued.

    Attributes:
        schedule: The schedule's name.
        task_id: Of its task.
        planned: When it was due.
        late: Seconds from then until its task was queued.
    """

    schedule: str
    task_id: str
    planned: datetime
    late: float


class OccurrencesSkipped(Struct, frozen=True, kw_only=True):
    """Occurrences were missed and are not made up for, by the schedule's policy; *count* stops at 1,000."""

    schedule: str
    count: int


class OccurrenceFailed(Struct, frozen=True, kw_only=True):
    """
    Occurrences of a schedule could not be made, all or some; that is tried again until they are too late.

    Attributes:
        schedule: The schedule's name.
        error: Why, in a sentence.
        kind: The class of the error.
    """

    schedule: str
    error: str
    kind: str


class ScheduleRejected(Struct, frozen=True, kw_only=True):
    """A schedule as it is stored cannot be used; it makes no occurrences until somebody mends it."""

    schedule: str
    reason: str


class SchedulesDeployed(Struct, frozen=True, kw_only=True):
    """
    What an application declares was stored.

    Attributes:
        origin: The application, as the schedules name it.
        written: The names of schedules that were new or had changed.
        removed: The names of those that it declares no more.
        refused: Names that others have.
    """

    origin: str
    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


SchedulingEvent = (
    SchedulerStarted
    | SchedulerStopped
    | SchedulerFailed
    | ClockDistrusted
    | OccurrenceMade
    | OccurrencesSkipped
    | OccurrenceFailed
    | ScheduleRejected
    | SchedulesDeployed
)

"""
stored_schedule: a schedule as it stands in the store, and where its occurrences stand.

The first eight fields are asyncjobs' own; the rest is jetq's, left out where it says nothing. Go runs what is stored
by them, as far as it understands: it knows no pause, no bounds and no jitter.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from jetq.errors import InvalidNameError, InvalidSettingError
from jetq.model.go_duration import NANOSECONDS
from jetq.model.name import MAX_LENGTH, check_name
from jetq.model.quantity import Duration, seconds
from jetq.model.record import Count, Limit, Moment, StoredOptions

SHORTEST_DEADLINE: Final = 30.0
"""Seconds; asyncjobs refuses less."""
MAX_LATE: Final = 600.0
"""Seconds after which an occurrence is not made up for, where the schedule does not say it."""
LIMIT: Final = 100
"""How many occurrences are made up for at once, where the schedule does not say it."""
MOST_LIMIT: Final = 1000
"""The largest limit; what is beyond is a flood, not a catch-up."""
_CODE: Final = "code"
_ID_TAIL: Final = len(":20261124T030000Z")
_MOST: Final = 2**63 - 1


class Misfire(StrEnum):
    """What becomes of occurrences that were missed, since no scheduler ran or no server was there."""

    SKIP = "skip"
    """They are dropped."""

    LATEST = "latest"
    """The last one is made up for."""

    ALL = "all"
    """All are made up for: the newest, up to the schedule's limit."""


class StoredSchedule(Struct, frozen=True, kw_only=True, gc=False):
    """
    A schedule as stored. See docs/reference/protocol.md for each key.

    Attributes:
        schedule: The spec, with its time zone; see `jetq.model.schedule`.
        payload: The bytes of the encoded payload; None when there is none.
        deadline: Nanoseconds from the making of an occurrence after which it is not started any more; 0 is none.
        max_tries: 0 or less is unlimited.
        created_at: Since when an interval is counted.
        origin: Who keeps it: ``code`` and the application's name behind a colon; empty for people and other programs.
        misfire: What becomes of missed occurrences.
        max_late: Seconds after which an occurrence is not made up for.
        limit: How many occurrences are made up for at once; at most ``MOST_LIMIT``.
        jitter: Seconds over which the starts of occurrences are spread.
        enabled: Whether it makes occurrences, as it was declared.
        paused: Whether somebody stopped it, which a deployment does not undo.
        start, end: Bounds of its occurrences: from *start* on, before *end*.
        options: What the workers of its tasks must know.
    """

    name: str
    schedule: str
    queue: str
    task_type: str
    payload: bytes | None = None
    deadline: Annotated[int, Meta(ge=-(2**63), le=_MOST)] = 0
    max_tries: Limit = 0
    created_at: Moment
    origin: str = ""
    misfire: Misfire = Misfire.LATEST
    max_late: Annotated[float, Meta(ge=0)] = MAX_LATE
    limit: Annotated[int, Meta(ge=1, le=MOST_LIMIT)] = LIMIT
    jitter: Annotated[float, Meta(ge=0)] = 0.0
    enabled: bool = True
    paused: bool = False
    start: Moment | None = None
    end: Moment | None = None
    options: StoredOptions | None = None

    @property
    def is_on(self) -> bool:
        """Whether it makes occurrences."""
        return self.enabled and not self.paused

    @property
    def deadline_after(self) -> timedelta | None:
        """The time from the making of an occurrence to its deadline."""
        return timedelta(microseconds=self.deadline / 1000) if self.deadline > 0 else None


def code_origin(app: str) -> str:
    """Return the origin of the schedules that an application declares."""
    return f"{_CODE}:{app}"


def reconciled(stored: StoredSchedule | None, declared: StoredSchedule) -> StoredSchedule | None:
    """
    Return what is to be written so that a declared schedule is stored; None if it is.

    When it was created, and that somebody paused it, is what the store says.
    """
    if stored is None:
        return declared
    wanted = replace(declared, created_at=stored.created_at, paused=stored.paused)
    return None if wanted == stored else wanted


class ScheduleState(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """
    Where the occurrences of a schedule stand, as its leader leaves it.

    Attributes:
        due: The planned time of the last occurrence that was dealt with.
        task: The id of the last occurrence that was made.
        epoch: The revision of the leader's election.
    """

    due: Moment | None = None
    task: str = ""
    epoch: Count = 0


def check_schedule_name(name: object) -> str:
    """
    Return *name* if it is legal for a schedule: as other names, without colons, which its key may not hold.

    Raises:
        InvalidNameError: It is not.
    """
    letters = "use letters, digits, '_' and '-' only; it is a key too"
    try:
        checked = check_name("schedule", name)
    except InvalidNameError as error:
        raise InvalidNameError("schedule", name, error.reason or letters) from None
    if ":" in checked:
        raise InvalidNameError("schedule", name, letters)
    if len(checked) > MAX_LENGTH - _ID_TAIL:
        reason = f"it has {len(checked)} characters and the limit is {MAX_LENGTH - _ID_TAIL}"
        raise InvalidNameError("schedule", name, reason)
    return checked


def schedule_deadline(value: Duration | None, *, setting: str = "deadline") -> int:
    """
    Return the nanoseconds of a schedule's deadline; 0 for none.

    Args:
        value: It, counted from the making of a task.
        setting: What the user calls it, for the error.

    Raises:
        InvalidSettingError: It is under 30 s, which asyncjobs refuses.
    """
    if value is None:
        return 0
    return round(seconds(setting, value, least=SHORTEST_DEADLINE) * NANOSECONDS)


def misfire_policy(value: object) -> Misfire:
    """
    Return a policy by its name.

    Raises:
        InvalidSettingError: There is none.
    """
    if not isinstance(value, str) or value not in set(Misfire):
        raise InvalidSettingError("misfire", value, f"one of {', '.join(Misfire)}")
    return Misfire(value)


def check_bounds(start: object, end: object) -> None:
    """
    Refuse bounds that hold nothing.

    Raises:
        InvalidSettingError: One has no time zone, or they are the wrong way round.
    """
    for setting, value in (("start", start), ("end", end)):
        if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
            raise InvalidSettingError(setting, value, "an aware datetime (give it a time zone)")
    if isinstance(start, datetime) and isinstance(end, datetime) and not start < end:
        raise InvalidSettingError("end", end, f"later than start, {start}")

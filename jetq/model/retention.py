"""
retention: how long the record of a task is kept after its end, by how it ended.

A task, its handler and the application may each say something, about some ends or all; who is nearer to the task wins,
end by end. What none of them says, the store does (`jetstream.retention`, where all of it is resolved).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Final, cast

from jetq.errors import InvalidSettingError

_COMPLETE: Final = "complete"
_LONGEST: Final = 100 * 365 * 86_400.0
"""Seconds, a century; the server counts nanoseconds in 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """
    Seconds (or timedelta) that a task's record is kept after its end; 0 discards it. None leaves the choice to others.

    A discarded record is gone some seconds after the task ended; who waits for the result then still gets it.

    Attributes:
        complete: After success, with the result.
        failed: After any other end that is not named below.
        expired: After the last try, or the deadline.
        cancelled: After a cancellation.
        terminated: After the handler's own word, a bad payload, repeated crashes.
        unreachable: When a task that it depends on failed.
    """

    complete: float | timedelta | None = None
    failed: float | timedelta | None = None
    expired: float | timedelta | None = None
    cancelled: float | timedelta | None = None
    terminated: float | timedelta | None = None
    unreachable: float | timedelta | None = None

    def __post_init__(self) -> None:
        """Check and normalise."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                object.__setattr__(self, each.name, _kept(f"retention ({each.name})", value))

    def of(self, end: str) -> float | None:
        """Return the seconds for an end as people see it (``record.display_state``); None if nothing is said."""
        said = getattr(self, end, None)
        if said is None and end != _COMPLETE:
            said = self.failed
        return cast("float | None", said)

    def discarding(self, ends: Iterable[str]) -> "Retention":
        """
        Return the same with nothing kept after some ends, by their names.

        Raises:
            InvalidSettingError: There is no such end.
        """
        listed = [ends] if isinstance(ends, str) else list(ends)
        return replace(self, **dict.fromkeys(map(_end, listed), 0.0))


ENDS: Final = tuple(each.name for each in fields(Retention))
"""What can be said something about."""

RetentionLike = Retention | float | timedelta | Mapping[str, float | timedelta]
"""What users may give: a :class:`Retention`, seconds (or timedelta) for all ends, or a mapping by end."""


def as_retention(value: RetentionLike | None, discard: Iterable[str] = ()) -> Retention | None:
    """
    Return the retention that *value* stands for, with nothing kept after the ends of *discard*; None for nothing.

    Raises:
        InvalidSettingError: It stands for none.
    """
    discarded = tuple([discard] if isinstance(discard, str) else discard)
    said = None if value is None else _said(value)
    return (said or Retention()).discarding(discarded) if discarded else said


def _said(value: RetentionLike) -> Retention:
    if isinstance(value, Retention):
        return value
    if isinstance(value, Mapping):
        return Retention(**{_end(name): kept for name, kept in value.items()})
    kept = _kept("retention", value)
    return Retention(complete=kept, failed=kept)


def _end(name: str) -> str:
    if name not in ENDS:
        raise InvalidSettingError("retention", name, f"about one of these ends: {', '.join(ENDS)}")
    return name


def _kept(setting: str, value: object) -> float:
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not (number == 0 or 1 <= number <= _LONGEST):
        raise InvalidSettingError(setting, value, "a duration of at least 1 s, or 0 to discard the record")
    return float(number)

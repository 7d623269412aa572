"""
retry: how long to wait before the next try.

A policy is a pure function of the number of the retry (1 for the first) and of a chance in [0, 1) that the caller
draws. asyncjobs' named policies are here too, with its arithmetic (``retrypolicy.go``), where n counts deliveries,
so that the first retry takes the interval with index 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from traceback import format_exception_only
from typing import Final, Protocol, runtime_checkable

from jetq.errors import InvalidSettingError

MAX_WAIT: Final = 10 * 365 * 86_400.0
"""Seconds, ten years; longer waits are cut to it, so that the time of the next try can always be written."""
_HUGE: Final = 1e308
_LONGEST_COMPLAINT: Final = 500
"""Characters; what a policy returns in place of seconds may be of any size, and its text goes into the record."""


@runtime_checkable
class RetryPolicy(Protocol):
    """Anything with this method is a policy."""

    def delay(self, retry: int, chance: float) -> float:
        """
        Return the seconds to wait.

        Args:
            retry: The number of the coming retry, from 1.
            chance: A random number in [0, 1), for jitter.
        """
        ...


def next_wait(policy: RetryPolicy, retry: int, chance: float) -> tuple[float, str]:
    """
    Ask a policy how long to wait. A user's policy that fails must not fail the task, so the default takes its place.

    Returns:
        The seconds, at most ``MAX_WAIT``, and the complaint about a policy that failed, to be shown beside the error.
    """
    try:
        return min(_positive("the delay", policy.delay(retry, chance)), MAX_WAIT), ""
    except Exception as error:  # noqa: BLE001 - the policy is the user's code
        complaint = format_exception_only(error)[-1].strip()
        return Exponential().delay(retry, chance), f" (and the retry policy failed: {complaint[:_LONGEST_COMPLAINT]})"


def _positive(setting: str, value: object) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _HUGE:
        raise InvalidSettingError(setting, value, "a finite number of seconds, zero or more")
    return float(seconds)


def _check(setting: str, value: object, *, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise InvalidSettingError(setting, value, f"between {least:g} and {most:g}")


@dataclass(frozen=True)
class Exponential:
    """
    Doubling waits with jitter.

    Attributes:
        first: Seconds (or timedelta) before the first retry, without jitter.
        max: The longest wait.
        factor: By what each wait grows.
        jitter: The part of the wait that is random: 1 draws from all of it ("full jitter", the AWS Architecture
            Blog's "Exponential Backoff And Jitter"), 0 draws nothing.
    """

    first: float | timedelta = 2.0
    max: float | timedelta = 600.0
    factor: float = 2.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be waited."""
        _positive("Exponential.first", self.first)
        _positive("Exponential.max", self.max)
        _check("Exponential.factor", self.factor, least=1, most=1000)
        _check("Exponential.jitter", self.jitter, least=0, most=1)

    def delay(self, retry: int, chance: float) -> float:
        """Return first · factor^(retry-1), at most max, less the random part."""
        try:
            growth = float(self.factor) ** (max(retry, 1) - 1)
        except OverflowError:
            growth = _HUGE
        return min(_positive("max", self.max), _positive("first", self.first) * growth) * (1 - self.jitter * chance)


@dataclass(frozen=True)
class Linear:
    """
    Waits that grow by a step.

    Attributes:
        first: Seconds (or timedelta) before the first retry.
        step: By how much each wait grows.
        max: The longest wait.
        jitter: The part of the wait that is random, 0 to 1.
    """

    first: float | timedelta = 1.0
    step: float | timedelta = 1.0
    max: float | timedelta = 600.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be waited."""
        for name in ("first", "step", "max"):
            _positive(f"Linear.{name}", getattr(self, name))
        _check("Linear.jitter", self.jitter, least=0, most=1)

    def delay(self, retry: int, chance: float) -> float:
        """Return first + step · (retry-1), at most max, less the random part."""
        grown = _positive("first", self.first) + _positive("step", self.step) * (max(retry, 1) - 1)
        return min(_positive("max", self.max), grown) * (1 - self.jitter * chance)


@dataclass(frozen=True)
class Fixed:
    """
    The same wait each time.

    Attributes:
        seconds: The wait, in seconds or as timedelta.
        jitter: The part of the wait that is random, 0 to 1.
    """

    seconds: float | timedelta = 10.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be waited."""
        _positive("Fixed.seconds", self.seconds)
        _check("Fixed.jitter", self.jitter, least=0, most=1)

    def delay(self, retry: int, chance: float) -> float:  # noqa: ARG002 - the number of the retry does not matter
        """Return the wait, less the random part."""
        return _positive("seconds", self.seconds) * (1 - self.jitter * chance)


@dataclass(frozen=True)
class Steps:
    """
    A list of waits, the last one repeated; asyncjobs' kind of policy.

    Attributes:
        intervals: Seconds; the first retry takes index 1.
        jitter: Each wait is interval · jitter + random(0..interval), as in asyncjobs.
    """

    intervals: tuple[float, ...]
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be waited."""
        if not self.intervals:
            raise InvalidSettingError("Steps.intervals", self.intervals, "one wait or more")
        for interval in self.intervals:
            _check("Steps.intervals", interval, least=0, most=MAX_WAIT)
        _check("Steps.jitter", self.jitter, least=0, most=1)

    def delay(self, retry: int, chance: float) -> float:
        """Return interval · jitter + chance · interval, rounded to milliseconds."""
        interval = self.intervals[min(max(retry, 0), len(self.intervals) - 1)]
        return round(interval * self.jitter + interval * chance, 3) or self.intervals[0]


@dataclass(frozen=True)
class Custom:
    """A policy from a function of the retry's number that returns seconds or a timedelta."""

    function: Callable[[int], float | timedelta]

    def delay(self, retry: int, chance: float) -> float:  # noqa: ARG002 - the function draws its own jitter
        """Return what the function says."""
        return _positive(f"the delay from {self.function!r}", self.function(retry))


def _steps(count: int, jitter: float, shortest: float, longest: float) -> Steps:
    step = (longest - shortest) / count
    return Steps(tuple(shortest + step * index for index in range(count)), jitter)


NAMED: dict[str, RetryPolicy] = {
    "default": _steps(50, 0.9, 60.0, 600.0),
    "10m": _steps(50, 0.9, 60.0, 600.0),
    "1m": _steps(20, 0.5, 1.0, 60.0),
    "1h": _steps(20, 0.9, 600.0, 3600.0),
}
"""asyncjobs' policies by their names."""

RetryLike = RetryPolicy | str | float | int | timedelta | Callable[[int], float | timedelta]
"""What users may give as a policy: a policy, the name of one, seconds, or a function."""

_NONE: Final[Mapping[str, RetryLike]] = {}


def as_policy(value: RetryLike, own: Mapping[str, RetryLike] = _NONE) -> RetryPolicy:
    """
    Return the policy that *value* stands for.

    Args:
        value: A policy, or something that stands for one.
        own: The application's policies by name; asyncjobs' names are known beside them.

    Raises:
        InvalidSettingError: It is none of the shapes, or an unknown name.
    """
    if isinstance(value, str):
        if value in own:
            return as_policy(own[value])
        if value not in NAMED:
            known = ", ".join(sorted({*own, *NAMED}))
            raise InvalidSettingError("retry", value, f"one of {known} (App(retry_policies=) adds more), or a policy")
        return NAMED[value]
    if isinstance(value, RetryPolicy) and not isinstance(value, type):
        return value
    if isinstance(value, (int, float, timedelta)) and not isinstance(value, bool):
        return Fixed(value)
    if callable(value) and not isinstance(value, type):
        return Custom(value)
    raise InvalidSettingError("retry", value, "a policy (made, not its class), a policy's name, seconds, or a function")

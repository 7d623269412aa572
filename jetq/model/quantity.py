"""
quantity: durations, whole numbers and sizes, as users give them, checked.
"""

import re
from datetime import timedelta

from jetq.errors import InvalidSettingError

Duration = float | int | timedelta

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", re.ASCII)
_LONGEST = 100 * 365 * 86_400.0
"""Seconds, a century; the server counts nanoseconds in 64 bits."""


def seconds(setting: str, value: object, *, least: float = 0.0) -> float:
    """
    Return a duration in seconds.

    Raises:
        InvalidSettingError: It is no duration of at least *least* seconds, and at most a century.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not least <= number <= _LONGEST:
        is_long = isinstance(number, (int, float)) and number > _LONGEST
        wanted = "a century at most" if is_long else f"at least {least:g} s"
        raise InvalidSettingError(setting, value, f"a duration of {wanted}")
    return float(number)


def whole(setting: str, value: object, *, least: int, most: int | None = None) -> int:
    """
    Return a whole number.

    Raises:
        InvalidSettingError: It is none, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        wanted = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
        raise InvalidSettingError(setting, value, wanted)
    return value


def size(setting: str, text: str) -> int:
    """
    Return the bytes that a text such as ``512M`` means; ``K``, ``M`` and ``G`` are 1,024 times the one before.

    Raises:
        InvalidSettingError: It means none.
    """
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidSettingError(setting, text, "a size such as 512M or 1.5G")
    return int(float(found[1]) * _UNITS[found[2]])

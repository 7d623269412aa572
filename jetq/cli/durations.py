"""
durations: lengths of time as people write them: ``90``, ``1m30s``, ``2d``.
"""

import re
from typing import Final

from jetq.errors import InvalidSettingError

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(option: str, text: str) -> float:
    """
    Return a duration in seconds.

    Args:
        option: Whose value it is, for the error.
        text: Seconds, or numbers with units: ``ms``, ``s``, ``m``, ``h``, ``d``, ``w``.

    Raises:
        InvalidSettingError: It is none.
    """
    stripped = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return float(stripped)
    if _WHOLE.fullmatch(stripped):
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(stripped))
    raise InvalidSettingError(option, text, "a duration such as 90, 1.5s, 10m or 1h30m")

"""
sizes: amounts of memory as people write them: ``512M``, ``1.5G``.
"""

import re
from typing import Final

from jetq.errors import InvalidSettingError

_UNITS: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", re.ASCII)


def parse_size(option: str, text: str | None) -> int | None:
    """
    Return a number of bytes; None for None.

    Args:
        option: Whose value it is, for the error.
        text: A number with a unit: ``K``, ``M`` or ``G``, each 1,024 times the one before; ``MB`` is ``M``.

    Raises:
        InvalidSettingError: It is none.
    """
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidSettingError(option, text, "a size such as 512M or 1.5G")
    return int(float(found[1]) * _UNITS[found[2]])

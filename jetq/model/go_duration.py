"""
go_duration: lengths of time as Go writes them: ``1h30m``, ``90s``, ``1.5h``.

The grammar is that of Go's ``time.ParseDuration``; it knows no day, since days differ in length.
"""

import re
from decimal import Decimal
from typing import Final

NANOSECONDS: Final = 1_000_000_000
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3_600 * NANOSECONDS,
}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_MOST: Final = 2**63 - 1
_SHOWN: Final = (("h", 3_600 * NANOSECONDS), ("m", 60 * NANOSECONDS), ("s", NANOSECONDS))


def parse_go_duration(text: str) -> int | None:
    """Return the nanoseconds that *text* means; None if it is no duration, or beyond Go's 64 bits."""
    sign, left = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if left == "0":
        return 0
    total, place = 0, 0
    while found := _PART.match(left, place):
        total += int(Decimal(found[1]) * _UNITS[found[2]])
        place = found.end()
    return sign * total if 0 < place == len(left) and total <= _MOST else None


def format_go_duration(nanoseconds: int) -> str:
    """Spell a duration of whole seconds, in the fewest words that Go reads: ``1h30m``, ``90m`` is ``1h30m``."""
    parts: list[str] = []
    for unit, size in _SHOWN:
        count, nanoseconds = divmod(nanoseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"

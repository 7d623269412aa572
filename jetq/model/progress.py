"""
progress: how far a run is, in its handler's words.
"""

from datetime import datetime
from math import isfinite
from typing import Final

from msgspec import Struct

from jetq.errors import InvalidSettingError
from jetq.model.record import Moment

MAX_TEXT: Final = 500
"""Characters of a text that are kept; a progress stands in every record of its task and in every event."""
_MOST: Final = 2**53
"""Beyond it readers in other languages, whose numbers are 64-bit floats, see another number."""


class Progress(Struct, frozen=True, gc=False):
    """
    What a handler said of its progress.

    Attributes:
        current: How much is done, in units of the handler's.
        total: How much there is to do; None if nobody knows.
        text: What is being done.
        at: When it was said, by the server's clock as far as its teller knows it.
    """

    current: int | float
    total: int | float | None
    text: str
    at: Moment

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; None without a total."""
        return min(self.current / self.total, 1.0) if self.total else None


def make_progress(current: object, total: object, text: object, at: datetime) -> Progress:
    """
    Check what a handler said, and cut its text.

    Raises:
        InvalidSettingError: A number is none, negative or beyond 2**53, or the text is no string.
    """
    if not isinstance(text, str):
        raise InvalidSettingError("progress text", text, "a string")
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    return Progress(_number("progress", current), None if total is None else _number("progress total", total), text, at)


def _number(setting: str, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or not 0 <= value <= _MOST:
        raise InvalidSettingError(setting, value, "a number from 0 to 2**53")
    return int(value) if isinstance(value, int) else float(value)

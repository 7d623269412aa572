"""
command_output: what a command wrote, bounded, and what it means as the result of a task.

stdout and stderr come through one pipe, in the order in which they were written. What is beyond the limit is read and
dropped, so that a command that writes much comes to its end as any other; of that the last part is kept, for the error.

asyncjobs stores the bytes as they are, which JSON holds as base64, so a reader cannot tell what they were. jetq stores
what a reader can use, which to Go is a value like any other:

- ``auto``: JSON as its value; other text as a string; what is no UTF-8 in base64, as a string; nothing as null. So it
  is with the answers of remote handlers (`execution.handing_on`).
- ``json``: JSON as its value, nothing as null; anything else is a failure of the command.
- ``text``: a string, in which U+FFFD stands for what is no UTF-8.
- ``base64``: a string with the bytes in base64, as asyncjobs has it.
"""

import base64
from typing import Any, Final, Literal

from jetq.execution.handing_on import foreign_result
from jetq.routing.values import decode_value

Form = Literal["auto", "json", "text", "base64"]
FORMS: Final[tuple[Form, ...]] = ("auto", "json", "text", "base64")

_TAIL: Final = 2000
"""Bytes of the end of the output that an error shows."""


class Output:
    """
    What a command has written so far.

    Args:
        limit: Bytes that are kept.

    Attributes:
        size: Bytes that it wrote.
    """

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._kept = bytearray()
        self._last = bytearray()

    def add(self, data: bytes) -> None:
        """Take what it wrote next."""
        self.size += len(data)
        room = self._limit - len(self._kept)
        self._kept += data[:room]
        if len(data) > room:
            self._last = (self._last + data[room:])[-_TAIL:]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is kept."""
        return self.size <= self._limit

    @property
    def tail(self) -> str:
        """The end of it, as text."""
        data = bytes((self._kept[-_TAIL:] + self._last)[-_TAIL:])
        while len(data) > _TAIL - 3 and data[:1] and 0x80 <= data[0] < 0xC0:  # noqa: PLR2004 - the rest of a character
            data = data[1:]
        return data.decode(errors="backslashreplace").strip()

    def value(self, form: Form) -> Any:
        """
        Return what it is as a result.

        Raises:
            ValueError: It is to be JSON, and is none.
        """
        data = bytes(self._kept)
        match form:
            case "json":
                return decode_value(data) if data.strip() else None
            case "text":
                return data.decode(errors="replace")
            case "base64":
                return base64.b64encode(data).decode()
            case "auto":
                return foreign_result(data)

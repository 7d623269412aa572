"""
death: how a process ended, from what the system says to who waits for it.
"""

import os
import signal
import sys
from typing import Final

from msgspec import Struct

_KIBIBYTE: Final = 1024


class Death(Struct, frozen=True):
    """
    How a process ended.

    Attributes:
        status: Its exit status; negative is the number of the signal that killed it.
        peak_memory: Bytes at most, as the system counted them.
    """

    status: int
    peak_memory: int

    @property
    def text(self) -> str:
        """Say it in words."""
        if self.status >= 0:
            return f"ended with status {self.status}"
        try:
            name = signal.Signals(-self.status).name
        except ValueError:
            name = f"signal {-self.status}"
        return f"was killed by {name}"


def death_of(status: int, peak: int) -> Death:
    """Return how a process ended, by what the system says; macOS counts its memory in bytes, others in kibibytes."""
    return Death(os.waitstatus_to_exitcode(status), peak if sys.platform == "darwin" else peak * _KIBIBYTE)

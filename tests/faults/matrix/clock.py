"""
clock: a wall clock of some processes that can be set while they run, and nobody else's.

It is that of Python, which is all that jetq reads, and follows a file that says by how much it is off. The monotonic
clock is left alone, as by whoever sets a clock. (libfaketime, which stands in for the C library's clock, also ends or
prolongs the waits of threads whose time-out is by the monotonic clock, which no set clock does.)
"""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

FOLLOWED = "FAULTS_CLOCK"
"""Variable that names the file."""
TOLD = "FAULTS_CLOCK_TOLD"
"""Variable of processes whose handlers note what the time is."""
_LOOK_EVERY = 0.05


class SetClock:
    """
    A clock that is right at first.

    Args:
        folder: Where its file may be.

    Attributes:
        environment: Of the processes whose clock it is.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0.0)
        self.environment = {FOLLOWED: str(self._file), TOLD: "1"}

    def set(self, ahead: float) -> None:
        """Set it to be so many seconds ahead of everybody else's, in one step."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead:+.0f}\n")
        fresh.rename(self._file)


def follow_if_told() -> None:
    """Let Python's clock follow the file that the environment names, if it names one, from a thread."""
    if name := os.environ.get(FOLLOWED):
        threading.Thread(target=_follow, args=(Path(name),), name="clock", daemon=True).start()


def _follow(file: Path) -> None:
    off, travelling = 0.0, None
    while True:
        ahead = float(file.read_text())
        if ahead != off:
            if travelling is not None:
                travelling.stop()
            off, travelling = ahead, time_machine.travel(datetime.now(UTC) + timedelta(seconds=ahead), tick=True)
            travelling.start()
        time.sleep(_LOOK_EVERY)

"""
log_setup: how this process's log was configured, for whoever starts a process that is to log alike.

Apart from `observe.logs`, since a worker in another program asks for it, and need not load what writes lines.
"""

from typing import Literal, NamedTuple

LogFormat = Literal["console", "json"]


class LogSetup(NamedTuple):
    """
    How this process's log was configured.

    Attributes:
        level: One of ``observe.logs.LEVELS``.
        log_format: ``console`` or ``json``.
        colors: For ``console``.
        lock: The file that whoever writes to the log locks; -1 if there is none.
    """

    level: str
    log_format: LogFormat
    colors: bool
    lock: int


_setup: list[LogSetup] = []


def configured() -> LogSetup | None:
    """Return how this process's log was set up last; None if it was not."""
    return _setup[-1] if _setup else None


def remember(setup: LogSetup) -> None:
    """Take note of how the log is set up."""
    _setup[:] = [setup]

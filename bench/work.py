"""
work: what both sides of the comparison do, so that neither does less.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from bench import body

TASK_TYPE: Final = "bench:noop"
THREAD_TYPE: Final = "bench:thread"
PROCESS_TYPE: Final = "bench:process"
QUEUE: Final = "DEFAULT"
MAX_TRIES: Final = 10
COMPLETE_KEPT: Final = "86400s"
WARM_UP: Final = 500
"""Tasks that run before the clock does."""

encode: Final = msgspec.json.Encoder().encode


class Spent(Struct):
    """
    What a number of tasks took.

    Attributes:
        tasks: How many.
        seconds: By the clock.
        cpu_seconds: Of the process that did it, all threads.
        peak_mib: The most memory that it held.
    """

    tasks: int
    seconds: float
    cpu_seconds: float
    peak_mib: float = 0.0

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of processor time a task."""
        return self.cpu_seconds / self.tasks * 1e6


async def handle(*, index: int, sent: int, user: str, tags: list[str], amount: float, note: str) -> dict[str, Any]:
    """Do nothing but note it, and return a small value."""
    return handle_blocking(index=index, sent=sent, user=user, tags=tags, amount=amount, note=note)


def handle_blocking(*, index: int, sent: int, user: str, tags: list[str], amount: float, note: str) -> dict[str, Any]:
    """Do the same where there is no event loop."""
    del user, tags, amount, note
    body.note(index, sent)
    return {"index": index, "ok": True}

"""
work: what both sides of the comparison do, so that neither does less.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

TASK_TYPE: Final = "bench:noop"
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
    """

    tasks: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of processor time a task."""
        return self.cpu_seconds / self.tasks * 1e6


def payload(index: int) -> dict[str, Any]:
    """Return the arguments of a task; as JSON about 110 bytes."""
    return {"index": index, "user": "user-0012345", "tags": ["alpha", "beta"], "amount": 12.5, "note": "x" * 24}


async def handle(index: int, user: str, tags: list[str], amount: float, note: str) -> dict[str, Any]:
    """Do nothing, and return a small value."""
    del user, tags, amount, note
    return {"index": index, "ok": True}

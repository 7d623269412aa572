"""
serving: how it goes with the queues that a worker serves, as values for `observe.bus`.
"""

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

UNTIL_RESUMED: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Until when a queue is paused that nobody gave a time: the server wants one."""


class QueuePaused(Struct, frozen=True, kw_only=True):
    """
    A queue gives no items; what runs goes on.

    Attributes:
        worker: Who serves it.
        until: When it goes on by itself; None for a pause that somebody must end.
    """

    worker: str
    queue: str
    until: datetime | None


class QueueResumed(Struct, frozen=True, kw_only=True):
    """A queue that was paused gives items again."""

    worker: str
    queue: str


class WorkerQuieted(Struct, frozen=True, kw_only=True):
    """A worker was told to take no more tasks and to stay."""

    worker: str


class FetchingStalled(Struct, frozen=True, kw_only=True):
    """
    Items wait, slots are free, and nothing arrives.

    Attributes:
        queue: Where the items wait.
        reason: What is wrong, as far as it is known.
        seconds: Since when.
    """

    worker: str
    queue: str
    reason: str
    seconds: float


class FetchingRestored(Struct, frozen=True, kw_only=True):
    """What was stalled is not any more."""

    worker: str
    queue: str


ServingEvent = QueuePaused | QueueResumed | WorkerQuieted | FetchingStalled | FetchingRestored


def paused_until(moment: datetime | None) -> datetime | None:
    """Return when a pause ends by itself; None if somebody must end it."""
    return None if moment is None or moment >= UNTIL_RESUMED else moment

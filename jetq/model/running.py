"""
running: a task that a worker runs, as it tells others.
"""

from enum import StrEnum

from msgspec import Struct


class WorkerState(StrEnum):
    """What a worker does with its queues."""

    WORKING = "working"
    """It takes tasks."""

    QUIET = "quiet"
    """It was told to take no more, and stays."""

    STOPPING = "stopping"
    """It takes no more, and ends with those that it has."""


class RunningTask(Struct, frozen=True, omit_defaults=True):
    """
    A task that runs.

    Attributes:
        id, type, queue: Of the task.
        attempt: The number of this run among all of the task.
        age: Seconds since the run began.
    """

    id: str
    type: str = ""
    queue: str = ""
    attempt: int = 0
    age: float = 0.0

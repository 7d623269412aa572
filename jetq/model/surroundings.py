"""
surroundings: what fails around the handlers of a worker, in hooks and processes, as values for `observe.bus`.
"""

from enum import StrEnum

from msgspec import Struct


class ProcessEnd(StrEnum):
    """Why a process for handlers ended; the label of a metric."""

    CRASH = "crash"
    """It died by itself, or somebody killed it."""

    TIME_LIMIT = "time_limit"
    """Its handler was at its time limit."""

    CANCEL = "cancel"
    """Its handler was told to end, and did not."""

    MAX_TASKS = "max_tasks"
    """It has run as many tasks as a process may."""

    MAX_MEMORY = "max_memory"
    """It held more memory than a process may."""

    STOP = "stop"
    """Its worker stopped."""


class HookFailed(Struct, frozen=True, kw_only=True):
    """
    A stop hook raised, or took too long; the stop went on.

    Attributes:
        hook: Which kind: ``on_worker_stop``, or ``lifespan``.
        function: Its name.
        error: What it raised, with the traceback, or that it took too long.
    """

    hook: str
    function: str
    error: str


class ProcessNotStarted(Struct, frozen=True, kw_only=True):
    """
    A process for handlers did not come up; tasks wait for the others, or for the next attempt.

    Attributes:
        worker: Its worker's id.
        error: Why.
    """

    worker: str
    error: str


class ProcessReady(Struct, frozen=True, kw_only=True):
    """A process for handlers takes calls, *after* seconds."""

    worker: str
    pid: int
    after: float


class ProcessEnded(Struct, frozen=True, kw_only=True):
    """
    A process for handlers that took calls is gone.

    Attributes:
        worker: Its worker's id.
        reason: Why.
        how: In words: its status or its signal.
        calls: That it was given.
        peak_memory: Bytes at most; 0 if unknown.
    """

    worker: str
    pid: int
    reason: ProcessEnd
    how: str
    calls: int
    peak_memory: int = 0


class CallsWaiting(Struct, frozen=True, kw_only=True):
    """So many calls wait for a free process now; another one does, or has one."""

    worker: str
    waiting: int


PoolEvent = ProcessNotStarted | ProcessReady | ProcessEnded | CallsWaiting

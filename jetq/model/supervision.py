"""
supervision: what happens to the child processes of a supervisor, and to an event loop, as values for `observe.bus`.
"""

from enum import StrEnum

from msgspec import Struct


class Replacement(StrEnum):
    """Why a child is replaced by another; the label of a metric."""

    CRASH = "crash"
    """It ended by itself, or somebody ended it."""

    SILENT = "silent"
    """Its lease thread gave no sign of life."""

    OVERDUE = "overdue"
    """A handler outran its limit and grace."""

    MAX_TASKS = "max_tasks"
    """It has run as many tasks as a child may."""

    MAX_MEMORY = "max_memory"
    """It holds more memory than a child may."""

    RELOAD = "reload"
    """A rolling restart."""

    STOPPED = "stopped"
    """Somebody told this worker to stop, by its id."""


class ChildStarted(Struct, frozen=True, kw_only=True):
    """A child process was started; *place* is its number, from 1, which its replacement has as well."""

    pid: int
    place: int


class ChildReady(Struct, frozen=True, kw_only=True):
    """A child takes tasks, *after* seconds, as the worker *worker*."""

    pid: int
    place: int
    worker: str
    after: float


class ChildReplaced(Struct, frozen=True, kw_only=True):
    """
    A child is being replaced.

    Attributes:
        reason: Why.
        detail: In words, where there is more to say: how it died, what it did not answer for.
    """

    pid: int
    place: int
    reason: Replacement
    detail: str = ""


class ChildEnded(Struct, frozen=True, kw_only=True):
    """
    A child process is gone.

    Attributes:
        how: In words: its status or its signal.
        uptime: Seconds since its start.
        peak_memory: Bytes at most; 0 if unknown.
        in_flight: Runs that it left behind.
        orderly: It ended as it was asked to.
    """

    pid: int
    place: int
    worker: str
    how: str
    uptime: float
    peak_memory: int = 0
    in_flight: int = 0
    orderly: bool = True


class RestartDelayed(Struct, frozen=True, kw_only=True):
    """A child that keeps crashing is started again only *after* seconds."""

    place: int
    after: float


class ReloadEnded(Struct, frozen=True, kw_only=True):
    """A rolling restart came to its end; *error* says why it was given up, if it was."""

    error: str = ""


class RunsHandedOver(Struct, frozen=True, kw_only=True):
    """The runs of a dead worker were made runnable by another child, or, without *heir*, are left to their leases."""

    dead_worker: str
    runs: int
    heir: str = ""


class LoopBlocked(Struct, frozen=True, kw_only=True):
    """
    A handler blocks the event loop of its worker.

    Attributes:
        seconds: For how long, by now.
        task_id, task_type: Of the handler; empty where nobody knows.
        stack: Where it is.
    """

    worker: str
    seconds: float
    task_id: str = ""
    task_type: str = ""
    stack: str = ""


class SupervisorLost(Struct, frozen=True, kw_only=True):
    """The supervisor of this worker is gone, so it stops."""

    worker: str

"""
scope: which task the current code runs for.

The executor sets it around a handler; log lines read it when they are made, so that a task costs nothing for logging
that it does not do. Context variables follow into tasks and threads that the handler starts with its own context.
"""

from contextvars import ContextVar

from msgspec import Struct


class TaskScope(Struct, frozen=True, gc=False):
    """The names of a run, as every line of its log carries them."""

    task_id: str
    task_type: str
    queue: str
    attempt: int
    worker: str


current_scope: ContextVar[TaskScope | None] = ContextVar("jetq_task_scope", default=None)

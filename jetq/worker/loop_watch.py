"""
loop_watch: is an event loop free, and if not, who holds it?

A thread asks the loop for a word, and looks again later. A loop that has not answered by then is blocked: some handler
does not give it back. Which one is known by the asyncio task that the loop is in, and where it is by the stack of the
loop's thread.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Final

from jetq.execution.executor import Execution
from jetq.observe.scope import current_scope
from jetq.wire.liveness import Blocked

NOTICED: Final = 1.0
"""Seconds without an answer after which a loop counts as blocked."""
_DEPTH: Final = 24
"""Frames of a stack that are shown, the innermost ones."""


class LoopWatch:
    """
    Watches the running event loop. Make it there, and :meth:`look` from another thread.

    Args:
        executions: Returns the handlers that run; called in the other thread.
    """

    def __init__(self, executions: Callable[[], Iterable[Execution]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._executions = executions
        self._asked: float | None = None

    def look(self) -> Blocked | None:
        """Return what blocks the loop, if anything does; ask it again otherwise."""
        asked, now = self._asked, time.monotonic()
        if asked is None:
            self._asked = now
            self._loop.call_soon_threadsafe(self._answer)
            return None
        if now - asked < NOTICED:
            return None
        found, stack = self._culprit(), self._stack()
        if self._asked is None:
            return None
        task_id, task_type = found
        return Blocked(now - asked, task_id, task_type, stack)

    def _answer(self) -> None:
        self._asked = None

    def _culprit(self) -> tuple[str, str]:
        """Return id and type of the task whose handler the loop is in, or nothing."""
        task = asyncio.current_task(self._loop)
        if task is None:
            return "", ""
        for execution in self._executions():
            if execution.runs_in(task):
                record = execution.context.task
                return record.id, record.type
        # a task that a handler made; it carries the handler's names, which Python tells from 3.12 on
        context: Any = getattr(task, "get_context", dict[Any, Any])()
        scope = context.get(current_scope)
        return ("", "") if scope is None else (scope.task_id, scope.task_type)

    def _stack(self) -> str:
        frames: dict[int, FrameType] = sys._current_frames()  # noqa: SLF001 - documented  # pyright: ignore[reportPrivateUsage] - as above
        frame = frames.get(self._thread)
        return "".join(traceback.format_stack(frame)[-_DEPTH:]) if frame is not None else ""

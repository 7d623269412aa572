"""
retirement: which children have done enough, by their tasks, their memory, or a handler that does not end.
"""

import math
import random
from typing import Final

from jetq.model.supervision import Replacement
from jetq.settings import SupervisorSettings
from jetq.supervisor.child import Child

_JITTER: Final = 0.1
"""Part of ``max_tasks_per_child`` by which a child may fall short of it, so that not all are replaced at one time."""
_MEBIBYTE: Final = 1024 * 1024


class Retirement:
    """
    Says who is to be replaced.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: SupervisorSettings) -> None:
        self._max_tasks = settings.max_tasks_per_child
        self._max_memory = settings.max_memory_per_child
        self._limits: dict[int, int] = {}

    def due(self, child: Child) -> tuple[Replacement, str] | None:
        """Return why a child is to be replaced, if it is."""
        if child.overdue:
            return Replacement.OVERDUE, child.overdue
        if self._max_tasks is not None and child.done >= self._limit_of(child, self._max_tasks):
            return Replacement.MAX_TASKS, f"{child.done} tasks"
        if self._max_memory is not None and (held := child.memory()) > self._max_memory:
            return Replacement.MAX_MEMORY, f"{held / _MEBIBYTE:.0f} of {self._max_memory / _MEBIBYTE:.0f} MiB"
        return None

    def _limit_of(self, child: Child, most: int) -> int:
        limit = self._limits.get(child.pid)
        if limit is None:
            limit = self._limits[child.pid] = math.ceil(most * (1 - random.random() * _JITTER))  # noqa: S311 - jitter
        return limit

    def forget(self, child: Child) -> None:
        """Forget a child that is gone."""
        self._limits.pop(child.pid, None)

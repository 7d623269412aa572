"""
task_filter: which tasks somebody wants to see.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from jetq.errors import InvalidSettingError
from jetq.model.name import check_name
from jetq.model.state import State
from jetq.settings import whole
from jetq.wire.summary import TaskSummary

DISPLAY_STATES: Final = frozenset({state.value for state in State if state} | {"scheduled", "cancelled", "unknown"})
"""Every state as people see it, which is how one is asked for."""

DEFAULT_LIMIT: Final = 200
"""Tasks in a list that asks for no number."""


class TaskFilter:
    """
    Which tasks, and how many of them.

    Args:
        states: As people see them: ``scheduled`` and ``cancelled`` beside the protocol's; empty for all.
        queue: The queue's name; None for all.
        task_type: A type, in which ``*`` stands for any run of characters; None for all.
        created_since: Only tasks that were created then or later.
        limit: The number of tasks; 0 for all.

    Raises:
        InvalidSettingError: An unknown state, a time without its zone, or a negative limit.
        InvalidNameError: An illegal queue.
    """

    def __init__(
        self,
        *,
        states: Iterable[str] = (),
        queue: str | None = None,
        task_type: str | None = None,
        created_since: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> None:
        self.states = frozenset(states)
        for state in sorted(self.states - DISPLAY_STATES):
            raise InvalidSettingError("state", state, f"one of {', '.join(sorted(DISPLAY_STATES))}")
        if created_since is not None and created_since.tzinfo is None:
            raise InvalidSettingError("created_since", created_since, "a time with its zone")
        self.queue = None if queue is None else check_name("queue", queue)
        self.created_since = created_since
        self.limit = whole("limit", limit, least=0)
        self._type = None if task_type is None else _pattern(task_type)

    def matches(self, task: TaskSummary) -> bool:
        """Whether *task* is wanted."""
        return (
            (self.queue is None or task.queue == self.queue)
            and (not self.states or task.display_state in self.states)
            and (self._type is None or self._type.fullmatch(task.type) is not None)
            and (self.created_since is None or task.created >= self.created_since)
        )


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))

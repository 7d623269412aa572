"""
event_filter: which events somebody wants to read.
"""

import re
from collections.abc import Iterable
from typing import TypedDict

from jetq.errors import InvalidSettingError
from jetq.model.name import check_name
from jetq.model.state import DISPLAY_STATES
from jetq.wire.events import LifecycleEvent, TaskProgressEvent, TaskStateEvent
from jetq.wire.names import Names

_ANY = "*"


class EventChoice(TypedDict, total=False):
    """
    Which events; one must match all that is given.

    Attributes:
        task_id: Only this task's.
        queue: Only of tasks in this queue.
        task_type: Only of tasks of a type, in which ``*`` stands for any run of characters.
        states: Only these states, as people see them: ``scheduled`` and ``cancelled`` beside the protocol's.
        progress: Also what handlers say of their progress.
    """

    task_id: str | None
    queue: str | None
    task_type: str | None
    states: Iterable[str]
    progress: bool


class EventFilter:
    """
    Which events, see :class:`EventChoice` for the arguments. Elections match only if nothing is asked of the task.

    Raises:
        InvalidNameError: An illegal task id or queue.
        InvalidSettingError: An unknown state, or an empty type.
    """

    def __init__(
        self,
        *,
        task_id: str | None = None,
        queue: str | None = None,
        task_type: str | None = None,
        states: Iterable[str] = (),
        progress: bool = False,
    ) -> None:
        self._task_id = None if task_id is None else check_name("task id", task_id)
        self._queue = None if queue is None else check_name("queue", queue)
        self._states = frozenset([states] if isinstance(states, str) else states)
        for state in sorted(self._states - DISPLAY_STATES):
            raise InvalidSettingError("state", state, f"one of {', '.join(sorted(DISPLAY_STATES))}")
        if task_type == "":
            raise InvalidSettingError("task_type", task_type, "a type, or absent")
        self._type = None if task_type is None else _pattern(task_type)
        self._progress = progress

    def subjects(self, names: Names) -> list[str]:
        """Return where such events are told."""
        task = self._task_id or _ANY
        subjects = [names.task_event(task)]
        if self._progress:
            subjects.append(names.task_progress(task))
        if self._is_open:
            subjects.append(names.leader_event(_ANY))
        return subjects

    @property
    def _is_open(self) -> bool:
        return not (self._task_id or self._queue or self._type or self._states)

    def matches(self, event: LifecycleEvent) -> bool:
        """Whether *event* is wanted; its task id is what was subscribed to."""
        match event:
            case TaskStateEvent() | TaskProgressEvent():
                return (
                    (self._queue is None or event.queue == self._queue)
                    and (self._type is None or self._type.fullmatch(event.task_type) is not None)
                    and (
                        not self._states or isinstance(event, TaskProgressEvent) or event.display_state in self._states
                    )
                )
            case _:
                return self._is_open


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))

"""
dependency: from what users say about the tasks that a task depends on to its edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from jetq.client.handle import TaskHandle
from jetq.errors import InvalidSettingError
from jetq.model.dependency import Edge, OnFailure
from jetq.model.name import check_name


@dataclass(frozen=True)
class Dependency:
    """
    A task that another one depends on, and what its failure means.

    Attributes:
        task: Its id, or its handle.
        on_failure: ``fail``: the other one ends ``unreachable``; ``ignore``: it runs, without a result of this one;
            ``run``: it runs, with this one's error in the place of a result.
    """

    task: str | TaskHandle[Any]
    on_failure: OnFailure | str = OnFailure.FAIL

    def __post_init__(self) -> None:
        """
        Refuse what cannot be meant.

        Raises:
            InvalidSettingError: It is no task, or another word.
            InvalidNameError: No task can have this id.
        """
        task: object = self.task
        if not isinstance(task, str | TaskHandle):
            raise InvalidSettingError("depends_on", task, "the id or the handle of a task that was enqueued")
        check_name("task id", self.id)
        if self.on_failure not in set(OnFailure):
            raise InvalidSettingError("on_failure", self.on_failure, f"one of {', '.join(OnFailure)}")

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task if isinstance(self.task, str) else self.task.id


DependencyLike = str | TaskHandle[Any] | Dependency
"""What users may give for one: an id, a handle, or either with what its failure means."""
DependsOn = DependencyLike | Iterable[DependencyLike]
"""What users may give: one, or many."""


def edges(depends_on: DependsOn | None, task_id: str | None = None) -> tuple[Edge, ...]:
    """
    Return the edges, each parent once; what was said last about it counts.

    Args:
        depends_on: What users gave.
        task_id: The own id of the task, if that is chosen.

    Raises:
        InvalidSettingError: It is none of the shapes, or the task itself.
        InvalidNameError: No task can have this id.
    """
    if depends_on is None:
        return ()
    one = isinstance(depends_on, str | TaskHandle | Dependency)
    if not one and not isinstance(depends_on, Iterable):
        raise InvalidSettingError("depends_on", depends_on, "ids or handles of tasks that were enqueued")
    given = [depends_on] if one else list(cast("Iterable[DependencyLike]", depends_on))
    found: dict[str, Edge] = {}
    for each in given:
        parent = each if isinstance(each, Dependency) else Dependency(cast("str", each))
        if parent.id == task_id:
            raise InvalidSettingError("depends_on", task_id, "other tasks: a task cannot depend on itself")
        found[parent.id] = Edge(parent.id, OnFailure(parent.on_failure))
    return tuple(found.values())

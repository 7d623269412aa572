"""
dependency: from what users say about the tasks that a task depends on to its edges.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

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
        check_name("task id", _id_of(self.task))
        if self.on_failure not in set(OnFailure):
            raise InvalidSettingError("on_failure", self.on_failure, f"one of {', '.join(OnFailure)}")

    @property
    def id(self) -> str:
        """The task's id."""
        return _id_of(self.task)


DependencyLike = str | TaskHandle[Any] | Dependency
"""What users may give for one: an id, a handle, or either with what its failure means."""
DependsOn = DependencyLike | Collection[DependencyLike]
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
    found: dict[str, Edge] = {}
    for each in _listed(depends_on):
        parent = each if isinstance(each, Dependency) else Dependency(each)
        if parent.id == task_id:
            raise InvalidSettingError("depends_on", task_id, "other tasks: a task cannot depend on itself")
        found[parent.id] = Edge(parent.id, OnFailure(parent.on_failure))
    return tuple(found.values())


def _id_of(task: object) -> str:
    if isinstance(task, str):
        return task
    if isinstance(task, TaskHandle):
        return task.id
    raise InvalidSettingError("depends_on", task, "the id or the handle of a task that was enqueued")


def _listed(given: object) -> list[DependencyLike]:
    if given is None:
        return []
    if _is_one(given):
        return [given]
    if isinstance(given, Collection):
        return list(cast("Collection[DependencyLike]", given))
    raise InvalidSettingError("depends_on", given, "a list of ids or handles of tasks that were enqueued")


def _is_one(given: object) -> TypeGuard[DependencyLike]:
    return isinstance(given, str | TaskHandle | Dependency)

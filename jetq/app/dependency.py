"""
dependency: from what users say about the tasks that a task depends on to its edges.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from jetq.app.node import Node
from jetq.client.handle import TaskHandle
from jetq.errors import InvalidSettingError
from jetq.model.dependency import Edge, OnFailure
from jetq.model.flow import Shape
from jetq.model.name import check_name


@dataclass(frozen=True)
class Dependency:
    """
    A task that another one depends on, and what its failure means.

    Attributes:
        task: Its id, or its handle; among the tasks of a flow that is being built, its node or the node's name.
        on_failure: ``fail``: the other one ends ``unreachable``; ``ignore``: it runs, without a result of this one;
            ``run``: it runs, with this one's error in the place of a result.
    """

    task: str | TaskHandle[Any] | Node
    on_failure: OnFailure | str = OnFailure.FAIL

    def __post_init__(self) -> None:
        """
        Refuse what cannot be meant.

        Raises:
            InvalidSettingError: It is no task, or another word.
            InvalidNameError: No task can have this id.
        """
        if not isinstance(self.task, Node):
            check_name("task id", _id_of(self.task))
        as_policy(self.on_failure)

    @property
    def id(self) -> str:
        """
        The task's id.

        Raises:
            InvalidSettingError: It is a node of a flow, and has none yet.
        """
        return _id_of(self.task)


def as_policy(on_failure: OnFailure | str) -> OnFailure:
    """
    Return what a failure means.

    Raises:
        InvalidSettingError: It is another word.
    """
    if on_failure not in set(OnFailure):
        raise InvalidSettingError("on_failure", on_failure, f"one of {', '.join(OnFailure)}")
    return OnFailure(on_failure)


DependencyLike = str | TaskHandle[Any] | Dependency
"""What users may give for one: an id, a handle, or either with what its failure means."""
DependsOn = DependencyLike | Collection[DependencyLike]
"""What users may give: one, or many."""


def edges(
    depends_on: DependsOn | None, task_id: str | None = None, on_failure: OnFailure | str | None = None
) -> tuple[Edge, ...]:
    """
    Return the edges, each parent once; what was said last about it counts.

    Args:
        depends_on: What users gave.
        task_id: The own id of the task, if that is chosen.
        on_failure: What the failures of those mean of which nothing else is said.

    Raises:
        InvalidSettingError: It is none of the shapes, or the task itself.
        InvalidNameError: No task can have this id.
    """
    found: dict[str, Edge] = {}
    for each in _listed(depends_on):
        parent = each if isinstance(each, Dependency) else Dependency(each, on_failure or OnFailure.FAIL)
        if parent.id == task_id:
            raise InvalidSettingError("depends_on", task_id, "other tasks: a task cannot depend on itself")
        found[parent.id] = Edge(parent.id, OnFailure(parent.on_failure))
    return tuple(found.values())


def parents_shape(depends_on: DependsOn | None) -> Shape:
    """Return the shape of the results of tasks by their places among the edges: of one, or the list of many."""
    found: dict[str, int] = {}
    places: list[int] = []
    for each in _listed(depends_on):
        parent = each.id if isinstance(each, Dependency) else _id_of(each)
        places.append(found.setdefault(parent, len(found)))
    return places[0] if _is_one(depends_on) else tuple(places)


def _id_of(task: object) -> str:
    if isinstance(task, str):
        return task
    if isinstance(task, TaskHandle):
        return task.id
    if isinstance(task, Node):
        raise InvalidSettingError("depends_on", task, "a task that was enqueued; a node goes into after= of Flow.add")
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
    return isinstance(given, str | TaskHandle | Dependency | Node)

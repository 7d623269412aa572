"""
unsent: tasks that depend on calls that are not sent yet, and are sent together with them.

The calls in ``depends_on`` of a task may have such in theirs, and so on; all of them and the task make a flow, whose
last node is the task. A call that several of them name is one task.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from jetq.app.composition import Step
from jetq.app.plan import NOTHING, Parents, Plan
from jetq.client.flow_request import FlowRequest
from jetq.errors import InvalidSettingError

R_co = TypeVar("R_co", covariant=True)


class Unsent(Step[R_co]):
    """A task that was not sent, and on which others may depend all the same; see :class:`TaskCall`."""

    __slots__ = ()

    def unsent(self) -> "list[Unsent[Any]]":
        """Return the calls that it depends on."""
        raise NotImplementedError

    def placed(self, plan: Plan, parents: Parents = NOTHING, *, name: str = "") -> int:
        """Lay out the task as a node of a flow, those that it depends on being there, and return its position."""
        raise NotImplementedError


def with_unsent(task: Unsent[Any]) -> FlowRequest:
    """
    Return the flow of a task and of all calls that it depends on, also through others; the task is its last node.

    Raises:
        InvalidFlowError: They are of several applications, or too many.
        InvalidPayloadError: An argument is missing.
        InvalidSettingError: An option cannot be meant in a flow, or a call depends on itself.
    """
    plan = Plan(repr(task))
    path: list[tuple[Unsent[Any], Iterator[Unsent[Any]]]] = [(task, iter(task.unsent()))]
    on_path = {id(task)}
    while True:
        latest, left = path[-1]
        call = next(left, None)
        if call is None:
            place = plan.unsent[id(latest)] = latest.placed(plan)
            path.pop()
            if not path:
                return plan.request("", place)
            on_path.discard(id(latest))
        elif id(call) in on_path:
            raise InvalidSettingError("depends_on", call, "other tasks: a task cannot depend on itself")
        elif id(call) not in plan.unsent:
            path.append((call, iter(call.unsent())))
            on_path.add(id(call))

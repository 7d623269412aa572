"""
flow: tasks put together by name, each after the ones that it waits for.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeGuard, cast

from msgspec import Struct

from jetq.app.call import TaskCall
from jetq.app.composition import submitted
from jetq.app.dependency import Dependency, as_policy
from jetq.app.node import Node
from jetq.app.options import check_parameter
from jetq.app.plan import NodeNames, Parents, Plan
from jetq.client.blocking import forbid_in_loop
from jetq.client.flow_handle import FlowHandle
from jetq.client.flow_request import FlowRequest
from jetq.client.handle import TaskHandle
from jetq.errors import FlowCycleError, InvalidFlowError, InvalidSettingError, UnknownNodeError
from jetq.model.dependency import OnFailure
from jetq.model.flow import Shape, arranged
from jetq.model.name import check_name

NodeLike: TypeAlias = Node | str | TaskHandle[Any] | Dependency
"""
A task of the flow: its node, or its name, also of one that is added later; or the handle of a task that exists already;
or any of them with what its failure means.
"""
Nodes: TypeAlias = NodeLike | Iterable[NodeLike]
After: TypeAlias = Nodes | Mapping[Any, object]
"""
What a task waits for: one, many, or either by the parameters that take the results; None stands for no parameter.

(A type checker that is told more of the mapping does not find that a dict of lists and nodes is one.)
"""

_Known: TypeAlias = Node | str | TaskHandle[Any]

_MOST_LINES: Final = 50
_EXPECTED: Final = "tasks of this flow, by node or name, or handles of tasks that were enqueued (app.handle(id))"


class Flow:
    """
    Tasks that wait for each other, in any way but in circles.

    ::

        with Flow("nightly") as flow:
            pages = [flow.add(fetch.s(url)) for url in urls]
            cover = flow.add(draw.s())
            flow.add(publish.s(title="News"), after={"pages": pages, "cover": cover})
        handle = flow.enqueue()

    Leaving the block checks it; nothing is sent before :meth:`enqueue`, which may be called as often as one likes. The
    result of a flow is a dict of the results of those tasks on which no other depends, by their names.

    Args:
        name: Shown to people.

    Attributes:
        nodes: The tasks, in the order in which they were added.
    """

    def __init__(self, name: str) -> None:
        self.name = check_name("flow name", name)
        self.nodes: list[Node] = []
        self._calls: list[TaskCall[Any]] = []
        self._waits: list[list[_Wait]] = []
        self._names = NodeNames()
        self._checked: tuple[Plan, FlowRequest] | None = None
        self._is_open = False

    def __repr__(self) -> str:
        return f"<Flow {self.name}: {len(self.nodes):,} tasks>"

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.nodes):,} tasks"]
        for node, call, waits in zip(self.nodes[:_MOST_LINES], self._calls, self._waits, strict=False):
            names = ", ".join(_name(each) for wait in waits for each, _ in wait.nodes[:_MOST_LINES])
            lines.append(f"  {node.name} = {call!r}{' after ' if names else ''}{names}")
        if len(self.nodes) > _MOST_LINES:
            lines.append(f"  ... and {len(self.nodes) - _MOST_LINES:,} more")
        return "\n".join(lines)

    def add(
        self,
        call: TaskCall[Any],
        *,
        name: str | None = None,
        after: After = (),
        into: str | None = None,
        on_failure: OnFailure | str | None = None,
    ) -> Node:
        """
        Add a task.

        Args:
            call: ``task.s(...)``.
            name: In the flow; None is the function's name. A name that is there already gets ``-2``, ``-3``, ...
            after: What it waits for: a node, a name, also of a task that is added later, the handle of a task that was
                enqueued before, or a list of them. Their result, or the list of their results, goes to the first
                parameter that is not given. A mapping says what goes to which parameter; what stands under None is only
                waited for. :class:`jetq.Dependency` says what the failure of one means.
            into: The parameter that takes the results, instead of the first that is not given.
            on_failure: What the failures of those mean of which nothing else is said: ``fail``, ``ignore``, ``run``.

        Raises:
            InvalidFlowError: The flow was checked already, it is no task's call, or a node is of another flow.
            InvalidNameError: The name cannot be used.
            InvalidSettingError: What is said cannot be meant.
        """
        if self._checked is not None:
            raise self._refusal("it was checked already, and takes no further tasks; make another Flow")
        if not isinstance(call, TaskCall):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs are not always checked
            raise self._refusal(f"{call!r} is no call of a task; add calls one by one: task.s(...)")
        if into is not None or on_failure is not None:
            call = call.using(
                into=into or call.options.into,
                on_failure=call.options.on_failure if on_failure is None else as_policy(on_failure),
            )
        waits = [self._wait(parameter, nodes) for parameter, nodes in _by_parameter(after)]
        own = self._names.own(call.name if name is None else check_name("name of a task in a flow", name))
        node = Node(own, self, len(self.nodes))
        self.nodes.append(node)
        self._calls.append(call)
        self._waits.append(waits)
        return node

    def _wait(self, parameter: str | None, nodes: object) -> "_Wait":
        if isinstance(nodes, str) or not isinstance(nodes, Iterable):
            return _Wait(nodes=(self._known(nodes),), is_one=True, parameter=parameter)
        listed = cast("Iterable[object]", nodes)
        return _Wait(nodes=tuple(self._known(each) for each in listed), is_one=False, parameter=parameter)

    def _known(self, each: object) -> "tuple[_Known, OnFailure | None]":
        """Return a node, a name or a handle, and what its failure means, if that is said."""
        wanted, policy = (each.task, as_policy(each.on_failure)) if isinstance(each, Dependency) else (each, None)
        if not _is_known(wanted):
            raise InvalidSettingError("after", wanted, _EXPECTED)
        if isinstance(wanted, Node) and wanted.flow is not self:
            raise self._refusal(f"{wanted!r} is of another flow")
        return wanted, policy

    def _refusal(self, reason: str) -> InvalidFlowError:
        return InvalidFlowError(f"flow {self.name!r}", reason)

    def __enter__(self) -> Self:
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Check the flow, unless the block raised."""
        self._is_open = False
        if kind is None:
            self._laid_out()

    def request(self) -> FlowRequest:
        """
        Check the flow, and return what is to be submitted. It takes no further tasks then.

        Raises:
            FlowCycleError: Tasks wait for each other in a circle.
            UnknownNodeError: A task waits for a name that none has.
            InvalidFlowError: It is empty, still being built, or of several applications; or a task has no parameter for
                the result of what comes before it.
            InvalidPayloadError: An argument is missing.
            InvalidSettingError: An option cannot be meant in a flow.
        """
        return self._laid_out()[1]

    def _laid_out(self) -> tuple[Plan, FlowRequest]:
        if self._is_open:
            raise self._refusal("it is not complete before the with block ends; enqueue it after that")
        if self._checked is None:
            plan = Plan(f"flow {self.name!r}")
            self._checked = plan, self._placed(plan)
        return self._checked

    def _placed(self, plan: Plan) -> FlowRequest:
        """Lay out the tasks, each after those that it waits for."""
        index = {node.name: node.index for node in self.nodes}
        named = zip(self.nodes, self._waits, strict=True)
        known = [[self._indexes(plan, node, wait, index) for wait in waits] for node, waits in named]
        order, circle = arranged([[each for indexes in waits for each in indexes if each >= 0] for waits in known])
        if circle:
            raise FlowCycleError(self.name, [self.nodes[each].name for each in circle])
        places: dict[int, int] = {}
        for each in order:
            parents = _parents(plan, zip(self._waits[each], known[each], strict=True), places)
            places[each] = self._calls[each].placed(plan, parents, name=self.nodes[each].name)
        if not order:
            raise self._refusal("it has no tasks; add at least one")
        return plan.request(self.name, tuple(places[node.index] for node in self.nodes), keyed=True)

    def _indexes(self, plan: Plan, node: Node, wait: "_Wait", index: Mapping[str, int]) -> list[int]:
        """Return the indexes of those that a task waits for; of a task of elsewhere its position, below 0."""
        try:
            return [
                plan.outside(each.id) if isinstance(each, TaskHandle) else index[_name(each)] for each, _ in wait.nodes
            ]
        except KeyError as unknown:
            name = str(unknown.args[0])
            others = [other for other in index if other != node.name]
            raise UnknownNodeError(self.name, node.name, name, get_close_matches(name, others)) from None

    def enqueue(self) -> FlowHandle[dict[str, Any]]:
        """
        Enqueue all tasks; blocks until JetStream has them. What is wrong with the flow is raised before.

        Raises:
            EnqueueError: It was not enqueued; see the subclasses. Nothing of it runs.
            ServerError: No connection, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aenqueue` there.
            ConfigurationError: As of :meth:`request`; nothing was sent.
        """
        forbid_in_loop("enqueue", "aenqueue")
        plan, request = self._laid_out()
        return plan.owner.clients.blocking(lambda client: submitted(client, plan, request))

    async def aenqueue(self) -> FlowHandle[dict[str, Any]]:
        """Enqueue all tasks; see :meth:`enqueue`."""
        plan, request = self._laid_out()
        return await submitted(await plan.owner.clients.current(), plan, request)


class _Wait(Struct, frozen=True, kw_only=True):
    """
    Tasks that a task waits for, and takes the results of together.

    Attributes:
        nodes: Nodes, their names, and handles, with what their failures mean, if that is said.
        is_one: The result of the one task is taken, not a list.
        parameter: Which takes it; empty for the first that is not given, None for none.
    """

    nodes: tuple[tuple[_Known, OnFailure | None], ...]
    is_one: bool
    parameter: str | None


def _parents(plan: Plan, waits: Iterable[tuple[_Wait, list[int]]], places: Mapping[int, int]) -> Parents:
    """Return what comes before a task, at the positions that the others have in the plan."""
    first: Shape | None = None
    named: dict[str, Shape] = {}
    others: list[int] = []
    policies: dict[int, OnFailure] = {}
    for wait, indexes in waits:
        found = [places[each] if each >= 0 else each for each in indexes]
        policies |= {place: policy for place, (_, policy) in zip(found, wait.nodes, strict=True) if policy}
        shape: Shape = found[0] if wait.is_one else tuple(found)
        match wait.parameter:
            case None:
                others += found
            case "":
                first = shape if found else None
            case name:
                named[name] = shape
    return plan.parents(first=first, named=named, others=others, policies=policies)


def _by_parameter(after: After) -> list[tuple[str | None, object]]:
    if not isinstance(after, Mapping):
        return [("", after)]
    found = list(cast("Mapping[str | None, object]", after).items())
    for name, _ in found:
        check_parameter("after", name)
    return found


def _is_known(wanted: object) -> TypeGuard[_Known]:
    return isinstance(wanted, Node | str | TaskHandle)


def _name(each: _Known) -> str:
    return each if isinstance(each, str) else each.name if isinstance(each, Node) else each.id

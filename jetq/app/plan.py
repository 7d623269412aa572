"""
plan: a composition of tasks on its way to a flow that can be submitted.

Whatever is composed is laid out here, node by node, parents first. What a step of a composition has to say stands with
the step (:meth:`Step.planned`); a step that consists of others yields them, and the plan asks them in its place: so a
composition may be nested as deep as it likes, and nothing recurses.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from jetq.app.owner import Owner
from jetq.client.flow_request import FlowNode, FlowRequest
from jetq.errors import InvalidFlowError
from jetq.model.dependency import OnFailure
from jetq.model.flow import DEEPEST_SHAPE, MOST_NODES, Shape, depth, moved, positions

Decoder = Callable[[bytes], Any]

Planning: TypeAlias = Generator[tuple["Plannable", Shape | None], Shape, Shape]
"""What a step does: it yields those that it consists of, each with what comes before it, and gets their shapes."""


class Plannable(Protocol):
    """What can be laid out."""

    def planned(self, plan: "Plan", before: Shape | None) -> Planning:
        """
        Lay out the step, and return the shape of its result at the end.

        Args:
            plan: Where to.
            before: What it waits for; None for nothing.
        """
        ...


class Names:
    """Gives each task of a flow a name of its own: ``fetch``, ``fetch-2``, ``fetch-3``."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._next: dict[str, int] = {}

    def own(self, wanted: str) -> str:
        """Return *wanted*, or it with the first number that is free."""
        name, number = wanted, self._next.get(wanted, 2)
        while name in self._given:
            name = f"{wanted}-{number}"
            number += 1
        self._given.add(name)
        self._next[wanted] = number
        return name


class Parents(Struct, frozen=True, kw_only=True):
    """
    What comes before a task in a flow.

    Attributes:
        places: Positions of nodes, each once.
        first: What goes to the first parameter that is not given, as a shape over *places*; None for nothing.
        named: What goes to other parameters, by their names.
        policies: What the failures of those nodes mean of which it is said, by their positions.
    """

    places: tuple[int, ...] = ()
    first: Shape | None = None
    named: Mapping[str, Shape] = {}
    policies: Mapping[int, OnFailure] = {}


NOTHING: Final = Parents()


class Plan:
    """
    The nodes of a flow, as far as they are laid out.

    Args:
        what: Names the flow in errors.

    Attributes:
        what: See above.
        decoders: Of each node, what reads its result.
        names: Gives nodes their names.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.decoders: list[Decoder] = []
        self.names = Names()
        self._nodes: list[FlowNode] = []
        self._owner: Owner | None = None
        self._before: tuple[Shape | None, Parents] = None, NOTHING

    @property
    def owner(self) -> Owner:
        """
        The application that all tasks are of.

        Raises:
            InvalidFlowError: There are none.
        """
        if self._owner is None:
            raise InvalidFlowError(self.what, "it has no tasks; add at least one")
        return self._owner

    def run(self, step: Plannable) -> Shape:
        """Lay out a step with all that it consists of, and return the shape of its result."""
        under_way = [step.planned(self, None)]
        shape: Shape | None = None
        while True:
            latest = under_way[-1]
            try:
                inner, before = next(latest) if shape is None else latest.send(shape)
            except StopIteration as done:
                last: Shape = done.value
                under_way.pop()
                if not under_way:
                    return last
                shape = last
            else:
                shape = None
                under_way.append(inner.planned(self, before))

    def after(self, shape: Shape | None) -> Parents:
        """
        Return what comes before a task that gets the result of *shape*.

        Raises:
            InvalidFlowError: Its lists stand too deep within each other.
        """
        if shape is not self._before[0]:  # all members of a group ask for the same
            self._before = shape, NOTHING if shape is None else self.parents(first=shape)
        return self._before[1]

    def parents(
        self,
        *,
        first: Shape | None = None,
        named: Mapping[str, Shape] | None = None,
        others: Iterable[int] = (),
        policies: Mapping[int, OnFailure] | None = None,
    ) -> Parents:
        """
        Return what comes before a task, from positions of nodes.

        Args:
            first: What goes to the first parameter that is not given.
            named: What goes to others.
            others: Nodes that it waits for, and takes no results of.
            policies: What failures mean, by the positions of nodes.

        Raises:
            InvalidFlowError: Lists stand too deep within each other.
        """
        named = named or {}
        shapes = [*(() if first is None else (first,)), *named.values()]
        if any(depth(shape) > DEEPEST_SHAPE for shape in shapes):
            raise InvalidFlowError(self.what, f"groups stand within groups more than {DEEPEST_SHAPE} deep")
        places = tuple(dict.fromkeys([*(place for shape in shapes for place in positions(shape)), *others]))
        local = {place: number for number, place in enumerate(places)}
        return Parents(
            places=places,
            first=None if first is None else moved(first, local),
            named={name: moved(shape, local) for name, shape in named.items()},
            policies=policies or {},
        )

    def add(self, node: FlowNode, owner: Owner, decode: Decoder) -> int:
        """
        Add a node whose parents are there, and return its position.

        Raises:
            InvalidFlowError: It is of another application, or one too many.
        """
        if self._owner is not None and owner is not self._owner:
            reason = (
                f"{node.name!r} is a task of {owner!r} and others are of {self._owner!r}; a flow has one application"
            )
            raise InvalidFlowError(self.what, reason)
        if len(self._nodes) >= MOST_NODES:
            raise InvalidFlowError(
                self.what, f"it has more than {MOST_NODES:,} tasks; let one of them do the work of many (Task.chunks)"
            )
        self._owner = owner
        self._nodes.append(node)
        self.decoders.append(decode)
        return len(self._nodes) - 1

    def request(self, name: str, result: Shape, *, keyed: bool = False) -> FlowRequest:
        """Return the flow that is to be submitted."""
        return FlowRequest(name=name, nodes=tuple(self._nodes), result=result, keyed=keyed)

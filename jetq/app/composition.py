"""
composition: tasks one after the other, and side by side.

A :class:`Chain` is steps of which each waits for the one before, and gets its result; a :class:`Group` is steps that
wait for nobody among them, and its result is the list of theirs, in order. A step is a task's call, or again one of
these. So a chain with a group before a step is what others call a chord; and a group after a group is a barrier: each
of its steps waits for all before.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar, cast, overload

from jetq.app.plan import Decoder, Plan, Planning
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.flow_request import FlowRequest
from jetq.errors import InvalidFlowError
from jetq.model.flow import Shape
from jetq.model.name import check_name

R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")

_SHOWN: Final = 5
"""Steps that a representation shows."""
_DEPTH_SHOWN: Final = 3
"""Compositions within each other that it shows."""


class FlowHandle(Generic[R_co]):
    """Stands in for that of `client.flow_handle`, which is being made."""

    def __init__(self, flow: object, *, clients: Clients, decoders: Sequence[Decoder]) -> None:
        self.flow, self.clients, self.decoders = flow, clients, decoders


class Step(Generic[R_co]):
    """What can be part of a composition; its result is of the type in the brackets."""

    __slots__ = ()

    def __or__(self, other: "Step[S]") -> "Chain[S]":
        """Return the chain in which *other* comes after this."""
        if not isinstance(other, Step):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs are not always checked
            return NotImplemented
        return Chain((*_links(self), *_links(other)))

    def planned(self, plan: Plan, before: Shape | None) -> Planning:
        """Lay out the step; see `Plannable`."""
        raise NotImplementedError


class Composition(Step[R_co]):
    """
    Several steps, which can be enqueued as a flow, and that as often as one likes.

    Attributes:
        steps: They.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: Iterable[Step[Any]]) -> None:
        self.steps = tuple(steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return _text(self, _DEPTH_SHOWN)

    def request(self, name: str = "") -> FlowRequest:
        """
        Check the flow, and return what is to be submitted.

        Raises:
            InvalidFlowError: The tasks cannot be put together so.
            InvalidPayloadError: An argument is missing, and no result comes in its place.
            InvalidSettingError: An option cannot be meant in a flow.
            InvalidNameError: The name is illegal.
        """
        return self._laid_out(name)[1]

    def _laid_out(self, name: str) -> tuple[Plan, FlowRequest]:
        if name:
            check_name("flow name", name)
        plan = Plan(repr(self))
        result = plan.run(self)
        return plan, plan.request(name, result)

    def enqueue(self, *, name: str = "") -> FlowHandle[R_co]:
        """
        Enqueue all tasks as one flow; blocks until JetStream has them. What is wrong with it is raised before.

        Args:
            name: Shown to people.

        Raises:
            InvalidFlowError, InvalidPayloadError, InvalidSettingError: See :meth:`request`; nothing was sent.
            EnqueueError: It was not enqueued; see the subclasses. Nothing of it runs.
            ServerError: No connection, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aenqueue` there.
        """
        forbid_in_loop("enqueue", "aenqueue")
        plan, request = self._laid_out(name)
        return plan.owner.clients.blocking(lambda client: submitted(client, plan, request))

    async def aenqueue(self, *, name: str = "") -> FlowHandle[R_co]:
        """Enqueue all tasks as one flow; see :meth:`enqueue`."""
        plan, request = self._laid_out(name)
        return await submitted(await plan.owner.clients.current(), plan, request)


class Chain(Composition[R_co]):
    """Steps one after the other; the result is the last one's. Made by :func:`chain` and by ``|``."""

    __slots__ = ()

    def planned(self, plan: Plan, before: Shape | None) -> Planning:  # noqa: ARG002 - its steps use it
        """Lay out the steps, each after the one before it."""
        last = before
        for step in self.steps:
            last = yield step, last
        assert last is not None  # noqa: S101 - there is a step
        return last


class Group(Composition[list[S]]):
    """Steps side by side; the result is the list of theirs, in order. Made by :func:`group`."""

    __slots__ = ()

    def planned(self, plan: Plan, before: Shape | None) -> Planning:  # noqa: ARG002 - its steps use it
        """Lay out the steps, each after what comes before the group."""
        shapes: list[Shape] = []
        for step in self.steps:
            shape = yield step, before
            shapes.append(shape)
        return tuple(shapes)


def _text(step: Step[Any], deep: int) -> str:
    if not isinstance(step, Composition):
        return repr(step)
    word = type(step).__name__.lower()
    if not deep:
        return f"{word}({len(step)} steps)"
    shown = [_text(inner, deep - 1) for inner in step.steps[:_SHOWN]]
    if len(step) > _SHOWN:
        shown.append(f"... {len(step):,} in all")
    return f"{word}({', '.join(shown)})"


def _checked(word: str, steps: Iterable[Step[Any]]) -> Iterator[Step[Any]]:
    """
    Yield steps.

    Raises:
        InvalidFlowError: There are none, or one is no step.
    """
    step = None
    for step in steps:
        if not isinstance(step, Step):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
            raise InvalidFlowError(f"{word}()", f"{step!r} is no step; give calls of tasks: task.s(...)")
        yield step
    if step is None:
        raise InvalidFlowError(f"{word}()", "it is empty, and would never have a result; give it at least one call")


def _links(step: Step[Any]) -> tuple[Step[Any], ...]:
    return step.steps if isinstance(step, Chain) else (step,)


def chain(*steps: *tuple[*tuple[Step[Any], ...], Step[S]]) -> Chain[S]:
    """
    Put steps one after the other: each runs after the one before has succeeded, and gets its result.

    The result goes to the first parameter that is not given, in the order of the handler's signature; ``into=`` names
    another, and a call by ``.si(...)`` takes none. Chains within are taken apart: ``chain(a, chain(b, c))`` is
    ``chain(a, b, c)``, and so is ``a | b | c``.

    Raises:
        InvalidFlowError: There are none, or one is no step.
    """
    return Chain(part for step in _checked("chain", steps) for part in _links(step))


@overload
def group(steps: Iterable[Step[S]], /) -> Group[S]: ...
@overload
def group(*steps: Step[S]) -> Group[S]: ...
def group(*steps: Any) -> Group[Any]:
    """
    Put steps side by side; what comes after them waits for all of them, and gets the list of their results, in order.

    Args:
        *steps: They, or one iterable of them.

    Raises:
        InvalidFlowError: There are none, or one is no step.
    """
    given: object = steps[0] if len(steps) == 1 else steps
    is_listed = isinstance(given, Iterable) and not isinstance(given, str)
    return Group(_checked("group", cast("Iterable[Step[Any]]", given) if is_listed else steps))


def chord(steps: Iterable[Step[Any]] | Group[Any], callback: Step[S]) -> Chain[S]:
    """
    Put steps side by side, and one after them that gets the list of their results: ``group(steps) | callback``.

    Args:
        steps: They, or their group.
        callback: What comes after them.

    Raises:
        InvalidFlowError: There are none, or one is no step.
    """
    return chain(steps if isinstance(steps, Group) else group(steps), callback)


async def submitted(client: Client, plan: Plan, request: FlowRequest) -> FlowHandle[Any]:
    """Submit a flow that was laid out."""
    enqueuer: Any = client.enqueuer
    flow = await enqueuer.flows.submit(request)
    return FlowHandle(flow, clients=plan.owner.clients, decoders=tuple(plan.decoders))

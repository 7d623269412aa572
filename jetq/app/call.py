"""
call: a task with its arguments, ready to be enqueued, alone or with others.

Arguments may be missing in it, since the results of tasks that come before it may take their places; what is there is
checked when the call is made. What is missing is told when the task is enqueued alone, or when its flow is laid out.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, Unpack, cast

from msgspec.structs import replace

from jetq.app.composition import traced
from jetq.app.dependency import shape_of, tasks_of, unsent_in
from jetq.app.options import CallOptions, OptionValues, build_request, with_into
from jetq.app.owner import Owner
from jetq.app.plan import NOTHING, Parents, Plan, Planning
from jetq.app.uniqueness import unique_wish
from jetq.app.unsent import Unsent, with_unsent
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.flow_request import FlowNode, FlowRequest
from jetq.client.handle import TaskHandle
from jetq.client.request import EnqueueRequest
from jetq.errors import DuplicateTaskError, InvalidFlowError, InvalidSettingError
from jetq.jetstream.flow_store import StoredFlow
from jetq.model.dependency import OnFailure
from jetq.model.flow import Shape
from jetq.model.name import is_name
from jetq.model.record import StoredOptions, TaskRecord
from jetq.routing.handler import Handler, missing_arguments
from jetq.routing.values import decode_value

R_co = TypeVar("R_co", covariant=True)
CallKind = Literal["s", "si", "starmap", "any"]
"""How a call was made; ``any`` is of a type whose handler may be elsewhere, so that its arguments are not known."""

_SHOWN: Final = 80
_WITHOUT_FLOW: Final = {
    "id": "absent in a flow, as a task and the calls in its depends_on are: its tasks get ids of their own each time",
    "unique": "absent in a flow, as a task and the calls in its depends_on are: its tasks are its own (unique=False "
    "says so where the handler wants one)",
}


class TaskCall(Unsent[R_co]):
    """
    A task with its arguments; made by :meth:`Task.s`, :meth:`Task.si`, :meth:`Task.starmap` and :meth:`App.s`.

    Attributes:
        type: The task type.
        payload: The encoded arguments; None for no payload.
        given: The parameters that are given in it.
        handler: What runs it, as far as this program knows; its options count.
        options: Of its enqueue.
        kind: How it was made.
    """

    __slots__ = ("_known", "_owner", "given", "handler", "kind", "options", "payload", "type")

    def __init__(
        self,
        owner: Callable[[], Owner],
        task_type: str,
        payload: bytes | None,
        *,
        options: CallOptions,
        kind: CallKind,
        handler: Handler | None,
        given: tuple[str, ...] = (),
    ) -> None:
        self._owner = owner
        self.type = task_type
        self.payload = payload
        self.options = options
        self.handler = handler
        self.given = given
        self.kind: CallKind = kind
        self._known = None if kind == "any" else handler

    @property
    def is_immutable(self) -> bool:
        """Whether it takes no results of other tasks."""
        return self.kind in {"si", "starmap"}

    @property
    def each(self) -> bool:
        """Whether the payload is a list of payloads, for one call of the handler after the other."""
        return self.kind == "starmap"

    @property
    def name(self) -> str:
        """
        What it is called in a flow, unless another name is given: as its function.

        One whose function takes many task types, or is not known, or has a name that no flow could show, is called like
        its type.
        """
        if self._known is None or "*" in self._known.pattern:
            return self.type
        function = self._known.name.rpartition(":")[2].rpartition(".")[2]
        return function if is_name(function) else self.type

    def __repr__(self) -> str:
        said = (self.payload or b"").decode(errors="replace")
        if self.kind == "any":
            return f"s({self.type!r}{', ' if said else ''}{_short(said)})"
        return f"{self.name}.{self.kind}({_short(said if self.each else _arguments(said, self.given))})"

    def using(self, **options: Unpack[OptionValues]) -> "TaskCall[R_co]":
        """
        Return the call with further options; see :meth:`Task.using`.

        Raises:
            TypeError: An unknown option.
            InvalidSettingError, InvalidNameError: A value that cannot be used.
        """
        return TaskCall(
            self._owner,
            options.get("type") or self.type,
            self.payload,
            options=self.options.merged(**options),
            kind=self.kind,
            handler=self.handler,
            given=self.given,
        )

    # alone

    def wish(self) -> EnqueueRequest | FlowRequest:
        """
        Return what is to be sent: the task, or a flow of it and the calls that it depends on.

        Raises:
            InvalidPayloadError, InvalidSettingError: As of :meth:`request`.
            InvalidFlowError: They are of several applications, or too many.
        """
        return with_unsent(self) if self.options.depends_on and self.unsent() else self.request()

    def request(self) -> EnqueueRequest:
        """
        Return what is to be enqueued.

        Raises:
            InvalidPayloadError: An argument is missing.
            InvalidSettingError: An option cannot be meant.
        """
        into = self.options.into
        if into is not None and self.options.depends_on:
            self._check_taken(into)
        if missing := self._missing(() if into is None else (into,)):
            raise missing_arguments(self.type, missing)
        if self.each:
            self._refuse_unique_function("a text, True or False: a function takes the arguments of one call")
        elif into is not None:
            self._refuse_unique_function("absent for a task that depends on others (unique=False)")
        return self._request(self.options)

    def enqueue(self) -> TaskHandle[R_co]:
        """
        Enqueue the task; blocks until JetStream acknowledged it.

        Raises:
            InvalidPayloadError: An argument is missing.
            EnqueueError: It was not enqueued; see the subclasses.
            ServerError: No connection, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aenqueue` there.
        """
        forbid_in_loop("enqueue", "aenqueue")
        wish = self.wish()
        return self._owner().clients.blocking(lambda client: self._send(client, wish))

    async def aenqueue(self) -> TaskHandle[R_co]:
        """Enqueue the task; see :meth:`enqueue`."""
        wish = self.wish()
        return await self._send(await self._owner().clients.current(), wish)

    async def _send(self, client: Client, wish: EnqueueRequest | FlowRequest) -> TaskHandle[R_co]:
        if isinstance(wish, FlowRequest):
            return self.last_of(await client.enqueuer.flows.submit(traced(wish)))
        try:
            made = await client.enqueuer.enqueue(wish)
        except DuplicateTaskError as error:
            error.handle = existing_task(error, self._owner().clients)
            raise
        return self.handle(made.id, made.queue, is_new=isinstance(made, TaskRecord))

    def handle(self, task_id: str, queue: str, *, is_new: bool = False) -> TaskHandle[R_co]:
        """Return the handle of the enqueued task."""
        return TaskHandle(
            task_id, self.type, queue, clients=self._owner().clients, decode=self.decode_result, is_new=is_new
        )

    def last_of(self, flow: StoredFlow) -> TaskHandle[R_co]:
        """Return the handle of the task, which is the last node of a flow."""
        position = len(flow.document.nodes) - 1
        return self.handle(flow.document.nodes[position].id, flow.document.kind_of(position).queue, is_new=True)

    def decode_result(self, raw: bytes) -> Any:
        """
        Return a result as the handler's return annotation says.

        Raises:
            ResultTypeError: It does not fit; it was stored by another version of the function.
        """
        if self._known is None:
            return decode_value(raw)
        return self._known.decode_results(raw) if self.each else self._known.decode_result(raw)

    def _request(self, options: CallOptions) -> EnqueueRequest:
        owner = self._owner()
        request = build_request(self.type, self.payload, options, self.handler, owner.settings)
        if not self.each:
            return request
        return replace(request, options=replace(request.options or StoredOptions(), each=True))

    def _refuse_unique_function(self, wanted: str) -> None:
        """Refuse a unique key that is made of the arguments, where not all those of one call are in the payload."""
        unique = unique_wish(self.options.unique, self.handler)
        if unique is not None and callable(unique.key):
            raise InvalidSettingError("unique", unique.key, f"{wanted} ({self!r})")

    def _missing(self, taken: tuple[str, ...] | Mapping[str, Any]) -> tuple[str, ...]:
        if self._known is None or self.each:
            return ()
        missing = self._known.missing(self.given)
        return tuple([name for name in missing if name not in taken]) if missing else ()

    def _check_taken(self, name: str) -> None:
        """Refuse a parameter that cannot take a result."""
        if self.is_immutable:
            raise InvalidSettingError("into", name, f"absent for {self!r}, which takes no result of another task")
        if self._known is None:
            return
        if name in self.given:
            raise InvalidSettingError("into", name, f"a parameter that is not given already in {self!r}")
        if not self._known.takes(name):
            raise InvalidSettingError("into", name, f"a parameter of {self._known.name}")

    # with others

    def unsent(self) -> list[Unsent[Any]]:
        """Return the calls that it depends on."""
        return unsent_in(self.options.depends_on)

    def planned(self, plan: Plan, before: Shape | None) -> Planning:
        """Lay out the task, after what comes before it."""
        yield from ()
        return self.placed(plan, plan.after(before))

    def placed(self, plan: Plan, parents: Parents = NOTHING, *, name: str = "") -> int:
        """
        Lay out the task as a node of a flow, and return its position.

        Args:
            plan: Of the flow.
            parents: What comes before it.
            name: Its own name in the flow; empty lets it be that of the function.

        Raises:
            InvalidFlowError: There is no parameter for the result of what comes before it.
            InvalidPayloadError: An argument is missing.
            InvalidSettingError: An option cannot be meant in a flow.
        """
        options = self.options
        for setting, wanted in _WITHOUT_FLOW.items():
            value: object = getattr(options, setting)
            if value is not None and value is not False:
                raise InvalidSettingError(setting, value, f"{wanted} ({self!r})")
        takes_results = bool(parents.places) and self._wants_results
        if options.depends_on:
            parents = self._with_dependencies(plan, parents)
        into = self._into(plan, parents)
        if missing := self._missing(into):
            raise missing_arguments(self.type, missing)
        if parents.places:
            options = options.merged(depends_on=None, into=None, on_failure=None)
        if self.each or into:
            self._refuse_unique_function(_WITHOUT_FLOW["unique"])
        request = self._request(options)
        if request.unique is not None:
            raise InvalidSettingError("unique", True, f"{_WITHOUT_FLOW['unique']} ({self!r})")
        if into or takes_results:
            request = replace(request, options=with_into(request.options, into), load_dependencies=True)
        policy = OnFailure(self.options.on_failure or OnFailure.FAIL)
        before = tuple(plan.parent(place, parents.policies.get(place, policy)) for place in parents.places)
        node = FlowNode(name=name or plan.names.own(self.name), request=request, parents=before)
        return plan.add(node, self._owner(), self.decode_result)

    def _with_dependencies(self, plan: Plan, parents: Parents) -> Parents:
        """Add the tasks that it depends on by itself; a parameter takes their results if nothing else comes before."""
        places: list[int] = []
        policies: dict[int, OnFailure] = {}
        for task, policy in tasks_of(self.options.depends_on):
            place = plan.outside(task) if isinstance(task, str) else plan.unsent.get(id(task))
            if place is None:
                sent = "tasks that were enqueued, in a flow; a call goes before this one, by | or after= of Flow.add"
                raise InvalidSettingError("depends_on", task, f"{sent} ({self!r})")
            places.append(place)
            policies |= {} if policy is None else {place: policy}
        own = plan.parents(first=shape_of(self.options.depends_on, places), policies=policies)
        if not parents.places:
            return replace(own, first=parents.first if self.options.into is None else own.first, named=parents.named)
        together = tuple(dict.fromkeys((*parents.places, *own.places)))
        return replace(parents, places=together, policies=policies | {**parents.policies})

    @property
    def _wants_results(self) -> bool:
        """Whether its handler gets the results of what comes before it where no parameter takes them."""
        if self.options.load_dependencies is not None:
            return self.options.load_dependencies
        return not self.is_immutable and (self._known is None or not self._known.takes_data)

    def _into(self, plan: Plan, parents: Parents) -> dict[str, Shape]:
        """Return the parameters that take results of what comes before the task."""
        into = dict(parents.named)
        for parameter in into:
            self._check_taken(parameter)
        wanted = self.options.into
        if wanted is not None and parents.places:
            self._check_taken(wanted)
            if parents.first is None:
                raise InvalidSettingError("into", wanted, f"absent where after= says what goes where ({self!r})")
        if parents.first is None or self.is_immutable:
            return into
        name = wanted or self._free(plan, into)
        return {**into, name: parents.first} if name else into

    def _free(self, plan: Plan, into: Mapping[str, Shape]) -> str | None:
        """Return the first parameter that is not given; None if the handler has other ways to the results."""
        if self._known is None or (self._known.takes_context and not self._known.takes_data):
            return None
        name = self._known.free((*self.given, *into))
        if name is None:
            reason = (
                f"{self!r} comes after others, and {self._known.name} has no parameter left for their result; "
                f"say {self.name}.si(...) if it is to take none"
            )
            raise InvalidFlowError(plan.what, reason)
        return name


def existing_task(error: DuplicateTaskError, clients: Clients) -> TaskHandle[Any]:
    """Return the handle of the task that was in the way; its result is the plain JSON value."""
    return TaskHandle(error.task_id, error.task_type, error.queue, clients=clients, decode=decode_value)


def _arguments(said: str, given: tuple[str, ...]) -> str:
    """Spell a payload as arguments, where it is an object of them."""
    try:
        found = json.loads(said) if said else None
    except ValueError:
        return said
    if not given:
        return ""
    if not isinstance(found, dict) or set(cast("dict[str, Any]", found)) != set(given):
        return f"{given[0]}={said}" if len(given) == 1 else said
    return ", ".join(f"{name}={value!r}" for name, value in cast("dict[str, Any]", found).items())


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."

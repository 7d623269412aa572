"""
call: a task with its arguments, ready to be enqueued, alone or with others.

Arguments may be missing in it, since the results of tasks that come before it may take their places; what is there is
checked when the call is made. What is missing is told when the task is enqueued alone, or when its flow is laid out.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, Unpack, cast

from msgspec.structs import replace

from jetq.app.composition import Step
from jetq.app.options import CallOptions, OptionValues, build_request, with_into
from jetq.app.owner import Owner
from jetq.app.plan import NOTHING, Parents, Plan, Planning
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.flow_request import FlowNode
from jetq.client.handle import TaskHandle
from jetq.client.request import EnqueueRequest
from jetq.errors import DuplicateTaskError, InvalidFlowError, InvalidSettingError
from jetq.model.dependency import OnFailure
from jetq.model.flow import Link, Shape
from jetq.model.name import is_name
from jetq.model.record import StoredOptions, TaskRecord
from jetq.routing.handler import Handler, missing_arguments
from jetq.routing.values import decode_value

R_co = TypeVar("R_co", covariant=True)

_SHOWN: Final = 80
_WITHOUT_FLOW: Final = {
    "id": "absent in a flow: a flow may be enqueued many times, and gives its tasks ids of their own",
    "unique": "absent in a flow, whose tasks are its own (unique=False says so where the handler wants one)",
    "depends_on": "absent in a flow, where a task waits for what comes before it (a chain's |, after= of Flow.add)",
}


class TaskCall(Step[R_co]):
    """
    A task with its arguments; made by :meth:`Task.s`, :meth:`Task.si`, :meth:`Task.starmap` and :meth:`App.s`.

    Attributes:
        type: The task type.
        payload: The encoded arguments; None for no payload.
        given: The parameters that are given in it.
        handler: What runs it, as far as this program knows.
        options: Of its enqueue.
        is_immutable: It takes no results of other tasks.
        each: The payload is a list of payloads, for one call of the handler after the other.
    """

    __slots__ = ("_owner", "each", "given", "handler", "is_immutable", "options", "payload", "type")

    def __init__(
        self,
        owner: Callable[[], Owner],
        task_type: str,
        payload: bytes | None,
        *,
        options: CallOptions,
        handler: Handler | None = None,
        given: tuple[str, ...] = (),
        is_immutable: bool = False,
        each: bool = False,
    ) -> None:
        self._owner = owner
        self.type = task_type
        self.payload = payload
        self.options = options
        self.handler = handler
        self.given = given
        self.is_immutable = is_immutable
        self.each = each

    @property
    def name(self) -> str:
        """What it is called in a flow, unless another name is given: the function's name, or the task type."""
        function = "" if self.handler is None else self.handler.name.rpartition(":")[2].rpartition(".")[2]
        return function if is_name(function) else self.type

    def __repr__(self) -> str:
        said = (self.payload or b"").decode(errors="replace")
        if self.handler is None:
            return f"s({self.type!r}{', ' if said else ''}{_short(said)})"
        if self.each:
            return f"{self.name}.starmap({_short(said)})"
        word = "si" if self.is_immutable else "s"
        return f"{self.name}.{word}({_short(_arguments(said, self.given))})"

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
            handler=self.handler,
            given=self.given,
            is_immutable=self.is_immutable,
            each=self.each,
        )

    # alone

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
        if self.handler is not None and (missing := self._missing(() if into is None else (into,))):
            raise missing_arguments(self.type, missing)
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
        request = self.request()
        return self._owner().clients.blocking(lambda client: self._send(client, request))

    async def aenqueue(self) -> TaskHandle[R_co]:
        """Enqueue the task; see :meth:`enqueue`."""
        request = self.request()
        return await self._send(await self._owner().clients.current(), request)

    async def _send(self, client: Client, request: EnqueueRequest) -> TaskHandle[R_co]:
        try:
            made = await client.enqueuer.enqueue(request)
        except DuplicateTaskError as error:
            error.handle = existing_task(error, self._owner().clients)
            raise
        return self.handle(made.id, made.queue, is_new=isinstance(made, TaskRecord))

    def handle(self, task_id: str, queue: str, *, is_new: bool = False) -> TaskHandle[R_co]:
        """Return the handle of the enqueued task."""
        return TaskHandle(
            task_id, self.type, queue, clients=self._owner().clients, decode=self.decode_result, is_new=is_new
        )

    def decode_result(self, raw: bytes) -> Any:
        """
        Return a result as the handler's return annotation says.

        Raises:
            ResultTypeError: It does not fit; it was stored by another version of the function.
        """
        if self.handler is None:
            return decode_value(raw)
        return self.handler.decode_results(raw) if self.each else self.handler.decode_result(raw)

    def _request(self, options: CallOptions) -> EnqueueRequest:
        owner = self._owner()
        request = build_request(self.type, self.payload, options, self.handler, owner.settings)
        if not self.each:
            return request
        return replace(request, options=replace(request.options or StoredOptions(), each=True))

    def _missing(self, taken: tuple[str, ...] | Mapping[str, Any]) -> tuple[str, ...]:
        if self.handler is None or self.each:
            return ()
        return tuple(name for name in self.handler.missing(self.given) if name not in taken)

    def _check_taken(self, name: str) -> None:
        """Refuse a parameter that cannot take a result."""
        if self.is_immutable:
            raise InvalidSettingError("into", name, f"absent for {self!r}, which takes no result of another task")
        if self.handler is None:
            return
        if name in self.given:
            raise InvalidSettingError("into", name, f"a parameter that is not given already in {self!r}")
        if not self.handler.takes(name):
            raise InvalidSettingError("into", name, f"a parameter of {self.handler.name}")

    # with others

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
        into = self._into(plan, parents)
        if missing := self._missing(into):
            raise missing_arguments(self.type, missing)
        if parents.places:
            options = options.merged(into=None, on_failure=None)
        request = self._request(options)
        if request.unique is not None:
            raise InvalidSettingError("unique", True, f"{_WITHOUT_FLOW['unique']} ({self!r})")
        if into or (parents.places and self._wants_results):
            request = replace(request, options=with_into(request.options, into), load_dependencies=True)
        policy = OnFailure(self.options.on_failure or OnFailure.FAIL)
        links = tuple(Link(place, parents.policies.get(place, policy)) for place in parents.places)
        node = FlowNode(name=name or plan.names.own(self.name), request=request, parents=links)
        return plan.add(node, self._owner(), self.decode_result)

    @property
    def _wants_results(self) -> bool:
        """Whether its handler gets the results of what comes before it where no parameter takes them."""
        if self.options.load_dependencies is not None:
            return self.options.load_dependencies
        return not self.is_immutable and (self.handler is None or not self.handler.takes_data)

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
        if self.handler is None or (self.handler.takes_context and not self.handler.takes_data):
            return None
        name = self.handler.free((*self.given, *into))
        if name is None:
            reason = (
                f"{self!r} comes after others, and {self.handler.name} has no parameter left for their result; "
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

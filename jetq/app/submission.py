"""
submission: many tasks at once, from any mixture of task calls and (type, payload) pairs.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast

from jetq.app.call import TaskCall, existing_task
from jetq.app.composition import traced
from jetq.app.options import CallOptions, build_request
from jetq.client.clients import Client, Clients
from jetq.client.flow_request import FlowRequest
from jetq.client.handle import TaskHandle
from jetq.client.keyed import ExistingTask
from jetq.client.request import EnqueueRequest
from jetq.errors import DuplicateTaskError, EnqueueManyError, InvalidSettingError, JetqError
from jetq.jetstream.flow_store import StoredFlow
from jetq.model.record import TaskRecord
from jetq.routing.binding import encode
from jetq.routing.router import Router
from jetq.routing.values import decode_value
from jetq.settings import Settings

_SLICE: Final = 250
"""Entries that are turned into requests before other work of the loop gets its turn."""

_FLOWS_ABREAST: Final = 20
"""Flows that are stored at one time."""

_NO_OPTIONS: Final = CallOptions()

Entry = TaskCall[Any] | tuple[str, Any]
"""What can be enqueued among many: a task call, or a task type with its payload."""

Wish = EnqueueRequest | FlowRequest
"""What is sent for one of many: a task, or a flow of it and the calls that it depends on."""
Made = TaskRecord | ExistingTask | StoredFlow | JetqError
"""What came of that."""

EnqueueOutcome = TaskHandle[Any] | JetqError
"""What became of one of many: its handle, or its error."""

OnErrors = Literal["raise", "return"]


def encode_payload(task_type: str, payload: Any) -> bytes | None:
    """
    Return a payload as JSON; None stays none.

    Raises:
        InvalidPayloadError: It is not JSON.
    """
    return None if payload is None else encode(payload, task_type, named=False)


class Submission:
    """
    Turns entries into requests, and records into handles.

    Args:
        settings: Defaults for what nobody says.
        clients: For the handles.
        router: Knows the options of handlers, which count for pairs too.
    """

    def __init__(self, settings: Settings, clients: Clients, router: Router) -> None:
        self._settings = settings
        self._clients = clients
        self._router = router

    def wish(self, entry: Entry) -> Wish:
        """
        Return what is to be sent.

        Raises:
            InvalidPayloadError: The payload is not JSON.
            InvalidSettingError: The entry is neither shape.
            InvalidFlowError: The entry and the calls that it depends on are of several applications, or too many.
        """
        if isinstance(entry, TaskCall):
            return entry.wish()
        task_type, payload = _pair(entry)
        handler = self._router.match(task_type)
        return build_request(task_type, encode_payload(task_type, payload), _NO_OPTIONS, handler, self._settings)

    async def send_all(self, client: Client, entries: Sequence[Entry], errors: OnErrors) -> list[EnqueueOutcome]:
        """
        Enqueue entries together, and raise or return what is wrong with one.

        Raises:
            EnqueueError, ConfigurationError: An entry is not sound, and why; nothing was sent.
            EnqueueManyError: Some tasks were not enqueued.
        """
        if errors == "return":
            return await self.send_each(client, entries)
        outcomes = await self.send(client, entries)
        if any(isinstance(outcome, JetqError) for outcome in outcomes):
            raise EnqueueManyError(outcomes)
        return outcomes

    async def send(self, client: Client, entries: Sequence[Entry]) -> list[EnqueueOutcome]:
        """
        Enqueue entries together; nothing is sent unless every one of them is sound.

        Raises:
            EnqueueError, ConfigurationError: One is not, and why.
        """
        wishes: list[Wish] = []
        for start in range(0, len(entries), _SLICE):
            now = client.backend.connection.clock.now()
            for entry in entries[start : start + _SLICE]:
                wishes.append(wish := self.wish(entry))
                for task in _tasks(wish):
                    task.refuse_late(now)
            await asyncio.sleep(0)
        if any(isinstance(wish, FlowRequest) for wish in wishes):  # without flows it is done where they are enqueued
            for error in (await client.enqueuer.refused_queues(_queues(wishes))).values():
                raise error
        results = await _send(client, wishes)
        return [self._outcome(entry, result) for entry, result in zip(entries, results, strict=True)]

    async def send_each(self, client: Client, entries: Sequence[Entry]) -> list[EnqueueOutcome]:
        """Enqueue entries together, those that are sound; what is wrong with another one is its outcome."""
        wishes: list[Wish | JetqError] = []
        for start in range(0, len(entries), _SLICE):
            wishes += [self._wish_or_error(entry) for entry in entries[start : start + _SLICE]]
            await asyncio.sleep(0)
        if refused := await client.enqueuer.refused_queues(_queues(_sound(wishes))):
            wishes = [_unless_refused(wish, refused) for wish in wishes]
        made = iter(await _send(client, _sound(wishes)))
        results = [wish if isinstance(wish, JetqError) else next(made) for wish in wishes]
        return [self._outcome(entry, result) for entry, result in zip(entries, results, strict=True)]

    def _wish_or_error(self, entry: Entry) -> Wish | JetqError:
        try:
            return self.wish(entry)
        except JetqError as error:
            return error

    def _outcome(self, entry: Entry, result: Made) -> EnqueueOutcome:
        if isinstance(result, DuplicateTaskError):
            result.handle = existing_task(result, self._clients)
        if isinstance(result, JetqError):
            return result
        if isinstance(result, StoredFlow):
            return cast("TaskCall[Any]", entry).last_of(result)
        if isinstance(entry, TaskCall):
            return entry.handle(result.id, result.queue, is_new=isinstance(result, TaskRecord))
        return self.known(result.id, entry[0], result.queue, is_new=isinstance(result, TaskRecord))

    def known(self, task_id: str, task_type: str, queue: str, *, is_new: bool = False) -> TaskHandle[Any]:
        """Return the handle of a task of which the id is known."""
        return TaskHandle(task_id, task_type, queue, clients=self._clients, decode=decode_value, is_new=is_new)


async def _send(client: Client, wishes: Sequence[Wish]) -> list[Made]:
    """Enqueue tasks together, and flows beside them."""
    tasks = [wish for wish in wishes if isinstance(wish, EnqueueRequest)]
    if len(tasks) == len(wishes):
        return [*await client.enqueuer.enqueue_many(tasks)]
    room = asyncio.Semaphore(_FLOWS_ABREAST)

    async def submit(flow: FlowRequest) -> Made:
        async with room:
            try:
                return await client.enqueuer.flows.submit(traced(flow))
            except JetqError as error:
                return error

    flows = asyncio.gather(*[submit(wish) for wish in wishes if isinstance(wish, FlowRequest)])
    made, stored = await asyncio.gather(client.enqueuer.enqueue_many(tasks), flows)
    of_tasks, of_flows = iter(made), iter(stored)
    return [next(of_tasks) if isinstance(wish, EnqueueRequest) else next(of_flows) for wish in wishes]


def _tasks(wish: Wish) -> list[EnqueueRequest]:
    return [wish] if isinstance(wish, EnqueueRequest) else [node.request for node in wish.nodes]


def _queues(wishes: Iterable[Wish]) -> set[str]:
    return {task.queue for wish in wishes for task in _tasks(wish)}


def _unless_refused(wish: Wish | JetqError, refused: Mapping[str, JetqError]) -> Wish | JetqError:
    """Return the error of a queue in the place of what needs it."""
    if isinstance(wish, JetqError):
        return wish
    return next((refused[task.queue] for task in _tasks(wish) if task.queue in refused), wish)


def _sound(wishes: list[Wish | JetqError]) -> list[Wish]:
    return [wish for wish in wishes if not isinstance(wish, JetqError)]


def _pair(entry: object) -> tuple[str, Any]:
    """Take a pair apart, and say what is wanted if it is none: users' programs are not always type-checked."""
    match cast("tuple[Any, ...]", entry):
        case (str() as task_type, payload):
            return task_type, payload
        case _:
            raise InvalidSettingError("entry", entry, "a task call (task.s(...)) or a (type, payload) pair")

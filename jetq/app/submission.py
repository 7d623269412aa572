"""
submission: many tasks at once, from any mixture of task calls and (type, payload) pairs.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Literal, cast

from jetq.app.call import TaskCall, existing_task
from jetq.app.options import CallOptions, build_request
from jetq.client.clients import Client, Clients
from jetq.client.handle import TaskHandle
from jetq.client.keyed import ExistingTask
from jetq.client.request import EnqueueRequest
from jetq.errors import DuplicateTaskError, EnqueueManyError, InvalidSettingError, JetqError
from jetq.model.record import TaskRecord
from jetq.routing.binding import encode
from jetq.routing.router import Router
from jetq.routing.values import decode_value
from jetq.settings import Settings

_SLICE: Final = 250
"""Entries that are turned into requests before other work of the loop gets its turn."""

Entry = TaskCall[Any] | tuple[str, Any]
"""What can be enqueued among many: a task call, or a task type with its payload."""

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

    def request(self, entry: Entry) -> EnqueueRequest:
        """
        Return what is to be enqueued.

        Raises:
            InvalidPayloadError: The payload is not JSON.
            InvalidSettingError: The entry is neither shape.
        """
        if isinstance(entry, TaskCall):
            return entry.request()
        task_type, payload = _pair(entry)
        handler = self._router.match(task_type)
        return build_request(task_type, encode_payload(task_type, payload), CallOptions(), handler, self._settings)

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
        requests: list[EnqueueRequest] = []
        for start in range(0, len(entries), _SLICE):
            requests += [self.request(entry) for entry in entries[start : start + _SLICE]]
            await asyncio.sleep(0)
        results = await client.enqueuer.enqueue_many(requests)
        return [self._outcome(entry, result) for entry, result in zip(entries, results, strict=True)]

    async def send_each(self, client: Client, entries: Sequence[Entry]) -> list[EnqueueOutcome]:
        """Enqueue entries together, those that are sound; what is wrong with another one is its outcome."""
        wishes: list[EnqueueRequest | JetqError] = []
        for start in range(0, len(entries), _SLICE):
            wishes += [self._request_or_error(entry) for entry in entries[start : start + _SLICE]]
            await asyncio.sleep(0)
        refused = await client.enqueuer.refused_queues({wish.queue for wish in _sound(wishes)})
        wishes = [refused.get(wish.queue, wish) if isinstance(wish, EnqueueRequest) else wish for wish in wishes]
        made = iter(await client.enqueuer.enqueue_many(_sound(wishes)))
        results = [next(made) if isinstance(wish, EnqueueRequest) else wish for wish in wishes]
        return [self._outcome(entry, result) for entry, result in zip(entries, results, strict=True)]

    def _request_or_error(self, entry: Entry) -> EnqueueRequest | JetqError:
        try:
            return self.request(entry)
        except JetqError as error:
            return error

    def _outcome(self, entry: Entry, result: TaskRecord | ExistingTask | JetqError) -> EnqueueOutcome:
        if isinstance(result, DuplicateTaskError):
            result.handle = existing_task(result, self._clients)
        if isinstance(result, JetqError):
            return result
        if isinstance(entry, TaskCall):
            return entry.handle(result.id, result.queue, is_new=isinstance(result, TaskRecord))
        return self.handle(entry[0], result)

    def handle(self, task_type: str, made: TaskRecord | ExistingTask) -> TaskHandle[Any]:
        """Return a handle whose result is the plain JSON value."""
        return self.known(made.id, task_type, made.queue, is_new=isinstance(made, TaskRecord))

    def known(self, task_id: str, task_type: str, queue: str, *, is_new: bool = False) -> TaskHandle[Any]:
        """Return the handle of a task of which the id is known."""
        return TaskHandle(task_id, task_type, queue, clients=self._clients, decode=decode_value, is_new=is_new)


def _sound(wishes: list[EnqueueRequest | JetqError]) -> list[EnqueueRequest]:
    return [wish for wish in wishes if isinstance(wish, EnqueueRequest)]


def _pair(entry: object) -> tuple[str, Any]:
    """Take a pair apart, and say what is wanted if it is none: users' programs are not always type-checked."""
    match cast("tuple[Any, ...]", entry):
        case (str() as task_type, payload):
            return task_type, payload
        case _:
            raise InvalidSettingError("entry", entry, "a task call (task.s(...)) or a (type, payload) pair")

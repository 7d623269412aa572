"""
application: the user's handle on everything.

An App registers handlers and enqueues tasks. It owns no loop and no process: a worker reads it (`jetq.worker`), and
connections are opened by whoever first needs one in a loop.
"""

import importlib
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self, Unpack

from jetq.admin.task_history import task_history
from jetq.app.call import TaskCall
from jetq.app.flows import FlowFinder
from jetq.app.group import Tasks
from jetq.app.lifecycle import Lifecycle
from jetq.app.operating import TaskOperator, operating
from jetq.app.options import CallOptions, OptionValues
from jetq.app.queues import QueueOperator
from jetq.app.register import Registry
from jetq.app.schedules import DeclaredSchedule, Scheduling, check_declared
from jetq.app.selection import FilterValues, TaskSelection, filter_of
from jetq.app.stored_schedules import ScheduleOperator
from jetq.app.streaming import Streaming
from jetq.app.submission import Entry, OnErrors, Submission, encode_payload
from jetq.app.workers import WorkerFinder
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.event_stream import EventStream
from jetq.client.handle import TaskHandle
from jetq.client.live_events import shared_events
from jetq.errors import AppLoadError, InvalidSettingError
from jetq.execution.deciding import OnError
from jetq.execution.middleware import Middleware
from jetq.jetstream.address import Address, find_address
from jetq.jetstream.event_reader import ReadEvent
from jetq.model.name import check_name
from jetq.model.retention import RetentionLike, as_retention
from jetq.model.retry import RetryLike, as_policy
from jetq.model.signing import SigningSettings
from jetq.observe.bus import Bus
from jetq.routing.error_rules import ErrorClasses, ErrorRules
from jetq.routing.handler import Handler
from jetq.routing.router import Router
from jetq.settings import EVENT_BUFFER, Queue, Settings
from jetq.wire.event_filter import EventChoice, EventFilter
from jetq.wire.events import TaskStateEvent


class App(Registry, Scheduling, Lifecycle, TaskOperator, ScheduleOperator, FlowFinder, QueueOperator, WorkerFinder):
    """
    An application: its tasks, its queues, and the way to its server.

    Args:
        name: Shown by the server's monitoring and in logs.
        servers: NATS URLs, comma-separated. Without it and *context*: ``JETQ_CONTEXT``, ``JETQ_NATS_URL``,
            ``NATS_CONTEXT``, ``NATS_URL``, a running ``jetq dev`` in this folder, the selected NATS context,
            ``nats://127.0.0.1:4222``.
        context: Name of a NATS context.
        namespace: Prefix of all streams; ``CHORIA_AJ`` shares them with asyncjobs programs. None is
            ``JETQ_NAMESPACE``, else ``JETQ``.
        queues: Queues with settings of their own; others are made with defaults when they are first used.
        include: Modules with tasks, or :class:`Tasks` groups; modules are imported when a worker starts.
        middleware: Run around every handler, the first outermost.
        retry: The waits between tries where neither handler nor caller says otherwise, as in :meth:`task`.
        retry_policies: Policies by name, which handlers and callers may use as *retry*.
        retry_on, give_up_on, on_error: As in :meth:`task`, for the handlers that do not say it themselves.
        retention, discard: As in :meth:`task`, for the tasks of handlers that do not say it themselves.
        signing: The key that signs tasks, and those that verify them; None is what ``JETQ_SIGNING_KEY``,
            ``JETQ_VERIFY_KEYS`` and their like say.
        settings: Everything else; what is given here by name wins.
        logger: For ``ctx.logger``; None is the logger ``jetq.task``.

    Raises:
        ConfigurationError: A name or a setting cannot be used.
    """

    def __init__(
        self,
        name: str,
        *,
        servers: str | Sequence[str] | None = None,
        context: str | None = None,
        namespace: str | None = None,
        queues: Iterable[Queue] = (),
        include: Iterable[str | Tasks] = (),
        middleware: Sequence[Middleware] = (),
        retry: RetryLike | None = None,
        retry_policies: Mapping[str, RetryLike] | None = None,
        retry_on: ErrorClasses | None = None,
        give_up_on: ErrorClasses | None = None,
        on_error: OnError | None = None,
        retention: RetentionLike | None = None,
        discard: Iterable[str] = (),
        signing: SigningSettings | None = None,
        settings: Settings | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.name = name
        base = settings or Settings.from_env()
        given: dict[str, Any] = {"namespace": namespace, "retry": retry, "signing": signing}
        given["retry_policies"] = {**base.retry_policies, **(retry_policies or {})}
        given["retention"] = as_retention(base.retention if retention is None else retention, discard)
        base = replace(base, **{setting: value for setting, value in given.items() if value is not None})
        self.settings = base.with_connection(servers=_joined(servers), context=context)
        self.bus = Bus()
        self.router = Router()
        self.middleware = tuple(middleware)
        self.error_rules = ErrorRules.checked(retry_on, give_up_on, on_error)
        self.logger = logger or logging.getLogger("jetq.task")
        self._queues = {queue.name: queue for queue in queues}
        self._modules: list[str] = []
        self._address: Address | None = None
        self.clients = self._new_clients()
        self._submission = Submission(self.settings, self.clients, self.router)
        for part in include:
            self.include(part)

    def __repr__(self) -> str:
        return f"<App {self.name}>"

    # tasks

    def _register(self, handler: Handler) -> None:
        if isinstance(handler.options.retry, str):
            as_policy(handler.options.retry, self.settings.retry_policies)
        self.router.add(handler)

    def _schedule(self, declared: DeclaredSchedule) -> None:
        check_declared(declared)
        super()._schedule(declared)

    def _owner(self) -> Self:
        return self

    def include(self, part: str | Tasks) -> None:
        """
        Take in the tasks of a group, or of a module that is imported when a worker starts (:meth:`load`).

        Raises:
            AppLoadError: The group belongs to another application.
            DuplicateHandlerError: Two handlers claim the same task types.
            DuplicateScheduleError: Two schedules have one name.
            InvalidSettingError: A handler names a retry policy that the application does not have.
        """
        if isinstance(part, str):
            self._modules.append(part)
            return
        part.joined(self)
        for handler in part.handlers:
            if handler not in self.router.handlers:
                self._register(handler)
        for declared in part.schedules.values():
            if self.schedules.get(declared.name) is not declared:
                self._schedule(declared)

    def load(self) -> None:
        """
        Import the included modules, and take in the groups that they define.

        Raises:
            AppLoadError: A module does not exist.
        """
        while self._modules:
            name = self._modules.pop(0)
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError as missing:
                if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
                    raise
                raise AppLoadError(name, f"there is no module {missing.name!r} (from App(include=...))") from missing
            for value in list(vars(module).values()):
                if isinstance(value, Tasks):
                    self.include(value)

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The declared queues by name, and the default queue."""
        default = self.settings.default_queue
        return MappingProxyType({default: Queue(default), **self._queues})

    # where the server is

    def connect_to(self, address: Address) -> None:
        """Use a server that is already known, such as an embedded one; before the first use of the application."""
        self._address = address
        self.clients = self._new_clients()
        self._submission = Submission(self.settings, self.clients, self.router)

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings, as the command line's options do; before the first use of the application."""
        self.settings = settings
        self.clients = self._new_clients()
        self._submission = Submission(self.settings, self.clients, self.router)

    def _new_clients(self) -> Clients:
        return Clients(
            self.name,
            self.settings,
            declared=self._queues,
            address=self.address,
            bus=self.bus,
            operate=operating(self.router),
        )

    def address(self) -> Address:
        """
        Say where the server is.

        Raises:
            NatsContextError: The context is missing or broken.
        """
        if self._address is None:
            self._address = find_address(self.settings.connection)
        return self._address

    # enqueueing

    def enqueue(self, task_type: str, payload: Any = None, **options: Unpack[OptionValues]) -> TaskHandle[Any]:
        """
        Enqueue a task of any type; blocks until JetStream acknowledged it.

        Args:
            task_type: The task type; its handler may be anywhere, in any language.
            payload: Anything that is JSON; for a Python handler an object with its arguments by name. Only the worker
                checks them, since the handler may be another one there; :meth:`Task.enqueue` checks them here too.
            **options: See :class:`jetq.CallOptions`.

        Raises:
            InvalidPayloadError: The payload is not JSON.
            EnqueueError: It was not enqueued; see the subclasses.
            ServerError: No connection, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aenqueue` there.
        """
        forbid_in_loop("enqueue", "aenqueue")
        return self.s(task_type, payload, **options).enqueue()

    async def aenqueue(self, task_type: str, payload: Any = None, **options: Unpack[OptionValues]) -> TaskHandle[Any]:
        """Enqueue a task of any type; see :meth:`enqueue`."""
        return await self.s(task_type, payload, **options).aenqueue()

    def s(self, task_type: str, payload: Any = None, **options: Unpack[OptionValues]) -> TaskCall[Any]:
        """
        Return a call of a task of any type; its handler may be anywhere. Arguments as of :meth:`enqueue`.

        What comes before it in a flow is in its record (``ctx.dependency_results``); with ``into="name"`` a worker of
        jetq puts it into the payload, an object, under this name.
        """
        data = encode_payload(check_name("task type", task_type), payload)
        handler = self.router.match(task_type)
        return TaskCall(self._owner, task_type, data, options=_without_type(options), kind="any", handler=handler)

    def enqueue_many(self, entries: Iterable[Entry], *, errors: OnErrors = "raise") -> list[Any]:
        """
        Enqueue many tasks, pipelined; returns when all have ended. For a stream of any length see :meth:`enqueue_iter`.

        Args:
            entries: Task calls (``task.s(...)``) and (type, payload) pairs. What the iterable raises passes through;
                nothing was sent then.
            errors: ``raise`` sends nothing unless every entry is sound, and raises if a task was not enqueued then;
                ``return`` leaves in the list what is wrong with an entry, or was with its task.

        Returns:
            Handles, in order, and with ``errors="return"`` errors among them.

        Raises:
            InvalidPayloadError: A payload is not JSON; nothing was sent.
            EnqueueManyError: Some tasks were not enqueued; it carries every outcome.
            BlockingCallError: Called inside a running event loop; await :meth:`aenqueue_many` there.
        """
        forbid_in_loop("enqueue_many", "aenqueue_many")
        listed = list(entries)
        return self.clients.blocking(lambda client: self._submission.send_all(client, listed, errors))

    async def aenqueue_many(
        self, entries: Iterable[Entry] | AsyncIterable[Entry], *, errors: OnErrors = "raise"
    ) -> list[Any]:
        """Enqueue many tasks, pipelined; see :meth:`enqueue_many`. The iterable may be an async one."""
        listed = [entry async for entry in entries] if isinstance(entries, AsyncIterable) else list(entries)
        return await self._submission.send_all(await self.clients.current(), listed, errors)

    def enqueue_iter(self, entries: Iterable[Entry], *, errors: OnErrors = "raise") -> Generator[Any, None, None]:
        """
        Enqueue a stream of tasks of any length, and yield their handles in order. Its memory is bounded.

        Entries are sent in chunks of up to 250, several under way at one time, and read ahead of the handles. What an
        iterable gives before it raises is enqueued and yielded, then its exception passes through. Closing the
        generator waits for what was sent.

        Args:
            entries: As of :meth:`enqueue_many`.
            errors: ``raise`` ends the stream at the first entry that is not sound, and at the first task that was not
                enqueued; ``return`` yields the error in its place and goes on.

        Raises:
            EnqueueManyError: A task was not enqueued; it carries its error and the outcomes of what was sent after it.
            ServerError: No connection; nothing was read.
            BlockingCallError: Called inside a running event loop; use :meth:`aenqueue_iter` there.
        """
        forbid_in_loop("enqueue_iter", "aenqueue_iter")
        return Streaming(self._submission, self.clients).stream(entries, errors)

    def aenqueue_iter(
        self, entries: Iterable[Entry] | AsyncIterable[Entry], *, errors: OnErrors = "raise"
    ) -> AsyncGenerator[Any, None]:
        """Enqueue a stream of tasks; see :meth:`enqueue_iter`. The iterable may be an async one."""
        return Streaming(self._submission, self.clients).astream(entries, errors)

    def handle(self, task_id: str, task_type: str = "", queue: str = "") -> TaskHandle[Any]:
        """Return a handle of a task that somebody enqueued, by its id."""
        return self._submission.known(task_id, task_type, queue)

    # looking

    def events(self, *, buffer: int = EVENT_BUFFER, **wanted: Unpack[EventChoice]) -> EventStream[ReadEvent]:
        """
        Read what happens to tasks, as it happens: ``async for event in app.events()``, or ``for`` outside of a loop.

        It has no end but that of the application: closing that ends the iteration, silently, after what had come.

        Args:
            buffer: Events that may wait for a slow reader; what comes beyond that is told by `EventsMissed`.
            **wanted: See `EventChoice`.

        Raises:
            InvalidSettingError, InvalidNameError: An unknown state, an illegal task id or queue.
            PermissionDeniedError: While reading: the user may not subscribe to events.
            ServerError: While reading: no connection at the start.
        """
        return shared_events(self.clients, EventFilter(**wanted), buffer=buffer)

    def history(self, task_id: str) -> list[TaskStateEvent]:
        """
        Return what happened to a task, also if its record is gone; see ``StoreSettings.events_kept``.

        Raises:
            HistoryNotKeptError: Events are not kept.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`ahistory` there.
        """
        forbid_in_loop("history", "ahistory")
        return self.clients.blocking(lambda client: _history(client, task_id))

    async def ahistory(self, task_id: str) -> list[TaskStateEvent]:
        """Return what happened to a task; see :meth:`history`."""
        return await _history(await self.clients.current(), task_id)

    def select(self, *, everything: bool = False, **wanted: Unpack[FilterValues]) -> TaskSelection:
        """
        Return tasks to list, cancel, retry, run now or delete, all of them at once.

        Args:
            everything: All tasks, of whatever kind.
            **wanted: What they are like; see `FilterValues`.

        Raises:
            InvalidSettingError: A value cannot be used, or nothing is asked for.
            InvalidNameError: An illegal queue or id.
        """
        return TaskSelection(self.clients, self.settings, filter_of(wanted, everything=everything))

    # life

    async def __aenter__(self) -> Self:
        """Connect the running loop; usable as a web application's lifespan."""
        await self.clients.current()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self.clients.aclose()

    async def aclose(self) -> None:
        """Close the running loop's connection."""
        await self.clients.aclose()

    def close(self) -> None:
        """Close the connection behind the blocking methods."""
        self.clients.close()


async def _history(client: Client, task_id: str) -> list[TaskStateEvent]:
    return await task_history(client.backend.connection, client.backend.names, task_id)


def _without_type(options: OptionValues) -> CallOptions:
    call = CallOptions(**options)
    if call.type is not None:
        raise InvalidSettingError("type", call.type, "absent: the first argument is the task type")
    return call


def _joined(servers: str | Sequence[str] | None) -> str | None:
    return servers if servers is None or isinstance(servers, str) else ",".join(servers)

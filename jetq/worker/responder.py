"""
responder: a server of remote handlers: answers the requests of workers elsewhere with an application's handlers.

It listens as one of a queue group, so that any number of servers share the requests, and is a micro service of NATS
(`wire.micro`) beside that. Where it listens: on each type that an application handles; on the beginnings of each type
that end in a colon, and of each pattern, which is what a route of asyncjobs calls; on the catch-all. A pattern needs
every subject, since no wildcard of NATS stands for a part of a name, and then takes what fits it (`worker.answering`).
The handler is chosen by the type of the task in the request, whatever it was called by.

It needs nothing of JetStream. Tasks that handlers enqueue, and their streams, go over the application's own connection,
made when it is first needed.

Stopping has an order, as a worker's: quiet (leave the group; what is on its way still comes), drain, cancel, close.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Final, Self

from jetq.app.application import App
from jetq.errors import AppLoadError, JetqError, PermissionDeniedError, ServerError
from jetq.execution.executor import Executor
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.event_feed import EventFeed
from jetq.jetstream.subscriptions import Subscription
from jetq.model.answering import ResponderStarted, ResponderStopped, ResponderStopping
from jetq.model.events import ConnectionLost, ConnectionRestored, TaskProgressed
from jetq.model.name import check_name, is_name
from jetq.model.quantity import seconds
from jetq.observe.bus import Bus
from jetq.routing.router import Router
from jetq.settings import WorkerSettings
from jetq.wire.health import ResponderHealth
from jetq.wire.ids import new_id
from jetq.wire.micro import VERBS, Endpoint, Service, legal_name, legal_version
from jetq.wire.names import CATCHALL, Names
from jetq.wire.signature import Verifier
from jetq.worker.answering import Answers, Means
from jetq.worker.hooks import LifeHooks
from jetq.worker.process_plan import executor_for, handlers_in_processes, process_pool
from jetq.worker.slots import Slots

_ANSWER_TIME: Final = 3.0
"""Seconds that interrupted handlers have to be answered for."""
_BARRIER: Final = 2.0
"""Seconds to wait for what is on its way."""
_TURN: Final = 1.0
_SILENT: Final = 10.0
"""Seconds without a turn of the event loop, which turns every second, after which a process counts as stuck."""


class Responder:
    """
    A server of remote handlers for an application. Use :meth:`run`, or ``async with`` beside other code.

    Args:
        app: Whose handlers answer; its own remote handlers do not.
        settings: Slots, threads, processes, shutdown.
        version: Of the application, shown to who asks for micro services.
        group: Of the servers that share the requests; None is ``jetq-`` and the application's name.
        endpoints: What to be called by, in place of what follows from the handlers.

    Attributes:
        id: New with each start; a ULID.

    Raises:
        InvalidNameError: An endpoint or a group is none.
    """

    def __init__(
        self,
        app: App,
        *,
        settings: WorkerSettings | None = None,
        version: str = "",
        group: str | None = None,
        endpoints: Sequence[str] = (),
    ) -> None:
        self.id = new_id()
        self.settings = settings or WorkerSettings.from_env()
        self._app = app
        self._version = version
        self._name = legal_name(app.name)
        self._group = check_name("group", f"jetq-{self._name}" if group is None else group)
        self._endpoints = tuple(check_name("endpoint", endpoint) for endpoint in endpoints)
        self._bus = Bus()
        self._stop = asyncio.Event()
        self._cancel = asyncio.Event()
        self._failure: JetqError | None = None
        self._answers: Answers | None = None
        self._listening: list[Subscription] = []
        self._parts = AsyncExitStack()
        self._lost = ""
        self._turned = time.monotonic()

    # life

    async def run(self) -> None:
        """
        Answer until :meth:`stop` is called.

        Raises:
            AppLoadError: No handler of the application can answer, or processes could not find it.
            HandlerSignatureError: A handler's annotation cannot be read from JSON.
            HookFailedError, ProcessStartError: What the application does at the start raises.
            UnusableCredentialsError: A key cannot be read, or is none.
            PermissionDeniedError: It may not listen where it must.
            ServerError: No connection at the start.
        """
        async with self:
            await self._stop.wait()
        if self._failure is not None:
            raise self._failure

    async def __aenter__(self) -> Self:
        """Start to answer."""
        app = self._app
        app.load()
        router = answering_router(app)
        for handler in router.handlers:
            handler.prepare()
        handlers_in_processes(app)
        verifier = Verifier.of(app.settings.signing)
        self._bus.listen(app.bus.emit)
        self._bus.listen_to(ConnectionLost, self._on_lost)
        self._bus.listen_to(ConnectionRestored, self._on_restored)
        try:
            await self._assemble(router, verifier)
        except BaseException:
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Stop: quiet, drain, cancel, close."""
        await self._shut_down()

    def stop(self) -> None:
        """Begin to stop: take no more requests, and wait for what runs. From the loop that it runs in."""
        self._stop.set()

    def cancel(self) -> None:
        """Stop without waiting any longer for handlers; their tasks are tried again elsewhere."""
        self._stop.set()
        self._cancel.set()

    # parts

    async def _assemble(self, router: Router, verifier: Verifier | None) -> None:
        app, settings, timeouts = self._app, self.settings, self._app.settings.connection
        connection = await Connection.open(
            app.address(),
            name=f"{app.name} responder",
            connect_timeout=seconds("connect_timeout", timeouts.connect_timeout),
            request_timeout=seconds("request_timeout", timeouts.request_timeout),
            bus=self._bus,
        )
        self._connection = connection
        self._parts.push_async_callback(connection.close)
        self._parts.push_async_callback(app.aclose)
        names = Names(app.settings.namespace)
        self._bus.listen_to(TaskProgressed, EventFeed(connection, names))
        hooks = LifeHooks(app.hooks, self._bus, seconds("hook_timeout", settings.hook_timeout))
        state = await hooks.begin(app, self._parts)
        processes = process_pool(app, settings, self.id, self._bus, connection.clock)
        self._executor: Executor = executor_for(app, settings, processes, state)
        self._parts.push_async_callback(self._executor.close)
        if processes is not None:
            await processes.start()
        means = Means(
            responder=self.id,
            connection=connection,
            router=router,
            queues=app.queues,
            verifier=verifier,
            bus=self._bus,
        )
        claimed = {names.remote(name) for name in self._endpoints or endpoints_of(router)}

        def claims(subject: str) -> bool:
            return subject in claimed or router.match(subject.rpartition(".")[2]) is not None

        slots = Slots(settings.concurrency, on_free=lambda: None)
        self._answers = Answers(means, self._executor, slots, claims)
        self._parts.callback(asyncio.create_task(self._turn()).cancel)
        await self._listen(names, router, sorted(claimed), self._answers)

    async def _listen(self, names: Names, router: Router, claimed: list[str], answers: Answers) -> None:
        needs_all = not self._endpoints and not all(handler.route.is_exact for handler in router.handlers)
        subjects = [names.remote_subject] if needs_all else claimed
        served = [_endpoint(subject, self._group, router) for subject in subjects]
        for endpoint in served:
            callback = partial(_hand_over, answers, endpoint)
            subscription = await self._connection.subscribe(endpoint.subject, callback, queue=self._group)
            subscription.on_end = self._on_denied
            self._listening.append(subscription)
        await self._connection.subscribe(names.remote_cancel("*"), answers.forget)
        service = Service(
            name=self._name,
            id=self.id,
            version=legal_version(self._version),
            description=f"Python handlers of {self._app.name}, for workers of jetq and asyncjobs",
            metadata={"jetq.namespace": names.namespace, "jetq.version": self._version},
            endpoints=served,
            started=datetime.now(UTC),
        )
        for verb in VERBS:
            for subject in service.subjects(verb):
                await self._connection.subscribe(subject, partial(self._introduce, service, verb))
        await self._barrier()
        if self._failure is not None:
            raise self._failure
        self._bus.emit(
            ResponderStarted(
                responder=self.id,
                service=self._name,
                group=self._group,
                subjects=tuple(subjects),
                slots=self.settings.concurrency,
            )
        )

    def _introduce(self, service: Service, verb: str, question: Incoming) -> None:
        if question.reply:
            self._connection.send(question.reply, service.answer(verb))

    def _on_denied(self, denied: PermissionDeniedError | None) -> None:
        """Give up: nobody could reach it there."""
        if denied is not None:
            self._failure = denied
            self.cancel()

    async def _barrier(self) -> None:
        """Return when the server has read everything up to here, and all that it sent before was read."""
        with contextlib.suppress(ServerError):
            await self._connection.api("INFO", timeout=_BARRIER)

    # how it is

    async def _turn(self) -> None:
        while True:
            self._turned = time.monotonic()
            await asyncio.sleep(_TURN)

    def _on_lost(self, event: ConnectionLost) -> None:
        self._lost = event.reason

    def _on_restored(self, _event: ConnectionRestored) -> None:
        self._lost = ""

    @property
    def running(self) -> int:
        """Handlers that run; from any thread."""
        return 0 if self._answers is None else self._answers.running

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot; from any thread."""
        return 0 if self._answers is None else self._answers.waiting

    def health(self) -> ResponderHealth:
        """Return how it is; from any thread."""
        state = "stopping" if self._stop.is_set() else "working" if self._listening else "starting"
        reasons = [] if state == "working" else [f"it is {state}"]
        if self._lost:
            reasons.append(f"the connection is lost: {self._lost}")
        silent = time.monotonic() - self._turned
        live = silent < _SILENT or not self._listening
        if not live:
            reasons.append(f"something blocks its event loop for {silent:.0f} s")
        return ResponderHealth(
            live=live,
            ready=not reasons,
            reasons=reasons,
            responder=self.id,
            pid=os.getpid(),
            state=state,
            running=self.running,
            waiting=self.waiting,
        )

    # end

    async def _shut_down(self) -> None:
        self._stop.set()
        answers, interrupted = self._answers, 0
        self._bus.emit(ResponderStopping(responder=self.id, running=self.running))
        try:
            for subscription in self._listening:
                subscription.end_soon()
            await self._barrier()
            self._executor.quiet()
            if answers is not None and not await self._drain(answers):
                interrupted = answers.interrupt()
                await answers.drained(_ANSWER_TIME)
        finally:
            await self._parts.aclose()
        self._bus.emit(ResponderStopped(responder=self.id, interrupted=interrupted))

    async def _drain(self, answers: Answers) -> bool:
        """Wait for what runs, as long as the shutdown time-out and nobody's impatience allow; tell if all has ended."""
        limit = seconds("shutdown_timeout", self.settings.shutdown_timeout)
        impatient = asyncio.create_task(self._cancel.wait())
        drained = asyncio.create_task(answers.drained(limit))
        try:
            await asyncio.wait({impatient, drained}, return_when=asyncio.FIRST_COMPLETED)
            return drained.done() and drained.result()
        finally:
            impatient.cancel()
            drained.cancel()


def answering_router(app: App) -> Router:
    """
    Return the handlers of an application that can answer: all but those that would ask in turn.

    Raises:
        AppLoadError: There is none.
    """
    router = Router()
    for handler in app.router.handlers:
        if handler.hands_on != "remote":
            router.add(handler)
    if not router.handlers:
        raise AppLoadError(app.name, "it has no handlers that could answer; register some with @app.task")
    return router


def endpoints_of(router: Router) -> set[str]:
    """Return what an application is called by: its types, the routes before them, and the catch-all."""
    found = {CATCHALL}
    for handler in router.handlers:
        route = handler.route.prefix
        if is_name(route):
            found.add(route)
        found |= {route[: place + 1] for place, character in enumerate(route) if character == ":"} - {":"}
    return found


def _endpoint(subject: str, group: str, router: Router) -> Endpoint:
    name = subject.rpartition(".")[2]
    metadata = {"jetq.types": ",".join(router.patterns)} if name in {"*", CATCHALL} else {"jetq.type": name}
    return Endpoint(
        name="all" if name == "*" else legal_name(name), subject=subject, queue_group=group, metadata=metadata
    )


def _hand_over(answers: Answers, endpoint: Endpoint, request: Incoming) -> None:
    answers.take(request, endpoint)

"""
worker: pulls tasks and runs them, in one event loop.

It composes the parts: puller → slots → attempt (claim, execute, judge, settle), and the lease thread beside them.
Stopping has an order: quiet (ask no more, give back what was not started), drain (wait for what runs), cancel (stop the
handlers and give their tasks back, at once and at no cost), then close. Leases are kept until the last task is settled.
"""

import asyncio
import time
import traceback
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, Self

from jetq.admin.janitor_duty import JanitorDuty
from jetq.app.application import App
from jetq.execution.process_pool import ProcessPool
from jetq.execution.retry_rules import RetryRules
from jetq.jetstream.backend import Backend
from jetq.jetstream.puller import Delivery, Puller
from jetq.model.events import (
    AttemptFailed,
    ConnectionLost,
    ConnectionRestored,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from jetq.model.quantity import seconds
from jetq.model.running import WorkerState
from jetq.model.serving import WorkerQuieted
from jetq.observe.bus import Bus
from jetq.settings import Queue, WorkerSettings
from jetq.wire.ids import new_id
from jetq.wire.liveness import Started
from jetq.wire.signature import Verifier
from jetq.worker.attempt import Attempts, Parts
from jetq.worker.burst import nothing_is_left
from jetq.worker.condition import Condition
from jetq.worker.desk import Desk
from jetq.worker.fetcher import Fetcher
from jetq.worker.hooks import LifeHooks
from jetq.worker.inheritance import Inheritance
from jetq.worker.lease_keeper import KeeperPlan, LeaseKeeper
from jetq.worker.lease_table import LeaseEntry, LeaseTable
from jetq.worker.orders import Obeying, Orders
from jetq.worker.pause_watch import PauseWatch
from jetq.worker.portrait import Portrait
from jetq.worker.process_plan import executor_for, handlers_in_processes, process_pool
from jetq.worker.queue_choice import QueueChoice, Queues
from jetq.worker.rebinding import Rebinding
from jetq.worker.retention_watch import watch_retention
from jetq.worker.slots import Slot, Slots
from jetq.worker.supervision import Supervision
from jetq.worker.watchdog import Watchdog

SETTLE_TIMEOUT: Final = 3.0
"""Seconds that interrupted tasks have to be written back; with the shutdown time-out inside Kubernetes' 30 s."""
_BURST_POLL: Final = 0.2
_ABANDON_ROUNDS: Final = 10
"""A handler may catch the first cancellation, and what then writes its end needs another."""


class Worker:
    """
    A worker for an application. Use :meth:`run`, or ``async with`` for one that runs beside other code.

    Args:
        app: Whose tasks to run.
        queues: Names of the queues to serve, which get even shares of the slots, or weights by name, as
            ``{"critical": 6, "low": 1}``; none means all that the application and its handlers name.
        settings: Slots, threads, shutdown; ``strict`` and ``exclude``.
        version: Of the application, for the worker's presence.
        supervision: The supervisor of this process, if there is one.

    Attributes:
        id: New with each start; a ULID.
        condition: How it is; any thread may ask.
    """

    def __init__(
        self,
        app: App,
        *,
        queues: Queues = (),
        settings: WorkerSettings | None = None,
        version: str = "",
        supervision: Supervision | None = None,
    ) -> None:
        self.id = new_id()
        self.settings = settings or WorkerSettings.from_env()
        self._app = app
        self._choice = QueueChoice.of(queues, self.settings)
        self._bus = Bus()
        self.condition = Condition(self.id, self._state, self._bus)
        self._supervision = supervision
        self._table = LeaseTable(None if supervision is None else supervision.notes(self.id))
        slots = self.settings.concurrency
        self._portrait = Portrait(self.id, self._table, version=version, slots=slots, state=self._state)
        self._slots = Slots(slots, on_free=self._on_free)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._cancel = asyncio.Event()
        self._closed = False
        self._failure: BaseException | None = None
        self._parts = AsyncExitStack()
        """What must be ended, in the opposite order of its beginning."""

    # life

    async def run(self) -> None:
        """
        Work until :meth:`stop` is called, or in burst mode until the queues are empty or paused.

        Raises:
            HandlerSignatureError: A handler's annotation cannot be read from JSON.
            AppLoadError: Processes for handlers could not find the application.
            HookFailedError, ProcessStartError: What the application does at the start raises.
            UnusableCredentialsError: A key cannot be read, or is none.
            ServerError: No connection at the start, or the streams are not as they must be.
        """
        async with self:
            if self.settings.burst:
                await self._drained_or_stopped()
            else:
                await self._stop.wait()
        if self._failure is not None:
            raise self._failure

    async def __aenter__(self) -> Self:
        """Start to work."""
        app = self._app
        app.load()
        for handler in app.router.handlers:
            handler.prepare()
        handlers_in_processes(app)
        declared = self._declared()
        self._verifier = Verifier.of(app.settings.signing)
        self._bus.listen(app.bus.emit)
        self._backend = await Backend.open(
            app.address(), app.settings, name=f"{app.name} worker", bus=self._bus, queues=declared.values()
        )
        self._parts.push_async_callback(self._backend.close)
        self._backend.link_sources()
        try:
            await self._assemble(declared)
        except BaseException:
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Stop: quiet, drain, cancel, close."""
        await self._shut_down()

    def stop(self) -> None:
        """Begin to stop: take no more tasks, and wait for those that run. From the worker's loop."""
        self._stop.set()

    def quiet(self) -> None:
        """Take no more tasks, and stay; what was not started is given back. From the worker's loop."""
        if not self._fetcher.is_quiet:
            self._bus.emit(WorkerQuieted(worker=self.id))
            quieting = asyncio.get_running_loop().create_task(self._fetcher.quiet())
            self._parts.push_async_callback(asyncio.wait, {quieting})
            self._keeper.announce()

    def cancel(self) -> None:
        """Stop without waiting any longer for handlers; their tasks go back to their queues."""
        self._stop.set()
        self._cancel.set()

    @property
    def running(self) -> int:
        """Tasks under way."""
        return len(self._tasks)

    # parts

    def _declared(self) -> dict[str, Queue]:
        """Return the queues to serve."""
        known = dict(self._app.queues)
        for handler in self._app.router.handlers:
            if handler.options.queue is not None:
                known.setdefault(handler.options.queue, Queue(handler.options.queue))
        return self._choice.served(known)

    async def _assemble(self, declared: dict[str, Queue]) -> None:
        app, backend = self._app, self._backend
        desk = Desk(backend, self.id, self._table)
        desk.declared = app.queues
        desk.verifier = self._verifier
        if any(handler.options.retention is not None for handler in app.router.handlers):
            desk.handler_retention = app.router.retention_of
        for queue in declared.values():
            desk.bound[queue.name] = await backend.queue(queue)
        self._parts.callback(app.clients.adopt(backend))
        settings, processes = self.settings, await self._make_ready()
        self._attempts = Attempts(desk, Parts(app.router, self._executor, RetryRules(app.settings)))
        self._fetcher = Fetcher(desk.bound, self._slots, begin=self._begin, give_back=desk.give_back)
        self._portrait.queues, self._portrait.patterns = tuple(desk.bound), app.router.patterns
        await self._keep_leases(desk)
        self._parts.push_async_callback(self._executor.close)
        if processes is not None:
            await processes.start()
        await self._start_fetching(desk, declared)
        self._parts.callback(asyncio.create_task(watch_retention(backend.retention)).cancel)
        self._pauses = PauseWatch(backend, self.id)
        self._parts.callback(asyncio.create_task(self._pauses.follow(desk.bound)).cancel)
        if settings.janitor and not settings.burst:
            duty = JanitorDuty(backend, app.settings.janitor, name=self.id)
            duty.start()
            self._parts.push_async_callback(duty.stop)
        self._bus.emit(
            WorkerStarted(
                worker=self.id,
                queues=tuple(desk.bound),
                patterns=tuple(app.router.patterns),
                slots=settings.concurrency,
            )
        )
        self._fetcher.refill()
        self.condition.begin()
        if self._supervision is not None:
            self._supervision.say(Started(self.id))

    async def _make_ready(self) -> ProcessPool | None:
        """Run the application's start hooks, and prepare what runs handlers; return the processes for some of them."""
        app, settings = self._app, self.settings
        hooks = LifeHooks(app.hooks, self._bus, seconds("hook_timeout", settings.hook_timeout))
        state = await hooks.begin(app, self._parts)
        processes = process_pool(app, settings, self.id, self._bus, self._backend.connection.clock)
        self._executor = executor_for(app, settings, processes, state)
        return processes

    async def _start_fetching(self, desk: Desk, declared: dict[str, Queue]) -> None:
        backend, rebinding = self._backend, Rebinding(desk)
        self._parts.callback(rebinding.stop)
        pullers = {
            name: Puller(
                backend.connection,
                backend.names,
                name,
                on_delivery=self._fetcher.on_delivery,
                on_credit=self._fetcher.refill,
                on_trouble=backend.link_sources,
                on_removed=partial(rebinding.begin, name),
            )
            for name in desk.bound
        }
        await self._fetcher.start(pullers, self._choice.sharing(pullers, self.settings.concurrency))
        watchdog = Watchdog(
            self.id, backend, slots=self._slots, pullers=pullers, declared=declared, condition=self.condition
        )
        self._parts.callback(asyncio.create_task(watchdog.run()).cancel)
        self._parts.push_async_callback(self._fetcher.quiet)

    async def _keep_leases(self, desk: Desk) -> None:
        loop = asyncio.get_running_loop()

        def on_lost(entry: LeaseEntry) -> None:
            loop.call_soon_threadsafe(self._attempts.lose, entry)

        def on_cancel(entry: LeaseEntry) -> None:
            loop.call_soon_threadsafe(self._attempts.cancel, entry)

        bus = Bus()  # of the clock and of permissions the worker's own connection tells
        bus.listen_to(ConnectionLost, self._bus.emit)
        bus.listen_to(ConnectionRestored, self._bus.emit)

        def on_death(error: BaseException) -> None:
            loop.call_soon_threadsafe(self._fail, error)

        orders = self._orders(desk)
        self._keeper = LeaseKeeper(
            KeeperPlan(
                address=self._app.address(),
                names=self._backend.names,
                worker=self.id,
                lease=min(queue.lease for queue in desk.bound.values()),
                store=self._app.settings.store,
                connect_timeout=seconds("connect_timeout", self._app.settings.connection.connect_timeout),
                bus=bus,
            ),
            self._table,
            presence=self._portrait.presence,
            on_lost=on_lost,
            on_cancel=on_cancel,
            on_death=on_death,
            on_order=orders.obey,
            beside=orders.vigil(),
        )
        self._parts.push_async_callback(asyncio.to_thread, self._keeper.stop)
        await asyncio.to_thread(self._keeper.start)

    def _orders(self, desk: Desk) -> Orders:
        return Orders(
            self.id,
            Obeying(self.stop, self.cancel, self.quiet, self._start),
            attempts=self._attempts,
            inheritance=Inheritance(desk, self._app.router),
            supervision=self._supervision,
            condition=self.condition,
            bus=self._bus,
        )

    def _fail(self, error: BaseException) -> None:
        """Stop at once, since nothing keeps the leases any more: whatever runs is given back before they end."""
        self._failure = error
        self._bus.emit(AttemptFailed(queue="", error=_told(error), unexpected=True))
        self.cancel()

    def _state(self) -> WorkerState:
        if self._stop.is_set():
            return WorkerState.STOPPING
        return WorkerState.QUIET if self._fetcher.is_quiet else WorkerState.WORKING

    # work

    def _on_free(self) -> None:
        self._fetcher.refill()

    def _begin(self, delivery: Delivery, slot: Slot) -> None:
        self._start(self._attempts.run(delivery, slot))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bus.emit(AttemptFailed(queue="", error=_told(error), unexpected=True))

    async def _drained_or_stopped(self) -> None:
        while not self._stop.is_set():
            if not self._tasks and self._fetcher.is_dry and await self._nothing_is_left():
                return
            try:
                async with asyncio.timeout(_BURST_POLL):
                    await self._stop.wait()
            except TimeoutError:
                continue

    async def _nothing_is_left(self) -> bool:
        return await nothing_is_left(self._backend, self._declared(), self._pauses)

    # end

    async def _shut_down(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        self._bus.emit(WorkerStopping(worker=self.id, running=len(self._tasks)))
        try:
            await self._fetcher.quiet()
            self._attempts.leave_contested()
            self._executor.quiet()
            await self._drain()
            released = self._attempts.interrupt()
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=SETTLE_TIMEOUT)
            await self._abandon()
        finally:
            await self._parts.aclose()
        self._bus.emit(WorkerStopped(worker=self.id, released=released))

    async def _abandon(self) -> None:
        """Give up what cannot be settled, since the server is away; those tasks run elsewhere after the lease."""
        for _ in range(_ABANDON_ROUNDS):
            if not self._tasks:
                return
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.wait(set(self._tasks), timeout=_BURST_POLL)

    async def _drain(self) -> None:
        """Wait for what runs, as long as the shutdown time-out and nobody's impatience allow."""
        until = time.monotonic() + seconds("shutdown_timeout", self.settings.shutdown_timeout)
        impatient = asyncio.create_task(self._cancel.wait())
        try:
            while self._tasks and not impatient.done() and (left := until - time.monotonic()) > 0:
                waits = {impatient, *self._tasks}
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            impatient.cancel()


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))

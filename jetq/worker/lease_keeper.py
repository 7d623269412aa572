"""
lease_keeper: a thread that keeps the leases of this process, whatever its event loop does.

The thread has a loop and a connection of its own. Every third of the shortest lease, and at once on each (re)connect,
it renews every run in the table and writes the worker's presence. It answers whether a run is going on, and reads the
records of runs older than a lease: a renewal answered with OK proves nothing, since acknowledgements act by the item's
sequence and are not fenced. A run whose record names another run is lost, and the worker is told.

Somebody who wants a run to stop says so in its record and in a message, and so does whoever takes a run over. Messages
are heard here, whatever the event loop does; if one is lost, the record says the same when it is read.

It stops renewing a run at its limit and grace: a handler that cannot be stopped must not keep its task for ever.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from jetq.errors import JetqError, MalformedRecordError, ServerError
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.presence import Presences, WorkerPresence
from jetq.jetstream.task_store import read_record
from jetq.jetstream.topology import Topology
from jetq.model.record import CancelRequest, Run
from jetq.observe.bus import Bus
from jetq.settings import StoreSettings
from jetq.wire.control import ControlReply, ControlRequest, decode_control_request, encode_control
from jetq.wire.names import Names
from jetq.worker.lease_table import LeaseEntry, LeaseTable

Order = Literal["quiet", "stop"]

IN_PROGRESS = b"+WPI"
_PINGS = 1 / 8
"""Of the lease lies between two pings. A dead connection is noticed after four, and the leases that were renewed last
before it died last for two thirds at least: so there is another one in time."""
_SHORTEST_PING = 1.0
"""Seconds; a busy process must not be taken for a dead connection."""
_JOIN_SECONDS = 5.0
_FAREWELL_SECONDS = 1.0


def _ignore(_order: Order) -> None:
    """Obey nobody."""


class KeeperPlan(Struct, frozen=True, kw_only=True):
    """
    What a keeper keeps.

    Attributes:
        address: Where the server is.
        names: Of the namespace.
        worker: The worker's id.
        lease: The shortest lease of its queues, in seconds.
        store: How what is missing is made.
        connect_timeout: Seconds until the first connection must stand.
        bus: Hears of losses and renewals of its connection, in the thread.
    """

    address: Address
    names: Names
    worker: str
    lease: float
    store: StoreSettings
    connect_timeout: float
    bus: Bus


class Beside(Protocol):
    """What else is done in the thread."""

    async def run(self) -> None:
        """Do it, until it is cancelled; from before the first connection on."""
        ...

    async def farewell(self) -> None:
        """Come to an end, after everything else."""
        ...


class LeaseKeeper:
    """
    Keeps leases and presence from a thread.

    Args:
        plan: What to keep.
        table: The runs.
        presence: Says what to write as presence; called in the thread.
        on_lost: Told of a lost run; called in the thread.
        on_cancel: Told of a run that is to stop, once; called in the thread.
        on_death: Told when the thread ends by a defect; called in the thread.
        on_order: Told of somebody who wants this worker to be quiet, or to stop; called in the thread.
        beside: What else is done in the thread.
    """

    def __init__(
        self,
        plan: KeeperPlan,
        table: LeaseTable,
        *,
        presence: Callable[[], WorkerPresence],
        on_lost: Callable[[LeaseEntry], None],
        on_cancel: Callable[[LeaseEntry], None],
        on_death: Callable[[BaseException], None],
        on_order: Callable[[Order], None] = _ignore,
        beside: Beside | None = None,
    ) -> None:
        self._plan = plan
        self._table = table
        self._presence = presence
        self._on_lost = on_lost
        self._on_cancel = on_cancel
        self._on_death = on_death
        self._on_order = on_order
        self._announce: Callable[[], None] = lambda: None
        self._beside = beside
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="jetq-lease", daemon=True)

    def start(self) -> None:
        """
        Start the thread and wait for its connection; call it outside of an event loop's thread or off it.

        Raises:
            ServerError: It could not connect.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the thread; presence is removed."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_JOIN_SECONDS)

    def announce(self) -> None:
        """Write the presence now, since it says something new; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._announce)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._keep() if self._beside is None else self._keep_beside(self._beside))
        except BaseException as error:  # noqa: BLE001 - a worker must not go on without its leases
            self._failure = error
            if self._ready.is_set():
                self._on_death(error)
        finally:
            self._ready.set()
            self._loop.close()

    async def _keep_beside(self, beside: Beside) -> None:
        other = self._loop.create_task(beside.run())
        try:
            await self._keep()
        finally:
            other.cancel()
            await asyncio.wait({other})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await beside.farewell()

    async def _keep(self) -> None:
        plan = self._plan
        try:
            connection = await Connection.open(
                plan.address,
                name=f"{plan.worker} lease",
                connect_timeout=plan.connect_timeout,
                ping_interval=max(plan.lease * _PINGS, _SHORTEST_PING),
                bus=plan.bus,
            )
        except JetqError as error:
            self._failure = error
            return
        presences = Presences(connection, plan.names)
        searching: asyncio.Task[None] | None = None
        try:
            for subject in (plan.names.control(plan.worker), plan.names.control_all):
                await connection.subscribe(subject, lambda message: self._answer(connection, message))
            topology = Topology(connection, plan.names, plan.store)
            connection.on_connected(lambda _generation: self._come_back(connection, presences, topology))
            self._renew(connection, presences)
            self._announce = lambda: presences.write(self._presence(), plan.lease)
            self._ready.set()
            searching = self._loop.create_task(self._search(connection))
            while not await self._stopped_within(plan.lease / 3):
                self._renew(connection, presences)
            await self._farewell(presences)
        finally:
            if searching is not None:
                searching.cancel()
            if self._restoring is not None:
                self._restoring.cancel()
            await connection.close()

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    def _renew(self, connection: Connection, presences: Presences) -> None:
        presences.write(self._presence(), self._plan.lease)
        now = time.monotonic()
        for entry in self._table.entries():
            if now < entry.ends and not entry.lost:
                connection.send(entry.reply, IN_PROGRESS)

    def _come_back(self, connection: Connection, presences: Presences, topology: Topology) -> None:
        """Renew at once; and again when what a restarted server forgot, the presences among it, is there again."""
        self._renew(connection, presences)
        self._restoring = self._loop.create_task(self._restore(connection, presences, topology))

    async def _restore(self, connection: Connection, presences: Presences, topology: Topology) -> None:
        with contextlib.suppress(JetqError):
            await topology.restore()
            self._renew(connection, presences)

    def _answer(self, connection: Connection, message: Incoming) -> None:
        request = decode_control_request(message.data)
        if request is not None and request.op == "lost":
            self._hear_of_loss(request)
        elif request is not None and message.reply:
            connection.send(message.reply, encode_control(self._reply_to(request)))

    def _hear_of_loss(self, request: ControlRequest) -> None:
        entry = self._table.find(Run(self._plan.worker, request.attempt, request.nonce))
        if entry is not None and entry.task_id == request.task and entry.claimed:
            self._lose(entry)

    def _lose(self, entry: LeaseEntry) -> None:
        if not entry.lost:
            entry.lost = True
            self._on_lost(entry)

    def _reply_to(self, request: ControlRequest) -> ControlReply:
        worker = self._plan.worker
        if request.op == "inspect":
            return ControlReply(worker, count=len(self._table), state=self._state, tasks=self._table.running())
        if request.op == "quiet" or request.op == "stop":  # noqa: PLR1714 - so that types follow
            self._on_order(request.op)
        if request.op in {"ping", "quiet", "stop"}:
            return ControlReply(worker, count=len(self._table), state=self._state)
        entry = self._table.find(Run(worker, request.attempt, request.nonce))
        if entry is None or entry.task_id != request.task:
            return ControlReply(worker)
        if request.op == "cancel":
            self._cancel(entry, CancelRequest(request.by))
        if request.item and request.item != entry.item and request.queue in {"", entry.queue}:
            self._table.adopt(entry, request.item, request.reply)
        return ControlReply(worker, running=True, item=entry.item)

    @property
    def _state(self) -> str:
        return self._presence().state

    def _cancel(self, entry: LeaseEntry, request: CancelRequest) -> None:
        if entry.cancel is None:
            entry.cancel = request
            self._on_cancel(entry)

    async def _search(self, connection: Connection) -> None:
        """Look for lost runs; beside the renewing, which must not wait for the answers."""
        while True:
            await asyncio.sleep(self._plan.lease / 3)
            await self._find_lost(connection)

    async def _find_lost(self, connection: Connection) -> None:
        """
        Read the records of runs that are older than a lease, each once a lease, but not while they are claimed.

        Beside lost runs, this finds those whose cancelling was not heard of.
        """
        now = time.monotonic()
        for entry in self._table.entries():
            if entry.lost or not entry.claimed or now - max(entry.started, entry.checked) < entry.lease:
                continue
            entry.checked = now
            try:
                found = await read_record(connection, self._plan.names, entry.task_id)
            except (ServerError, MalformedRecordError):
                continue
            if self._table.find(entry.run) is not entry:
                continue
            if found is None or found.record.run != entry.run:
                self._lose(entry)
            elif found.record.cancel_requested is not None:
                self._cancel(entry, found.record.cancel_requested)

    async def _farewell(self, presences: Presences) -> None:
        with contextlib.suppress(ServerError, TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await presences.remove(self._plan.worker)

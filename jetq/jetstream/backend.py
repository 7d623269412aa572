"""
backend: everything of the jetstream room over one connection. It composes, and decides nothing.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any, Self

from jetq.errors import ServerError, UnknownQueueError
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.jetstream.dependents import Dependents
from jetq.jetstream.event_feed import EventFeed
from jetq.jetstream.flow_store import FlowStore
from jetq.jetstream.key_store import KeyStore
from jetq.jetstream.link_store import LinkStore
from jetq.jetstream.publisher import Publisher
from jetq.jetstream.queue_store import QueueStore
from jetq.jetstream.retention import StoreRetention
from jetq.jetstream.schedule_store import ScheduleStore
from jetq.jetstream.source_links import SourceLinks
from jetq.jetstream.task_store import TaskStore
from jetq.jetstream.topology import BoundQueue, Topology
from jetq.model.quantity import seconds
from jetq.model.retention import as_retention
from jetq.observe.bus import Bus
from jetq.settings import Queue, Settings
from jetq.wire.names import Names


class Backend:
    """
    The server, as clients and workers use it. Open one with :meth:`open`; use it in the loop that opened it.

    Attributes:
        connection, publisher, tasks, queues, keys, links, flows, schedules, dependents, topology, retention: The
            parts.
        names: Of the namespace.
        bus: Events of this backend; state changes are published from here.
    """

    def __init__(self, connection: Connection, publisher: Publisher, settings: Settings, bus: Bus) -> None:
        self.settings = settings
        self.names = Names(settings.namespace)
        self.connection = connection
        self.publisher = publisher
        self.bus = bus
        self.tasks = TaskStore(connection, publisher, self.names)
        self.queues = QueueStore(connection, publisher, self.names, self.tasks)
        self.keys = KeyStore(connection, publisher, self.names, self.tasks, self.queues)
        self.topology = Topology(connection, self.names, settings.store, bus=bus)
        self.retention = StoreRetention(settings.store, self.topology, as_retention(settings.retention))
        self.links = LinkStore(connection, publisher, self.names)
        self.flows = FlowStore(connection, publisher, self.names)
        self.schedules = ScheduleStore(connection, publisher, self.names)
        self.dependents = Dependents(
            connection,
            self.names,
            tasks=self.tasks,
            queues=self.queues,
            keys=self.keys,
            links=self.links,
            retention=self.retention,
            bus=bus,
        )
        self._bound: dict[str, BoundQueue] = {}
        self._knows_store = False
        bus.listen(EventFeed(connection, self.names))
        connection.on_connected(self._on_connected)
        self._links = SourceLinks(connection, self.names)
        self._restoring: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls, address: Address, settings: Settings, *, name: str, bus: Bus, queues: Iterable[Queue] = ()
    ) -> Self:
        """
        Connect, and bind or create the task store and queues.

        Args:
            address: Where the server is.
            settings: Of the application.
            name: Of the connection, as the server's monitoring shows it.
            bus: For the events of this backend alone.
            queues: What to bind or create now; others follow on first use.

        Raises:
            ServerError: No connection, or the streams are not as they must be; see its subclasses.
            UnknownQueueError: A queue does not exist and may not be created.
        """
        timeouts = settings.connection
        connection = await Connection.open(
            address,
            name=name,
            connect_timeout=seconds("connect_timeout", timeouts.connect_timeout),
            request_timeout=seconds("request_timeout", timeouts.request_timeout),
            bus=bus,
        )
        try:
            backend = cls(connection, await Publisher.start(connection), settings, bus)
            backend._bound.update(await backend.topology.ensure(queues))
            backend.tasks.ttl_allowed = await backend.topology.ttl_allowed()
            backend.retention.observe(await backend.topology.store())
            backend._knows_store = True
        except BaseException:
            await connection.close()
            raise
        return backend

    @classmethod
    async def over(cls, connection: Connection, settings: Settings, *, bus: Bus) -> Self:
        """Use a connection that is open. Nothing is bound or created; :meth:`close` closes the connection as well."""
        return cls(connection, await Publisher.start(connection), settings, bus)

    async def know_store(self) -> None:
        """
        Learn how long the task store keeps records, and whether it lets them expire, unless that is known.

        Raises:
            TopologyError: There is no task store, or it cannot be bound.
            ServerError: No answer, or a refusal.
        """
        if not self._knows_store:
            await self.retention.reread()
            self.tasks.ttl_allowed = await self.topology.ttl_allowed()
            self._knows_store = True

    async def queue(self, queue: Queue) -> BoundQueue:
        """
        Return a queue that exists, binding or creating it on first use.

        Raises:
            UnknownQueueError: It does not exist and may not be created.
        """
        bound = self._bound.get(queue.name)
        if bound is None:
            bound = self._bound[queue.name] = await self.topology.ensure_queue(queue)
        return bound

    async def rebind(self, name: str) -> BoundQueue:
        """
        Return a queue as it is now, with what its stream lacked added to it: somebody may have made it anew.

        Raises:
            UnknownQueueError: It does not exist.
            TopologyError: It cannot be bound.
            ServerError: No answer, or a refusal.
        """
        bound = self._bound[name] = await self.topology.bind_queue(name, require_sources=False)
        return bound

    def _on_connected(self, _generation: int) -> None:
        self._begin(self._restore())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._restoring.add(task)
        task.add_done_callback(self._restoring.discard)

    async def _restore(self) -> None:
        """Make again what a restarted server forgot, and link what it left unlinked; who misses more is told later."""
        with contextlib.suppress(ServerError, UnknownQueueError):
            await self.topology.restore()
        await self._link()

    def link_sources(self) -> None:
        """Begin to look after what feeds the queues, as after a reconnect: servers, or leaders, may be new."""
        self._begin(self._link())

    async def _link(self) -> None:
        with contextlib.suppress(ServerError):
            await self._links.mend(self._bound)

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        for task in self._restoring:
            task.cancel()
        self.publisher.close()
        await self.connection.close()

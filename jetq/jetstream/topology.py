"""
topology: make sure that the streams, buckets and consumers of jetq stand as they must.

What exists is bound as it is, whoever made it; jetq changes nothing that works in another way than it would have
chosen. Only what it cannot do without is added (:class:`jetq.jetstream.blueprint.Addition`), and what cannot work at
all is refused, with the field, its value and the value wanted.

Any number of processes may do this at one time. A creation that loses the race is answered with "in use with a
different configuration" or, if both wanted the same, with success; the loser reads and binds what the winner made.
Additions are the same whoever makes them, so making one twice is harmless.

Every process does this when it starts, so it is one round trip when all is there: everything is asked for at the same
time, and only what is missing costs more. The order of creation matters in one place: queues come after the stream of
schedules that they are fed from, since the server looks for a source that is not there only from time to time.
"""

import asyncio
from collections.abc import Iterable

from jetq.errors import (
    PermissionDeniedError,
    RequestRefusedError,
    ServerError,
    ServerTimeoutError,
    TopologyError,
    UnknownQueueError,
)
from jetq.jetstream import blueprint
from jetq.jetstream.blueprint import Addition, Config, Plan
from jetq.jetstream.bound_queue import BoundQueue, BoundStore, differences, read_queue, read_store
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import (
    CONSUMER_EXISTS,
    NO_SUITABLE_PEERS,
    REPLICAS_NOT_SUPPORTED,
    STREAM_NAME_IN_USE,
    STREAM_NOT_FOUND,
    SUBJECT_OVERLAP,
)
from jetq.jetstream.lookup import find_consumer, find_stream
from jetq.model.events import TopologyChanged
from jetq.model.quantity import Duration, seconds, whole
from jetq.observe.bus import Bus
from jetq.settings import LEAST_EVENT_BYTES, SHORTEST_KEPT, Queue, StoreSettings
from jetq.wire.names import WORKERS, Names

__all__ = ["BoundQueue", "BoundStore", "Topology"]

_CONSUMER_WAIT = 2.0
"""Seconds that a queue may lack its consumer, while another process is creating it."""
_CONSUMER_POLL = 0.05


class Topology:
    """
    Creates or binds what a namespace consists of.

    Args:
        connection: To the server.
        names: Of the namespace.
        settings: Storage and replicas of what is created.
        bus: Hears what was added to a stream, or could not be, and which declared settings are not in force.
    """

    def __init__(
        self, connection: Connection, names: Names, settings: StoreSettings, *, bus: Bus | None = None
    ) -> None:
        self._connection = connection
        self._names = names
        self._settings = settings
        self._bus = bus or Bus()
        self._store: BoundStore | None = None
        self._declared: dict[str, Queue] = {}

    async def ensure(self, queues: Iterable[Queue], *, require_sources: bool = True) -> dict[str, BoundQueue]:
        """
        Create or bind the task store, all that a namespace has once, and queues.

        Args:
            queues: How each is made if it does not exist.
            require_sources: Refuse a queue that does not get due tasks and whose stream may not be changed, as a worker
                must, whose retries would wait in vain. Else that is only told.

        Returns:
            The queues as they are, by name.

        Raises:
            UnknownQueueError: A queue does not exist and says ``create=False``.
            TopologyMismatchError: Something exists that jetq cannot work with.
            TopologyError: Something can be neither bound nor created, or lacks what may not be added.
            ServerError: No answer, or another refusal.
        """
        declared = {queue.name: queue for queue in queues}
        plans = [blueprint.task_store(self._names, self._settings), *self._shared(self._settings)]
        streams, queue_parts = await asyncio.gather(
            asyncio.gather(*(self._find(plan.name) for plan in plans)),
            asyncio.gather(*(self._find_queue(name) for name in declared)),
        )
        store = await self._settle_store(plans[0], streams[0])
        shared = zip(self._shared(store), streams[1:], strict=True)
        await asyncio.gather(*(self._settle(plan, found) for plan, found in shared), self._settle_events(store))
        pairs = zip(declared.values(), queue_parts, strict=True)
        bound = await asyncio.gather(
            *(self._settle_queue(queue, *parts, require_sources=require_sources) for queue, parts in pairs)
        )
        self._declared |= declared
        return {queue.name: queue for queue in bound}

    async def _settle_events(self, store: BoundStore) -> None:
        """Create or bind the stream of events where one is wanted. Nothing that follows depends on it."""
        kept, max_bytes = self._settings.events_kept, self._settings.events_max_bytes
        if kept is None:
            return
        age = seconds("events_kept", kept)
        plan = blueprint.event_store(self._names, store.storage, store.replicas, kept=age, max_bytes=max_bytes)
        try:
            config = await self._settle(plan, await self._find(plan.name))
        except ServerError as error:
            self._tell(plan.name, f"events are not kept: {error}", failed=True)
            return
        changed = [field for field in ("max_age", "max_bytes") if config.get(field) != plan.config.get(field, -1)]
        if changed:
            told = ", ".join(f"{field} {config.get(field)}" for field in changed)
            self._tell(plan.name, f"kept as it is: {told}; change it with: jetq tasks configure", failed=True)

    async def keep_events(self, kept: Duration, max_bytes: int | None = None) -> None:
        """
        Keep events from now on, or for another time than so far; shortening it drops what is older.

        Args:
            kept: Seconds.
            max_bytes: Of the stream, 0 is unlimited; None leaves it as it is.

        Raises:
            InvalidSettingError: A bound cannot be used.
            TopologyError: There is no task store, or the stream can be neither bound nor created.
            ServerError: No answer, or another refusal.
        """
        age = seconds("events_kept", kept, least=SHORTEST_KEPT)
        if max_bytes:
            whole("events_max_bytes", max_bytes, least=LEAST_EVENT_BYTES)
        store = await self.store()
        plan = blueprint.event_store(self._names, store.storage, store.replicas, kept=age, max_bytes=max_bytes)
        config = await self._settle(plan, await self._find(plan.name))
        changed = blueprint.kept_events(config, kept=age, max_bytes=max_bytes)
        if changed != config:
            await self._connection.api(f"STREAM.UPDATE.{plan.name}", changed)

    async def forget_events(self) -> None:
        """
        Keep events no more, and remove those that were kept. An application that keeps them makes the stream again.

        Raises:
            TopologyMismatchError: What has the stream's name keeps something else.
            ServerError: No answer, or a refusal.
        """
        plan = blueprint.event_store(self._names, "file", 1, kept=SHORTEST_KEPT, max_bytes=None)
        found = await self._find(plan.name)
        if found is None:
            return
        blueprint.check(plan.name, plan.rules, found)
        try:
            await self._connection.api(f"STREAM.DELETE.{plan.name}")
        except RequestRefusedError as refused:
            if refused.code != STREAM_NOT_FOUND:
                raise

    async def ensure_queue(self, queue: Queue, *, require_sources: bool = True) -> BoundQueue:
        """
        Create or bind one queue, and all that it needs; see :meth:`ensure`.

        Raises:
            UnknownQueueError: It does not exist and says ``create=False``.
            TopologyError: It can be neither bound nor created, or lacks what may not be added.
            ServerError: No answer, or another refusal.
        """
        return (await self.ensure([queue], require_sources=require_sources))[queue.name]

    async def bind_queue(self, name: str, *, require_sources: bool = True) -> BoundQueue:
        """
        Bind a queue that exists; nothing is created.

        Raises:
            UnknownQueueError: It does not exist.
            TopologyError: It cannot be bound, or lacks what may not be added.
            ServerError: No answer, or another refusal.
        """
        _, parts = await asyncio.gather(self.store(), self._find_queue(name))
        return await self._settle_queue(Queue(name, create=False), *parts, require_sources=require_sources)

    async def restore(self) -> None:
        """
        Create again what a server forgot when it was restarted. Call it after every reconnect; it is cheap.

        A server that is not in a cluster forgets streams that it kept in memory, and not their messages alone. So it is
        with the presence of workers, without which no dead worker is found to be dead, and with the whole namespace
        where an application keeps it in memory.

        Raises:
            TopologyError: What was forgotten may not be created by this user.
            UnknownQueueError: A queue was forgotten and says ``create=False``.
            ServerError: No answer, or another refusal.
        """
        store = await self.store()
        storages = {store.storage, *(queue.storage for queue in self._declared.values())}
        if "memory" in storages:
            await self.ensure(list(self._declared.values()), require_sources=False)
        else:
            presence = blueprint.presence(self._names, store.replicas)
            await self._settle(presence, await self._find(presence.name))

    async def store(self) -> BoundStore:
        """
        Return the task store as it was bound, binding it on first use; nothing is created.

        Raises:
            TopologyError: It does not exist, or cannot be bound.
            ServerError: No answer, or another refusal.
        """
        if self._store is None:
            plan = blueprint.task_store(self._names, self._settings)
            found = await self._find(plan.name)
            if found is None:
                raise TopologyError(plan.name, "there is no task store; any producer or worker that may creates it")
            return await self._settle_store(plan, found)
        return self._store

    async def reread_store(self) -> BoundStore:
        """
        Return the task store as it is now; see :meth:`store`.

        Raises:
            TopologyError: It does not exist any more.
            ServerError: No answer, or a refusal.
        """
        self._store = None
        return await self.store()

    async def ttl_allowed(self) -> bool:
        """Whether a record may carry its own time to live; not so in a store that Go made and we may not change."""
        return (await self.store()).record_ttl

    # Streams

    def _shared(self, like: StoreSettings | BoundStore) -> list[Plan]:
        return blueprint.shared_streams(self._names, like.storage, like.replicas)

    async def _find(self, stream: str) -> Config | None:
        found = await find_stream(self._connection, stream)
        return None if found is None else found["config"]

    async def _settle_store(self, plan: Plan, found: Config | None) -> BoundStore:
        self._store = read_store(await self._settle(plan, found))
        return self._store

    async def _settle(self, plan: Plan, found: Config | None, *, require_all: bool = False) -> Config:
        """Create the stream, or check it and add what it lacks; return its configuration."""
        config = found or await self._create(plan)
        blueprint.check(plan.name, plan.rules, config)
        for addition in plan.additions:
            config = await self._add(addition, config, required=require_all or not addition.without)
        return config

    async def _create(self, plan: Plan) -> Config:
        try:
            answer = await self._connection.api(f"STREAM.CREATE.{plan.name}", plan.config)
        except PermissionDeniedError as denied:
            raise TopologyError(plan.name, f"it does not exist, and this user may not create it ({denied})") from denied
        except RequestRefusedError as refused:
            if refused.code == STREAM_NAME_IN_USE and (found := await self._find(plan.name)) is not None:
                return found
            raise await self._explain(plan, refused) from refused
        config: Config = answer["config"]
        return config

    async def _explain(self, plan: Plan, refused: RequestRefusedError) -> ServerError:
        replicas = plan.config["num_replicas"]
        match refused.code:
            case code if code == REPLICAS_NOT_SUPPORTED:
                reason = f"{replicas} replicas are wanted, and the server is not in a cluster; use replicas=1"
            case code if code == NO_SUITABLE_PEERS and replicas > 1:
                reason = f"{replicas} replicas are wanted, and the cluster has no room for them: {refused.description}"
            case code if code == SUBJECT_OVERLAP:
                others = await self._holders(plan.config["subjects"])
                reason = f"its subjects {plan.config['subjects']} belong to another stream already: {others}"
            case _:
                return refused
        return TopologyError(plan.name, reason)

    async def _holders(self, subjects: list[str]) -> str:
        """Name the streams that hold any of the subjects."""
        pages = await asyncio.gather(
            *(self._connection.api("STREAM.NAMES", {"subject": subject}) for subject in subjects)
        )
        return ", ".join(sorted({name for page in pages for name in page.get("streams") or ()}))

    async def _add(self, addition: Addition, config: Config, *, required: bool) -> Config:
        changes = addition.lacking(config)
        if not changes:
            return config
        name: str = config["name"]
        try:
            answer = await self._connection.api(f"STREAM.UPDATE.{name}", config | changes)
        except (PermissionDeniedError, RequestRefusedError, ServerTimeoutError) as error:
            if required:
                raise TopologyError(name, f"it lacks {addition.what}, which could not be added: {error}") from error
            self._tell(name, f"{addition.what} could not be added ({error}); {addition.without}", failed=True)
            return config
        self._tell(name, f"{addition.what} was added")
        updated: Config = answer["config"]
        return updated

    def _tell(self, name: str, change: str, *, failed: bool = False) -> None:
        self._bus.emit(TopologyChanged(name=name, change=change, failed=failed))

    # Queues

    async def _find_queue(self, name: str) -> tuple[Config | None, Config | None]:
        stream = self._names.queue(name)
        return await asyncio.gather(self._find(stream), self._find_consumer(stream))

    async def _find_consumer(self, stream: str) -> Config | None:
        found = await find_consumer(self._connection, stream)
        return None if found is None else found["config"]

    async def _settle_queue(
        self, queue: Queue, stream: Config | None, consumer: Config | None, *, require_sources: bool
    ) -> BoundQueue:
        if stream is None and not queue.create:
            raise UnknownQueueError(queue.name)
        store = await self.store()
        plan = blueprint.queue_stream(self._names, queue, self._settings)
        stream = await self._settle(plan, stream, require_all=require_sources)
        if consumer is None:
            consumer = await (self._create_consumer(queue) if queue.create else self._await_consumer(plan.name))
        bound = read_queue(self._names, queue.name, stream, consumer, record_ttl=store.record_ttl)
        kept = differences(queue, bound)
        if kept:
            self._tell(plan.name, f"kept as it is: {kept}; change it with: jetq queues configure", failed=True)
        return bound

    async def _create_consumer(self, queue: Queue) -> Config:
        stream = self._names.queue(queue.name)
        wanted = blueprint.queue_consumer(self._names, queue)
        body = {"stream_name": stream, "config": wanted, "action": "create"}
        try:
            answer = await self._connection.api(f"CONSUMER.CREATE.{stream}.{WORKERS}", body)
        except PermissionDeniedError as denied:
            reason = f"it does not exist, and this user may not create it ({denied})"
            raise TopologyError(f"{stream}.{WORKERS}", reason) from denied
        except RequestRefusedError as refused:
            if refused.code == CONSUMER_EXISTS and (found := await self._find_consumer(stream)) is not None:
                return found
            raise
        config: Config = answer["config"]
        return config

    async def _await_consumer(self, stream: str) -> Config:
        """Wait for whoever created the stream to create the consumer as well."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _CONSUMER_WAIT
        while (found := await self._find_consumer(stream)) is None:
            if loop.time() > until:
                raise TopologyError(f"{stream}.{WORKERS}", "the queue has no consumer; jetq queues add creates it")
            await asyncio.sleep(_CONSUMER_POLL)
        return found

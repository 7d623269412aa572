"""
store_keeper: the task store and all that belongs to it, for people: make it, look at it, change it, empty it.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from jetq.errors import RequestRefusedError, TopologyError
from jetq.jetstream.backend import Backend
from jetq.jetstream.blueprint import NANOSECONDS, Config
from jetq.jetstream.bound_queue import read_store
from jetq.jetstream.faults import NO_SUITABLE_PEERS, REPLICAS_NOT_SUPPORTED, STREAM_NOT_FOUND
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_catalog import QueueCatalog
from jetq.jetstream.store_changes import StoreChanges, changed_store, replicated
from jetq.jetstream.topology import Topology
from jetq.model.quantity import Duration, seconds
from jetq.settings import DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT, StoreSettings


class StoreInfo(Struct, frozen=True, kw_only=True):
    """
    A task store as it is.

    Attributes:
        name: Of its stream.
        records: Tasks in it, of whatever state.
        size: Bytes of them.
        storage, replicas: Of the store, and of what is made beside it.
        complete_kept, ended_kept: Seconds that records of complete and of other ended tasks are kept where neither a
            task nor its handler nor its application says.
        max_age: Seconds after which any record is dropped, whatever its state; 0 keeps all.
        record_ttl: Whether a record may have a time to live; without it, only ``max_age`` removes any.
        events_kept: Seconds that events are kept; 0 if they are not.
        created: When it was made.
        others: Streams beside it with another number of replicas, by name.
    """

    name: str
    records: int
    size: int
    storage: str
    replicas: int
    complete_kept: float
    ended_kept: float
    max_age: float
    record_ttl: bool
    events_kept: float
    created: datetime
    others: dict[str, int]


class PurgedStore(Struct, frozen=True, kw_only=True):
    """What a purge removed."""

    records: int
    items: int
    schedules: int
    keys: int
    links: int


class StoreKeeper:
    """
    Looks after a task store.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._connection = backend.connection
        self._names = backend.names
        self._backend = backend

    async def initialize(self, settings: StoreSettings, changes: StoreChanges | None = None) -> bool:
        """
        Create the store and all that is made with it, before any application does.

        Args:
            settings: Storage and replicas, and how long events are kept.
            changes: Retention that the store is to have.

        Returns:
            False if it existed; it keeps its settings then.

        Raises:
            TopologyError: It can be neither created nor bound.
            ServerError: No answer, or another refusal.
        """
        existed = await find_stream(self._connection, self._names.tasks) is not None
        if existed:
            settings = replace(settings, events_kept=None, events_max_bytes=None)
        await Topology(self._connection, self._names, settings).ensure([])
        if changes is not None and not existed:
            await self._update(self._names.tasks, changes.checked())
        return not existed

    async def describe(self) -> StoreInfo:
        """
        Describe the store.

        Raises:
            TopologyError: There is none.
            ServerError: No answer, or a refusal.
        """
        names = [self._names.tasks, *self._beside()]
        store, *others = await asyncio.gather(*(find_stream(self._connection, name) for name in names))
        if store is None:
            raise _missing(self._names.tasks)
        config, state, bound = store["config"], store["state"], read_store(store["config"])
        events = others[-1]
        return StoreInfo(
            name=self._names.tasks,
            records=state["messages"],
            size=state["bytes"],
            storage=bound.storage,
            replicas=bound.replicas,
            complete_kept=DEFAULT_COMPLETE_KEPT if bound.complete_kept is None else bound.complete_kept,
            ended_kept=DEFAULT_ENDED_KEPT if bound.ended_kept is None else bound.ended_kept,
            max_age=bound.max_age,
            record_ttl=bound.record_ttl,
            events_kept=0.0 if events is None else events["config"].get("max_age", 0) / NANOSECONDS,
            created=msgspec.convert(store["created"], datetime),
            others={
                found["config"]["name"]: found["config"]["num_replicas"]
                for found in others
                if found is not None and found["config"]["num_replicas"] != config["num_replicas"]
            },
        )

    def _beside(self) -> list[str]:
        """Name what is made with the store, and has its replicas; the stream of events is the last."""
        names = self._names
        buckets = map(names.bucket_stream, (names.configuration, names.elections, names.workers))
        return [names.schedules, names.keys, names.links, *buckets, names.events]

    async def configure(self, changes: StoreChanges, *, events_kept: Duration | None = None) -> StoreInfo:
        """
        Change settings while everything runs.

        The retention counts for tasks that end from now on: workers read it within half a minute. Copies are made and
        removed by the server; meanwhile all goes on. If one of the streams is refused, those before it stay changed.

        Args:
            changes: What to change.
            events_kept: Seconds that events are kept from now on; makes their stream if there is none. 0 keeps none
                and removes those that were kept.

        Raises:
            InvalidSettingError: A value cannot be used.
            TopologyError: There is no store, or no room for so many copies.
            ServerError: No answer, or a refusal.
        """
        changes = changes.checked()
        await self._update(self._names.tasks, changes)
        if changes.replicas is not None:
            for name in self._beside():
                await self._update(name, StoreChanges(replicas=changes.replicas), required=False)
        if events_kept is not None:
            await self._backend.topology.reread_store()
            if seconds("events_kept", events_kept) == 0:
                await self._backend.topology.forget_events()
            else:
                await self._backend.topology.keep_events(events_kept)
        return await self.describe()

    async def _update(self, stream: str, changes: StoreChanges, *, required: bool = True) -> None:
        found = await find_stream(self._connection, stream)
        if found is None:
            if required:
                raise _missing(stream)
            return
        config: Config = found["config"]
        is_store = stream == self._names.tasks
        wanted = changed_store(config, changes) if is_store else replicated(config, changes.replicas)
        if wanted == config:
            return
        try:
            await self._connection.api(f"STREAM.UPDATE.{stream}", wanted)
        except RequestRefusedError as refused:
            raise _explained(stream, wanted, refused) from refused

    async def purge(self) -> PurgedStore:
        """
        Remove every task: records, items, schedules, unique keys and dependencies. Queues and stored schedules stay.

        What the other streams hold is noted first, then the records go, then what was noted. So whoever enqueues
        meanwhile keeps either both, the record and its item, or an item alone, which a worker finds to be nobody's.
        Runs that are under way go on, and their results are dropped.

        Raises:
            TopologyError: There is no store.
            ServerError: No answer, or a refusal; do it again.
        """
        names = self._names
        queues = [names.queue(queue) for queue in await QueueCatalog(self._connection, names).list_names()]
        streams = [names.schedules, names.keys, names.links, *queues]
        marks = await asyncio.gather(*(self._end_of(stream) for stream in streams))
        try:
            records = await self._purge(names.tasks, {})
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                raise _missing(names.tasks) from refused
            raise
        removed = [
            0 if mark is None else await self._purge(stream, {"seq": mark + 1})
            for stream, mark in zip(streams, marks, strict=True)
        ]
        schedules, keys, links, *items = removed
        return PurgedStore(records=records, items=sum(items), schedules=schedules, keys=keys, links=links)

    async def _end_of(self, stream: str) -> int | None:
        found = await find_stream(self._connection, stream)
        return None if found is None else int(found["state"]["last_seq"])

    async def _purge(self, stream: str, body: dict[str, Any]) -> int:
        return int((await self._connection.api(f"STREAM.PURGE.{stream}", body)).get("purged", 0))


def _missing(stream: str) -> TopologyError:
    return TopologyError(stream, "there is no task store; jetq tasks initialize creates it, or a producer or worker")


def _explained(stream: str, wanted: Config, refused: RequestRefusedError) -> RequestRefusedError | TopologyError:
    replicas = wanted["num_replicas"]
    if refused.code == REPLICAS_NOT_SUPPORTED:
        return TopologyError(stream, f"{replicas} replicas are wanted, and the server is not in a cluster")
    if refused.code == NO_SUITABLE_PEERS:
        return TopologyError(
            stream, f"{replicas} replicas are wanted, and the cluster has no room: {refused.description}"
        )
    return refused

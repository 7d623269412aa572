"""The task store as a whole: made, described, changed while it is in use, emptied."""

import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from jetq.admin.store_keeper import PurgedStore, StoreKeeper
from jetq.app.application import App
from jetq.errors import InvalidSettingError, TaskNotFoundError, TopologyError
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_catalog import QueueCatalog
from jetq.jetstream.queue_changes import QueueChanges
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.store_changes import StoreChanges
from jetq.observe.bus import Bus
from jetq.settings import DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT, Queue, Settings, StoreSettings
from jetq.wire.names import Names
from jetq.worker import retention_watch
from jetq.worker.worker import Worker
from tests.integration import golayout
from tests.integration.watching import eventually
from tests.servers import TestCluster

HOUR = 3600.0


@pytest.fixture
async def bare(connection: Connection, namespace: str) -> Backend:
    """Give a backend in a namespace where nothing is yet."""
    return await Backend.over(connection, Settings(namespace=namespace), bus=Bus())


@pytest.fixture
def keeper(bare: Backend) -> StoreKeeper:
    return StoreKeeper(bare)


async def test_a_store_is_made_before_any_application(keeper: StoreKeeper, bare: Backend) -> None:
    assert await keeper.initialize(StoreSettings(storage="memory"), StoreChanges(retention=HOUR, ended_kept=2 * HOUR))

    store = await keeper.describe()

    assert (store.storage, store.replicas, store.records) == ("memory", 1, 0)
    assert (store.complete_kept, store.ended_kept, store.max_age) == (HOUR, 2 * HOUR, 0)
    assert (store.events_kept, store.others, store.record_ttl) == (0, {}, True)
    assert await find_stream(bare.connection, bare.names.schedules) is not None


async def test_a_store_that_exists_keeps_its_settings(keeper: StoreKeeper) -> None:
    await keeper.initialize(StoreSettings())

    assert not await keeper.initialize(StoreSettings(storage="memory"), StoreChanges(retention=HOUR))

    store = await keeper.describe()
    assert (store.storage, store.complete_kept, store.ended_kept) == ("file", DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT)


async def test_where_there_is_no_store_that_is_said(keeper: StoreKeeper) -> None:
    for work in (keeper.describe(), keeper.configure(StoreChanges(retention=HOUR)), keeper.purge()):
        with pytest.raises(TopologyError, match="there is no task store; jetq tasks initialize creates it"):
            await work


async def test_retention_can_be_changed_and_given_back(keeper: StoreKeeper) -> None:
    await keeper.initialize(StoreSettings())

    changed = await keeper.configure(StoreChanges(retention=HOUR))
    ended = await keeper.configure(StoreChanges(ended_kept=60))
    back = await keeper.configure(StoreChanges(complete_kept=0))

    assert (changed.complete_kept, changed.ended_kept) == (HOUR, HOUR)
    assert (ended.complete_kept, ended.ended_kept) == (HOUR, 60)
    assert (back.complete_kept, back.ended_kept) == (DEFAULT_COMPLETE_KEPT, 60)


@pytest.mark.parametrize(
    "changes",
    [{"retention": 0.5}, {"complete_kept": -1}, {"ended_kept": "x"}, {"replicas": 0}, {"replicas": 6}],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(keeper: StoreKeeper, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingError):
        await keeper.configure(StoreChanges(**changes))


async def test_the_age_limit_of_a_store_of_go_is_changed_as_well(keeper: StoreKeeper, bare: Backend) -> None:
    names = bare.names
    await golayout.make_store(bare.connection, names.namespace, max_age=24 * 3600 * golayout.SECOND)

    await keeper.configure(StoreChanges(complete_kept=60))
    before = await keeper.describe()
    after = await keeper.configure(StoreChanges(retention=HOUR))

    assert (before.max_age, before.complete_kept, before.record_ttl) == (24 * HOUR, 60, True)
    assert (after.max_age, after.complete_kept, after.ended_kept) == (HOUR, HOUR, HOUR)


async def test_events_are_kept_from_when_that_is_wanted(keeper: StoreKeeper) -> None:
    await keeper.initialize(StoreSettings())

    assert (await keeper.configure(StoreChanges(), events_kept=HOUR)).events_kept == HOUR
    assert (await keeper.configure(StoreChanges(), events_kept=60)).events_kept == 60


async def test_copies_need_a_cluster(keeper: StoreKeeper) -> None:
    await keeper.initialize(StoreSettings())

    with pytest.raises(TopologyError, match="3 replicas are wanted, and the server is not in a cluster"):
        await keeper.configure(StoreChanges(replicas=3))


async def test_a_purge_leaves_nothing_of_any_task(keeper: StoreKeeper, bare: Backend, server: EmbeddedServer) -> None:
    app = App("t", servers=server.url, namespace=bare.names.namespace)
    async with app:
        await app.aenqueue("a", queue="A")
        await app.aenqueue("b", queue="B")
        waiting = await app.aenqueue("c", queue="B", delay=3600)

        purged = await keeper.purge()

        with pytest.raises(TaskNotFoundError):
            await waiting.arecord()
        again = await app.aenqueue("a", queue="A")
        assert await again.astate() == "new"
    assert purged == PurgedStore(records=3, items=2, schedules=1, keys=0, links=0)
    names = bare.names
    left = [
        (await bare.connection.api(f"STREAM.INFO.{s}"))["state"]["messages"]
        for s in (names.queue("B"), names.schedules)
    ]
    assert left == [0, 0]


async def test_who_enqueues_during_a_purge_keeps_the_item_with_the_record(
    keeper: StoreKeeper, bare: Backend, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("t", servers=server.url, namespace=bare.names.namespace)
    async with app:
        await app.aenqueue("old", queue="A")
        purge = keeper._purge

        async def enqueueing(stream: str, body: dict[str, Any]) -> int:
            removed = await purge(stream, body)
            if stream == bare.names.tasks:
                await app.aenqueue("new", id="new", queue="A")
            return removed

        monkeypatch.setattr(keeper, "_purge", enqueueing)

        assert (await keeper.purge()).items == 1

    info = await bare.connection.api(f"STREAM.INFO.{bare.names.queue('A')}", {"subjects_filter": ">"})
    assert info["state"]["subjects"] == {bare.names.item("A", "new"): 1}


@pytest.mark.parametrize("own", [None, 7200.0], ids=["the-store-says", "the-application-says"])
async def test_a_running_worker_takes_notice_of_another_retention(
    own: float | None, keeper: StoreKeeper, bare: Backend, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_watch, "REREAD_EVERY", 0.01)
    settings = Settings(namespace=bare.names.namespace, store=StoreSettings(complete_kept=own))
    app = App("t", servers=server.url, settings=settings)

    @app.task("nothing")
    def nothing() -> None: ...

    async def ttl() -> str:
        handle = await nothing.aenqueue()
        await handle.await_end(10)
        found = await bare.connection.api(
            f"STREAM.MSG.GET.{bare.names.tasks}", {"last_by_subj": bare.names.record(handle.id)}
        )
        headers = found["message"].get("hdrs", "")
        return str(headers)

    async with app, Worker(app):
        await ttl()
        await keeper.configure(StoreChanges(complete_kept=HOUR))
        wanted = "Nats-TTL: 7200s" if own else "Nats-TTL: 3600s"

        async def changed() -> bool:
            return wanted in base64.b64decode(await ttl()).decode()

        await eventually(changed)


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    with TestCluster.start() as running:
        yield running


async def copies(connection: Connection, stream: str) -> int:
    """Return the number of copies that have all that the stream holds."""
    peers = (await connection.api(f"STREAM.INFO.{stream}"))["cluster"].get("replicas") or []
    return 1 + sum(peer["current"] for peer in peers)


@pytest.fixture
async def shop(cluster: TestCluster, namespace: str) -> AsyncIterator[App]:
    """Give an application whose worker runs in the cluster, in a namespace where all is there once."""
    settings = Settings(namespace=namespace, enqueue_timeout=30)
    app = App("shop", servers=cluster.url, settings=settings, queues=[Queue("DEFAULT")])

    @app.task("nothing")
    def nothing() -> None: ...

    async with app, Worker(app):
        yield app


async def run_some(app: App) -> None:
    for handle in [await app.aenqueue("nothing") for _ in range(20)]:
        assert (await handle.await_end(20)).state == "complete"


async def test_a_store_is_copied_and_made_single_again_while_tasks_run(cluster: TestCluster, shop: App) -> None:
    async with await Connection.open(cluster.address, name="keeper") as connection:
        backend = await Backend.over(connection, shop.settings, bus=Bus())
        keeper, names = StoreKeeper(backend), backend.names
        await run_some(shop)

        store = await keeper.configure(StoreChanges(replicas=3, retention=HOUR))

        await run_some(shop)
        assert (store.replicas, store.others, store.complete_kept) == (3, {}, HOUR)
        for stream in (names.tasks, names.schedules, names.keys, names.bucket_stream(names.elections)):

            async def copied(stream: str = stream) -> bool:
                return await copies(connection, stream) == 3

            await eventually(copied)
        assert (await keeper.configure(StoreChanges(replicas=1))).replicas == 1
        await run_some(shop)


@pytest.mark.nightly
async def test_a_queue_is_copied_while_tasks_are_enqueued_and_run(cluster: TestCluster, shop: App) -> None:
    """For some ten seconds such a stream takes nothing; what is enqueued meanwhile waits."""
    async with await Connection.open(cluster.address, name="keeper") as connection:
        names = Names(shop.settings.namespace)
        await run_some(shop)

        queue = await QueueCatalog(connection, names).configure("DEFAULT", QueueChanges(replicas=3))

        assert queue.replicas == 3
        await run_some(shop)

        async def copied() -> bool:
            return await copies(connection, names.queue("DEFAULT")) == 3

        await eventually(copied)

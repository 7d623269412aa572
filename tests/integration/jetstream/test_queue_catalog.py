import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from jetq.errors import InvalidSettingError, TopologyError, UnknownQueueError
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.queue_catalog import QueueCatalog
from jetq.jetstream.queue_changes import QueueChanges
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import SCHEDULE, SCHEDULE_TARGET, Names
from tests.integration import golayout


@pytest.fixture
def names(namespace: str) -> Names:
    return Names(namespace)


@pytest.fixture
def topology(connection: Connection, names: Names) -> Topology:
    return Topology(connection, names, StoreSettings())


@pytest.fixture
def catalog(connection: Connection, names: Names) -> QueueCatalog:
    return QueueCatalog(connection, names)


async def put(connection: Connection, names: Names, queue: str, count: int) -> None:
    for number in range(count):
        await connection.request(names.item(queue, f"t{number}"), b"{}")


async def take(connection: Connection, names: Names, queue: str, count: int) -> list[Incoming]:
    """Take items as a worker would."""
    taken: list[Incoming] = []
    enough = asyncio.Event()

    def on_message(message: Incoming) -> None:
        taken.append(message)
        if len(taken) >= count:
            enough.set()

    inbox = connection.new_inbox()
    await connection.subscribe(inbox, on_message)
    subject = f"{connection.api_prefix}.CONSUMER.MSG.NEXT.{names.queue(queue)}.WORKERS"
    connection.send(subject, b'{"batch":%d,"expires":20000000000}' % count, reply=inbox)
    async with asyncio.timeout(10):
        await enough.wait()
    return taken


async def schedule(connection: Connection, names: Names, queue: str, task_id: str) -> None:
    headers = {SCHEDULE: "@at 2099-01-01T00:00:00Z", SCHEDULE_TARGET: names.due(queue, task_id)}
    await connection.request(names.schedule(queue, task_id), b"{}", headers=headers)


async def test_a_queue_tells_what_it_holds(
    connection: Connection, topology: Topology, catalog: QueueCatalog, names: Names
) -> None:
    bound = await topology.ensure([Queue("EMAIL", max_tries=3), Queue("OTHER")])
    before = datetime.now(UTC) - timedelta(seconds=5)
    await put(connection, names, "EMAIL", 10)
    taken = await take(connection, names, "EMAIL", 4)
    connection.send(taken[0].reply, b"+ACK")
    for number in range(3):
        await schedule(connection, names, "EMAIL", f"later{number}")
    await schedule(connection, names, "OTHER", "later")

    info = await catalog.describe("EMAIL")

    assert (info.items, info.pending, info.running, info.redelivered, info.pulls) == (9, 6, 3, 0, 0)
    assert info.scheduled == 3
    assert info.settings == bound["EMAIL"]
    assert (info.fault, info.storage, info.replicas) == ("", "file", 1)
    assert info.size > 0
    assert info.oldest is not None
    assert before < info.oldest < datetime.now(UTC) + timedelta(seconds=5)
    assert info.created is not None
    assert info.created <= info.oldest


async def test_a_waiting_worker_shows_as_a_pull(
    connection: Connection, topology: Topology, catalog: QueueCatalog, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL")])
    await connection.subscribe("_INBOX.waiting", lambda _message: None)
    subject = f"{connection.api_prefix}.CONSUMER.MSG.NEXT.{names.queue('EMAIL')}.WORKERS"
    connection.send(subject, b'{"batch":5,"expires":20000000000}', reply="_INBOX.waiting")

    info = await catalog.describe("EMAIL")

    assert (info.pulls, info.items, info.oldest) == (1, 0, None)


async def test_all_queues_of_the_namespace_are_listed_whoever_made_them(
    connection: Connection, topology: Topology, catalog: QueueCatalog, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL"), Queue("a:b")])
    await Topology(connection, Names(names.namespace + "X"), StoreSettings()).ensure([Queue("FOREIGN")])
    await golayout.make_queue(connection, names.namespace, "GO")

    assert await catalog.list_names() == ["EMAIL", "GO", "a:b"]
    infos = {info.name: info for info in await catalog.list_all()}
    assert list(infos) == ["EMAIL", "GO", "a:b"]
    go = infos["GO"].settings
    assert go is not None
    assert (go.made_by_go, go.sourced) == (True, False)


async def test_a_namespace_without_queues_lists_none(catalog: QueueCatalog) -> None:
    assert await catalog.list_all() == []


async def test_more_queues_than_a_page_are_listed(
    connection: Connection, catalog: QueueCatalog, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = connection.api
    for number in range(7):
        await golayout.make_queue(connection, names.namespace, f"Q{number}")

    async def small_pages(action: str, body: object = None, *, timeout: float | None = None) -> dict[str, object]:
        page = await api(action, body, timeout=timeout)
        if action == "STREAM.NAMES":
            page["streams"] = page["streams"][:3]
        return page

    monkeypatch.setattr(connection, "api", small_pages)

    assert await catalog.list_names() == [f"Q{number}" for number in range(7)]


async def test_a_broken_queue_is_listed_with_its_fault(
    connection: Connection, topology: Topology, catalog: QueueCatalog, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL"), Queue("HALF")])
    await connection.api(f"CONSUMER.DELETE.{names.queue('HALF')}.WORKERS")
    await golayout.make_queue(connection, names.namespace, "PUSH", consumer={"headers_only": True})

    infos = {info.name: info for info in await catalog.list_all()}

    assert infos["EMAIL"].fault == ""
    assert (infos["HALF"].settings, infos["HALF"].fault) == (None, "it has no consumer WORKERS")
    assert infos["PUSH"].settings is None
    assert "its headers_only is True and jetq needs False" in infos["PUSH"].fault


async def test_limits_change_while_items_are_out(
    connection: Connection, topology: Topology, catalog: QueueCatalog, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL", max_concurrent=2)])
    await put(connection, names, "EMAIL", 5)
    await take(connection, names, "EMAIL", 2)

    changes = QueueChanges(
        max_age=timedelta(seconds=90),
        max_entries=50,
        discard_old=True,
        max_tries=9,
        max_run_time=60,
        max_concurrent=4,
        lease=20,
    )
    info = await catalog.configure("EMAIL", changes)

    bound = await topology.bind_queue("EMAIL")
    assert info.settings == bound
    assert (bound.max_age, bound.max_entries, bound.discard_old) == (90, 50, True)
    assert (bound.max_tries, bound.max_run_time, bound.max_concurrent, bound.lease) == (9, 60, 4, 20)
    assert (info.items, info.running, bound.sourced) == (5, 2, True)
    assert len(await take(connection, names, "EMAIL", 2)) == 2


async def test_a_change_leaves_everything_else_as_it_was(topology: Topology, catalog: QueueCatalog) -> None:
    declared = Queue("EMAIL", max_age=300, max_entries=7, max_tries=3, max_run_time=60, max_concurrent=5, lease=10)
    before = await topology.ensure_queue(declared)

    await catalog.configure("EMAIL", QueueChanges(max_tries=0))

    after = await topology.bind_queue("EMAIL")
    assert after.max_tries == 0
    assert {name: getattr(after, name) for name in after.__struct_fields__ if name != "max_tries"} == {
        name: getattr(before, name) for name in before.__struct_fields__ if name != "max_tries"
    }


async def test_limits_are_lifted_with_zero(topology: Topology, catalog: QueueCatalog) -> None:
    await topology.ensure([Queue("EMAIL", max_age=300, max_entries=7)])

    await catalog.configure("EMAIL", QueueChanges(max_age=0, max_entries=0))

    bound = await topology.bind_queue("EMAIL")
    assert (bound.max_age, bound.max_entries) == (0, 0)


async def test_a_queue_of_go_keeps_its_form_when_changed(
    connection: Connection, catalog: QueueCatalog, names: Names
) -> None:
    await golayout.make_queue(connection, names.namespace, "GO")

    await catalog.configure("GO", QueueChanges(max_run_time=90, max_tries=0, max_age=60))

    consumer = (await connection.api(f"CONSUMER.INFO.{names.queue('GO')}.WORKERS"))["config"]
    assert (consumer["ack_wait"], consumer["max_deliver"]) == (90 * golayout.SECOND, -1)
    assert not [key for key in consumer["metadata"] if key.startswith("jetq.")]
    stream = (await connection.api(f"STREAM.INFO.{names.queue('GO')}"))["config"]
    assert (stream["max_age"], stream["duplicate_window"]) == (60 * golayout.SECOND, 60 * golayout.SECOND)
    with pytest.raises(InvalidSettingError, match="lease"):
        await catalog.configure("GO", QueueChanges(lease=15))


async def test_a_deleted_queue_is_gone_and_can_be_made_again(
    connection: Connection, topology: Topology, catalog: QueueCatalog, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL")])
    await put(connection, names, "EMAIL", 5)

    await catalog.delete("EMAIL")

    assert await catalog.list_names() == []
    with pytest.raises(UnknownQueueError):
        await topology.bind_queue("EMAIL")
    await topology.ensure_queue(Queue("EMAIL"))
    assert (await catalog.describe("EMAIL")).items == 0


@pytest.mark.parametrize(
    "operation",
    [
        lambda catalog: catalog.describe("MISSING"),
        lambda catalog: catalog.configure("MISSING", QueueChanges(max_tries=1)),
        lambda catalog: catalog.delete("MISSING"),
    ],
    ids=["describe", "configure", "delete"],
)
async def test_an_unknown_queue_is_said_to_be_unknown(
    catalog: QueueCatalog, operation: Callable[[QueueCatalog], "asyncio.Future[object]"]
) -> None:
    with pytest.raises(UnknownQueueError, match="there is no queue MISSING"):
        await operation(catalog)


async def test_a_queue_without_its_consumer_cannot_be_configured(
    connection: Connection, topology: Topology, catalog: QueueCatalog, names: Names
) -> None:
    await topology.ensure([Queue("HALF")])
    await connection.api(f"CONSUMER.DELETE.{names.queue('HALF')}.WORKERS")

    with pytest.raises(TopologyError, match="has no consumer; jetq queues add creates it"):
        await catalog.configure("HALF", QueueChanges(max_tries=1))

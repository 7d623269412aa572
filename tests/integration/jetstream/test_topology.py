import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq.errors import TopologyError, UnknownQueueError
from jetq.jetstream.connection import Connection
from jetq.jetstream.stream_message import last_message
from jetq.jetstream.topology import BoundQueue, Topology
from jetq.model.events import Event, TopologyChanged
from jetq.observe.bus import Bus
from jetq.settings import Queue, Storage, StoreSettings
from jetq.wire.names import SCHEDULE, SCHEDULE_TARGET, SCHEDULER, Names
from tests.integration import golayout
from tests.integration.watching import eventually
from tests.servers import TestServer

SECOND = golayout.SECOND


@pytest.fixture
def names(namespace: str) -> Names:
    return Names(namespace)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def topology(connection: Connection, names: Names, events: list[Event]) -> Topology:
    bus = Bus()
    bus.listen(events.append)
    return Topology(connection, names, StoreSettings(), bus=bus)


async def config_of(connection: Connection, stream: str) -> dict[str, Any]:
    config: dict[str, Any] = (await connection.api(f"STREAM.INFO.{stream}"))["config"]
    return config


async def consumer_of(connection: Connection, stream: str) -> dict[str, Any]:
    config: dict[str, Any] = (await connection.api(f"CONSUMER.INFO.{stream}.WORKERS"))["config"]
    return config


def part(whole: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: whole.get(name) for name in fields}


async def test_a_namespace_is_created_as_the_protocol_says(
    connection: Connection, topology: Topology, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL")])

    ns = names.namespace
    wanted = {
        f"{ns}_TASKS": {
            "subjects": [f"{ns}.T.*"],
            "retention": "limits",
            "max_age": 0,
            "allow_msg_ttl": True,
            "allow_direct": True,
            "storage": "file",
        },
        f"{ns}_SCHED": {
            "subjects": [f"{ns}.S.>", f"{ns}.D.>"],
            "retention": "workqueue",
            "discard": "old",
            "allow_msg_schedules": True,
            "max_age": 0,
            "max_msgs": -1,
        },
        f"{ns}_KEYS": {"subjects": [f"{ns}.K.*"], "retention": "limits", "allow_msg_ttl": True},
        f"{ns}_LINKS": {"subjects": [f"{ns}.B.>", f"{ns}.L.>", f"{ns}.F.>"], "retention": "limits"},
        f"{ns}_Q_EMAIL": {
            "subjects": [f"{ns}.Q.EMAIL.>"],
            "retention": "workqueue",
            "discard": "new",
            "max_msgs": -1,
            "sources": [
                {
                    "name": f"{ns}_SCHED",
                    "subject_transforms": [{"src": f"{ns}.D.EMAIL.>", "dest": f"{ns}.Q.EMAIL.>"}],
                }
            ],
        },
        f"KV_{ns}_CONFIGURATION": {"max_age": 0, "allow_rollup_hdrs": True, "discard": "new"},
        f"KV_{ns}_ELECTIONS": {"max_age": 10 * SECOND, "deny_delete": True, "allow_direct": False},
        f"KV_{ns}_WORKERS": {"storage": "memory", "allow_msg_ttl": True, "max_age": 0},
    }
    for stream, fields in wanted.items():
        expected = fields | {"max_msgs_per_subject": 1, "num_replicas": 1}
        assert (stream, part(await config_of(connection, stream), expected)) == (stream, expected)


async def test_the_workers_consumer_has_the_lease_and_says_the_rest_in_its_metadata(
    connection: Connection, topology: Topology, names: Names
) -> None:
    queue = Queue("EMAIL", lease=7, max_run_time=timedelta(minutes=90), max_tries=4, max_concurrent=12)

    bound = await topology.ensure_queue(queue)

    wanted = {
        "ack_policy": "explicit",
        "ack_wait": 7 * SECOND,
        "max_deliver": -1,
        "max_ack_pending": 12,
        "max_waiting": 10_000,
        "filter_subject": names.items_subject("EMAIL"),
    }
    config = await consumer_of(connection, names.queue("EMAIL"))
    assert part(config, wanted) == wanted
    metadata = {key: value for key, value in config["metadata"].items() if key.startswith("jetq.")}
    assert metadata == {"jetq.lease": "7", "jetq.max_run_time": "5400", "jetq.max_tries": "4"}
    assert bound == BoundQueue(name="EMAIL", lease=7, max_run_time=5400, max_tries=4, max_concurrent=12)


async def test_limits_of_a_queue_become_limits_of_its_stream(
    connection: Connection, topology: Topology, names: Names
) -> None:
    bound = await topology.ensure_queue(
        Queue("SMALL", max_age=1, max_entries=3, discard_old=True, storage="memory", lease=2.5)
    )

    wanted = {"max_age": SECOND, "max_msgs": 3, "discard": "old", "storage": "memory"}
    assert part(await config_of(connection, names.queue("SMALL")), wanted) == wanted
    assert (bound.max_age, bound.max_entries, bound.discard_old, bound.lease) == (1, 3, True, 2.5)


@pytest.mark.parametrize(("prefix", "lease"), [("CHORIA_AJ", 15), ("", None)], ids=["namespace", "lease"])
async def test_a_queue_shared_with_go_is_made_as_go_reads_it(
    connection: Connection, namespace: str, prefix: str, lease: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if prefix:  # the namespace of Go, under a name that no other test uses
        monkeypatch.setattr("jetq.jetstream.blueprint.GO_NAMESPACE", namespace)
    names = Names(namespace)
    queue = Queue("EMAIL", lease=lease, max_run_time=120, max_tries=7, max_concurrent=5)

    bound = await Topology(connection, names, StoreSettings()).ensure_queue(queue)

    wanted = {"ack_wait": 120 * SECOND, "max_deliver": 7, "max_ack_pending": 5}
    config = await consumer_of(connection, names.queue("EMAIL"))
    assert part(config, wanted) == wanted
    assert not [key for key in config["metadata"] if key.startswith("jetq.")]
    assert (bound.lease, bound.max_run_time, bound.max_tries, bound.made_by_go) == (120, 120, 7, True)


async def test_everything_is_kept_in_memory_when_asked(connection: Connection, names: Names) -> None:
    await Topology(connection, names, StoreSettings(storage="memory")).ensure([Queue("EMAIL")])

    page = await connection.api("STREAM.LIST", {"subject": f"{names.namespace}.>"})
    assert {stream["config"]["storage"] for stream in page["streams"]} == {"memory"}
    assert len(page["streams"]) == 5


async def test_what_stands_beside_a_store_gets_the_stores_storage(connection: Connection, names: Names) -> None:
    await golayout.make_store(connection, names.namespace, storage="memory")

    await Topology(connection, names, StoreSettings(storage="file")).ensure([])

    for stream in (names.schedules, names.keys, names.links, names.bucket_stream(names.elections)):
        assert (await config_of(connection, stream))["storage"] == "memory"


async def test_a_warm_start_changes_nothing_and_is_one_request_a_stream_and_consumer(
    connection: Connection, topology: Topology, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = [Queue("EMAIL", max_concurrent=7), Queue("REPORTS")]
    cold = await topology.ensure(queues)
    asked: list[str] = []
    api = connection.api

    async def counted(action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        asked.append(action.rpartition(".")[0])
        return await api(action, body, timeout=timeout)

    monkeypatch.setattr(connection, "api", counted)
    warm = await topology.ensure(queues)

    assert warm == cold
    assert len(asked) == 7 + 2 * len(queues)
    assert all("INFO" in action for action in asked)
    assert events == []


async def test_a_layout_of_go_is_bound_and_only_what_is_lacking_is_added(
    connection: Connection, topology: Topology, names: Names, events: list[Event]
) -> None:
    await golayout.make_namespace(connection, names.namespace)
    store, queue = names.tasks, names.queue("DEFAULT")
    before = {stream: await config_of(connection, stream) for stream in (store, queue)}
    workers = await consumer_of(connection, queue)

    bound = (await topology.ensure([Queue("DEFAULT")]))["DEFAULT"]

    after = {stream: await config_of(connection, stream) for stream in (store, queue)}
    ours = {"metadata", "allow_msg_ttl", "sources"}
    for stream, config in before.items():
        assert {k: v for k, v in after[stream].items() if k not in ours} == {
            k: v for k, v in config.items() if k not in ours
        }
    assert after[store]["allow_msg_ttl"] is True
    assert [source["name"] for source in after[queue]["sources"]] == [names.schedules]
    assert await consumer_of(connection, queue) == workers
    assert bound == BoundQueue(
        name="DEFAULT", lease=60, max_run_time=60, max_tries=100, max_concurrent=100, made_by_go=True
    )
    assert await topology.ttl_allowed()
    assert {(event.name, event.change) for event in events if isinstance(event, TopologyChanged)} == {
        (store, "message TTL was added"),
        (queue, "its source of due tasks was added"),
    }


async def test_what_is_added_leaves_the_stored_messages_and_the_consumer_alone(
    connection: Connection, topology: Topology, names: Names
) -> None:
    await golayout.make_namespace(connection, names.namespace)
    for number in range(50):
        await connection.request(names.record(f"t{number}"), b"{}")
        await connection.request(names.item("DEFAULT", f"t{number}"), b'{"kind":0,"job":"t%d"}' % number)

    await topology.ensure([Queue("DEFAULT")])

    record = await connection.request(names.record("t7"), b"{}", headers={"Nats-TTL": "1s"})
    assert b'"error"' not in record.data
    assert (await connection.api(f"STREAM.INFO.{names.queue('DEFAULT')}"))["state"]["messages"] == 50
    assert (await connection.api(f"CONSUMER.INFO.{names.queue('DEFAULT')}.WORKERS"))["num_pending"] == 50
    await eventually(lambda: is_gone(connection, names, "t7"))
    assert (await connection.api(f"STREAM.INFO.{names.tasks}"))["state"]["messages"] == 49


async def is_gone(connection: Connection, names: Names, task_id: str) -> bool:
    return await last_message(connection, names.tasks, names.record(task_id)) is None


async def test_other_sources_of_a_queue_stay(connection: Connection, topology: Topology, names: Names) -> None:
    other = f"{names.namespace}_OTHER"
    await golayout.make_stream(connection, golayout.stream(other, [f"{names.namespace}.X.>"]))
    transform = {"src": f"{names.namespace}.X.>", "dest": f"{names.namespace}.Q.EMAIL.>"}
    source = {"name": other, "subject_transforms": [transform]}
    await golayout.make_queue(connection, names.namespace, "EMAIL", sources=[source])

    await topology.ensure_queue(Queue("EMAIL"))

    sources = (await config_of(connection, names.queue("EMAIL")))["sources"]
    assert [source["name"] for source in sources] == [other, names.schedules]


@pytest.mark.parametrize("made_by_go", [False, True])
async def test_a_delayed_item_comes_into_its_queue_when_it_is_due(
    connection: Connection, topology: Topology, names: Names, made_by_go: bool
) -> None:
    if made_by_go:
        await golayout.make_namespace(connection, names.namespace)
    await topology.ensure([Queue("DEFAULT"), Queue("OTHER")])
    due = datetime.now(UTC) + timedelta(seconds=1)
    headers = {SCHEDULE: f"@at {due:%Y-%m-%dT%H:%M:%SZ}", SCHEDULE_TARGET: names.due("DEFAULT", "t1")}

    stored = await connection.request(names.schedule("DEFAULT", "t1"), b'{"kind":0,"job":"t1"}', headers=headers)
    assert b'"error"' not in stored.data
    queue = names.queue("DEFAULT")

    async def arrived() -> bool:
        return await last_message(connection, queue, names.item("DEFAULT", "t1")) is not None

    await eventually(arrived)
    item = await last_message(connection, queue, names.item("DEFAULT", "t1"))
    assert item is not None
    assert item.data == b'{"kind":0,"job":"t1"}'
    assert f"{SCHEDULER}: {names.schedule('DEFAULT', 't1')}".encode() in item.hdrs

    async def waiting() -> bool:
        return (await connection.api(f"STREAM.INFO.{names.schedules}"))["state"]["messages"] == 0

    await eventually(waiting)
    assert (await connection.api(f"STREAM.INFO.{names.queue('OTHER')}"))["state"]["messages"] == 0


async def test_eight_processes_that_create_at_the_same_moment_all_succeed(connection: Connection, names: Names) -> None:
    async def start(number: int) -> dict[str, BoundQueue]:
        settings = StoreSettings(storage="file" if number % 2 else "memory")  # so that the losers' wishes differ
        queues = [Queue("EMAIL", max_concurrent=number + 1, max_entries=number + 1), Queue("REPORTS")]
        return await Topology(connection, names, settings).ensure(queues)

    started = await asyncio.gather(*(start(number) for number in range(8)))

    assert all(bound == started[0] for bound in started)
    config = await config_of(connection, names.queue("EMAIL"))
    consumer = await consumer_of(connection, names.queue("EMAIL"))
    assert (started[0]["EMAIL"].max_entries, started[0]["EMAIL"].max_concurrent) == (
        config["max_msgs"],
        consumer["max_ack_pending"],
    )


async def test_eight_processes_that_adopt_a_layout_of_go_at_the_same_moment_all_succeed(
    connection: Connection, names: Names
) -> None:
    await golayout.make_namespace(connection, names.namespace)

    await asyncio.gather(*(Topology(connection, names, StoreSettings()).ensure([Queue("DEFAULT")]) for _ in range(8)))

    assert len((await config_of(connection, names.queue("DEFAULT")))["sources"]) == 1


async def test_a_queue_that_may_not_be_created_must_exist(topology: Topology) -> None:
    await topology.ensure([Queue("EMAIL")])

    assert (await topology.ensure_queue(Queue("EMAIL", create=False))).name == "EMAIL"
    assert (await topology.bind_queue("EMAIL")).name == "EMAIL"
    with pytest.raises(UnknownQueueError, match="there is no queue MISSING"):
        await topology.ensure_queue(Queue("MISSING", create=False))
    with pytest.raises(UnknownQueueError, match="there is no queue MISSING"):
        await topology.bind_queue("MISSING")


async def test_binding_creates_nothing(connection: Connection, topology: Topology, names: Names) -> None:
    with pytest.raises(TopologyError, match="there is no task store"):
        await topology.bind_queue("EMAIL")

    assert (await connection.api("STREAM.LIST", {"subject": f"{names.namespace}.>"}))["total"] == 0


async def test_a_queue_whose_consumer_was_never_made_is_completed(
    connection: Connection, topology: Topology, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL", max_tries=3)])
    await connection.api(f"CONSUMER.DELETE.{names.queue('EMAIL')}.WORKERS")

    bound = await topology.ensure_queue(Queue("EMAIL", max_tries=3))

    assert bound.max_tries == 3
    assert (await consumer_of(connection, names.queue("EMAIL")))["ack_policy"] == "explicit"


async def test_binding_waits_for_the_consumer_that_another_process_is_making(
    connection: Connection, topology: Topology, names: Names
) -> None:
    await topology.ensure([Queue("EMAIL", max_tries=3)])
    await connection.api(f"CONSUMER.DELETE.{names.queue('EMAIL')}.WORKERS")

    binding = asyncio.create_task(topology.bind_queue("EMAIL"))
    await connection.api("INFO")  # answered behind what the binding has asked by now
    assert not binding.done()
    await Topology(connection, names, StoreSettings()).ensure([Queue("EMAIL", max_tries=3)])

    assert (await binding).max_tries == 3


async def test_declared_settings_that_are_not_in_force_are_told(topology: Topology, events: list[Event]) -> None:
    await topology.ensure([Queue("EMAIL", max_concurrent=5, max_run_time=60)])

    bound = await topology.ensure_queue(Queue("EMAIL", max_concurrent=9))

    assert (bound.max_concurrent, bound.max_run_time) == (5, 60)
    assert [(event.change, event.failed) for event in events if isinstance(event, TopologyChanged)] == [
        (
            "kept as it is: max_concurrent is 5 and 9 was declared; change it with: jetq queues configure",
            True,
        )
    ]


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["restart", "kill"])
@pytest.mark.parametrize("storage", ["file", "memory"])
async def test_what_a_restarted_server_forgot_is_restored(
    own_server: TestServer, names: Names, storage: Storage, ending: str
) -> None:
    async with await Connection.open(own_server.address, name="test") as connection:
        topology = Topology(connection, names, StoreSettings(storage=storage))
        await topology.ensure([Queue("EMAIL", max_tries=3), Queue("FAST", storage="memory")])
        back = asyncio.Event()
        connection.on_connected(lambda _generation: back.set())
        getattr(own_server, ending)()
        if ending == "kill":
            own_server.run()
        async with asyncio.timeout(20):
            await back.wait()

        await topology.restore()

        record = await connection.request(names.presence("w1"), b"{}", headers={"Nats-TTL": "5s"})
        assert b'"error"' not in record.data
        assert (await topology.bind_queue("EMAIL")).max_tries == 3
        assert (await config_of(connection, names.queue("FAST")))["storage"] == "memory"
        assert await config_of(connection, names.tasks)


async def test_restoring_what_is_there_is_one_request(
    connection: Connection, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topology.ensure([Queue("EMAIL")])
    asked: list[str] = []
    api = connection.api

    async def counted(action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        asked.append(action)
        return await api(action, body, timeout=timeout)

    monkeypatch.setattr(connection, "api", counted)
    await topology.restore()

    assert [action.rpartition(".")[0] for action in asked] == ["STREAM.INFO"]

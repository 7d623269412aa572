"""What cannot work is refused with the field, the value found and the value wanted; what may not be changed is told."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from jetq.errors import TopologyError, TopologyMismatchError
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.jetstream.topology import Topology
from jetq.model.events import Event, TopologyChanged
from jetq.observe.bus import Bus
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import Names
from tests.integration import golayout
from tests.servers import TestServer

SECOND = golayout.SECOND


def topology(connection: Connection, namespace: str, events: list[Event] | None = None) -> Topology:
    bus = Bus()
    if events is not None:
        bus.listen(events.append)
    return Topology(connection, Names(namespace), StoreSettings(), bus=bus)


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("retention", "workqueue", "'limits'"),
        ("subjects", ["{ns}.T.one", "{ns}.T.two"], "{ns}.T.*"),
        ("max_msgs_per_subject", 5, "1"),
        ("no_ack", True, "False"),
    ],
)
async def test_a_task_store_that_cannot_work_is_refused(
    connection: Connection, namespace: str, field: str, value: Any, wanted: str
) -> None:
    value = [subject.format(ns=namespace) for subject in value] if isinstance(value, list) else value
    await golayout.make_store(connection, namespace, **{field: value})

    with pytest.raises(TopologyMismatchError) as refused:
        await topology(connection, namespace).ensure([])

    wanted = wanted.format(ns=namespace)
    assert (refused.value.name, refused.value.field) == (f"{namespace}_TASKS", field)
    assert (refused.value.found, refused.value.wanted) == (value, wanted)
    assert str(refused.value) == (
        f"{namespace}_TASKS: its {field} is {value!r} and jetq needs {wanted}; change it, or choose another namespace"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retention", "limits"),
        ("max_msgs_per_subject", -1),
        ("discard_new_per_subject", True),
        ("subjects", ["{ns}.Q.EMAIL.one"]),
    ],
)
async def test_a_queue_that_cannot_work_is_refused(
    connection: Connection, namespace: str, field: str, value: Any
) -> None:
    value = [subject.format(ns=namespace) for subject in value] if isinstance(value, list) else value
    await golayout.make_queue(connection, namespace, "EMAIL", **{field: value})

    with pytest.raises(TopologyMismatchError) as refused:
        await topology(connection, namespace).ensure([Queue("EMAIL")])

    assert (refused.value.name, refused.value.field, refused.value.found) == (f"{namespace}_Q_EMAIL", field, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deliver_subject", "somewhere"),
        ("backoff", [SECOND, 2 * SECOND]),
        ("filter_subject", "{ns}.Q.EMAIL.one"),
        ("headers_only", True),
        ("max_batch", 5),
    ],
)
async def test_a_consumer_that_cannot_work_is_refused(
    connection: Connection, namespace: str, field: str, value: Any
) -> None:
    value = value.format(ns=namespace) if isinstance(value, str) else value
    await golayout.make_queue(connection, namespace, "EMAIL", consumer={field: value})

    with pytest.raises(TopologyMismatchError) as refused:
        await topology(connection, namespace).ensure([Queue("EMAIL")])

    assert (refused.value.name, refused.value.field) == (f"{namespace}_Q_EMAIL.WORKERS", field)
    assert refused.value.found == value


async def test_metadata_that_is_no_number_is_refused(connection: Connection, namespace: str) -> None:
    consumer = {"metadata": {"jetq.max_run_time": "an hour"}}
    await golayout.make_queue(connection, namespace, "EMAIL", consumer=consumer)

    with pytest.raises(TopologyMismatchError, match=r"metadata jetq\.max_run_time is 'an hour'"):
        await topology(connection, namespace).ensure([Queue("EMAIL")])


@pytest.mark.parametrize(("field", "value"), [("max_age", 60 * SECOND), ("retention", "limits"), ("max_msgs", 100)])
async def test_a_stream_of_schedules_that_would_lose_tasks_is_refused(
    connection: Connection, namespace: str, field: str, value: Any
) -> None:
    subjects = [f"{namespace}.S.>", f"{namespace}.D.>"]
    config = golayout.stream(f"{namespace}_SCHED", subjects, retention="workqueue", allow_msg_schedules=True)
    await golayout.make_stream(connection, config | {field: value})

    with pytest.raises(TopologyMismatchError) as refused:
        await topology(connection, namespace).ensure([])

    assert (refused.value.name, refused.value.field) == (f"{namespace}_SCHED", field)


async def test_a_bucket_of_elections_without_an_end_of_leadership_is_refused(
    connection: Connection, namespace: str
) -> None:
    await golayout.make_bucket(connection, f"{namespace}_ELECTIONS")

    with pytest.raises(TopologyMismatchError, match="its max_age is 0 and jetq needs a TTL"):
        await topology(connection, namespace).ensure([])


async def test_what_differs_and_works_is_bound_as_it_is(connection: Connection, namespace: str) -> None:
    await golayout.make_store(connection, namespace, max_age=3600 * SECOND, discard="new", max_bytes=10**9)
    await golayout.make_queue(connection, namespace, "EMAIL", discard="old", max_msgs=50, subjects=[f"{namespace}.Q.>"])
    bound = topology(connection, namespace)

    queue = await bound.ensure_queue(Queue("EMAIL"))

    assert (queue.discard_old, queue.max_entries) == (True, 50)
    assert (await bound.store()).max_age == 3600


async def test_replicas_on_a_server_without_cluster_are_refused_in_words(
    connection: Connection, namespace: str
) -> None:
    with pytest.raises(TopologyError, match=r"_TASKS: 3 replicas are wanted, and the server is not in a cluster"):
        await Topology(connection, Names(namespace), StoreSettings(replicas=3)).ensure([])
    with pytest.raises(TopologyError, match=r"_Q_EMAIL: 2 replicas are wanted, and the server is not in a cluster"):
        await topology(connection, namespace).ensure([Queue("EMAIL", replicas=2)])


async def test_the_stream_that_holds_our_subjects_is_named(connection: Connection, namespace: str) -> None:
    await golayout.make_stream(connection, golayout.stream(f"{namespace}_AUDIT", [f"{namespace}.Q.>"]))

    with pytest.raises(TopologyError, match=f"belong to another stream already: {namespace}_AUDIT"):
        await topology(connection, namespace).ensure([Queue("EMAIL")])


# What the user of a connection may not do


USERS = """
authorization {{
  users: [
    {{ user: admin, password: secret }}
    {{ user: other, password: secret, permissions: {{ publish: {{ deny: [{denied}] }} }} }}
  ]
}}
"""


@pytest.fixture(scope="module")
def restricted() -> Iterator[TestServer]:
    """Give a server where the user ``other`` may not create or change a stream or consumer."""
    denied = '"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.CONSUMER.CREATE.>"'
    with TestServer.start(USERS.format(denied=denied), user_part="admin:secret") as server:
        yield server


@pytest.fixture
async def admin(restricted: TestServer) -> AsyncIterator[Connection]:
    async with await Connection.open(restricted.address, name="admin") as opened:
        yield opened


@pytest.fixture
async def other(restricted: TestServer) -> AsyncIterator[Connection]:
    address = Address.of(f"nats://other:secret@127.0.0.1:{restricted.port}")
    async with await Connection.open(address, name="other") as opened:
        yield opened


async def test_who_may_change_nothing_binds_what_is_complete(
    admin: Connection, other: Connection, namespace: str
) -> None:
    made = await topology(admin, namespace).ensure([Queue("EMAIL", max_tries=3)])

    assert await topology(other, namespace).ensure([Queue("EMAIL")]) == made


async def test_who_may_create_nothing_is_told_what_is_missing(
    admin: Connection, other: Connection, namespace: str
) -> None:
    with pytest.raises(TopologyError, match=f"{namespace}_TASKS: it does not exist, and this user may not create it"):
        await topology(other, namespace).ensure([])
    await topology(admin, namespace).ensure([])
    with pytest.raises(TopologyError, match=f"{namespace}_Q_EMAIL: it does not exist, and this user may not create it"):
        await topology(other, namespace).ensure([Queue("EMAIL")])


async def test_a_store_that_may_not_get_a_ttl_is_used_without_and_one_warning_is_told(
    admin: Connection, other: Connection, namespace: str
) -> None:
    await topology(admin, namespace).ensure([Queue("EMAIL")])
    await admin.api(f"STREAM.DELETE.{namespace}_TASKS")
    await golayout.make_store(admin, namespace)
    events: list[Event] = []
    bound = topology(other, namespace, events)

    queue = await bound.ensure_queue(Queue("EMAIL"))

    assert not await bound.ttl_allowed()
    assert not queue.record_ttl
    told = [event for event in events if isinstance(event, TopologyChanged)]
    assert [(event.name, event.failed) for event in told] == [(f"{namespace}_TASKS", True)]
    assert told[0].change.startswith("message TTL could not be added (the server does not permit")
    assert "are kept as long as the store keeps anything" in told[0].change


async def test_a_queue_that_may_not_get_its_source_stops_a_worker_and_not_a_producer(
    admin: Connection, other: Connection, namespace: str
) -> None:
    await topology(admin, namespace).ensure([])
    await golayout.make_queue(admin, namespace, "EMAIL")

    with pytest.raises(
        TopologyError, match=f"{namespace}_Q_EMAIL: it lacks its source of due tasks, which could not be added"
    ):
        await topology(other, namespace).ensure([Queue("EMAIL")])

    events: list[Event] = []
    bound = await topology(other, namespace, events).ensure([Queue("EMAIL")], require_sources=False)
    assert not bound["EMAIL"].sourced
    assert [event.failed for event in events if isinstance(event, TopologyChanged)] == [True]

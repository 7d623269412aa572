"""The stream that keeps events: made where one is wanted, and of no consequence for anything else."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from jetq.errors import InvalidSettingError, TopologyError, TopologyMismatchError
from jetq.jetstream.address import Address
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.topology import Topology
from jetq.model.events import Event, TopologyChanged
from jetq.observe.bus import Bus
from jetq.settings import Queue, Settings, StoreSettings
from jetq.wire.names import Names
from tests.servers import TestServer

SECOND = 1_000_000_000
KEPT = StoreSettings(events_kept=timedelta(days=2), events_max_bytes=1024 * 1024)


class Made:
    """A topology, and what it told."""

    def __init__(self, connection: Connection, namespace: str, settings: StoreSettings) -> None:
        self.told: list[Event] = []
        bus = Bus()
        bus.listen(self.told.append)
        self.name = f"{namespace}_EVENTS"
        self.connection = connection
        self.topology = Topology(connection, Names(namespace), settings, bus=bus)

    async def config(self) -> dict[str, Any]:
        config: dict[str, Any] = (await self.connection.api(f"STREAM.INFO.{self.name}"))["config"]
        return config

    def failures(self) -> list[str]:
        return [event.change for event in self.told if isinstance(event, TopologyChanged) and event.failed]


async def exists(connection: Connection, stream: str) -> bool:
    return await find_stream(connection, stream) is not None


async def test_events_are_not_kept_by_default(connection: Connection, namespace: str) -> None:
    made = Made(connection, namespace, StoreSettings())
    await made.topology.ensure([Queue("DEFAULT")])

    assert not await exists(connection, made.name)


async def test_events_are_kept_where_that_is_wanted(connection: Connection, namespace: str) -> None:
    made = Made(connection, namespace, KEPT)
    await made.topology.ensure([])

    config = await made.config()
    assert config["subjects"] == [f"{namespace}.E.task_state.*", f"{namespace}.E.leader_election.*"]
    assert (config["retention"], config["discard"], config["storage"]) == ("limits", "old", "file")
    assert (config["max_age"], config["max_bytes"]) == (2 * 86_400 * SECOND, 1024 * 1024)
    assert config["max_msgs_per_subject"] == -1
    assert made.told == []


async def test_the_stream_has_the_storage_of_the_store_that_is_there(connection: Connection, namespace: str) -> None:
    await Made(connection, namespace, StoreSettings(storage="memory")).topology.ensure([])
    made = Made(connection, namespace, StoreSettings(events_kept=60))
    await made.topology.ensure([])

    assert (await made.config())["storage"] == "memory"


async def test_one_second_is_long_enough(connection: Connection, namespace: str) -> None:
    made = Made(connection, namespace, StoreSettings(events_kept=1))
    await made.topology.ensure([])

    assert (await made.config())["max_age"] == SECOND


async def test_a_stream_that_keeps_events_for_another_time_is_bound_as_it_is(
    connection: Connection, namespace: str
) -> None:
    await Made(connection, namespace, KEPT).topology.ensure([])
    same = Made(connection, namespace, KEPT)
    await same.topology.ensure([])
    other = Made(connection, namespace, StoreSettings(events_kept=60))
    await other.topology.ensure([])

    assert same.told == []
    assert (await other.config())["max_age"] == 2 * 86_400 * SECOND
    [change] = other.failures()
    assert "max_age" in change
    assert "jetq tasks configure" in change


async def test_a_stream_that_cannot_keep_events_is_told_and_work_goes_on(
    connection: Connection, namespace: str
) -> None:
    config = {"name": f"{namespace}_EVENTS", "subjects": [f"{namespace}.E.task_state.only"], "storage": "memory"}
    await connection.api(f"STREAM.CREATE.{namespace}_EVENTS", config)
    made = Made(connection, namespace, KEPT)
    bound = await made.topology.ensure([Queue("DEFAULT")])

    assert list(bound) == ["DEFAULT"]
    [change] = made.failures()
    assert change.startswith("events are not kept: ")
    assert "subjects" in change


async def test_the_time_can_be_changed_while_events_are_kept(connection: Connection, namespace: str) -> None:
    made = Made(connection, namespace, KEPT)
    await made.topology.ensure([])
    await made.topology.keep_events(timedelta(seconds=90))
    shorter = await made.config()
    await made.topology.keep_events(7 * 86_400, max_bytes=0)
    longer = await made.config()

    assert (shorter["max_age"], shorter["max_bytes"]) == (90 * SECOND, 1024 * 1024)
    assert (longer["max_age"], longer["max_bytes"]) == (7 * 86_400 * SECOND, -1)


async def test_keeping_can_begin_at_any_time(connection: Connection, namespace: str) -> None:
    made = Made(connection, namespace, StoreSettings())
    await made.topology.ensure([])
    await made.topology.keep_events(60, max_bytes=100_000)

    config = await made.config()
    assert (config["max_age"], config["max_bytes"]) == (60 * SECOND, 100_000)


async def test_nothing_is_kept_of_a_namespace_that_is_none(connection: Connection, namespace: str) -> None:
    with pytest.raises(TopologyError, match="no task store"):
        await Made(connection, namespace, StoreSettings()).topology.keep_events(60)


@pytest.mark.parametrize(("kept", "max_bytes"), [(0, None), (0.5, None), (-1, None), (60, 1), (60, -1)])
async def test_bounds_that_keep_nothing_are_refused(
    connection: Connection, namespace: str, kept: float, max_bytes: int | None
) -> None:
    made = Made(connection, namespace, StoreSettings())
    await made.topology.ensure([])

    with pytest.raises(InvalidSettingError):
        await made.topology.keep_events(kept, max_bytes)


async def test_events_are_kept_no_more_when_that_is_wanted(connection: Connection, namespace: str) -> None:
    made = Made(connection, namespace, KEPT)
    await made.topology.ensure([])

    await made.topology.forget_events()
    await made.topology.forget_events()

    assert not await exists(connection, made.name)


async def test_a_stream_that_keeps_something_else_is_not_removed(connection: Connection, namespace: str) -> None:
    made = Made(connection, namespace, StoreSettings())
    config = {"name": made.name, "subjects": [f"{namespace}.ORDERS"], "retention": "limits", "storage": "memory"}
    await connection.api(f"STREAM.CREATE.{made.name}", config)

    with pytest.raises(TopologyMismatchError):
        await made.topology.forget_events()

    assert await exists(connection, made.name)


async def test_what_cannot_keep_events_cannot_be_changed_to(connection: Connection, namespace: str) -> None:
    await Made(connection, namespace, StoreSettings()).topology.ensure([])
    config = {"name": f"{namespace}_EVENTS", "subjects": [f"{namespace}.E.task_state.only"], "storage": "memory"}
    await connection.api(f"STREAM.CREATE.{namespace}_EVENTS", config)

    with pytest.raises(TopologyMismatchError):
        await Made(connection, namespace, StoreSettings()).topology.keep_events(60)


@pytest.fixture
async def unprivileged(namespace: str) -> AsyncIterator[Address]:
    """Give the address of a server with a namespace, for a user who may not create its stream of events."""
    denied = f'deny: ["$JS.API.STREAM.CREATE.{namespace}_EVENTS", "$JS.API.STREAM.INFO.{namespace}_EVENTS"]'
    users = f"authorization {{ users: [{{ user: joe, password: pass, permissions: {{ publish: {{ {denied} }} }} }}] }}"
    with TestServer.start(users, user_part="joe:pass") as server:
        yield server.address


async def test_without_the_right_to_keep_events_work_goes_on(unprivileged: Address, namespace: str) -> None:
    told: list[Event] = []
    bus = Bus()
    bus.listen(told.append)
    settings = Settings(namespace=namespace, store=KEPT)
    backend = await Backend.open(unprivileged, settings, name="test", bus=bus, queues=[Queue("DEFAULT")])
    await backend.close()

    changes = [event.change for event in told if isinstance(event, TopologyChanged) and event.failed]
    assert len(changes) == 1
    assert changes[0].startswith("events are not kept: ")

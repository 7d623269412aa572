"""Deliveries come as they are asked for, and go on coming whatever happens to the server or the consumer."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.publisher import Publication, Publisher
from jetq.jetstream.puller import Delivery, Puller
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import WORKERS, Names
from tests.integration.watching import eventually
from tests.servers import TestServer

NAMES = Names("PULL")


class Basket:
    """Collects deliveries, and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.credits = 0
        self.troubles = 0
        self._changed = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._changed.set()

    def on_credit(self) -> None:
        self.credits += 1
        self._changed.set()

    def on_trouble(self) -> None:
        self.troubles += 1

    async def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def holds(self, count: int) -> None:
        await self.until(lambda: len(self.deliveries) >= count)


@pytest.fixture
async def link(own_server: TestServer) -> AsyncIterator[Connection]:
    async with await Connection.open(own_server.address, name="test") as connection:
        await Topology(connection, NAMES, StoreSettings()).ensure([Queue("DEFAULT", lease=1)])
        yield connection


async def put(connection: Connection, count: int, *, start: int = 0) -> None:
    publisher = await Publisher.start(connection, timeout=20.0)
    items = [Publication(NAMES.item("DEFAULT", f"t{start + index}"), b"{}") for index in range(count)]
    assert all(isinstance(answer, int) for answer in await publisher.publish_many(items))


@pytest.fixture
async def basket() -> Basket:
    return Basket()


@pytest.fixture
async def puller(link: Connection, basket: Basket) -> AsyncIterator[Puller]:
    made = Puller(
        link, NAMES, "DEFAULT", on_delivery=basket.put, on_credit=basket.on_credit, on_trouble=basket.on_trouble
    )
    await made.start()
    yield made
    await made.stop()


async def test_no_more_comes_than_was_asked_for(link: Connection, puller: Puller, basket: Basket) -> None:
    await put(link, 10)

    async def is_counted() -> bool:
        return bool((await link.api(f"CONSUMER.INFO.{NAMES.queue('DEFAULT')}.{WORKERS}"))["num_pending"] == 10)

    await eventually(is_counted)  # the server tells its consumers of new messages later than it acknowledges them
    puller.ask(3)
    await basket.holds(3)
    assert puller.credit == 0
    assert puller.pending == 7
    puller.ask(7)
    await basket.holds(10)

    assert [delivery.sequence for delivery in basket.deliveries] == list(range(1, 11))
    assert {delivery.delivered for delivery in basket.deliveries} == {1}


async def test_an_item_that_comes_later_is_delivered_when_it_comes(
    link: Connection, puller: Puller, basket: Basket
) -> None:
    puller.ask(1)
    await put(link, 1)

    await basket.holds(1)


async def test_a_request_that_ran_out_gives_its_credit_back(
    link: Connection, basket: Basket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetq.jetstream.puller._EXPIRES", 0.3)
    monkeypatch.setattr("jetq.jetstream.puller._HEARTBEAT", 0.1)
    puller = Puller(
        link, NAMES, "DEFAULT", on_delivery=basket.put, on_credit=basket.on_credit, on_trouble=basket.on_trouble
    )
    await puller.start()
    await put(link, 2)

    puller.ask(5)
    await basket.holds(2)
    inbox, before = puller._inbox, basket.credits
    await basket.until(lambda: basket.credits > before)

    assert puller.credit == 0
    assert puller._inbox == inbox
    await puller.stop()


async def test_pulling_goes_on_after_the_server_was_killed(
    own_server: TestServer, link: Connection, puller: Puller, basket: Basket
) -> None:
    puller.ask(5)
    before = basket.credits
    own_server.kill()
    await asyncio.to_thread(own_server.run)
    await basket.until(lambda: basket.credits > before and puller.is_ready)
    assert puller.credit == 0

    await put(link, 2)
    puller.ask(2)

    await basket.holds(2)


async def test_a_consumer_that_is_gone_is_asked_again_once_it_is_back(
    link: Connection, puller: Puller, basket: Basket
) -> None:
    await link.api(f"CONSUMER.DELETE.{NAMES.queue('DEFAULT')}.{WORKERS}")
    before = basket.credits

    puller.ask(1)
    await basket.until(lambda: basket.credits > before and puller.credit == 0)
    assert not puller.is_ready
    assert basket.troubles == 1
    await Topology(link, NAMES, StoreSettings()).ensure([Queue("DEFAULT", lease=1)])
    await put(link, 1)
    await basket.until(lambda: puller.is_ready)
    puller.ask(1)

    await basket.holds(1)


async def test_a_refused_request_is_not_repeated_at_once(link: Connection, puller: Puller, basket: Basket) -> None:
    name = f"{NAMES.queue('DEFAULT')}.{WORKERS}"
    config = (await link.api(f"CONSUMER.INFO.{name}"))["config"]
    stream = NAMES.queue("DEFAULT")
    await link.api(
        f"CONSUMER.CREATE.{name}", {"stream_name": stream, "config": config | {"max_batch": 2}, "action": "update"}
    )
    before = basket.credits

    puller.ask(3)
    await basket.until(lambda: basket.credits > before)

    assert puller.credit == 0
    assert not puller.is_ready
    assert basket.troubles == 0
    await basket.until(lambda: puller.is_ready)


async def test_silence_beyond_two_heartbeats_starts_anew(
    own_server: TestServer, link: Connection, basket: Basket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetq.jetstream.puller._HEARTBEAT", 0.2)
    puller = Puller(
        link, NAMES, "DEFAULT", on_delivery=basket.put, on_credit=basket.on_credit, on_trouble=basket.on_trouble
    )
    await puller.start()
    puller.ask(4)
    before = basket.credits
    own_server.freeze()

    await basket.until(lambda: basket.credits > before)
    own_server.thaw()

    assert (puller.credit, basket.troubles) == (0, 1)
    await put(link, 1)
    puller.ask(1)
    await basket.holds(1)
    await puller.stop()


async def test_a_stopped_puller_hands_nothing_over(link: Connection, puller: Puller, basket: Basket) -> None:
    puller.ask(5)
    await puller.stop()
    await put(link, 3)
    other = Basket()
    second = Puller(link, NAMES, "DEFAULT", on_delivery=other.put, on_credit=other.on_credit)
    await second.start()
    second.ask(3)

    await other.holds(3)

    assert not basket.deliveries
    await second.stop()


async def test_a_delivery_knows_whether_its_schedule_brought_it(backend: Backend, basket: Basket) -> None:
    names = backend.names
    puller = Puller(
        backend.connection,
        names,
        "DEFAULT",
        on_delivery=basket.put,
        on_credit=basket.on_credit,
        on_trouble=basket.on_trouble,
    )
    await puller.start()
    puller.ask(2)
    await backend.publisher.publish(
        Publication(names.item("DEFAULT", "now"), b"{}", {"Nats-Expected-Last-Subject-Sequence": "0"})
    )
    await backend.publisher.publish(
        Publication(
            names.schedule("DEFAULT", "due"),
            b"{}",
            {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": names.due("DEFAULT", "due")},
        )
    )

    await basket.holds(2)

    assert [delivery.by_schedule for delivery in basket.deliveries] == [False, True]
    assert all(delivery.stored_at > 1e9 for delivery in basket.deliveries)
    await puller.stop()

"""Many tasks that fail must not stand in the way of those that would not."""

from collections import Counter

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.lookup import find_consumer
from jetq.jetstream.server import EmbeddedServer
from jetq.model.retry import Fixed
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import LEASE, SETTINGS

CONCURRENT = 10


async def test_tasks_that_fail_for_ever_hold_up_nobody(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace, queues=[Queue("NARROW", lease=LEASE, max_concurrent=CONCURRENT)])
    app.connect_to(server.address)
    tries: Counter[str] = Counter()

    @app.task("bad", queue="NARROW", max_tries=0, retry=Fixed(3))
    async def bad(ctx: Context) -> None:
        tries[ctx.task_id] += 1
        raise ValueError("as always")

    @app.task("good", queue="NARROW")
    async def good(number: int) -> int:
        return number

    hopeless = await app.aenqueue_many([bad.s() for _ in range(100)])
    handles = await app.aenqueue_many([good.s(number) for number in range(1000)])
    async with Worker(app, settings=SETTINGS):
        results = [await handle.aresult(25) for handle in handles]
        states = Counter([await handle.astate() for handle in hopeless])
        client = await app.clients.current()
        consumer = await find_consumer(client.backend.connection, client.backend.names.queue("NARROW"))
    await app.aclose()

    assert results == list(range(1000))
    assert len(tries) == 100
    assert states["retry"] > CONCURRENT  # more of them wait than the queue has places
    assert consumer is not None
    assert consumer["num_ack_pending"] <= CONCURRENT

"""Workers of both kinds at one queue."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable

from jetq.app.application import App
from jetq.jetstream.connection import Incoming
from jetq.routing.payload import Payload
from jetq.wire.events import TaskStateEvent, decode_event
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go


async def test_a_mixed_pool_ends_each_task_once(make_app: Callable[..., App], queue: str, go: Go) -> None:
    count = 5_000
    app, ran, ends = make_app(), Counter[str](), Counter[str]()

    @app.task("shared:number")
    async def number(number: Payload[int]) -> int:
        await asyncio.sleep(0)
        return number

    def on_event(message: Incoming) -> None:
        event = decode_event(message.data)
        if isinstance(event, TaskStateEvent) and event.queue == queue:
            ran[event.task_id] += event.state == "active"
            ends[event.task_id] += event.is_final

    backend = await prepared(app)
    subscription = await backend.connection.subscribe(backend.names.task_event("*"), on_event)
    workers = [await go.worker(queue) for _ in range(2)]
    lines = "\n".join(json.dumps({"type": "shared:number", "payload": place}) for place in range(count // 2))
    async with Worker(app, queues=[queue], settings=WORKER), Worker(app, queues=[queue], settings=WORKER):
        theirs, ours = await asyncio.gather(
            go.peer("enqueue", queue, stdin=lines),
            app.aenqueue_many([("shared:number", place) for place in range(count // 2)]),
        )
        ids = {*(task["id"] for task in theirs), *(handle.id for handle in ours)}
        assert len(ids) == count
        await eventually(lambda: is_drained(ends, count), within=60)
        await eventually(lambda: is_empty(app, queue))
    await subscription.unsubscribe()

    by_go = sum(len(worker.told("runs")) for worker in workers)
    assert 0 < by_go < count
    assert ends == dict.fromkeys(ids, 1)
    assert ran == ends
    results = await asyncio.gather(*(handle.aresult(1) for handle in ours))
    assert results == list(range(count // 2))


async def is_drained(ends: Counter[str], count: int) -> bool:
    return len([task_id for task_id, times in ends.items() if times]) >= count


async def is_empty(app: App, queue: str) -> bool:
    backend = (await app.clients.current()).backend
    answer = await backend.connection.api(f"STREAM.INFO.{backend.names.queue(queue)}")
    return bool(answer["state"]["messages"] == 0)

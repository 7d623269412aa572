"""Queues that one side makes and the other uses."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jetq.admin.inspector import Inspector
from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.model.state import State
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go, Running

SECOND = 1_000_000_000


async def backend_of(app: App) -> Backend:
    return (await app.clients.current()).backend


async def bound(app: App, queue: str) -> Any:
    return await (await app.clients.current()).backend.queue(Queue(queue))


async def items(backend: Backend, queue: str) -> int:
    answer = await backend.connection.api(f"STREAM.INFO.{backend.names.queue(queue)}")
    return int(answer["state"]["messages"])


async def test_a_queue_of_go_is_used_as_go_means_it(make_app: Callable[..., App], go: Go, queue: str) -> None:
    name = f"{queue}-MADE"
    app = make_app(default_queue=name)
    made = (await go.peer("queue", "-tries=3", "-concurrent=7", "-entries=9", "-run-time=90", "-age=600", name))[0]
    found = await bound(app, name)

    assert (found.made_by_go, found.lease, found.max_run_time, found.sourced) == (True, 90.0, 90.0, True)
    assert (found.max_tries, found.max_concurrent, found.max_entries, found.max_age) == (3, 7, 9, 600.0)
    assert (made["max_tries"], made["max_runtime"]) == (3, 90 * SECOND)
    assert await go.peer("queue", name) == [made]  # jetq has not changed what Go reads


async def test_tries_of_a_go_queue_are_respected_and_nothing_is_left(
    make_app: Callable[..., App], go: Go, queue: str
) -> None:
    name = f"{queue}-TRIES"
    app = make_app(default_queue=name)
    ran: list[str] = []

    @app.task("py:never")
    async def never(ctx: Context) -> None:
        ran.append(ctx.task_id)
        raise ValueError("no luck")

    await go.peer("queue", "-tries=2", "-run-time=60", name)
    backend = await backend_of(app)
    task = await go.enqueue(name, "py:never", max_tries=10)
    async with Worker(app, queues=[name], settings=WORKER):
        record = await app.handle(task["id"]).await_end(10)
        await eventually(lambda: no_items(backend, name))
    assert (record.state, record.tries, len(ran)) == (State.EXPIRED, 2, 2)


async def no_items(backend: Backend, queue: str) -> bool:
    return await items(backend, queue) == 0


async def test_a_queue_of_jetq_is_what_go_reads(make_app: Callable[..., App], go: Go, queue: str) -> None:
    name = f"{queue}-OURS"
    app = make_app()
    queue_ = Queue(
        name, max_tries=5, max_run_time=90, max_concurrent=7, max_entries=10, discard_old=True, max_age=600, lease=2
    )
    backend = await prepared(app)
    await backend.queue(queue_)

    [read] = await go.peer("queue", name)
    assert (read["max_tries"], read["max_runtime"], read["max_concurrent"]) == (5, 90 * SECOND, 7)
    assert (read["max_entries"], read["discard_old"], read["max_age"]) == (10, True, 600 * SECOND)
    unlimited = (await go.peer("queue", queue))[0]
    assert (unlimited["max_tries"], unlimited["max_runtime"]) == (-1, 60 * SECOND)


async def test_a_task_of_a_dead_go_worker_runs_here_after_the_run_time(
    make_app: Callable[..., App], go: Go, queue: str
) -> None:
    name = f"{queue}-SHORT"
    app = make_app(default_queue=name)

    @app.task("go:wait")
    async def wait() -> str:
        return "from Python"

    await go.peer("queue", "-run-time=1", name)
    worker = await go.worker(name)
    handle = await app.aenqueue("go:wait")
    await worker.until("waits", handle.id)
    await worker.kill()
    async with Worker(app, queues=[name], settings=WORKER):
        assert await handle.aresult(10) == "from Python"
    record = await handle.arecord()
    assert (record.tries, record.crashes) == (1, 1)


STOPS = """
import time
from jetq import App, Payload

app = App("stops")

@app.task("shared:number")
def number(payload: Payload[int]) -> None:
    print("runs", flush=True)
    time.sleep(60)
"""


async def test_a_task_of_a_dead_jetq_worker_runs_in_go_after_the_run_time(
    make_app: Callable[..., App], go: Go, queue: str, tmp_path: Path
) -> None:
    name = f"{queue}-SHORT"
    app = make_app(default_queue=name)
    await go.peer("queue", "-run-time=1", name)
    (tmp_path / "stops.py").write_text(STOPS)
    environment = go.environment | go.for_jetq
    handle = await app.aenqueue("shared:number", 5)
    words = (sys.executable, "-m", "jetq", "worker", "stops:app", "-Q", name, "--burst")  # that is no janitor
    dies = await Running.start(*words, environment=environment, folder=tmp_path, new_session=True)
    go.started.append(dies)
    await dies.until_line("^runs$")
    os.killpg(dies.process.pid, signal.SIGKILL)
    await dies.kill()

    await go.worker(name)
    assert await handle.aresult(10) == 5


async def test_a_queue_that_ajc_removes_and_makes_anew_is_served_again(
    make_app: Callable[..., App], go: Go, queue: str
) -> None:
    name = f"{queue}-ANEW"
    app = make_app(default_queue=name)

    @app.task("py:one")
    async def one() -> int:
        return 1

    await go.ajc("queue", "new", name, "--run-time=60s", "--tries=5")
    backend = await backend_of(app)
    async with Worker(app, queues=[name], settings=WORKER):
        assert await (await app.aenqueue("py:one")).aresult(10) == 1
        await go.ajc("queue", "rm", name, "--force")
        await go.ajc("queue", "new", name, "--run-time=30s", "--concurrent=3")
        task = await go.enqueue(name, "py:one")
        assert await app.handle(task["id"]).aresult(15) == 1
        assert await (await app.aenqueue("py:one", delay=0.1)).aresult(10) == 1
    assert await no_items(backend, name)


async def test_what_ajc_configures_counts(make_app: Callable[..., App], go: Go, queue: str) -> None:
    name = f"{queue}-CFG"
    await go.ajc("queue", "new", name)
    await go.ajc("queue", "configure", name, "--run-time=45s", "--concurrent=3", "--tries=4", "--entries=20")
    found = await bound(make_app(), name)
    assert (found.lease, found.max_run_time, found.max_concurrent) == (45.0, 45.0, 3)
    assert (found.max_tries, found.max_entries) == (4, 20)


async def test_jetq_describes_a_queue_of_ajc(make_app: Callable[..., App], go: Go, queue: str) -> None:
    name = f"{queue}-SEEN"
    backend = await prepared(make_app())
    await go.ajc("queue", "new", name, "--run-time=45s")
    described = await Inspector(backend.connection, backend.names).describe_queue(name)
    assert described.settings is not None
    assert described.settings.max_run_time == 45.0

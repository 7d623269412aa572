"""A worker that stops, or does not come up, leaves nothing behind."""

import asyncio
import threading
import time

import pytest

from jetq.app.application import App
from jetq.model.events import AttemptFailed, WorkerStarted
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker
from tests.servers import TestServer


async def test_a_worker_whose_server_is_away_ends_and_leaves_no_task_behind(
    own_server: TestServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetq.worker.worker.SETTLE_TIMEOUT", 1.0)
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT")])
    app.connect_to(own_server.address)
    started = asyncio.Event()

    @app.task("long")
    async def long() -> None:
        started.set()
        await asyncio.sleep(600)

    async with Worker(app, settings=WorkerSettings(concurrency=2, shutdown_timeout=0.1)):
        await app.aenqueue("long")
        await started.wait()
        await asyncio.to_thread(own_server.kill)

    left = [task for task in asyncio.all_tasks() if "Attempts.run" in repr(task)]
    assert left == []


async def test_a_worker_that_does_not_come_up_leaves_no_lease_thread_and_no_client(
    own_server: TestServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_puller: object) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr("jetq.worker.worker.Puller.start", fail)
    app = App("test", namespace=namespace)
    app.connect_to(own_server.address)

    with pytest.raises(RuntimeError, match="not today"):
        await Worker(app).__aenter__()

    began = time.monotonic()
    async with app:
        await app.aenqueue("x:y")
    assert time.monotonic() - began < 3
    assert not [thread for thread in threading.enumerate() if thread.name == "jetq-lease"]


async def test_a_worker_whose_lease_thread_dies_stops_and_says_why(
    own_server: TestServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=1)])
    app.connect_to(own_server.address)
    started, told = asyncio.Event(), []
    app.bus.listen_to(WorkerStarted, lambda _event: started.set())
    app.bus.listen_to(AttemptFailed, told.append)

    def defect(*_arguments: object) -> None:
        raise ZeroDivisionError("a defect")

    running = asyncio.create_task(Worker(app).run())
    await started.wait()
    monkeypatch.setattr("jetq.worker.lease_keeper.LeaseKeeper._renew", defect)

    with pytest.raises(ZeroDivisionError, match="a defect"):
        await asyncio.wait_for(running, 10)
    assert [event.unexpected for event in told] == [True]

"""A server that has no space left, by its limits or on its disk."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jetq.admin.janitor import Janitor
from jetq.app.application import App
from jetq.errors import EnqueueTimeoutError, StoreFullError
from jetq.model.events import TaskRepaired
from jetq.model.upkeep import Repair
from jetq.settings import JanitorSettings, Queue
from tests.faults.matrix.shortages import fill, small_disk
from tests.integration.watching import eventually
from tests.servers import TestServer

pytestmark = pytest.mark.faults
BALLAST = "." * 100_000


@pytest.fixture
def small_server() -> Iterator[TestServer]:
    """Give a server that stores little."""
    with TestServer.start(limits="max_file_store: 8MB") as running:
        yield running


def new_app(server: TestServer, namespace: str) -> App:
    app = App("full", namespace=namespace, queues=[Queue("DEFAULT", lease=2)])
    app.reconfigure(replace(app.settings, enqueue_timeout=1.0))
    app.connect_to(server.address)
    return app


@pytest.fixture
async def app(small_server: TestServer, namespace: str) -> AsyncIterator[App]:
    async with new_app(small_server, namespace) as app:
        yield app


async def fill_store(app: App) -> None:
    with contextlib.suppress(StoreFullError):
        while True:
            await app.aenqueue("ballast", BALLAST, delay=3600)


async def test_an_enqueue_that_the_server_has_no_space_for_says_so_and_goes_well_once_there_is_some(app: App) -> None:
    await fill_store(app)

    with pytest.raises(StoreFullError, match=r"no space left: insufficient resources .* delete tasks, or raise"):
        await app.aenqueue("ballast", BALLAST)
    await app.select(task_type="ballast").adelete()

    assert await (await app.aenqueue("plain")).astate() == "new"


async def test_the_janitor_brings_the_tasks_that_were_due_while_there_was_no_space(app: App) -> None:
    handle = await app.aenqueue("plain", delay=1)
    await fill_store(app)
    await asyncio.sleep(1.5)  # the server tells nobody that it forgot a schedule
    await app.select(task_type="ballast").adelete()
    backend = (await app.clients.current()).backend
    repairs: list[TaskRepaired] = []

    async def passes() -> bool:
        await Janitor(backend, JanitorSettings(patience=0.5)).run_pass(tell=repairs.append)
        found = await backend.tasks.read(handle.id)
        return found is not None and await backend.queues.has_item(found)

    await eventually(passes)
    assert (Repair.SCHEDULE, handle.id) in [(repair.kind, repair.task_id) for repair in repairs]


async def test_an_enqueue_says_that_the_disk_may_be_full_if_the_server_answers_and_stores_nothing(
    namespace: str, tmp_path: Path
) -> None:
    with (
        small_disk(tmp_path / "disk") as disk,
        TestServer.start(store=disk / "store", limits="max_file_store: 1GB") as server,
    ):
        async with new_app(server, namespace) as app:
            await app.aenqueue("plain")
            await asyncio.to_thread(fill, disk / "other")

            with pytest.raises(EnqueueTimeoutError, match="its disk may be full") as raised:
                await app.aenqueue("ballast", BALLAST)

    assert raised.value.answers

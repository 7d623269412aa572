"""Supervised workers under load, whose processes are killed, frozen and replaced."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.worker.ownership import SETTLE_DOWN
from tests.faults.program import LEASE, make_app
from tests.faults.service import PATIENCE, Service
from tests.integration.watching import eventually
from tests.servers import TestServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

SUPERVISOR = ("-m", "tests.faults.supervisor_program")
COMMAND = ("-m", "jetq", "worker", "tests.faults.supervised_app", "-c", "20", "--log-format", "json")
_T = TypeVar("_T")


class Site:
    """
    Where services of a test run.

    Attributes:
        log: Where handlers note starts and ends.
    """

    def __init__(self, url: str, namespace: str, log: Path) -> None:
        self.log = log
        self.services: list[Service] = []
        self._environment = os.environ | {
            "JETQ_NATS_URL": url,
            "JETQ_NAMESPACE": namespace,
            "FAULTS_LOG": str(log),
            "FAULTS_LEASE": str(LEASE),
        }

    def start(self, *arguments: str, lease: float = LEASE) -> Service:
        service = Service(arguments, self._environment | {"FAULTS_LEASE": str(lease)})
        self.services.append(service)
        return service

    def lines(self, word: str) -> list[list[str]]:
        if not self.log.exists():
            return []
        return [line.split()[1:] for line in self.log.read_text().splitlines() if line.startswith(f"{word} ")]

    def counts(self, word: str) -> Counter[str]:
        return Counter(task for task, *_ in self.lines(word))

    async def has_noted(self, word: str, count: int) -> None:
        async def enough() -> bool:
            return len(self.lines(word)) >= count

        await eventually(enough, within=PATIENCE)


@pytest.fixture
def site(own_server: TestServer, namespace: str, tmp_path: Path) -> Iterator[Site]:
    """Give a site on a server of this test's own."""
    made = Site(own_server.url, namespace, tmp_path / "log")
    yield made
    for service in made.services:
        service.kill()


@pytest.fixture
def app(own_server: TestServer, namespace: str) -> App:
    """Give the application of the test itself, which enqueues."""
    return make_app(own_server.url, namespace)


async def all_results(handles: list[TaskHandle[int]], *, within: float = 120.0) -> list[int]:
    return await asyncio.gather(*(handle.aresult(within) for handle in handles))


async def enqueue_until(app: App, done: Callable[[], Awaitable[_T]], *, seconds: float) -> tuple[list[str], _T]:
    """Enqueue without a pause while something goes on; return the ids that were acknowledged."""
    acknowledged: list[str] = []
    doing = asyncio.ensure_future(done())
    while not doing.done():
        handles = await app.aenqueue_many([("work", {"seconds": seconds}) for _ in range(20)])
        acknowledged += [handle.id for handle in handles]
        await asyncio.sleep(0.1)
    return acknowledged, doing.result()


async def test_a_killed_childs_tasks_start_elsewhere_within_a_second(site: Site, app: App) -> None:
    service = site.start(*SUPERVISOR, "2", lease=120.0)
    await service.ready(2)
    handles = await app.aenqueue_many([("work", {"seconds": 1.0}) for _ in range(20)])
    await site.has_noted("start", 20)
    killed = service.children()[0]
    theirs = {task for task, _, pid, _ in site.lines("start") if int(pid) == killed}
    assert theirs
    os.kill(killed, signal.SIGKILL)
    moment = asyncio.get_running_loop().time()
    await site.has_noted("start", 20 + len(theirs))
    took = asyncio.get_running_loop().time() - moment
    await all_results(handles)
    await app.aclose()

    again = {task for task, count in site.counts("start").items() if count > 1}
    assert again == theirs
    assert took < 2.0  # a tenth of a second, on a machine that is not busy with other tests


async def test_a_killed_supervisors_children_end_in_order_and_what_dies_with_it_runs_elsewhere(
    site: Site, app: App
) -> None:
    first, second = site.start(*SUPERVISOR, "2"), site.start(*SUPERVISOR, "1")
    await first.ready(2)
    await second.ready(1)
    await asyncio.sleep(SETTLE_DOWN)  # before that, nobody's absence proves anything
    handles = await app.aenqueue_many([("work", {"seconds": 1.0}) for _ in range(100)])
    await site.has_noted("start", 60)
    killed = first.children()[0]
    first.process.kill()
    os.kill(killed, signal.SIGKILL)
    moment = time.time()
    await all_results(handles)
    await app.aclose()

    starts = site.counts("start")
    theirs = {task for task, _, pid, _ in site.lines("start") if int(pid) == killed}
    again = {task for task, count in starts.items() if count > 1}
    assert set(site.counts("end")) == {handle.id for handle in handles}
    assert again
    assert again <= theirs
    last = max((float(at) for task, attempt, _, at in site.lines("start") if attempt != "1"), default=moment)
    assert last - moment < LEASE + 1.0 + 1.0  # a second for a machine that is busy with other tests
    assert first.events("the supervisor is gone; this worker stops")


async def test_a_frozen_childs_tasks_move_on_and_it_is_replaced(site: Site, app: App) -> None:
    service = site.start(*SUPERVISOR, "2")
    await service.ready(2)
    handles = await app.aenqueue_many([("work", {"seconds": 1.0}) for _ in range(20)])
    await site.has_noted("start", 20)
    frozen = service.children()[0]
    os.kill(frozen, signal.SIGSTOP)
    await all_results(handles)
    await service.ready(2)

    async def is_replaced() -> bool:
        return bool(service.events("child is replaced"))

    await eventually(is_replaced)
    await app.aclose()

    assert set(site.counts("end")) == {handle.id for handle in handles}
    [replaced] = service.events("child is replaced")
    assert (replaced["pid"], replaced["reason"]) == (frozen, "silent")
    assert await service.stop() == 0


async def test_handlers_that_block_their_loops_for_three_leases_run_once(site: Site, app: App) -> None:
    service = site.start(*SUPERVISOR, "2")
    await service.ready(2)
    handles = [await app.aenqueue("block", {"seconds": 3 * LEASE}) for _ in range(2)]
    await all_results(handles)
    await app.aclose()

    assert set(site.counts("start").values()) == {1}
    assert service.events("event loop is blocked")
    assert await service.stop() == 0


async def test_a_rolling_deploy_under_load_loses_nothing_and_runs_nothing_twice(site: Site, app: App) -> None:
    old = [site.start(*COMMAND, "-p", "1") for _ in range(3)]
    for service in old:
        await service.ready(1)

    async def deploy() -> list[int]:
        statuses: list[int] = []
        for service in old:
            fresh = site.start(*COMMAND, "-p", "1")
            await fresh.ready(1)
            statuses.append(await service.stop())
        return statuses

    acknowledged, statuses = await enqueue_until(app, deploy, seconds=0.2)
    await all_results([app.handle(task_id) for task_id in acknowledged])
    await app.aclose()

    assert statuses == [0, 0, 0]
    assert len(acknowledged) > 100
    assert site.counts("start") == dict.fromkeys(acknowledged, 1)
    assert site.counts("end") == dict.fromkeys(acknowledged, 1)
    stopped = [event["released"] for service in old for event in service.events("worker stopped")]
    assert stopped == [0, 0, 0]


@pytest.mark.nightly
async def test_a_rolling_restart_under_load_loses_nothing_and_runs_nothing_twice(site: Site, app: App) -> None:
    service = site.start(*SUPERVISOR, "2")
    await service.ready(2)

    async def restart() -> None:
        service.process.send_signal(signal.SIGHUP)

        async def is_done() -> bool:
            return bool(service.events("rolling restart done"))

        await eventually(is_done, within=PATIENCE)

    acknowledged, _ = await enqueue_until(app, restart, seconds=0.2)
    await all_results([app.handle(task_id) for task_id in acknowledged])
    await app.aclose()

    assert site.counts("start") == dict.fromkeys(acknowledged, 1)
    assert site.counts("end") == dict.fromkeys(acknowledged, 1)
    assert await service.stop() == 0

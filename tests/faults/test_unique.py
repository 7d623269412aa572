"""Of any number of enqueues with one key one makes a task, whoever dies on the way."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from jetq.model.unique import UniqueMode
from jetq.observe.fault_points import Point
from jetq.settings import WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.conftest import ROOT
from tests.faults.program import make_app
from tests.faults.unique_program import NO_POINT, add_handler, unique_of
from tests.integration.watching import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]

PRODUCERS, EACH = 4, 50
Start = Callable[..., "subprocess.Popen[str]"]


def with_nightly(first: str, *others: str) -> list[object]:
    """Return the values of a parameter, all but the first for the nightly runs."""
    return [first, *(pytest.param(other, marks=pytest.mark.nightly) for other in others)]


@pytest.fixture
def start(server: EmbeddedServer, namespace: str) -> Iterator[Start]:
    """Start programs that are ready, and end with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.faults.unique_program", server.url, namespace, *words]
        started.append(
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        )
        return started[-1]

    yield begin
    for program in started:
        program.kill()
        program.communicate()


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    """Give the application of the test itself."""
    made = make_app(server.url, namespace)
    yield made
    await made.aclose()


def await_ready(programs: list["subprocess.Popen[str]"]) -> None:
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"


async def crowd(start: Start, mode: str, points: list[str]) -> list[tuple[str, bool]]:
    """Let producers enqueue at one moment, and return what those got that lived."""
    producers = [start("produce", str(EACH), mode, point) for point in points]
    await_ready(producers)
    outputs = await asyncio.gather(*(asyncio.to_thread(producer.communicate, "go\n") for producer in producers))
    lines = [line.split() for out, _ in outputs for line in out.splitlines()]
    return [(task_id, is_new == "1") for task_id, is_new in lines]


def lines_of(log: Path, word: str) -> list[list[str]]:
    if not log.exists():
        return []
    return [line.split()[1:] for line in log.read_text().splitlines() if line.startswith(f"{word} ")]


async def ran(app: App, log: Path, last: str) -> list[str]:
    """Let a worker run what there is, and return the ids of the tasks that ran."""
    add_handler(app, str(log))
    async with Worker(app, settings=WorkerSettings(concurrency=20)):
        await app.handle(last).await_end(30)
        follower = await app.aenqueue("once", {"number": -1})  # what was queued before it has begun when it ends
        await follower.aresult(30)
    return [task for task, _ in lines_of(log, "start") if task != follower.id]


@pytest.mark.parametrize("mode", with_nightly(*UniqueMode))
async def test_200_enqueues_of_one_key_from_4_processes_make_one_task(
    start: Start, app: App, tmp_path: Path, mode: str
) -> None:
    got = await crowd(start, mode, [NO_POINT] * PRODUCERS)

    assert len(got) == PRODUCERS * EACH
    assert len({task for task, _ in got}) == 1
    assert sum(is_new for _, is_new in got) == 1
    assert await ran(app, tmp_path / "log", got[0][0]) == [got[0][0]]


@pytest.mark.parametrize("mode", with_nightly("unfinished", "replace", "period"))
@pytest.mark.parametrize("point", with_nightly(Point.KEY_TAKEN, Point.KEY_LOST, Point.RECORD_STORED, Point.ITEM_STORED))
async def test_producers_that_are_killed_at_any_step_leave_one_task_and_no_lock(
    start: Start, app: App, tmp_path: Path, point: Point, mode: str
) -> None:
    got = await crowd(start, mode, [point.name, NO_POINT, point.name, NO_POINT])
    dead = await crowd(start, mode, [point.name])
    again = await app.aenqueue("once", {"number": 0}, unique=unique_of(mode))

    ids = {task for task, _ in [*got, *dead]} | {again.id}
    assert len(ids) == 1
    assert await ran(app, tmp_path / "log", again.id) == [again.id]
    if mode != "period":
        async with app:
            assert (await app.aenqueue("once", {"number": 0}, unique=unique_of(mode))).is_new


async def test_a_lone_producer_that_is_killed_after_the_key_leaves_a_task_that_the_next_one_queues(
    start: Start, app: App, tmp_path: Path
) -> None:
    assert await crowd(start, "unfinished", ["KEY_TAKEN"]) == []

    handle = await app.aenqueue("once", {"number": 0}, unique=unique_of("unfinished"))

    assert not handle.is_new
    assert await ran(app, tmp_path / "log", handle.id) == [handle.id]


@pytest.mark.parametrize(
    "point", with_nightly(Point.END_STORED, Point.RUN_CLAIMED, Point.HANDLER_ENDED, Point.KEY_FREED)
)
async def test_the_latest_runs_after_a_worker_that_was_killed_at_any_step(
    start: Start, app: App, tmp_path: Path, point: Point
) -> None:
    log = tmp_path / "log"
    dying = start("serve", str(log), point.name)
    await_ready([dying])
    first = await app.aenqueue("once", {"number": 1}, unique=unique_of("latest"))

    async def is_active() -> bool:
        return await first.astate() == "active"

    await eventually(is_active)
    second = await app.aenqueue("once", {"number": 2}, unique=unique_of("latest"))
    await asyncio.to_thread(dying.wait)
    await_ready([start("serve", str(log), NO_POINT)])

    assert await second.aresult(50) == 2
    await app.aclose()
    words = [line.split() for line in log.read_text().splitlines()]
    after = words[[task for _, task, _ in words].index(second.id) :]
    assert {task for _, task, _ in after} == {second.id}
    assert [word for word, _, _ in after if word == "end"] == ["end"]

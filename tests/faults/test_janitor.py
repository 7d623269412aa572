"""What a killed producer, operator or worker leaves, and who mends it: the janitor, where nobody else would."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, JanitorPassed, TaskRepaired
from jetq.model.state import State
from jetq.model.upkeep import Repair
from jetq.observe.fault_points import Point
from jetq.settings import WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.conftest import ROOT
from tests.faults.janitor_program import make_janitors_app
from tests.faults.program import add_handlers
from tests.integration.watching import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]

SETTINGS = WorkerSettings(concurrency=20, shutdown_timeout=5.0)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def app(server: EmbeddedServer, namespace: str, told: list[Event], tmp_path: Path) -> App:
    """Give the application of the test itself, whose worker is the janitor."""
    app = make_janitors_app(server.url, namespace)
    app.bus.listen(told.append)
    add_handlers(app, tmp_path / "own-log")
    return app


class Victim(NamedTuple):
    """A program that dies: what it does, where it dies, and what the janitor makes of that."""

    role: str
    point: Point
    words: tuple[str, ...] = ("t",)
    mended: str = ""


Die = Callable[[Victim], Awaitable[None]]


@pytest.fixture
def die(server: EmbeddedServer, namespace: str) -> Die:
    """Give what runs a program until it dies."""

    async def run(victim: Victim) -> None:
        arguments = ["-m", "tests.faults.janitor_program", server.url, namespace, victim.role, victim.point.name]
        program = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, *victim.words, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        assert await program.wait() == -signal.SIGKILL

    return run


def repairs(told: list[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.task_id) for event in told if isinstance(event, TaskRepaired)]


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param(Victim("produce", Point.RECORD_STORED, mended=Repair.ITEM), id="enqueue"),
        pytest.param(Victim("delay", Point.RECORD_STORED, mended=Repair.SCHEDULE), id="enqueue with a delay"),
        pytest.param(Victim("produce", Point.KEY_TAKEN, ("t", "k"), mended=Repair.ITEM), id="enqueue with a key"),
        pytest.param(Victim("retry", Point.RECORD_CHANGED, mended=Repair.ITEM), id="retry"),
        pytest.param(Victim("run-now", Point.RECORD_CHANGED, mended=Repair.ITEM), id="run now"),
    ],
)
async def test_the_janitor_carries_on_what_the_dead_one_began(
    app: App, told: list[Event], die: Die, victim: Victim
) -> None:
    if victim.role == "retry":
        async with Worker(app, settings=SETTINGS):
            await (await app.aenqueue("work", {}, id="t")).aresult(20)
    elif victim.role == "run-now":
        await app.aenqueue("work", {}, id="t", delay=3600)
    await die(victim)
    before = await app.handle("t").arecord()
    assert before.state in {State.NEW, State.RETRY}

    async with Worker(app, settings=SETTINGS):
        await app.handle("t").aresult(20)
    await app.aclose()

    assert (victim.mended, "t") in repairs(told)
    assert {kind for kind, _ in repairs(told)} <= {victim.mended, Repair.ORPHAN_SCHEDULE}


@pytest.mark.parametrize(
    ("point", "fails"),
    [
        (Point.RUN_CLAIMED, 0),
        (Point.END_STORED, 1),
        (Point.SCHEDULE_STORED, 1),
        pytest.param(Point.ITEM_DELIVERED, 0, marks=pytest.mark.nightly),
        pytest.param(Point.HANDLER_ENDED, 0, marks=pytest.mark.nightly),
        pytest.param(Point.END_STORED, 0, marks=pytest.mark.nightly),
        pytest.param(Point.AFTER_EFFECTS_DONE, 0, marks=pytest.mark.nightly),
        pytest.param(Point.ITEM_REMOVED, 0, marks=pytest.mark.nightly),
        pytest.param(Point.ITEM_REMOVED, 1, marks=pytest.mark.nightly),
    ],
    ids=lambda value: value.name if isinstance(value, Point) else f"fails-{value}",
)
async def test_the_janitor_does_not_meddle_with_what_another_worker_will_find(
    app: App, told: list[Event], die: Die, point: Point, fails: int
) -> None:
    handle = await app.aenqueue("work", {"fail": fails})
    await die(Victim("serve", point, (os.devnull,)))

    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(30)
        ended = len([event for event in told if isinstance(event, JanitorPassed)])

        async def passed_twice_since() -> bool:
            return len([event for event in told if isinstance(event, JanitorPassed)]) >= ended + 2

        await eventually(passed_twice_since)

    assert (await app.handle(handle.id).arecord()).state is State.COMPLETE
    await app.aclose()
    assert {kind for kind, _ in repairs(told)} <= {Repair.ORPHAN_SCHEDULE}  # it is cleared up after the end

"""Schedules of one side, whose tasks the other makes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jetq.app.application import App
from jetq.beat.beat import Beat
from jetq.model.events import LeaderElected
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go, Running
from tests.servers import TestServer


def ticking(app: App) -> list[tuple[str, Any]]:
    """Give an application a handler, and the payloads that it got, with the ids of the tasks."""
    got: list[tuple[str, Any]] = []

    @app.task("py:tick")
    async def tick(number: int = 0) -> int:
        got.append(("py:tick", number))
        return number

    return got


async def has(values: list[Any], count: int = 1) -> bool:
    return len(values) >= count


async def test_jetq_fires_what_go_schedules_and_either_side_runs_it(
    app: App, queue: str, go_queue: str, go: Go
) -> None:
    got = ticking(app)
    await prepared(app)
    await go.peer("schedule", f"py-{queue}", "@every 1s", queue, "py:tick", '{"number":5}')
    await go.peer("schedule", f"go-{queue}", "@every 1s", go_queue, "go:echo", "7")
    worker, listener = await go.worker(go_queue), await go.start("peer", "listen")
    await listener.until("listens")
    async with Beat(app), Worker(app, queues=[queue], settings=WORKER):
        await eventually(lambda: has(got))
        run = await worker.until("runs")
        await go.ajc("task", "cron", "rm", f"py-{queue}", "--force")
    await app.adelete_schedule(f"go-{queue}")

    assert got[0] == ("py:tick", 5)
    record = await app.handle(run["runs"]).await_end(10)
    assert (record.type, record.schedule) == ("go:echo", "")  # Go keeps its own keys alone; the id tells
    assert record.id.startswith(f"go-{queue}:20")
    elected = await listener.until_count("event", lambda event: event.get("component") == "task_scheduler", 1)
    assert elected[0]["name"].startswith("jetq-")


async def test_ajc_adds_what_jetq_fires(app: App, queue: str, go: Go) -> None:
    got = ticking(app)
    await prepared(app)
    async with Beat(app), Worker(app, queues=[queue], settings=WORKER):
        await go.ajc(
            "task", "cron", "add", f"ajc-{queue}", "every 1s", "py:tick", '--payload={"number":3}', f"--queue={queue}"
        )
        await eventually(lambda: has(got))
        await go.jetq("cron", "delete", f"ajc-{queue}", "--force")
    assert got[0] == ("py:tick", 3)


@pytest.fixture
async def alone(programs: Path, own_server: TestServer, tmp_path: Path) -> AsyncIterator[tuple[Go, App]]:
    """Give a namespace on a server of its own: who leads there leads for ten seconds after it has gone."""
    go, app = Go(programs, own_server.url, tmp_path), App("test", namespace="CHORIA_AJ", queues=[Queue("GO")])
    app.connect_to(own_server.address)
    yield go, app
    await app.aclose()
    for running in go.started:
        await running.kill()


async def led_by_go(go: Go) -> Running:
    scheduler, listener = await go.start("peer", "scheduler", "the-go-one", "DEFAULT"), await go.start("peer", "listen")
    await listener.until_count("event", lambda event: event.get("name") == "the-go-one", 1)
    return scheduler


async def test_go_fires_what_jetq_schedules(alone: tuple[Go, App]) -> None:
    go, app = alone
    got = ticking(app)
    await prepared(app)
    await app.aadd_schedule("py-often", "@every 1s", app.s("py:tick", {"number": 5}), jitter=0.5, misfire="all")
    await app.aadd_schedule("go-often", "@every 1s", app.s("go:echo", 7, queue="GO"), max_tries=2)
    worker = await go.worker("GO")
    elected = asyncio.create_task(heard(app))
    await asyncio.sleep(0)
    await led_by_go(go)
    assert await elected == "the-go-one"

    async with Beat(app) as beat, Worker(app, queues=["DEFAULT"], settings=WORKER):
        await eventually(lambda: has(got, 2))
        run = await worker.until("runs", count=2)
        assert not beat.leads
    assert got[0] == ("py:tick", 5)  # encoded twice by Go, and unwrapped
    record = await app.handle(run["runs"]).await_end(10)
    assert (record.type, record.max_tries, record.schedule) == ("go:echo", 2, "")


async def heard(app: App) -> str:
    async for event in app.events():
        if getattr(event, "component", "") == "task_scheduler":
            return str(getattr(event, "name", ""))
    return ""


@pytest.mark.nightly
async def test_jetq_takes_over_from_a_go_scheduler_and_makes_up_for_nothing(alone: tuple[Go, App]) -> None:
    go, app = alone
    got = ticking(app)
    led: list[LeaderElected] = []
    app.bus.listen_to(LeaderElected, led.append)
    await prepared(app)
    await app.aadd_schedule("py-often", "@every 1s", app.s("py:tick", {"number": 5}), misfire="all")
    scheduler = await led_by_go(go)
    async with Beat(app), Worker(app, queues=["DEFAULT"], settings=WORKER):
        await eventually(lambda: has(got))
        await scheduler.kill()
        await eventually(lambda: has(led), within=15)
        made = len(got)
        await eventually(lambda: has(got, made + 2))
    assert len(got) <= made + 4  # none of the ten seconds in between

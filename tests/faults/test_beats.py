"""Schedulers that die, freeze, are cut off and have wrong clocks: each planned occurrence is there once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from jetq.model.stored_schedule import Misfire
from jetq.observe.fault_points import Point
from jetq.settings import WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.stage import SLACK, TTL, Scheduler, Stage, staged
from tests.servers import TestServer, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(90)]

SECONDLY = 10
BLOWS = ("kill", "freeze", "cut off")


@pytest.fixture
async def stage(own_server: TestServer, namespace: str) -> AsyncIterator[Stage]:
    async with staged(own_server, namespace) as made:
        yield made


async def hire_three(stage: Stage) -> None:
    await asyncio.gather(*(stage.hire() for _ in range(3)))


async def plan_many(stage: Stage) -> None:
    for number in range(SECONDLY):
        await stage.plan(f"every-{number}", "@every 1s")
    await stage.plan("cron", "* * * * * *")
    await stage.plan("even", "*/2 * * * * *", misfire=Misfire.ALL)


async def strike(stage: Stage, blow: str) -> float:
    """Let the leader fail; return the seconds until another one leads."""
    leader = await stage.leader()
    terms = Counter({id(each): each.count("leads") for each in stage.crew})
    began = time.monotonic()
    match blow:
        case "kill":
            await leader.kill()
        case "freeze":
            leader.freeze()
        case _:
            leader.way.cut()

    def is_followed() -> bool:
        return any(each.count("leads") > terms[id(each)] for each in stage.crew if each is not leader)

    await until(is_followed, 30)
    took = time.monotonic() - began
    await recover(stage, leader, blow)
    return took


async def recover(stage: Stage, leader: Scheduler, blow: str) -> None:
    """Let the one that led come back, while it may think that it still leads; or hire another one."""
    match blow:
        case "kill":
            stage.crew.remove(leader)
            await stage.hire()
        case "freeze":
            leader.thaw()
            await until(lambda: not leader.leads or leader.count("leads") > leader.count("ends"), 30)
        case _:
            leader.way.mend()
    await asyncio.sleep(TTL / 2)  # the load of some leadership


async def check_rounds(stage: Stage, blows: tuple[str, ...], ttl: float = TTL) -> None:
    await hire_three(stage)
    await stage.leader()
    await plan_many(stage)
    began = await stage.now()

    took = [await strike(stage, blow) for blow in blows]
    assert len(await stage.settle(began + timedelta(seconds=1))) > SECONDLY * len(blows)
    await stage.check_runs()
    assert max(took) < ttl + SLACK


async def test_every_occurrence_is_made_once_however_its_leaders_end(stage: Stage) -> None:
    await check_rounds(stage, BLOWS)


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_every_occurrence_is_made_once_over_thirty_leaders(stage: Stage) -> None:
    await check_rounds(stage, BLOWS * 10)


@pytest.mark.nightly
@pytest.mark.timeout(400)
async def test_a_take_over_takes_little_more_than_the_lease_of_asyncjobs(
    own_server: TestServer, namespace: str
) -> None:
    async with staged(own_server, namespace, ttl=10.0) as stage:
        await check_rounds(stage, BLOWS * 2, ttl=10.0)


@pytest.mark.parametrize("point", [Point.OCCURRENCE_STORED, Point.OCCURRENCE_QUEUED], ids=["record", "item"])
async def test_an_occurrence_whose_leader_died_over_it_runs_once(stage: Stage, point: Point) -> None:
    dying = await stage.hire(point=point.name)
    await dying.until_it_said("leads")
    began = await stage.now()
    await stage.plan("daily", "@every 1s")
    await dying.process.wait()
    stage.crew.remove(dying)

    await stage.hire()
    assert len(await stage.settle(began, more=1.0)) >= 1
    await stage.check_runs()


async def test_what_a_full_queue_refuses_runs_once_when_there_is_room(own_server: TestServer, namespace: str) -> None:
    async with staged(own_server, namespace, entries=2) as stage:
        await stage.plan("a", "@every 1s")
        await stage.plan("b", "@every 1s")
        began = await stage.now()
        leader = await stage.hire()
        await asyncio.sleep(5.5)  # three occurrences of each at least, and room for two in all
        await leader.kill()
        last = await stage.now() - timedelta(seconds=1)

        async with Worker(stage.app, settings=WorkerSettings(janitor=False)):
            expected = stage.expected(began + timedelta(seconds=1.5), last)
            await until(lambda: expected <= stage.runs.keys(), 30)

        assert len(expected) >= 4
        await stage.check_runs()


@pytest.mark.parametrize("ahead", [3600.0, -3600.0], ids=["ahead", "behind"])
async def test_a_scheduler_whose_clock_is_an_hour_off_does_not_lead(stage: Stage, ahead: float) -> None:
    wrong = await stage.hire(ahead=ahead)
    await stage.plan("a", "@every 1s")
    await wrong.until_it_said("distrusts")
    right = await stage.hire()
    await right.until_it_said("leads")

    assert len(await stage.settle(await stage.now(), more=1.5)) >= 1
    assert wrong.count("leads") == 0
    await stage.check_runs()


async def outage(stage: Stage, *, down: float, limit: int = 100, leave: float = 0.0) -> dict[str, set[str]]:
    """
    Let the server be away for so many seconds.

    Returns:
        What was made of what was due then, and ``missed``: what was due. The first seconds of it are left out where
        that is asked: what was under way when the server went may come with its return.
    """
    await stage.hire()
    await stage.leader()
    for policy in Misfire:
        await stage.plan(policy.value, "@every 1s", misfire=policy, limit=limit)
    await stage.settle(await stage.now(), more=1.5)
    stage.server.kill()
    since = await stage.now() + timedelta(seconds=leave)
    await asyncio.sleep(down)
    missed = stage.expected(since, await stage.now() - timedelta(seconds=1))
    stage.server.run()
    await stage.leader()
    await stage.settle(await stage.now() + timedelta(seconds=8), more=9.0)
    await stage.check_runs()
    made = {
        each.value: {task for task in missed & stage.runs.keys() if task.startswith(f"{each.value}:")}
        for each in Misfire
    }
    return made | {"missed": missed}


async def test_an_outage_of_seconds_loses_nothing_whatever_a_schedule_wants(stage: Stage) -> None:
    made = await outage(stage, down=4.0)

    assert set[str]().union(*(made[policy] for policy in Misfire)) == made["missed"]
    assert len(made["missed"]) >= 6


@pytest.mark.nightly
async def test_an_outage_of_thirty_seconds_is_made_up_for_as_each_schedule_wants(stage: Stage) -> None:
    made = await outage(stage, down=30.0, limit=20, leave=2.5)

    assert len(made["skip"]) == 0
    assert len(made["latest"]) <= 1
    assert 10 <= len(made["all"]) <= 20


async def test_a_leader_that_stops_is_followed_at_once(stage: Stage) -> None:
    first = await stage.hire()
    await first.until_it_said("leads")
    second = await stage.hire()
    began = time.monotonic()
    first.process.terminate()
    await second.until_it_said("leads")

    assert time.monotonic() - began < TTL / 2

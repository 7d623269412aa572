"""Workers whose clocks are wrong: the server's time counts."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from jetq.app.application import App
from jetq.model.state import State
from tests.faults.conftest import Crew

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]

HOUR = 3600.0
SOON = timedelta(seconds=20)
"""Much less than the clocks differ by, and much more than the tests take."""

either_way = pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])


@either_way
async def test_a_delayed_task_runs_once_and_when_it_is_due(crew: Crew, app: App, ahead: float) -> None:
    crew.hire(ahead=ahead)
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    handle = await app.aenqueue("work", {}, run_at=due)

    record = await handle.await_end(30)
    ended = datetime.now(UTC)
    await app.aclose()

    assert record.state is State.COMPLETE
    assert due <= ended < due + SOON
    assert crew.counts("start") == {handle.id: 1}


@either_way
async def test_a_retry_comes_after_its_wait(crew: Crew, app: App, ahead: float) -> None:
    crew.hire(ahead=ahead)
    began = time.monotonic()
    handle = await app.aenqueue("work", {"fail": 2})

    record = await handle.await_end(30)
    took = time.monotonic() - began
    await app.aclose()

    assert (record.state, record.tries) == (State.COMPLETE, 3)
    assert took >= 1.0  # two waits of half a second
    assert record.tried is not None
    assert abs(record.tried - datetime.now(UTC)) < SOON


@either_way
async def test_a_deadline_passes_by_the_servers_time(crew: Crew, app: App, ahead: float) -> None:
    in_time = await app.aenqueue("work", {}, deadline=HOUR / 2)
    late = datetime.now(UTC) + timedelta(seconds=0.2)
    too_late = await app.aenqueue("work", {}, deadline=late)
    while datetime.now(UTC) <= late:  # noqa: ASYNC110 - nothing tells of a time that has come
        await asyncio.sleep(0.05)
    crew.hire(ahead=ahead)

    ends = [await in_time.await_end(30), await too_late.await_end(30)]
    await app.aclose()

    assert [record.state for record in ends] == [State.COMPLETE, State.EXPIRED]

"""What users of an application do with stored schedules."""

import asyncio
from datetime import timedelta

import pytest

from jetq.app.application import App
from jetq.errors import ScheduleExistsError, UnknownScheduleError
from jetq.jetstream.server import EmbeddedServer


@pytest.fixture
def app(server: EmbeddedServer, namespace: str) -> App:
    app = App("shop", namespace=namespace)
    app.connect_to(server.address)

    @app.task("report")
    async def report(n: int) -> int:
        return n

    return app


async def test_a_schedule_is_stored_shown_stopped_run_and_removed(app: App) -> None:
    async with app:
        added = await app.aadd_schedule("a", timedelta(minutes=10), app.s("report", {"n": 1}), misfire="all", limit=5)
        with pytest.raises(ScheduleExistsError):
            await app.aadd_schedule("a", "@hourly", app.s("report"))
        again = await app.aadd_schedule(
            "a", "@every 10m", app.s("report", {"n": 1}), misfire="all", limit=5, replace=True
        )
        disabled = await app.adisable_schedule("a"), await app.adisable_schedule("a")
        stopped = await app.aget_schedule("a")
        enabled = await app.aenable_schedule("a")
        listed = await app.alist_schedules()
        record = await (await app.arun_schedule("a")).arecord()
        await app.adelete_schedule("a")
        with pytest.raises(UnknownScheduleError):
            await app.aget_schedule("a")

    assert (added, again, disabled, enabled) == (True, False, (True, False), True)
    assert stopped.state == "disabled"
    assert [view.state for view in listed] == ["on"]
    assert listed[0].record is not None
    assert (listed[0].record.schedule, listed[0].record.origin, listed[0].record.limit) == ("@every 10m", "", 5)
    assert (record.type, record.payload, record.schedule) == ("report", b'{"n":1}', "a")


def _blocking(app: App) -> list[str]:
    app.add_schedule("a", "@hourly", app.s("report", {"n": 1}))
    states = [app.get_schedule("a").state]
    app.disable_schedule("a")
    states.append(app.list_schedules()[0].state)
    app.enable_schedule("a")
    states.append(app.run_schedule("a").record().type)
    app.delete_schedule("a")
    app.close()
    return states


async def test_the_same_without_a_loop(app: App) -> None:
    assert await asyncio.to_thread(_blocking, app) == ["on", "disabled", "report"]

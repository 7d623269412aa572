"""Operations and workers at the same time: what one of them leaves half done, the other ends."""

import asyncio

import pytest

from jetq.admin.operator import Operator
from jetq.admin.task_operations import TaskOperations
from jetq.app.application import App
from jetq.errors import OperationRefusedError
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.model.state import State
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS


class DiesHereError(BaseException):
    """Ends an operation as the death of its process would."""


async def is_empty(backend: Backend, *queues: str) -> bool:
    names = backend.names
    streams = (names.schedules, *(names.queue(queue) for queue in queues or ("DEFAULT",)))
    infos = [await backend.connection.api(f"STREAM.INFO.{stream}") for stream in streams]
    return not any(info["state"]["messages"] for info in infos)


def die() -> None:
    raise DiesHereError


@pytest.mark.parametrize("delay", [None, 0.3], ids=["queued", "delayed"])
async def test_a_worker_clears_up_behind_a_cancel_that_died_after_its_record(app: App, delay: float | None) -> None:
    ran: list[str] = []

    @app.task("idle")
    async def idle(ctx: Context) -> None:
        ran.append(ctx.task_id)

    handle = await idle.using(delay=delay).aenqueue()
    backend = await backend_with_queue(app)
    disarm = arm(Point.RECORD_CHANGED, die)
    with pytest.raises(DiesHereError):
        await TaskOperations(backend).cancel(handle.id)
    disarm()
    assert not await is_empty(backend)

    async with Worker(app, settings=SETTINGS):
        await eventually(lambda: is_empty(backend))

    assert (ran, await handle.astate()) == ([], "cancelled")


@pytest.mark.parametrize("point", [Point.RECORD_CHANGED, Point.CHANGE_PLACED], ids=["record", "new item"])
async def test_a_task_whose_move_died_half_way_runs_once(app: App, point: Point) -> None:
    ran: list[str] = []

    @app.task("mover")
    async def mover(ctx: Context) -> str:
        ran.append(ctx.task_id)
        return ctx.queue

    backend = await backend_with_queue(app)
    await backend.topology.ensure_queue(Queue("OTHER", lease=1.0))
    handle = await mover.aenqueue()
    disarm = arm(point, die)
    with pytest.raises(DiesHereError):
        await TaskOperations(backend).change(handle.id, queue="OTHER")
    disarm()

    async with Worker(app, queues=["DEFAULT", "OTHER"], settings=SETTINGS):
        assert await handle.aresult(10) == "OTHER"
        await eventually(lambda: is_empty(backend, "DEFAULT", "OTHER"))

    assert ran == [handle.id]


async def test_a_changed_payload_is_what_the_handler_gets(app: App) -> None:
    @app.task("echo")
    async def echo(value: int) -> int:
        return value

    queued, delayed = await echo.aenqueue(1), await echo.using(delay=0.3).aenqueue(1)
    for handle in (queued, delayed):
        await handle.achange(payload={"value": 2})

    async with Worker(app, settings=SETTINGS):
        assert [await handle.aresult(10) for handle in (queued, delayed)] == [2, 2]


async def test_every_task_ends_once_when_its_queue_is_purged_under_a_worker(app: App) -> None:
    ran: list[str] = []

    @app.task("brief")
    async def brief(ctx: Context) -> None:
        ran.append(ctx.task_id)
        await asyncio.sleep(0.01)

    backend = await backend_with_queue(app)
    handles = await app.aenqueue_many([brief.s() for _ in range(600)])
    async with Worker(app, settings=SETTINGS):
        await eventually(lambda: reached(ran, 50))
        await Operator(backend).purge_queue("DEFAULT")
        records = [await handle.await_end(10) for handle in handles]
        await eventually(lambda: is_empty(backend))

    complete = {record.id for record in records if record.state is State.COMPLETE}
    assert complete == set(ran)
    assert len(ran) == len(complete) < 600
    assert {record.end for record in records if record.id not in complete} == {"purged"}


async def reached(ran: list[str], count: int) -> bool:
    return len(ran) >= count


async def test_operations_on_tasks_that_run_at_full_speed_leave_none_without_an_end(app: App) -> None:
    @app.task("brief")
    async def brief() -> None:
        await asyncio.sleep(0.002)

    backend = await backend_with_queue(app)
    operations = TaskOperations(backend)
    handles = await app.aenqueue_many([brief.s() for _ in range(300)])
    refused = 0

    async def meddle(number: int, task_id: str) -> None:
        nonlocal refused
        verbs = (operations.cancel, operations.retry, lambda one: operations.change(one, max_tries=7))
        try:
            await verbs[number % 3](task_id)
        except OperationRefusedError:
            refused += 1

    async with Worker(app, settings=SETTINGS):
        for start in range(0, len(handles), 20):
            chunk = handles[start : start + 20]
            await asyncio.gather(*(meddle(start + place, handle.id) for place, handle in enumerate(chunk)))
        await eventually(lambda: is_empty(backend))
        records = [await handle.await_end(10) for handle in handles]

    assert {record.display_state for record in records} <= {"complete", "cancelled"}

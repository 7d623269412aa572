"""How long the record of an ended task is kept, and what becomes of one that is not."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import ResultGoneError, TaskExpiredError, TaskTerminatedError, TaskUnreachableError, Terminate
from jetq.jetstream.retention import DISCARD_AFTER
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.dependency import DEPENDED_KEPT
from jetq.model.events import Event, TaskStateChanged
from jetq.model.record import StoredOptions
from jetq.model.retention import Retention, RetentionLike
from jetq.model.retry import Fixed
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue, Settings, StoreSettings
from jetq.worker import desk
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS


async def ttl(app: App, handle: TaskHandle[Any]) -> float:
    """Read for how long the server keeps a record."""
    backend = await backend_with_queue(app)
    subject = backend.names.record(handle.id)
    answer = await backend.connection.api(f"STREAM.MSG.GET.{backend.names.tasks}", {"last_by_subj": subject})
    headers = base64.b64decode(answer["message"]["hdrs"]).decode()
    return float(next(line for line in headers.splitlines() if line.startswith("Nats-TTL")).split()[1].rstrip("s"))


async def is_gone(app: App, handle: TaskHandle[Any]) -> bool:
    return await (await backend_with_queue(app)).tasks.read(handle.id) is None


async def items(app: App) -> int:
    backend = await backend_with_queue(app)
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    return int(info["state"]["messages"])


@pytest.fixture
async def make(server: EmbeddedServer, namespace: str, told: list[Event]) -> AsyncIterator[Callable[..., App]]:
    """Give a maker of applications that say something of retention."""
    made: list[App] = []

    def make(settings: Settings | None = None, **said: Any) -> App:
        queues = [Queue("DEFAULT", lease=LEASE)]
        app = App("test", namespace=namespace, queues=queues, settings=settings, **said)
        app.connect_to(server.address)
        app.bus.listen(told.append)
        made.append(app)
        return app

    yield make
    for app in made:
        await app.aclose()


@pytest.mark.parametrize(
    ("application", "handler", "task", "expected"),
    [
        (None, None, None, (100, 200)),
        (30, None, None, (30, 30)),
        (30, Retention(failed=40), None, (30, 40)),
        (30, 40, {"complete": 50}, (50, 40)),
        (30, {"expired": 40}, Retention(complete=timedelta(minutes=1), terminated=5), (60, 40)),
    ],
    ids=["store", "application", "handler", "task", "by-end"],
)
async def test_who_is_nearest_to_the_task_says_how_long_it_is_kept(
    make: Callable[..., App],
    application: RetentionLike | None,
    handler: RetentionLike | None,
    task: RetentionLike | None,
    expected: tuple[float, float],
) -> None:
    app = make(Settings(store=StoreSettings(complete_kept=100, ended_kept=200)), retention=application)

    @app.task("either", max_tries=1, retry=Fixed(0), retention=handler)
    async def either(*, fails: bool) -> None:
        if fails:
            raise ValueError

    async with Worker(app, settings=SETTINGS):
        handles = [await either.using(retention=task).aenqueue(fails=fails) for fails in (False, True)]
        for handle in handles:
            await handle.await_end(10)
        assert (await ttl(app, handles[0]), await ttl(app, handles[1])) == expected


async def test_a_discarded_task_is_gone_after_its_end_and_its_item_too(
    make: Callable[..., App], told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "DISCARD_AFTER", 1.0)
    app = make(discard=["complete"])

    @app.task("either", max_tries=1)
    async def either(*, fails: bool) -> int:
        if fails:
            raise ValueError
        return 7

    async with Worker(app, settings=SETTINGS):
        good, bad = await either.aenqueue(fails=False), await either.aenqueue(fails=True)
        assert await good.aresult(10) == 7
        with pytest.raises(TaskExpiredError):
            await bad.aresult(10)
        await eventually(lambda: is_gone(app, good), within=10)
        with pytest.raises(ResultGoneError, match="the record of task"):
            await good.aresult(1)
        assert not await is_gone(app, bad)
        info = await (await backend_with_queue(app)).connection.api(
            f"STREAM.INFO.{(await backend_with_queue(app)).names.queue('DEFAULT')}"
        )

    assert info["state"]["messages"] == 0
    ends = [event.task_id for event in told if isinstance(event, TaskStateChanged) and event.state == "complete"]
    assert ends == [good.id]


@pytest.mark.parametrize("said", [{"retention": 0}, {"retention": {"terminated": 0}}, {"discard": {"terminated"}}])
async def test_a_handler_has_its_ends_discarded(
    make: Callable[..., App], monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    monkeypatch.setattr(desk, "DISCARD_AFTER", 1.0)
    app = make()

    @app.task("ends", **said)
    async def ends() -> None:
        raise Terminate("enough")

    async with Worker(app, settings=SETTINGS):
        handle = await ends.aenqueue()
        with pytest.raises(TaskTerminatedError):
            await handle.aresult(10)
        await eventually(lambda: is_gone(app, handle), within=10)


async def test_a_task_that_may_not_start_is_discarded_too(
    make: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "DISCARD_AFTER", 1.0)
    app = make()

    @app.task("late")
    async def late() -> None:
        raise AssertionError

    handle = await late.using(deadline=0.01, retention=0).aenqueue()
    await asyncio.sleep(0.02)
    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskExpiredError):
            await handle.aresult(10)
        await eventually(lambda: is_gone(app, handle), within=10)


async def test_a_task_that_fails_with_another_one_is_discarded_too(make: Callable[..., App]) -> None:
    app = make(discard=["unreachable"])

    @app.task("child")
    async def child() -> None: ...

    parent = await child.using(delay=600).aenqueue()
    first = await child.using(depends_on=[parent]).aenqueue()
    second = await child.using(depends_on=[first]).aenqueue()
    await parent.acancel()

    with pytest.raises(TaskUnreachableError):
        await second.aresult(10)
    assert await ttl(app, first) >= DEPENDED_KEPT

    async def is_discarded() -> bool:
        return await ttl(app, second) == DISCARD_AFTER

    await eventually(is_discarded)


async def test_who_waits_gets_the_result_of_a_discarded_task(make: Callable[..., App]) -> None:
    """A hundred at once, each by a waiter that hears the event, and by one that does not."""
    app = make(retention=0)

    @app.task("echo")
    async def echo(number: int) -> int:
        return number

    async with Worker(app, settings=SETTINGS):
        handles = await app.aenqueue_many([echo.s(number) for number in range(100)])
        waiters = [asyncio.create_task(handle.aresult(15)) for handle in handles]
        assert await asyncio.gather(*waiters) == list(range(100))


async def test_who_waits_in_vain_is_told_how_the_task_ended(
    make: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiter, runner = make(), make(retention=0)
    backend, reads = await backend_with_queue(waiter), asyncio.Event()
    read = backend.tasks.read

    @runner.task("quick")
    async def quick() -> int:
        return 1

    async def at_once(self: TaskStore, stored: Stored, after: float) -> None:
        del after
        await self.remove(stored.record.id)

    async def too_late(task_id: str, **options: Any) -> Stored | None:
        if reads.is_set():
            await eventually(lambda: is_gone(runner, handle))
        reads.set()
        return await read(task_id, **options)

    handle = await waiter.aenqueue("quick")
    monkeypatch.setattr(TaskStore, "expire", at_once)
    monkeypatch.setattr(backend.tasks, "read", too_late)
    waiting = asyncio.create_task(handle.aresult(10))
    await reads.wait()
    async with Worker(runner, settings=SETTINGS):
        with pytest.raises(ResultGoneError, match="ended as complete, and its record is gone") as caught:
            await waiting

    assert caught.value.ended == "complete"


@pytest.mark.parametrize("point", [Point.END_STORED, Point.RECORD_DISCARDED, Point.AFTER_EFFECTS_DONE])
async def test_a_worker_that_dies_amid_a_discard_leaves_it_to_the_next(
    make: Callable[..., App], monkeypatch: pytest.MonkeyPatch, point: Point
) -> None:
    monkeypatch.setattr(desk, "DISCARD_AFTER", 1.0)
    monkeypatch.setattr("jetq.worker.claims._OLD_ITEM", 0.0)
    app = make(retention=0)
    runs: list[int] = []

    @app.task("once")
    async def once() -> None:
        runs.append(1)

    class DiedError(Exception):
        pass

    def die() -> None:
        disarm()
        raise DiedError

    disarm = arm(point, die)
    handle = await once.aenqueue()

    async def is_over() -> bool:
        return not await items(app) and await is_gone(app, handle)

    async with Worker(app, settings=SETTINGS):
        await eventually(is_over, within=15)

    assert runs == [1]


async def test_a_record_that_was_made_runnable_again_is_not_discarded(make: Callable[..., App]) -> None:
    app = make()
    backend = await backend_with_queue(app)
    handle = await app.aenqueue("anything", retention=0)
    old = await backend.tasks.read(handle.id)
    assert old is not None
    new = await backend.tasks.write(old.document, old.sequence)

    await backend.tasks.expire(old, 1.0)

    found = await backend.tasks.read(handle.id)
    assert found is not None
    assert found.sequence == new.sequence


async def test_a_store_that_lets_no_record_expire_loses_a_discarded_one_at_once(make: Callable[..., App]) -> None:
    app = make()
    backend = await backend_with_queue(app)
    handle = await app.aenqueue("anything")
    stored = await backend.tasks.read(handle.id)
    assert stored is not None
    backend.tasks.ttl_allowed = False

    await backend.tasks.expire(stored, 60.0)

    assert await is_gone(app, handle)


async def test_the_retention_of_a_task_travels_in_its_options(make: Callable[..., App]) -> None:
    app = make()

    @app.task("plain", retention=5)
    def plain() -> None: ...

    assert plain.s().request().options is None
    options = plain.using(retention=7).s().request().options
    assert isinstance(options, StoredOptions)
    assert bytes(options.retention) == b"7.0"

"""Which failures are tried again, when, and where: by class, by function, by policy, and in another queue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import Retry, Signal, Snooze, TaskTerminatedError, Terminate
from jetq.execution.context import Context
from jetq.execution.failure import MAX_KIND, MAX_MESSAGE, MAX_TRACEBACK
from jetq.execution.middleware import CallNext
from jetq.jetstream.backend import Backend
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.task_store import Stored
from jetq.model.events import Event, RunLost, TaskStateChanged
from jetq.model.record import Run, StoredOptions, TaskRecord
from jetq.model.retry import Exponential, Fixed, RetryLike, Steps
from jetq.model.state import State
from jetq.model.transition import claimed
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS

QUEUES = [Queue(name, lease=LEASE) for name in ("DEFAULT", "BULK")]


@pytest.fixture
async def open_app(server: EmbeddedServer, namespace: str, told: list[Event]) -> AsyncIterator[Callable[..., App]]:
    """Give a maker of applications with two queues."""
    made: list[App] = []

    def make(**options: Any) -> App:
        app = App("test", namespace=namespace, queues=QUEUES, **options)
        app.connect_to(server.address)
        app.bus.listen(told.append)
        made.append(app)
        return app

    yield make
    for app in made:
        await app.aclose()


async def backend_of(app: App) -> Backend:
    backend = (await app.clients.current()).backend
    for queue in QUEUES:
        await backend.queue(queue)
    return backend


async def read(app: App, task_id: str) -> Stored:
    stored = await (await backend_of(app)).tasks.read(task_id)
    assert stored is not None
    return stored


async def rewrite(app: App, task_id: str, **changes: Any) -> Stored:
    """Change a record by hand."""
    stored = await read(app, task_id)
    changed = stored.document.updated(replace(stored.record, **changes))
    return await (await backend_of(app)).tasks.write(changed, stored.sequence)


async def items(app: App, queue: str) -> int:
    backend = await backend_of(app)
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue(queue)}")
    return int(info["state"]["messages"])


async def are_empty(app: App) -> bool:
    return not any([await items(app, queue.name) for queue in QUEUES])


def retries(told: list[Event], task_id: str) -> list[TaskStateChanged]:
    changes = [event for event in told if isinstance(event, TaskStateChanged) and event.task_id == task_id]
    return [event for event in changes if event.state is State.RETRY]


# Classes and functions


class ShopError(Exception):
    pass


async def ended(app: App, handle: TaskHandle[Any]) -> TaskRecord:
    async with Worker(app, settings=SETTINGS):
        return await handle.await_end(20)


async def test_a_task_whose_error_is_given_up_ends_at_once_and_tells_the_error(open_app: Callable[..., App]) -> None:
    app = open_app(retry=Fixed(0))

    @app.task("pay", give_up_on=ShopError)
    async def pay() -> None:
        raise ShopError("no such order")

    handle = await pay.aenqueue()
    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskTerminatedError, match="no such order") as caught:
            await handle.aresult(20)
    record = await handle.arecord()

    assert caught.value.reason == "given_up"
    assert (record.state, record.end, record.tries) == (State.TERMINATED, "given_up", 1)
    assert record.last_err.endswith("ShopError: no such order")
    assert record.error is not None
    assert record.error.type.endswith("ShopError")
    assert "in pay" in record.error.traceback


async def test_only_what_an_application_wants_tried_again_is(open_app: Callable[..., App]) -> None:
    app = open_app(retry=Fixed(0), retry_on=(ConnectionError,))

    @app.task("flaky")
    async def flaky(ctx: Context) -> int:
        if ctx.tries == 1:
            raise ConnectionResetError
        raise ValueError("odd")

    record = await ended(app, await flaky.aenqueue())

    assert (record.end, record.tries, record.last_err) == ("given_up", 2, "ValueError: odd")


async def test_a_time_out_may_be_given_up(open_app: Callable[..., App]) -> None:
    app = open_app(give_up_on=(TimeoutError,))

    @app.task("slow", timeout=0.05)
    async def slow() -> None:
        await asyncio.sleep(60)

    record = await ended(app, await slow.aenqueue())

    assert (record.end, record.tries) == ("given_up", 1)
    assert record.last_err == "TimeoutError: ran longer than its limit of 0.05 s"


DECISIONS: list[tuple[Signal | None, int, str]] = [
    (None, 2, ""),
    (Retry(0), 2, ""),
    (Snooze(0), 1, ""),
    (Terminate("the card is stolen"), 1, "given_up"),
]


@pytest.mark.parametrize(("decision", "tries", "end"), DECISIONS, ids=repr)
async def test_a_function_decides_about_an_error(
    open_app: Callable[..., App], decision: Signal | None, tries: int, end: str
) -> None:
    app = open_app(retry=Fixed(0), on_error=lambda _error, _ctx: decision)

    @app.task("pay")
    async def pay(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ShopError("declined")
        return ctx.tries

    record = await ended(app, await pay.aenqueue())

    assert (record.tries, record.end) == (tries, end)
    if end:
        assert record.last_err.endswith("ShopError: declined (the card is stolen)")
        assert record.error is not None
        assert "in pay" in record.error.traceback


def breaks(_error: Exception, _ctx: Context) -> None:
    raise KeyError("table")


def babbles(_error: Exception, _ctx: Context) -> str:
    return "again"


def asks_too_much(_error: Exception, _ctx: Context) -> Retry:
    return Retry(-1)


@pytest.mark.parametrize("on_error", [breaks, babbles, asks_too_much])
async def test_a_function_that_fails_leaves_the_task_to_its_policy(
    open_app: Callable[..., App], told: list[Event], on_error: Any
) -> None:
    app = open_app(retry=Fixed(0), on_error=on_error)

    @app.task("pay")
    async def pay(ctx: Context) -> int:
        if ctx.tries == 1:
            raise ValueError("declined")
        return ctx.tries

    handle = await pay.aenqueue()
    record = await ended(app, handle)

    assert (record.state, record.tries) == (State.COMPLETE, 2)
    assert retries(told, handle.id)[0].last_err.startswith("ValueError: declined (and on_error failed: ")


@pytest.mark.parametrize("signal", [Retry(0), Snooze(0), Terminate("no")], ids=repr)
async def test_middleware_may_say_what_becomes_of_a_task(open_app: Callable[..., App], signal: Signal) -> None:
    async def saying(ctx: Context, call_next: CallNext) -> Any:
        if ctx.attempt == 1:
            raise signal
        return await call_next(ctx)

    app = open_app(middleware=[saying])

    @app.task("pay")
    async def pay(ctx: Context) -> int:
        return ctx.tries

    record = await ended(app, await pay.aenqueue())

    assert (record.tries, record.runs, record.end) == {
        Retry: (2, 2, ""),
        Snooze: (1, 2, ""),
        Terminate: (1, 1, "terminated"),
    }[type(signal)]


# Policies


@pytest.mark.parametrize(
    ("retry", "stored"),
    [
        ("gentle", b'"gentle"'),
        (Fixed(0), b'{"kind":"fixed","seconds":0,"jitter":0.0}'),
        (0, b'{"kind":"fixed","seconds":0,"jitter":0.0}'),
        (Steps((0.0,)), b'{"kind":"steps","intervals":[0.0],"jitter":0.0}'),
        (Exponential(first=timedelta(0)), b'{"kind":"exponential","first":0.0,"max":600.0,"factor":2.0,"jitter":1.0}'),
    ],
    ids=repr,
)
async def test_a_policy_given_per_call_travels_with_the_task(
    open_app: Callable[..., App], retry: RetryLike, stored: bytes
) -> None:
    app = open_app(retry=3600, retry_policies={"gentle": Fixed(0)})

    @app.task("flaky", retry=3600)
    async def flaky(ctx: Context) -> int:
        if ctx.tries == 1:
            raise ValueError("not yet")
        return ctx.tries

    handle = await flaky.using(retry=retry).aenqueue()
    other = await app.aenqueue("flaky", {}, retry=retry)
    record = await ended(app, handle)

    assert record.tries == 2
    assert record.options is not None
    assert bytes(record.options.retry) == stored
    await other.await_end(10)


async def test_an_applications_policy_has_a_name_and_may_be_the_default(open_app: Callable[..., App]) -> None:
    app = open_app(retry="gentle", retry_policies={"gentle": lambda _retry: 0, "slow": Fixed(3600)})

    @app.task("default")
    async def default(ctx: Context) -> int:
        if ctx.tries == 1:
            raise ValueError("not yet")
        return ctx.tries

    @app.task("named", retry="slow")
    async def named() -> None:
        raise ValueError("not yet")

    waits = await named.aenqueue()
    record = await ended(app, await default.aenqueue())
    stored = await read(app, waits.id)

    assert record.tries == 2
    assert stored.record.due is not None
    assert stored.record.due - datetime.now(UTC) > timedelta(minutes=50)


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (b'"unheard_of"', "to be one of 10m, 1h, 1m, default"),
        (b'{"kind":"fixed","seconds":-1}', "Fixed.seconds"),
        (b'{"kind":"square"}', 'its kind is "square"'),
        (b'{"kind":"fixed","minutes":1}', "minutes"),
        (b"17", "Expected `str | object`, got `int`"),
        (b'{"kind":"steps","intervals":[[1]]}', "Steps.intervals"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_policy_that_the_worker_cannot_use_falls_back_to_the_handlers(
    open_app: Callable[..., App], told: list[Event], option: bytes, why: str
) -> None:
    app = open_app()

    @app.task("flaky", retry=Fixed(0))
    async def flaky(ctx: Context) -> int:
        if ctx.tries == 1:
            raise ValueError("not yet")
        return ctx.tries

    handle = await flaky.aenqueue()
    await rewrite(app, handle.id, options=StoredOptions(retry=Raw(option)))
    record = await ended(app, handle)

    assert record.tries == 2
    told_error = retries(told, handle.id)[0].last_err
    assert told_error.startswith("ValueError: not yet (and the task's own retry policy cannot be used: ")
    assert why in told_error


# Another queue


async def test_a_retry_moves_to_another_queue(open_app: Callable[..., App], told: list[Event]) -> None:
    app = open_app(on_error=lambda _error, _ctx: Retry(0, queue="BULK"))

    @app.task("pay")
    async def pay(ctx: Context) -> str:
        if ctx.tries == 1:
            raise ValueError("busy")
        return ctx.queue

    handle = await pay.aenqueue()
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(20) == "BULK"
        await eventually(lambda: are_empty(app))

    assert [(event.queue, event.last_err) for event in retries(told, handle.id)] == [("BULK", "ValueError: busy")]


async def test_a_task_moves_into_a_queue_that_its_worker_makes_and_does_not_serve(
    open_app: Callable[..., App],
) -> None:
    app = open_app()

    @app.task("pay")
    async def pay(ctx: Context) -> str:
        if ctx.queue == "DEFAULT":
            raise Retry(0, queue="ELSEWHERE")
        return ctx.queue

    handle = await pay.aenqueue()
    async with Worker(app, queues=["DEFAULT"], settings=SETTINGS):
        await eventually(lambda: _stands(app, handle.id, State.RETRY))
        await eventually(lambda: _holds(app, "ELSEWHERE"))
    async with Worker(app, queues=["ELSEWHERE"], settings=SETTINGS):
        assert await handle.aresult(20) == "ELSEWHERE"


async def _stands(app: App, task_id: str, state: State) -> bool:
    return (await read(app, task_id)).record.state is state


async def _holds(app: App, queue: str) -> bool:
    return await items(app, queue) == 1


async def test_a_task_stays_where_the_other_queue_cannot_be_had(
    server: EmbeddedServer, namespace: str, told: list[Event]
) -> None:
    app = App("test", namespace=namespace, queues=[*QUEUES, Queue("VIP", create=False)])
    app.connect_to(server.address)
    app.bus.listen(told.append)

    @app.task("pay")
    async def pay(ctx: Context) -> str:
        if ctx.tries == 1:
            raise Retry(0, reason="busy", queue="VIP")
        return ctx.queue

    handle = await pay.aenqueue()
    async with Worker(app, queues=["DEFAULT"], settings=SETTINGS):
        assert await handle.aresult(20) == "DEFAULT"
    await app.aclose()

    told_error = retries(told, handle.id)[0].last_err
    assert told_error.startswith("busy (it stays in the queue DEFAULT: there is no queue VIP")


async def test_a_signed_task_does_not_move(open_app: Callable[..., App], told: list[Event]) -> None:
    app = open_app()

    @app.task("pay")
    async def pay(ctx: Context) -> str:
        if ctx.tries == 1:
            raise Retry(0, reason="busy", queue="BULK")
        return ctx.queue

    handle = await pay.aenqueue()
    await rewrite(app, handle.id, signature="ab" * 64)
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(20) == "DEFAULT"

    assert retries(told, handle.id)[0].last_err.startswith("busy (it cannot move to BULK, since it is signed")


async def test_a_move_that_was_written_and_not_scheduled_is_mended_by_the_item_in_the_old_queue(
    open_app: Callable[..., App],
) -> None:
    app = open_app()

    @app.task("pay")
    async def pay(ctx: Context) -> str:
        return ctx.queue

    handle = await pay.aenqueue()
    await rewrite(app, handle.id, state=State.RETRY, queue="BULK", due=datetime.now(UTC) + timedelta(seconds=0.3))
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(20) == "BULK"
        await eventually(lambda: are_empty(app))


async def test_the_item_that_a_moved_task_left_behind_disturbs_no_run_and_goes_in_the_end(
    open_app: Callable[..., App], told: list[Event]
) -> None:
    first, second = open_app(), open_app()
    runs: list[str] = []
    delivered_again: list[int] = []
    for app in (first, second):

        @app.task("pay")
        async def pay(ctx: Context) -> str:
            runs.append(ctx.queue)
            await asyncio.sleep(2.5 * LEASE)
            backend = await backend_of(first)
            info = await backend.connection.api(f"CONSUMER.INFO.{backend.names.queue('BULK')}.WORKERS")
            delivered_again.append(info["num_redelivered"])
            return ctx.queue

    @second.task("other")
    async def other() -> None: ...

    await second.aenqueue("other")  # so that the items of the two queues differ in their sequences
    handle = await first.aenqueue("pay")
    stored = await rewrite(first, handle.id, state=State.RETRY, queue="BULK", due=datetime.now(UTC))
    await (await backend_of(first)).queues.schedule(stored)
    async with Worker(first, queues=["BULK"], settings=SETTINGS):
        await eventually(lambda: _stands(first, handle.id, State.ACTIVE))
        async with Worker(second, queues=["DEFAULT"], settings=SETTINGS):
            assert await handle.aresult(20) == "BULK"
            await eventually(lambda: are_empty(first))

    assert runs == ["BULK"]
    assert delivered_again == [0], "the run kept the item that it was claimed with"
    assert not [event for event in told if isinstance(event, RunLost)]
    assert await items(first, "DEFAULT") == 0


async def test_a_dead_run_is_taken_over_by_the_item_that_the_task_left_behind(open_app: Callable[..., App]) -> None:
    app = open_app()

    @app.task("pay")
    async def pay(ctx: Context) -> list[Any]:
        return [ctx.queue, ctx.tries]

    handle = await app.aenqueue("pay")
    stored = await rewrite(app, handle.id, state=State.RETRY, queue="BULK", due=datetime.now(UTC))
    backend = await backend_of(app)
    await backend.queues.schedule(stored)
    await eventually(lambda: _holds(app, "BULK"))
    dead = claimed(stored.record, Run("dead", 1, "abc"), datetime.now(UTC))
    await backend.tasks.write(stored.document.updated(dead), stored.sequence)
    async with Worker(app, queues=["DEFAULT"], settings=SETTINGS):
        assert await handle.aresult(25) == ["BULK", 2]
    async with Worker(app, settings=SETTINGS):
        await eventually(lambda: are_empty(app))


# Sizes


async def test_an_error_of_any_size_is_kept_cut_beside_a_payload_of_any_size(open_app: Callable[..., App]) -> None:
    app = open_app(retry=Fixed(0), on_error=lambda _error, _ctx: Retry(0, "y" * 1_000_000))

    class LongError(Exception):
        pass

    LongError.__qualname__ = "L" * 100_000

    @app.task("big", max_tries=2)
    async def big(data: str) -> None:
        raise LongError("x" * 1_000_000) from ValueError(data)

    record = await ended(app, await big.aenqueue("d" * 690_000))

    assert (record.end, record.tries) == ("max_tries", 2)
    assert len(record.payload or b"") > 690_000
    assert record.error is not None
    assert [len(text.encode()) for text in (record.error.type, record.error.message)] == [MAX_KIND, MAX_MESSAGE]
    assert 2 * MAX_MESSAGE <= len(record.error.traceback.encode()) <= MAX_TRACEBACK
    assert "in big" in record.error.traceback
    assert len(record.last_err) <= MAX_KIND + 2 * MAX_MESSAGE + 10

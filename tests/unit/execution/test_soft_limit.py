import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from jetq.errors import InvalidSettingError, OutsideTaskError, SoftTimeout, Terminate
from jetq.execution.context import Context
from jetq.execution.executor import Execution, Executor
from jetq.execution.middleware import CallNext
from jetq.model.outcome import Failed, Interrupted, Succeeded, Terminated, TimedOut
from jetq.routing.handler import HandlerOptions, make_handler
from tests.unit.execution.samples import record

SOFT = 0.05


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    opened = Executor(threads=2, grace=0.1)
    yield opened
    await opened.close()


def execution(
    executor: Executor,
    function: Callable[..., Any],
    *,
    soft: float | None = SOFT,
    limit: float = 30.0,
    middleware: tuple[Callable[..., Any], ...] = (),
) -> Execution:
    handler = make_handler(function, "shop:*", HandlerOptions(middleware=middleware))
    return executor.start(handler, record(), limit=limit, soft=soft, worker="01WORKER")


def no_request_is_left() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() == 0


def spin(until: Callable[[], bool] = lambda: False, patience: float = 5.0) -> None:
    """Keep a thread busy in Python, where an exception can be raised."""
    end = time.monotonic() + patience
    while not until() and time.monotonic() < end:
        time.sleep(0.001)


# Async handlers


async def test_an_async_handler_is_cancelled_once_and_what_it_then_returns_counts(executor: Executor) -> None:
    seen: list[Any] = []

    async def handle(ctx: Context) -> str:
        seen.append(ctx.soft_timed_out)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append(ctx.soft_timed_out)
        await asyncio.sleep(2 * SOFT)
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(0, "in good order"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        return child.result()

    assert await execution(executor, handle).run() == Succeeded(b'"in good order"')
    assert seen == [False, True]
    assert no_request_is_left()


async def test_the_handlers_own_task_groups_and_time_outs_work_after_the_soft_limit(executor: Executor) -> None:
    class BrokenError(Exception):
        pass

    async def breaks() -> None:
        raise BrokenError

    async def handle() -> list[str]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        told: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(breaks())
                await asyncio.sleep(30)
        except* BrokenError:
            told.append("group")
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            told.append("time-out")
        return told

    assert await execution(executor, handle).run() == Succeeded(b'["group","time-out"]')


async def test_an_async_handler_that_lets_the_cancellation_by_timed_out_at_its_soft_limit(executor: Executor) -> None:
    async def handle() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(30))

    assert await execution(executor, handle).run() == TimedOut(SOFT, soft=True)
    assert no_request_is_left()


async def test_an_error_after_the_soft_limit_is_the_handlers_own(executor: Executor) -> None:
    async def handle() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise Terminate("half done") from None

    async def fail() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            raise ValueError("cannot clean up")

    assert await execution(executor, handle).run() == Terminated("half done")
    outcome = await execution(executor, fail).run()
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "ValueError"


async def test_a_soft_limit_that_nobody_sees_leaves_no_request_behind(executor: Executor) -> None:
    async def swallow() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "a child took it"
        return "never"

    async def handle(ctx: Context) -> list[Any]:
        child = asyncio.ensure_future(swallow())
        return [await child, ctx.soft_timed_out]

    assert await execution(executor, handle).run() == Succeeded(b'["a child took it",true]')
    assert no_request_is_left()


async def test_the_hard_limit_holds_after_the_soft_one(executor: Executor) -> None:
    cancellations: list[int] = []

    async def handle() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancellations.append(1)
        raise AssertionError

    assert await execution(executor, handle, limit=0.15).run() == TimedOut(0.15)
    assert len(cancellations) == 2
    assert no_request_is_left()


async def test_a_cancellation_from_outside_is_an_interruption_also_after_the_soft_limit(executor: Executor) -> None:
    softened = asyncio.Event()

    async def handle() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        softened.set()
        await asyncio.sleep(30)

    run = asyncio.create_task(execution(executor, handle).run())
    await softened.wait()
    run.cancel()

    assert await run == Interrupted()


@pytest.mark.parametrize("soft", [None, 30.0, 31.0])
async def test_without_a_soft_limit_below_the_hard_one_nothing_is_asked(executor: Executor, soft: float | None) -> None:
    async def handle(ctx: Context) -> bool:
        return ctx.soft_limit is None and not ctx.soft_timed_out

    assert await execution(executor, handle, soft=soft).run() == Succeeded(b"true")


async def test_a_run_that_ends_before_its_soft_limit_is_left_alone(executor: Executor) -> None:
    async def handle() -> int:
        return 1

    assert await execution(executor, handle).run() == Succeeded(b"1")
    await asyncio.sleep(2 * SOFT)
    assert no_request_is_left()


async def test_a_value_passes_through_as_if_nobody_watched(executor: Executor) -> None:
    async def handle() -> list[Any]:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 7)
        caught = ""
        failing = asyncio.get_running_loop().create_future()
        failing.set_exception(ValueError("seen"))
        try:
            await failing
        except ValueError as error:
            caught = str(error)
        return [await future, caught, await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))]

    assert await execution(executor, handle).run() == Succeeded(b'[7,"seen",[1,2]]')


# Sync handlers


async def test_a_sync_handler_gets_a_soft_timeout_once_and_what_it_then_returns_counts(executor: Executor) -> None:
    def handle(ctx: Context) -> list[Any]:
        caught = 0
        try:
            spin()
        except SoftTimeout:
            caught += 1
        spin(patience=3 * SOFT)
        return [caught, ctx.soft_timed_out]

    assert await execution(executor, handle).run() == Succeeded(b"[1,true]")


async def test_a_sync_handler_that_lets_the_soft_timeout_by_timed_out(executor: Executor) -> None:
    def handle() -> None:
        spin()

    assert await execution(executor, handle).run() == TimedOut(SOFT, soft=True)


async def test_a_sync_handler_that_ignores_its_soft_limit_is_stopped_at_the_hard_one(executor: Executor) -> None:
    caught: list[str] = []

    def handle() -> None:
        while True:
            try:
                spin()
            except Exception as error:  # noqa: BLE001 - the point
                caught.append(type(error).__name__)

    assert await execution(executor, handle, limit=0.2).run() == TimedOut(0.2)
    assert caught == ["SoftTimeout"]


async def test_a_soft_limit_cannot_interrupt_a_blocking_call_and_says_so_after_it(executor: Executor) -> None:
    def handle() -> str:
        try:
            time.sleep(4 * SOFT)
            spin()
        except SoftTimeout:
            return "after the call"
        return "never"

    assert await execution(executor, handle).run() == Succeeded(b'"after the call"')


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_middleware_that_waits_is_cancelled_at_the_soft_limit(executor: Executor, kind: str) -> None:
    async def lazy(ctx: Context, call_next: CallNext) -> Any:
        await asyncio.sleep(30)
        return await call_next(ctx)

    async def on_loop() -> None:
        raise AssertionError

    def in_thread() -> None:
        raise AssertionError

    run = execution(executor, on_loop if kind == "async" else in_thread, middleware=(lazy,))

    assert await run.run() == TimedOut(SOFT, soft=True)


async def test_middleware_may_catch_the_soft_timeout_of_a_sync_handler(executor: Executor) -> None:
    async def forgiving(ctx: Context, call_next: CallNext) -> Any:
        try:
            return await call_next(ctx)
        except SoftTimeout:
            return "as far as it came"

    assert await execution(executor, spin, middleware=(forgiving,)).run() == Succeeded(b'"as far as it came"')


async def test_soft_timeouts_hit_their_own_handlers_alone(executor: Executor) -> None:
    """Whatever the moment, a thread lives on, and the next job in it runs undisturbed."""
    threads: set[int] = set()

    def handle() -> str:
        threads.add(threading.get_ident())
        with contextlib.suppress(SoftTimeout):
            spin(patience=0.002)
        return "fine"

    for number in range(150):
        outcome = await execution(executor, handle, soft=0.001 + number % 20 / 10_000, limit=10).run()
        assert outcome == Succeeded(b'"fine"') or (isinstance(outcome, TimedOut) and outcome.soft)

    assert len(threads) <= 2


# Extension


@pytest.mark.alone
async def test_an_extended_run_outlives_its_limit_and_time_left_follows(executor: Executor) -> None:
    left: list[float] = []

    async def handle(ctx: Context) -> str:
        for _ in range(3):
            await ctx.aextend(0.2)
            left.append(ctx.time_left)
            await asyncio.sleep(0.1)
        return "done"

    assert await execution(executor, handle, soft=None, limit=0.15).run() == Succeeded(b'"done"')
    assert all(0.1 < each <= 0.2 for each in left)


@pytest.mark.alone
async def test_a_sync_handler_extends_its_run_from_its_thread(executor: Executor) -> None:
    def handle(ctx: Context) -> str:
        for _ in range(3):
            ctx.extend(0.3)
            time.sleep(0.1)
        return "done"

    assert await execution(executor, handle, soft=None, limit=0.2).run() == Succeeded(b'"done"')


async def test_an_extension_that_is_shorter_than_what_is_left_shortens_the_run(executor: Executor) -> None:
    async def handle(ctx: Context) -> None:
        ctx.extend(0.05)
        await asyncio.sleep(30)

    def in_thread(ctx: Context) -> None:
        ctx.extend(0.05)
        spin()

    for function in (handle, in_thread):
        began = time.monotonic()
        outcome = await execution(executor, function, soft=None).run()
        assert isinstance(outcome, TimedOut)
        assert 0.05 <= outcome.limit < 1
        assert time.monotonic() - began < 2


@pytest.mark.alone
async def test_a_run_that_stops_extending_is_stopped(executor: Executor) -> None:
    async def handle(ctx: Context) -> None:
        ctx.extend(0.1)
        ctx.extend(0.2)
        await asyncio.sleep(30)

    outcome = await execution(executor, handle, soft=None, limit=0.05).run()

    assert isinstance(outcome, TimedOut)
    assert outcome.limit == pytest.approx(0.2, abs=0.05)


@pytest.mark.alone
async def test_the_soft_limit_moves_with_the_hard_one(executor: Executor) -> None:
    async def handle(ctx: Context) -> float:
        began = time.monotonic()
        ctx.extend(0.4)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        return time.monotonic() - began

    outcome = await execution(executor, handle, soft=0.1, limit=0.2).run()

    assert isinstance(outcome, Succeeded)
    assert 0.3 <= float(outcome.result) < 0.4


async def test_a_soft_limit_that_has_no_room_left_is_none(executor: Executor) -> None:
    async def handle(ctx: Context) -> bool:
        ctx.extend(0.2)
        await asyncio.sleep(0.15)
        return ctx.soft_timed_out

    assert await execution(executor, handle, soft=0.1, limit=30).run() == Succeeded(b"false")


async def test_a_run_that_was_told_to_end_cannot_be_extended(executor: Executor) -> None:
    told: list[str] = []
    contexts: list[Context] = []

    async def handle(ctx: Context) -> None:
        contexts.append(ctx)
        try:
            await asyncio.sleep(30)
        finally:
            with pytest.raises(OutsideTaskError) as caught:
                ctx.extend(30)
            told.append(str(caught.value))

    assert await execution(executor, handle, soft=None, limit=0.05).run() == TimedOut(0.05)
    assert told == ["this run was told to end, or has ended; extend it before its limit"]
    with pytest.raises(OutsideTaskError):
        contexts[0].extend(1)


@pytest.mark.parametrize("nonsense", [0, -1, float("nan"), "30", None, True])
def test_an_extension_must_be_a_time(nonsense: Any) -> None:
    with pytest.raises(InvalidSettingError, match="the extension"):
        Context(record()).extend(nonsense)


def test_a_context_of_ones_own_can_be_extended_and_told_progress() -> None:
    ctx = Context(record(), limit=1)

    ctx.extend(timedelta(minutes=1))
    ctx.progress(1, 2)

    assert 59 < ctx.time_left <= 60

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pydantic
import pytest

from jetq.errors import Retry, Snooze, Terminate
from jetq.execution.context import Context, current, current_context
from jetq.execution.executor import Execution, Executor
from jetq.model.outcome import (
    Cancelled,
    Failed,
    Interrupted,
    Invalid,
    Outcome,
    Retried,
    Snoozed,
    Succeeded,
    Terminated,
    TimedOut,
    Unstorable,
)
from jetq.observe.scope import TaskScope, current_scope
from jetq.routing.payload import Payload
from tests.unit.execution.samples import execution

SHORT = 0.05


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    opened = Executor(threads=2, grace=0.1)
    yield opened
    await opened.close()


def failed(outcome: Outcome, kind: str, message: str = "") -> None:
    assert isinstance(outcome, Failed)
    assert outcome.error.type == kind
    assert message in outcome.error.message


# What a handler may return and raise


async def test_a_result_is_json(executor: Executor) -> None:
    async def on_loop(a: int, b: str = "x") -> list[Any]:
        return [a, b]

    def in_thread(ctx: Context, a: int) -> list[Any]:
        return [ctx.task_id, a]

    assert await execution(executor, on_loop, b'{"a":"1"}').run() == Succeeded(b'[1,"x"]')
    assert await execution(executor, in_thread, b'{"a":1}').run() == Succeeded(b'["01TASK",1]')


class Order(pydantic.BaseModel):
    id: int


async def test_a_whole_payload_arrives_as_one_value(executor: Executor) -> None:
    async def handle(_ctx: Context, order: Payload[Order]) -> int:
        return order.id

    assert await execution(executor, handle, b'{"id":7}').run() == Succeeded(b"7")


@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad"), "ValueError"),
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt("stop"), "KeyboardInterrupt"),
        (GeneratorExit("over"), "GeneratorExit"),
        (asyncio.CancelledError("mine"), "asyncio.exceptions.CancelledError"),
        (TimeoutError("theirs"), "TimeoutError"),
        (ExceptionGroup("several", [ValueError("a")]), "ExceptionGroup"),
        (BaseExceptionGroup("several", [KeyboardInterrupt()]), "BaseExceptionGroup"),
    ],
)
async def test_every_exception_of_a_handler_is_a_failure(
    executor: Executor, kind: str, error: BaseException, expected: str
) -> None:
    async def on_loop() -> None:
        raise error

    def in_thread() -> None:
        raise error

    outcome = await execution(executor, on_loop if kind == "async" else in_thread).run()

    failed(outcome, expected)
    assert isinstance(outcome, Failed)
    assert f"in {'on_loop' if kind == 'async' else 'in_thread'}" in outcome.error.traceback
    assert "jetq/execution" not in outcome.error.traceback
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_stop_iteration_is_a_failure(executor: Executor, kind: str) -> None:
    async def on_loop() -> None:
        raise StopIteration("enough")

    def in_thread() -> None:
        raise StopIteration("enough")

    failed(await execution(executor, on_loop if kind == "async" else in_thread).run(), "RuntimeError", "StopIteration")


@pytest.mark.parametrize(
    ("signal", "expected"),
    [(Terminate("no"), Terminated("no")), (Retry(1, "x"), Retried(1.0, "x")), (Snooze(1), Snoozed(1.0))],
)
async def test_signals_may_be_raised_and_returned(executor: Executor, signal: Any, expected: Outcome) -> None:
    async def raises() -> None:
        raise signal

    def returns() -> Any:
        return signal

    async def in_a_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(raises())

    for function in (raises, returns, in_a_group):
        assert await execution(executor, function).run() == expected


async def test_a_result_that_is_not_json_is_told(executor: Executor) -> None:
    async def handle() -> Any:
        return {"a": {1, object()}}

    outcome = await execution(executor, handle).run()

    assert isinstance(outcome, Unstorable)
    assert "a value of type object cannot be written as JSON (at a[" in outcome.error.message


async def test_a_sync_function_that_returns_a_coroutine_is_explained(executor: Executor) -> None:
    async def forgotten() -> None: ...

    def handle() -> Any:
        return forgotten()

    failed(await execution(executor, handle).run(), "TypeError", "returned a coroutine")


async def test_a_plain_wrapper_of_an_async_function_is_awaited(executor: Executor) -> None:
    async def handle(ctx: Context, a: int) -> int:
        await asyncio.sleep(0)
        return a + ctx.attempt

    @functools.wraps(handle)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return handle(*args, **kwargs)

    @functools.wraps(handle)
    def short_cut(*_args: Any, **_kwargs: Any) -> Any:
        return 0

    assert await execution(executor, wrapped, b'{"a":1}').run() == Succeeded(b"4")
    assert await execution(executor, short_cut, b'{"a":1}').run() == Succeeded(b"0")


async def test_a_payload_that_the_handler_does_not_take_is_invalid(executor: Executor) -> None:
    called: list[int] = []

    def handle(a: int) -> None:
        called.append(a)

    run = execution(executor, handle, b'{"a":"x"}')

    assert await run.run() == Invalid(
        "argument 'a': input should be a valid integer, unable to parse string as an integer"
    )
    assert called == []
    assert run.duration is None


async def test_a_validator_that_breaks_is_a_failure_and_is_tried_again(executor: Executor) -> None:
    class Looked(pydantic.BaseModel):
        id: int

        @pydantic.field_validator("id")
        @classmethod
        def known(cls, _value: int) -> int:
            raise ConnectionError("the database is away")

    async def handle(looked: Payload[Looked]) -> None: ...

    failed(await execution(executor, handle, b'{"id":1}').run(), "ConnectionError", "the database is away")


# Around a handler


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_handler_and_its_logs_know_their_task(executor: Executor, kind: str) -> None:
    seen: list[Any] = []

    def look(ctx: Context) -> None:
        seen.append((current() is ctx, current_scope.get()))

    async def on_loop(ctx: Context) -> None:
        look(ctx)
        await asyncio.create_task(look_again(ctx))

    async def look_again(ctx: Context) -> None:
        look(ctx)

    await execution(executor, on_loop if kind == "async" else look).run()

    scope = TaskScope("01TASK", "shop:do", "SHOP", 3, "01WORKER")
    assert seen == [(True, scope)] * (2 if kind == "async" else 1)
    assert current_scope.get() is None
    assert current_context.get() is None


async def test_a_run_is_timed(executor: Executor) -> None:
    async def handle() -> None:
        await asyncio.sleep(0.02)

    run = execution(executor, handle, limit=5)
    assert (run.duration, run.deadline) == (None, None)
    before = asyncio.get_running_loop().time()

    await run.run()

    assert run.duration is not None
    assert 0.015 < run.duration < 5
    assert run.deadline is not None
    assert 4.9 < run.deadline - before < 5.1


async def test_a_run_leaves_no_timer_behind(executor: Executor) -> None:
    async def handle() -> None: ...

    run = execution(executor, handle, limit=3600)
    await run.run()

    assert run._timer.cancelled()


# Limits and stops


async def endless() -> None:
    await asyncio.Event().wait()


def busy() -> None:
    while True:
        time.sleep(0.001)


@pytest.mark.parametrize("function", [endless, busy])
async def test_a_handler_is_stopped_at_its_limit(executor: Executor, function: Callable[..., Any]) -> None:
    run = execution(executor, function, limit=SHORT)

    assert await run.run() == TimedOut(SHORT)
    assert run.duration is not None
    assert SHORT * 0.9 < run.duration < 5
    await asyncio.sleep(0)  # a cancellation that was not taken back would arrive here


async def begun(run: Execution) -> asyncio.Task[Outcome]:
    task = asyncio.create_task(run.run())
    await asyncio.sleep(SHORT)
    assert not task.done()
    return task


@pytest.mark.parametrize("function", [endless, busy])
@pytest.mark.parametrize("outcome", [Cancelled("an operator"), Interrupted()])
async def test_a_stopped_run_has_the_outcome_it_was_given(
    executor: Executor, function: Callable[..., Any], outcome: Outcome
) -> None:
    run = execution(executor, function)
    task = await begun(run)

    run.stop(outcome)
    run.stop(Interrupted())

    assert await task == outcome
    assert task.cancelling() == 0


async def test_a_run_that_is_stopped_before_it_starts_does_not_start(executor: Executor) -> None:
    called: list[int] = []

    async def handle() -> None:
        called.append(1)

    run = execution(executor, handle)
    run.stop(Interrupted())

    assert await run.run() == Interrupted()
    assert called == []


@pytest.mark.parametrize("reason", ["cancelled", "limit", "ended"])
async def test_a_run_that_was_told_to_end_says_so(executor: Executor, reason: str) -> None:
    seen: list[bool] = []

    async def loop(ctx: Context) -> None:
        seen.append(ctx.cancel_requested)
        if reason == "ended":
            return
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(ctx.cancel_requested)

    run = execution(executor, loop, limit=0.05 if reason == "limit" else 60)
    assert not run.context.cancel_requested
    running = asyncio.ensure_future(run.run())
    await asyncio.sleep(0)
    if reason == "cancelled":
        run.stop(Cancelled("ops"))
    await running

    assert seen == ([False] if reason == "ended" else [False, True])
    assert run.context.cancel_requested


async def test_stopping_a_run_that_has_ended_changes_nothing(executor: Executor) -> None:
    async def handle() -> None: ...

    run = execution(executor, handle)
    outcome = await run.run()
    run.stop(Interrupted())
    await asyncio.sleep(0)

    assert outcome == Succeeded(b"null")


async def test_a_handler_that_swallows_its_cancellation_is_stopped_all_the_same(executor: Executor) -> None:
    async def returns() -> str:
        try:
            await endless()
        except asyncio.CancelledError:
            return "ignored"
        return "never"

    async def raises() -> None:
        try:
            await endless()
        except asyncio.CancelledError:
            raise ValueError("in the cleaning up") from None

    for function in (returns, raises):
        assert await execution(executor, function, limit=SHORT).run() == TimedOut(SHORT)


async def test_a_handler_that_goes_on_is_cancelled_again(executor: Executor) -> None:
    cancellations: list[int] = []

    async def stubborn() -> None:
        while len(cancellations) < 3:
            try:
                await endless()
            except asyncio.CancelledError:
                cancellations.append(1)

    task = asyncio.create_task(execution(executor, stubborn, limit=SHORT).run())

    assert await task == TimedOut(SHORT)
    assert len(cancellations) == 3
    assert task.cancelling() == 0


async def test_a_handler_may_clean_up_when_it_is_stopped(executor: Executor) -> None:
    cleaned: list[str] = []

    async def on_loop() -> None:
        try:
            await endless()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("async")

    def in_thread() -> None:
        try:
            busy()
        finally:
            cleaned.append("thread")

    for function in (on_loop, in_thread):
        assert await execution(executor, function, limit=SHORT).run() == TimedOut(SHORT)
    assert cleaned == ["async", "thread"]


async def test_a_time_limit_of_the_handlers_own_is_not_ours(executor: Executor) -> None:
    async def handle() -> str:
        try:
            async with asyncio.timeout(0.01):
                await endless()
        except TimeoutError:
            return "own limit"
        return "never"

    assert await execution(executor, handle).run() == Succeeded(b'"own limit"')


async def test_task_groups_of_a_handler_are_stopped_with_it(executor: Executor) -> None:
    ended: list[str] = []

    async def child() -> None:
        try:
            await endless()
        finally:
            ended.append("child")

    async def handle() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    assert await execution(executor, handle, limit=SHORT).run() == TimedOut(SHORT)
    assert ended == ["child"]


async def test_a_blocked_thread_is_given_up_and_the_next_run_has_another(executor: Executor) -> None:
    release = threading.Event()

    def deaf() -> None:
        release.wait(20)

    try:
        started = time.monotonic()
        for _ in range(2):
            assert await execution(executor, deaf, limit=SHORT).run() == TimedOut(SHORT)
        assert time.monotonic() - started < 5

        def handle() -> str:
            return "free"

        assert await execution(executor, handle).run() == Succeeded(b'"free"')
    finally:
        release.set()


async def test_a_limit_holds_in_middleware_too(executor: Executor) -> None:
    async def slow(_ctx: Context, _call_next: Any) -> Any:
        await endless()

    async def handle() -> None: ...

    assert await execution(executor, handle, limit=SHORT, middleware=(slow,)).run() == TimedOut(SHORT)


@pytest.mark.parametrize("function", [endless, busy])
async def test_middleware_sees_a_stop_as_a_cancellation(executor: Executor, function: Callable[..., Any]) -> None:
    seen: list[str] = []

    async def look(ctx: Context, call_next: Any) -> Any:
        try:
            return await call_next(ctx)
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    assert await execution(executor, function, limit=SHORT, middleware=(look,)).run() == TimedOut(SHORT)
    assert seen == ["CancelledError"]


# Cancellations from elsewhere


@pytest.mark.parametrize("function", [endless, busy])
async def test_a_cancellation_from_outside_is_an_interruption(executor: Executor, function: Callable[..., Any]) -> None:
    task = await begun(execution(executor, function))

    task.cancel()

    assert await task == Interrupted()
    assert task.cancelling() == 1


async def test_awaiting_something_that_was_cancelled_is_the_handlers_failure(executor: Executor) -> None:
    async def handle() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    failed(await execution(executor, handle).run(), "asyncio.exceptions.CancelledError")


async def test_an_earlier_cancellation_of_the_task_is_not_mistaken_for_a_new_one(executor: Executor) -> None:
    async def handle() -> None:
        raise asyncio.CancelledError

    async def cancelled_before() -> Outcome:
        with contextlib.suppress(asyncio.CancelledError):
            await endless()
        return await execution(executor, handle).run()

    task = asyncio.create_task(cancelled_before())
    await asyncio.sleep(0)
    task.cancel()

    failed(await task, "asyncio.exceptions.CancelledError")
    assert task.cancelling() == 1


def test_a_run_whose_coroutine_is_closed_elsewhere_lets_go() -> None:
    reached: list[str] = []

    async def handle() -> None:
        try:
            await endless()
        finally:
            reached.append("cleaned up")

    run = execution(Executor(threads=1), handle)
    coroutine = run.run()
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    coroutine.close()

    assert reached == ["cleaned up"]
    assert run._timer.cancelled()


async def test_closing_the_executor_interrupts_what_runs_in_threads() -> None:
    executor = Executor(threads=1, grace=5)
    runs = [await begun(execution(executor, busy)), await begun(execution(executor, busy))]

    await executor.close()

    assert await asyncio.gather(*runs) == [Interrupted(), Interrupted()]

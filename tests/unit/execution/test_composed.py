"""Handlers that get results of parents, and tasks that stand for many calls."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Raw

from jetq.errors import Retry, Snooze, SoftTimeout, Terminate
from jetq.execution.context import Context
from jetq.execution.executor import Executor
from jetq.execution.middleware import CallNext
from jetq.model.outcome import Cancelled, Failed, Invalid, Retried, Snoozed, Succeeded, Terminated, TimedOut, Unstorable
from jetq.model.record import StoredOptions
from jetq.routing.handler import HandlerOptions, make_handler
from jetq.routing.payload import Payload
from jetq.wire.dependencies import Gift, encode_gifts
from jetq.wire.into import encode_into
from tests.unit.execution.samples import execution, record

EACH = StoredOptions(each=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    opened = Executor(threads=2, grace=0.1)
    yield opened
    await opened.close()


def parents(into: dict[str, Any], **results: bytes) -> dict[str, Any]:
    return {
        "options": StoredOptions(into=encode_into(into)),
        "dependencies": [*results],
        "dependency_results": encode_gifts({name: Gift(Raw(result), NOW) for name, result in results.items()}),
        "load_dependencies": True,
    }


# results of parents


async def test_results_of_parents_are_arguments_like_others(executor: Executor) -> None:
    async def on_loop(ctx: Context, title: str, pages: list[int], cover: str = "none") -> list[Any]:
        return [title, pages, cover, [*ctx.dependency_results]]

    def in_thread(pages: list[int], title: str) -> list[Any]:
        return [title, pages]

    found = parents({"pages": (1, 0)}, A=b"1", B=b"2")
    assert await execution(executor, on_loop, b'{"title":"x"}', **found).run() == Succeeded(
        b'["x",[2,1],"none",["A","B"]]'
    )
    assert await execution(executor, in_thread, b'{"title":"x"}', **found).run() == Succeeded(b'["x",[2,1]]')


@pytest.mark.parametrize("payload", [None, b"null", b'""', b"{}", b' {"number":7} '], ids=range(5))
async def test_a_result_needs_no_payload_and_wins_over_what_is_there(executor: Executor, payload: bytes | None) -> None:
    async def handle(number: int) -> int:
        return number

    assert await execution(executor, handle, payload, **parents({"number": 0}, A=b"1")).run() == Succeeded(b"1")


async def test_a_result_may_be_the_whole_payload(executor: Executor) -> None:
    async def handle(order: Payload[dict[str, int]]) -> int:
        return order["id"]

    assert await execution(executor, handle, None, **parents({"order": 0}, A=b'{"id":7}')).run() == Succeeded(b"7")
    assert await execution(executor, handle, b'{"id":5}', **parents({"other": 0}, A=b"1")).run() == Succeeded(b"5")


async def test_a_handler_without_parameters_does_not_mind(executor: Executor) -> None:
    async def handle() -> int:
        return 1

    assert await execution(executor, handle, b"{}", **parents({"x": 0}, A=b"1")).run() == Succeeded(b"1")


async def test_a_result_of_the_wrong_type_is_told_by_its_parameter(executor: Executor) -> None:
    async def handle(title: str, pages: list[int]) -> None: ...

    outcome = await execution(executor, handle, b'{"title":"x"}', **parents({"pages": (0, 1)}, A=b"1", B=b'"b"')).run()

    assert outcome == Invalid(
        "argument 'pages': input should be a valid integer, unable to parse string as an integer (at [1])"
    )


@pytest.mark.parametrize("payload", [b"[1]", b"5", b'{"a"', b'"text"'], ids=range(4))
async def test_a_payload_without_room_for_a_result_is_refused(executor: Executor, payload: bytes) -> None:
    async def handle(title: str = "", number: int = 0) -> None: ...

    outcome = await execution(executor, handle, payload, **parents({"number": 0}, A=b"1")).run()

    assert outcome == Invalid("it is no object of arguments")


# many calls


async def double(number: int, times: int = 2) -> int:
    return number * times


def double_in_thread(number: int, times: int = 2) -> int:
    return number * times


@pytest.mark.parametrize("function", [double, double_in_thread])
async def test_each_call_gets_its_arguments_and_the_result_is_their_list(
    executor: Executor, function: Callable[..., Any]
) -> None:
    payload = b'[{"number":1},{"number":"2","times":3},{"number":3}]'

    assert await execution(executor, function, payload, options=EACH).run() == Succeeded(b"[2,6,6]")
    assert await execution(executor, function, b"[]", options=EACH).run() == Succeeded(b"[]")


async def test_each_call_of_a_whole_payload_and_of_none(executor: Executor) -> None:
    async def whole(ctx: Context, number: Payload[int]) -> list[Any]:
        return [number, ctx.arguments[0]]

    def nothing(ctx: Context) -> str:
        return ctx.task_id

    assert await execution(executor, whole, b"[1,2]", options=EACH).run() == Succeeded(b"[[1,[1]],[2,[2]]]")
    assert await execution(executor, nothing, b"[{},{}]", options=EACH).run() == Succeeded(b'["01TASK","01TASK"]')


async def test_middleware_stands_around_all_calls_together(executor: Executor) -> None:
    seen: list[Any] = []

    async def watch(ctx: Context, call_next: CallNext) -> Any:
        seen.append(ctx.task_id)
        return await call_next(ctx)

    run = execution(executor, double, b'[{"number":1},{"number":2}]', middleware=(watch,), options=EACH)

    assert await run.run() == Succeeded(b"[2,4]")
    assert seen == ["01TASK"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'[{"number":1},{"number":"x"}]', "call [1]: argument 'number': input should be a valid integer, unable to"),
        (b"[{}]", "call [0]: argument 'number' is missing"),
        (b'[{"number":1},5]', "call [1]: it is no object of arguments"),
        (b'{"number":1}', "it is no list of calls"),
        (b"[1", "it is no list of calls"),
        (None, "it is no list of calls"),
    ],
    ids=range(6),
)
async def test_what_is_wrong_with_one_call_is_told_before_the_first(
    executor: Executor, payload: bytes | None, reason: str
) -> None:
    called: list[int] = []

    async def handle(number: int) -> None:
        called.append(number)

    outcome = await execution(executor, handle, payload, options=EACH).run()

    assert isinstance(outcome, Invalid)
    assert outcome.reason.startswith(reason)
    assert called == []


async def fail_at_two(number: int) -> int:
    if number == 2:
        raise ValueError("broken")
    return number


def fail_at_two_in_thread(number: int) -> int:
    if number == 2:
        raise ValueError("broken")
    return number


@pytest.mark.parametrize("function", [fail_at_two, fail_at_two_in_thread])
async def test_a_call_that_fails_ends_them_all_and_is_named(executor: Executor, function: Callable[..., Any]) -> None:
    payload = b'[{"number":1},{"number":2},{"number":3}]'

    outcome = await execution(executor, function, payload, options=EACH).run()

    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("ValueError", "broken")
    assert "(in call [1])" in outcome.error.traceback


@pytest.mark.parametrize("returned", [True, False], ids=["returned", "raised"])
@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize(
    ("signal", "expected"),
    [(Retry(5, "later"), Retried(5.0, "later", "")), (Terminate("no"), Terminated("no")), (Snooze(3), Snoozed(3.0))],
    ids=["retry", "terminate", "snooze"],
)
async def test_a_signal_of_one_call_is_that_of_the_task(
    executor: Executor, *, signal: Any, expected: Any, kind: str, returned: bool
) -> None:
    def in_thread(number: int) -> Any:
        if number == 1:
            return number
        if returned:
            return signal
        raise signal

    async def on_loop(number: int) -> Any:
        return in_thread(number)

    function = on_loop if kind == "async" else in_thread
    assert await execution(executor, function, b'[{"number":1},{"number":2}]', options=EACH).run() == expected


async def test_a_result_that_cannot_be_stored_is_told_with_its_place(executor: Executor) -> None:
    async def handle(number: int) -> Any:
        return number if number == 1 else {"x": 1j}

    outcome = await execution(executor, handle, b'[{"number":1},{"number":2}]', options=EACH).run()

    assert isinstance(outcome, Unstorable)
    assert "(at [1].x)" in outcome.error.message


async def test_the_time_limit_is_for_all_calls_together(executor: Executor) -> None:
    async def nap(number: int) -> int:
        await asyncio.sleep(0.03)
        return number

    async def work(number: int) -> int:
        time.sleep(0.03)  # noqa: ASYNC251 - a handler that never waits
        return number

    def in_thread(number: int) -> int:
        time.sleep(0.03)
        return number

    payload = b"[%b]" % b",".join([b'{"number":1}'] * 100)
    for function in (nap, work, in_thread):
        started = time.monotonic()
        assert await execution(executor, function, payload, options=EACH, limit=0.1).run() == TimedOut(0.1)
        assert time.monotonic() - started < 2


async def test_a_run_of_many_calls_can_be_stopped_between_them(executor: Executor) -> None:
    begun = asyncio.Event()

    async def handle(number: int) -> int:
        begun.set()
        return number

    run = execution(executor, handle, b"[%b]" % b",".join([b'{"number":1}'] * 100_000), options=EACH)
    task = asyncio.create_task(run.run())
    await begun.wait()
    run.stop(Cancelled("op"))

    assert await task == Cancelled("op")


async def test_a_soft_limit_asks_the_call_that_runs_and_is_told_to_those_after_it(executor: Executor) -> None:
    def in_thread(ctx: Context, number: int) -> str:
        if ctx.soft_timed_out:
            return f"{number} skipped"
        try:
            for _ in range(1000):
                time.sleep(0.01)
        except SoftTimeout:
            return f"{number} early"
        return "late"

    handler = make_handler(in_thread, "shop:*", HandlerOptions())
    run = executor.start(handler, record(b'[{"number":1},{"number":2}]', options=EACH), limit=30, soft=0.1)

    assert await run.run() == Succeeded(b'["1 early","2 skipped"]')

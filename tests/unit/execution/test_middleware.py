from typing import Any

import pytest

from jetq.errors import InvalidSettingError, Retry, Snooze, Terminate
from jetq.execution.context import Context
from jetq.execution.executor import Executor
from jetq.execution.middleware import CallNext, Middleware, compose
from jetq.model.outcome import Failed, Invalid, Outcome, Retried, Snoozed, Succeeded, Terminated
from jetq.routing.handler import make_handler
from tests.unit.execution.samples import execution, record


def noting(name: str, notes: list[str]) -> Middleware:
    async def middleware(ctx: Context, call_next: CallNext) -> Any:
        notes.append(f"{name} in")
        try:
            return await call_next(ctx)
        finally:
            notes.append(f"{name} out")

    return middleware


async def ran(
    function: Any, *, outer: tuple[Any, ...] = (), inner: tuple[Any, ...] = (), payload: bytes | None = None
) -> Outcome:
    executor = Executor(threads=1, middleware=outer)
    try:
        return await execution(executor, function, payload, middleware=inner).run()
    finally:
        await executor.close()


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_the_first_is_outermost_and_the_applications_stand_outside_of_the_handlers(kind: str) -> None:
    notes: list[str] = []

    async def on_loop() -> None:
        notes.append("handler")

    def in_thread() -> None:
        notes.append("handler")

    outcome = await ran(
        on_loop if kind == "async" else in_thread,
        outer=(noting("app 1", notes), noting("app 2", notes)),
        inner=(noting("own 1", notes), noting("own 2", notes)),
    )

    assert outcome == Succeeded(b"null")
    assert notes == [
        *("app 1 in", "app 2 in", "own 1 in", "own 2 in"),
        "handler",
        *("own 2 out", "own 1 out", "app 2 out", "app 1 out"),
    ]


def test_without_middleware_the_call_is_the_handlers_own() -> None:
    async def call(ctx: Context) -> None: ...

    assert compose((), call) is call


async def test_middleware_changes_results_and_may_leave_the_handler_out() -> None:
    async def doubled(ctx: Context, call_next: CallNext) -> Any:
        return 2 * await call_next(ctx)

    async def skipped(_ctx: Context, _call_next: CallNext) -> Any:
        return "skipped"

    async def handle() -> int:
        return 21

    assert await ran(handle, outer=(doubled,)) == Succeeded(b"42")
    assert await ran(handle, inner=(skipped,)) == Succeeded(b'"skipped"')


async def test_middleware_sees_the_context_and_the_arguments() -> None:
    seen: list[Any] = []

    async def look(ctx: Context, call_next: CallNext) -> Any:
        seen.append((ctx.task_id, ctx.arguments, ctx.payload))
        return await call_next(ctx)

    def handle(a: int) -> None: ...

    await ran(handle, outer=(look,), payload=b'{"a":"1"}')

    assert seen == [("01TASK", ((), {"a": 1}), {"a": "1"})]


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_middleware_sees_the_handlers_errors_and_may_catch_them(kind: str) -> None:
    async def forgiving(ctx: Context, call_next: CallNext) -> Any:
        try:
            return await call_next(ctx)
        except ZeroDivisionError as error:
            return f"forgiven: {error}"

    async def on_loop() -> float:
        return 1 / 0

    def in_thread() -> float:
        return 1 / 0

    outcome = await ran(on_loop if kind == "async" else in_thread, outer=(forgiving,))

    assert outcome == Succeeded(b'"forgiven: division by zero"')


@pytest.mark.parametrize(
    ("signal", "expected"),
    [(Terminate("no"), Terminated("no")), (Retry(1, "x"), Retried(1.0, "x")), (Snooze(1), Snoozed(1.0))],
)
async def test_middleware_may_raise_and_return_the_signals(signal: Any, expected: Outcome) -> None:
    async def raises(_ctx: Context, _call_next: CallNext) -> Any:
        raise signal

    async def returns(_ctx: Context, _call_next: CallNext) -> Any:
        return signal

    async def handle() -> None: ...

    assert await ran(handle, outer=(raises,)) == expected
    assert await ran(handle, inner=(returns,)) == expected


async def test_an_error_of_middleware_is_the_runs_error() -> None:
    async def broken(_ctx: Context, _call_next: CallNext) -> Any:
        raise LookupError("no user")

    async def handle() -> None: ...

    outcome = await ran(handle, outer=(broken,))

    assert isinstance(outcome, Failed)
    assert outcome.error.type == "LookupError"


async def test_an_invalid_payload_never_reaches_middleware() -> None:
    notes: list[str] = []

    async def handle(a: int) -> None: ...

    outcome = await ran(handle, outer=(noting("app", notes),), payload=b"{}")

    assert outcome == Invalid("argument 'a' is missing")
    assert notes == []


def test_an_application_refuses_what_is_no_middleware() -> None:
    def sync(ctx: Context, call_next: CallNext) -> Any: ...

    with pytest.raises(InvalidSettingError, match="an async function of"):
        Executor(threads=1, middleware=[sync])


async def test_the_chain_is_composed_once_a_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []
    monkeypatch.setattr("jetq.execution.executor.compose", lambda *args: composed.append(args) or compose(*args))

    async def handle() -> None: ...

    executor, handler = Executor(threads=1), make_handler(handle, "a")
    for _ in range(3):
        await executor.start(handler, record(), limit=1).run()

    assert len(composed) == 1

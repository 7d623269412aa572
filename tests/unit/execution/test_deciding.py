"""What an exception means, by class and by function; and that no function can do harm."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from jetq.errors import Retry, Snooze, Terminate
from jetq.execution.context import Context, current
from jetq.execution.deciding import decided
from jetq.execution.executor import Executor
from jetq.execution.failure import describe
from jetq.model.outcome import Failed, GivenUp, Outcome, Retried, Snoozed, TimedOut
from jetq.model.record import ErrorInfo
from jetq.routing.error_rules import ErrorRules
from jetq.routing.handler import HandlerOptions, make_handler
from tests.unit.execution.samples import record

BOOM = ErrorInfo("ValueError", "boom")
CTX = Context(record())


def decide(error: BaseException, rules: ErrorRules) -> Outcome:
    return decided(Failed(describe(error)), error, rules, CTX)


def by(on_error: Callable[..., Any]) -> ErrorRules:
    return ErrorRules(on_error=on_error)


# Classes

LOOKUP, KEY, VALUE = (LookupError,), (KeyError,), (ValueError,)
GROUP = ExceptionGroup("several", [KeyError("a"), ValueError("b")])


@pytest.mark.parametrize(
    ("error", "retry_on", "give_up_on", "given_up"),
    [
        (KeyError("a"), None, None, False),
        (KeyError("a"), None, VALUE, False),
        (KeyError("a"), None, LOOKUP, True),
        (KeyError("a"), LOOKUP, None, False),
        (KeyError("a"), VALUE, None, True),
        (KeyError("a"), LOOKUP, KEY, True),
        (KeyError("a"), KEY, LOOKUP, True),
        (IndexError("a"), LOOKUP, KEY, False),
        (KeyError("a"), (), None, True),
        (KeyError("a"), None, (), False),
        (KeyError("a"), (ValueError, KeyError), (TypeError,), False),
        (SystemExit(1), VALUE, None, True),
        (asyncio.CancelledError(), None, (asyncio.CancelledError,), True),
        (GROUP, None, KEY, True),
        (GROUP, KEY, None, True),
        (GROUP, (KeyError, ValueError), None, False),
        (GROUP, (ExceptionGroup,), None, False),
        (GROUP, (ExceptionGroup,), VALUE, True),
        (ExceptionGroup("with a signal", [Retry(), KeyError("a")]), KEY, None, False),
    ],
)
def test_the_classes_say_what_is_worth_another_try(
    error: BaseException, retry_on: Any, give_up_on: Any, *, given_up: bool
) -> None:
    outcome = decide(error, ErrorRules(retry_on=retry_on, give_up_on=give_up_on))

    assert isinstance(outcome, GivenUp) == given_up
    assert isinstance(outcome, (GivenUp, Failed))
    assert outcome.error == describe(error)
    assert outcome.note == ""


def test_a_time_out_is_a_timeout_error_to_classes_and_function() -> None:
    asked: list[Exception] = []
    limit = TimedOut(3)
    error = TimeoutError(limit.error.message)

    assert decided(limit, error, ErrorRules(give_up_on=(OSError,)), CTX) == GivenUp(limit.error)
    assert decided(limit, error, ErrorRules(retry_on=(TimeoutError,)), CTX) == limit
    assert decided(limit, error, by(lambda error, _: asked.append(error)), CTX) == limit
    assert decided(limit, error, by(lambda *_: 5), CTX) == TimedOut(
        3,
        "and on_error failed: jetq.errors.InvalidSettingError: expected the decision of on_error to be Retry(...), "
        "Terminate(...), Snooze(...) or None, got: 5",
    )
    assert [str(error) for error in asked] == ["ran longer than its limit of 3 s"]


# A function


DECISIONS = [
    (Retry(), Retried(None, "the handler asked for a retry", "", BOOM)),
    (Retry(5, "later"), Retried(5.0, "later", "", BOOM, "later")),
    (Retry(0, queue="BULK"), Retried(0.0, "the handler asked for a retry", "BULK", BOOM)),
    (Terminate(), GivenUp(BOOM)),
    (Terminate("stolen"), GivenUp(BOOM, "stolen")),
    (Snooze(7), Snoozed(7.0, BOOM)),
]


@pytest.mark.parametrize(("decision", "expected"), DECISIONS, ids=str)
def test_a_function_decides_by_what_it_returns_or_raises(decision: Any, expected: Outcome) -> None:
    def raises(_error: Exception, _ctx: Context) -> None:
        raise decision

    for function in (raises, lambda _error, _ctx: decision):
        assert decided(Failed(BOOM), ValueError("boom"), by(function), CTX) == expected


def test_a_function_sees_the_exception_and_the_context_and_is_asked_first() -> None:
    seen: list[Any] = []

    def look(error: Exception, ctx: Context) -> None:
        seen.extend((error, ctx))

    error = ValueError("boom")
    outcome = decided(
        Failed(BOOM), error, ErrorRules(retry_on=(KeyError,), give_up_on=(ValueError,), on_error=look), CTX
    )
    kept = decided(Failed(BOOM), error, ErrorRules(give_up_on=(ValueError,), on_error=lambda *_: Retry(1)), CTX)

    assert seen == [error, CTX]
    assert outcome == GivenUp(BOOM)
    assert isinstance(kept, Retried)


def test_a_function_is_not_asked_about_what_ends_a_program() -> None:
    asked: list[BaseException] = []

    for error in (SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()):
        assert isinstance(decide(error, by(lambda error, _: asked.append(error))), Failed)

    assert asked == []


def breaks(_error: Exception, _ctx: Context) -> None:
    raise KeyError("table")


def exits(_error: Exception, _ctx: Context) -> None:
    raise SystemExit(1)


async def is_async(_error: Exception, _ctx: Context) -> None: ...


def takes_nothing() -> None: ...


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (breaks, "KeyError: 'table'"),
        (exits, "SystemExit: 1"),
        (takes_nothing, "TypeError: "),
        (is_async, "the decision of on_error"),
        (lambda *_: "again", "the decision of on_error"),
        (lambda *_: True, "the decision of on_error"),
        (lambda *_: Retry, "the decision of on_error"),
        (lambda *_: Unspeakable(), "ValueError: no words"),
        (lambda *_: Retry(-1), "the delay of Retry"),
        (lambda *_: Retry(float("nan")), "the delay of Retry"),
        (lambda *_: Retry(queue="no such name"), "is not a legal queue"),
        (lambda *_: Snooze(-1), "the delay of Snooze"),
        (lambda *_: Snooze(5e8), "ten years at most"),
        (lambda *_: Retry("soon"), "ValueError: could not convert"),
        (lambda *_: "x" * 1_000_000, "the decision of on_error"),
    ],
    ids=[str(number) for number in range(15)],
)
def test_a_function_that_fails_or_babbles_is_as_good_as_none(function: Any, told: str) -> None:
    for rules, kind in ((by(function), Failed), (ErrorRules(on_error=function, give_up_on=(OSError,)), GivenUp)):
        error = OSError("boom")
        outcome = decided(Failed(BOOM), error, rules, CTX)

        assert type(outcome) is kind
        assert isinstance(outcome, (Failed, GivenUp))
        assert outcome.error == BOOM
        assert outcome.note.startswith("and on_error failed: ")
        assert told in outcome.note
        assert len(outcome.note) <= 500


# In the executor


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    opened = Executor(threads=1, errors=ErrorRules(retry_on=(OSError,), give_up_on=(PermissionError,)))
    yield opened
    await opened.close()


async def run(executor: Executor, function: Callable[..., Any], rules: ErrorRules, *, limit: float = 30.0) -> Outcome:
    handler = make_handler(function, "shop:*", HandlerOptions(errors=rules))
    return await executor.start(handler, record(), limit=limit).run()


def raising(error: BaseException) -> Callable[[], None]:
    def handle() -> None:
        raise error

    return handle


@pytest.mark.parametrize(
    ("error", "rules", "given_up"),
    [
        (FileNotFoundError(), ErrorRules(), False),
        (PermissionError(), ErrorRules(), True),
        (ValueError(), ErrorRules(), True),
        (PermissionError(), ErrorRules(give_up_on=()), False),
        (ValueError(), ErrorRules(retry_on=(ValueError,)), False),
        (FileNotFoundError(), ErrorRules(retry_on=(ValueError,)), True),
    ],
)
async def test_a_handler_that_says_nothing_has_the_applications_rules(
    executor: Executor, error: Exception, rules: ErrorRules, *, given_up: bool
) -> None:
    assert isinstance(await run(executor, raising(error), rules), GivenUp) == given_up


@pytest.mark.parametrize("signal", [Retry(1), Snooze(1), Terminate("x"), Retry(-1, "early")], ids=repr)
async def test_signals_need_no_rules(executor: Executor, signal: Exception) -> None:
    asked: list[Exception] = []
    rules = ErrorRules(retry_on=(), give_up_on=(BaseException,), on_error=lambda error, _: asked.append(error))

    for raised in (signal, ExceptionGroup("one", [signal])):
        assert not isinstance(await run(executor, raising(raised), rules), GivenUp)
    assert asked == []


async def test_a_time_out_asks_the_rules_within_the_handlers_context(executor: Executor) -> None:
    seen: list[Any] = []

    def look(error: Exception, ctx: Context) -> Terminate:
        seen.append((type(error), str(error), current() is ctx))
        return Terminate("too slow")

    async def slow() -> None:
        await asyncio.Event().wait()

    outcome = await run(executor, slow, ErrorRules(on_error=look), limit=0.02)

    assert outcome == GivenUp(TimedOut(0.02).error, "too slow")
    assert seen == [(TimeoutError, "ran longer than its limit of 0.02 s", True)]

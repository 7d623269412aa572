import functools
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, NoReturn

import pydantic
import pytest

from jetq.errors import (
    HandlerSignatureError,
    InvalidPatternError,
    InvalidSettingError,
    ResultTypeError,
    Retry,
    Terminate,
)
from jetq.execution.context import Context
from jetq.model.retry import Fixed
from jetq.routing.error_rules import ErrorRules
from jetq.routing.handler import HandlerOptions, check_middleware, make_handler


async def on_loop(ctx: Context) -> None: ...
def in_thread() -> None: ...


def test_a_handler_says_what_it_is() -> None:
    options = HandlerOptions(queue="MAIL", max_tries=3, retry=Fixed(1), timeout=2.0)

    handler = make_handler(on_loop, "mail:*", options)

    assert (handler.function, handler.pattern, handler.kind, handler.options) == (on_loop, "mail:*", "async", options)
    assert handler.takes_context
    assert handler.name.endswith("test_handler:on_loop")
    assert handler.place.startswith(f"{handler.name} ({__file__}:")
    assert repr(handler) == f"<Handler mail:* {handler.name}>"


def test_options_have_defaults() -> None:
    options = make_handler(in_thread, "a").options

    assert (options.queue, options.max_tries, options.timeout, options.deadline) == (None, None, None, None)
    assert options.retry is None
    assert options.errors == ErrorRules()


def test_sync_functions_run_in_threads() -> None:
    assert make_handler(in_thread, "a").kind == "thread"
    assert make_handler(in_thread, "a", pool="thread").kind == "thread"
    assert not make_handler(in_thread, "a").takes_context


@pytest.mark.parametrize(
    ("function", "pool", "sentence"),
    [
        (in_thread, "gevent", "expected pool to be 'thread' or 'process', got: 'gevent'"),
        (on_loop, "thread", "an async def runs on the event loop"),
        (on_loop, "process", "an async def runs on the event loop"),
    ],
)
def test_other_pools_are_refused(function: Callable[..., Any], pool: str, sentence: str) -> None:
    with pytest.raises(InvalidSettingError, match=sentence):
        make_handler(function, "a", pool=pool)


def test_a_sync_function_may_run_in_a_process() -> None:
    assert make_handler(in_thread, "a", pool="process").kind == "process"


def test_what_another_process_cannot_find_does_not_run_there() -> None:
    def inner() -> None: ...

    with pytest.raises(HandlerSignatureError, match="move it to the top of a module"):
        make_handler(inner, "a", pool="process")
    with pytest.raises(HandlerSignatureError, match="a lambda cannot be found by another process"):
        make_handler(lambda: None, "a", pool="process")


def test_a_plain_wrapper_of_an_async_function_is_async_unless_it_says_otherwise() -> None:
    @functools.wraps(on_loop)
    def wrapper(ctx: Context) -> Any:
        return on_loop(ctx)

    assert make_handler(wrapper, "a").kind == "async"
    assert make_handler(wrapper, "a", pool="thread").kind == "thread"


def test_bad_patterns_and_functions_are_refused() -> None:
    with pytest.raises(InvalidPatternError):
        make_handler(in_thread, "")
    with pytest.raises(HandlerSignatureError):
        make_handler(functools.partial(in_thread), "a")


async def middleware(ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    return await call_next(ctx)


class Middleware:
    async def __call__(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        return await call_next(ctx)

    async def method(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        return await call_next(ctx)


def test_middleware_is_any_async_callable() -> None:
    each = (middleware, Middleware(), Middleware().method, functools.partial(middleware))

    check_middleware(each)
    assert HandlerOptions(middleware=each).middleware == each


@pytest.mark.parametrize("wrong", [None, in_thread, Middleware, "name"])
def test_other_middleware_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidSettingError, match="an async function of"):
        HandlerOptions(middleware=(wrong,))


# Results


class Receipt(pydantic.BaseModel):
    day: date


def receipt() -> Receipt: ...  # type: ignore[empty-body]
def receipts_or_retry() -> list[Receipt] | Retry: ...  # type: ignore[empty-body]
def none() -> None: ...
def anything() -> Any: ...
def not_annotated(): ...
def never() -> NoReturn: ...  # type: ignore[misc]
def terminates() -> Terminate: ...  # type: ignore[empty-body]
def retries_or_not() -> Retry | None: ...
def data() -> bytes: ...  # type: ignore[empty-body]


class Opaque:
    pass


def opaque() -> Opaque: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "raw", "expected"),
    [
        (receipt, b'{"day":"2026-01-02"}', Receipt(day=date(2026, 1, 2))),
        (receipts_or_retry, b'[{"day":"2026-01-02"}]', [Receipt(day=date(2026, 1, 2))]),
        (none, b'{"day":1}', {"day": 1}),
        (none, b"null", None),
        (anything, b"[1]", [1]),
        (not_annotated, b"[1]", [1]),
        (never, b"1", 1),
        (terminates, b"1", 1),
        (retries_or_not, b"1", 1),
        (opaque, b'{"a":1}', {"a": 1}),
        (data, b'"//4="', b"\xff\xfe"),
    ],
)
def test_a_result_is_decoded_to_the_return_annotation(function: Callable[..., Any], raw: bytes, expected: Any) -> None:
    handler = make_handler(function, "a")

    assert handler.decode_result(raw) == expected
    assert handler.decode_result(raw) == expected


def test_a_result_of_another_version_is_refused() -> None:
    with pytest.raises(ResultTypeError, match=r"test_handler:receipt says that it returns: day is missing"):
        make_handler(receipt, "a").decode_result(b"{}")


def test_pydantic_is_imported_with_the_first_use_and_not_before() -> None:
    code = """
import sys
from jetq.routing.handler import make_handler
def handle(a: int) -> None: ...
handler = make_handler(handle, "a")
assert "pydantic" not in sys.modules
handler.prepare()
assert "pydantic" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)

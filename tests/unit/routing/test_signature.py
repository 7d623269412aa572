import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, TypedDict, TypeVar, Unpack

import pytest

from jetq.errors import HandlerSignatureError
from jetq.execution.context import Context
from jetq.routing.binding import NamedArguments, NoArguments, WholePayload
from jetq.routing.payload import Payload
from jetq.routing.signature import NOTHING, Signature, check_function, function_name, function_place

F = TypeVar("F", bound=Callable[..., Any])


class Order(TypedDict):
    id: int


class Options(TypedDict):
    fast: bool


def test_the_first_parameter_annotated_context_is_the_context() -> None:
    def handle(c: Context, to: str) -> None: ...

    signature = Signature(handle)

    assert signature.context == "c"
    assert isinstance(signature.binding, NamedArguments)


def test_a_context_may_be_positional_only_or_have_a_default() -> None:
    def handle(ctx: Context, /, to: str) -> None: ...
    def other(ctx: Context = None) -> None: ...  # type: ignore[assignment]

    assert Signature(handle).context == "ctx"
    assert Signature(other).context == "ctx"


def test_a_subclass_of_context_is_one() -> None:
    class Mine(Context):
        pass

    def handle(ctx: Mine) -> None: ...

    assert Signature(handle).context == "ctx"


def test_without_a_context_everything_is_data() -> None:
    def handle(to: str, subject="x", *, copy: bool = False) -> None: ...

    signature = Signature(handle)

    assert signature.context is None
    assert isinstance(signature.binding, NamedArguments)


def test_only_a_context_or_nothing_takes_any_payload() -> None:
    def handle(ctx: Context) -> None: ...
    def nothing() -> None: ...

    assert isinstance(Signature(handle).binding, NoArguments)
    assert isinstance(Signature(nothing).binding, NoArguments)


def test_a_payload_is_the_whole_payload() -> None:
    def handle(ctx: Context, order: Payload[Order]) -> None: ...

    assert isinstance(Signature(handle).binding, WholePayload)


def test_the_return_annotation_is_read() -> None:
    def annotated() -> int: ...
    def not_annotated(): ...

    assert Signature(annotated).returns is int
    assert Signature(not_annotated).returns is NOTHING


def args(*to: str) -> None: ...
def args_of_context(*ctx: Context) -> None: ...
def kwargs_of_context(**ctx: Context) -> None: ...
def positional(to: str, /) -> None: ...
def positional_payload(order: Payload[Order], /) -> None: ...
def unannotated_ctx(ctx, to: str) -> None: ...
def unannotated_ctx_later(to: str, ctx) -> None: ...
def context_second(to: str, ctx: Context) -> None: ...
def two_contexts(ctx: Context, other: Context) -> None: ...
def keyword_context(*, ctx: Context) -> None: ...
def optional_context(ctx: Context | None) -> None: ...
def annotated_context(ctx: Annotated[Context, "mine"]) -> None: ...
def contexts(many: list[Context]) -> None: ...
def unresolvable(to: "Missing") -> None: ...  # type: ignore[name-defined] # noqa: F821
def unresolvable_return() -> "Missing": ...  # type: ignore[name-defined] # noqa: F821
def payload_and_more(order: Payload[Order], to: str) -> None: ...
def payload_and_rest(order: Payload[Order], **rest: Any) -> None: ...
def two_payloads(order: Payload[Order], other: Payload[Order]) -> None: ...
def optional_payload(order: Payload[Order] | None) -> None: ...
def payload_list(orders: list[Payload[Order]]) -> None: ...
def bare_payload(order: Payload) -> None: ...  # type: ignore[type-arg]
def nested_payload(order: Payload[list[Payload[Order]]]) -> None: ...
def payload_kwargs(**order: Payload[Order]) -> None: ...
def unpacked(**options: Unpack[Options]) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (args, r"\*to cannot be filled"),
        (args_of_context, r"\*ctx cannot be filled"),
        (kwargs_of_context, "must be the first parameter"),
        (positional, "'to' is positional-only"),
        (positional_payload, "'order' is positional-only"),
        (unannotated_ctx, "'ctx' has no annotation: write ctx: Context"),
        (unannotated_ctx_later, "'ctx' has no annotation"),
        (context_second, "the context 'ctx' must be the first parameter"),
        (two_contexts, "the context 'other' must be the first parameter"),
        (keyword_context, r"move it before the \*"),
        (optional_context, "annotate 'ctx' as Context alone"),
        (annotated_context, "annotate 'ctx' as Context alone"),
        (contexts, "annotate 'many' as Context alone"),
        (unresolvable, "cannot be resolved .*'Missing'"),
        (unresolvable_return, "cannot be resolved .*'Missing'"),
        (payload_and_more, "there can be no other data parameter"),
        (payload_and_rest, "there can be no other data parameter"),
        (two_payloads, "there can be no other data parameter"),
        (optional_payload, "must be the whole annotation"),
        (payload_list, "must be the whole annotation"),
        (bare_payload, "says Payload and not of what"),
        (nested_payload, "a Payload within a Payload"),
        (payload_kwargs, "must be the whole annotation"),
        (unpacked, r"cannot be an Unpack"),
    ],
)
def test_a_signature_that_no_task_could_fill_is_refused(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(HandlerSignatureError, match=reason) as caught:
        Signature(function)

    assert function.__name__ in caught.value.function


def logged(function: F) -> F:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def test_a_wrapped_function_has_its_own_signature() -> None:
    @logged
    def handle(ctx: Context, to: str) -> int: ...

    signature = Signature(check_function(handle))

    assert signature.context == "ctx"
    assert signature.returns is int


def test_a_decorator_without_wraps_is_explained() -> None:
    def careless(function: F) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @careless
    def handle(to: str) -> None: ...

    with pytest.raises(HandlerSignatureError, match=r"functools\.wraps"):
        Signature(handle)


async def yields() -> AsyncIterator[int]:
    yield 1


def yields_too() -> Iterator[int]:
    yield 1


class Callable_:  # noqa: N801 - one more kind of callable
    def __call__(self) -> None: ...
    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (functools.partial(args, 1), "functools.partial"),
        (functools.partialmethod(args, 1), "functools.partial"),
        (Callable_, "it is a class"),
        (Callable_(), "it is no Python function"),
        (Callable_().method, "it is a method"),
        (staticmethod(args), "it is a method"),
        (len, "it is no Python function"),
        (None, "it is no Python function"),
        ("handle", "it is no Python function"),
        (yields, "it yields"),
        (yields_too, "it yields"),
    ],
)
def test_what_is_no_plain_function_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(HandlerSignatureError, match=reason):
        check_function(function)


def test_functions_are_named_with_their_place() -> None:
    line = inspect.getsourcelines(args)[1]

    assert function_name(args).endswith("test_signature:args")
    assert function_place(args) == f"{function_name(args)} ({__file__}:{line})"

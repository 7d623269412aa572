"""
handler: a function, the task types that it takes, and its options.

What the signature says is read when the handler is made. Schemas are compiled when they are first needed, since they
need pydantic (`routing.validation`); a worker calls :meth:`Handler.prepare` before its first task.
"""

import inspect
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Raw

from jetq.errors import HandlerSignatureError, InvalidPayloadError, InvalidSettingError, ResultTypeError, Signal
from jetq.model.retention import Retention
from jetq.model.retry import RetryPolicy
from jetq.model.unique import Unique
from jetq.routing.any_payload import AnyPayload
from jetq.routing.binding import Arguments, NoArguments, encode
from jetq.routing.error_rules import ErrorRules
from jetq.routing.pattern import Pattern, parse
from jetq.routing.signature import NOTHING, Signature, check_function, function_name, function_place
from jetq.routing.validation import NotValid, Validator, compile_value
from jetq.routing.values import decode_value
from jetq.wire.unreadable import UNREADABLE

Kind = Literal["async", "thread", "process"]
Pool = Literal["thread", "process"]
"""Where a sync handler may run."""
Names = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HandlerOptions:
    """
    What a handler says about its tasks; a caller may say otherwise for one task.

    Attributes:
        queue: Where they go; None is the application's default queue.
        max_tries: How often one may run; 0 is unlimited, None is the application's default.
        retry: The waits between tries, or the name of the policy; None is the application's default.
        timeout: Seconds that a run may take; None is the queue's limit, which always holds.
        soft_timeout: Seconds after which a run is asked to end; None, and a time that is not below the limit, is never.
        deadline: Seconds from the enqueue after which one is not started any more; None is never.
        retention: How long they are kept after their end; None leaves it to the application.
        middleware: Run around the handler, the first outermost, all inside of the application's.
        errors: Which exceptions are worth another try.
        unique: Which of them are the same, so that there is one only; None is none.
    """

    queue: str | None = None
    max_tries: int | None = None
    retry: RetryPolicy | str | None = None
    timeout: float | None = None
    soft_timeout: float | None = None
    deadline: float | None = None
    retention: Retention | None = None
    middleware: tuple[Callable[..., Any], ...] = ()
    errors: ErrorRules = field(default_factory=ErrorRules)
    unique: Unique | None = None

    def __post_init__(self) -> None:
        """Refuse middleware that could not be awaited."""
        check_middleware(self.middleware)


def check_middleware(middleware: Sequence[object]) -> None:
    """
    Refuse what is no middleware.

    Raises:
        InvalidSettingError: One is no async function.
    """
    for each in middleware:
        call = each.__call__ if callable(each) else None
        is_async = inspect.iscoroutinefunction(each) or inspect.iscoroutinefunction(call)
        if isinstance(each, type) or not is_async:
            raise InvalidSettingError("middleware", each, "an async function of (ctx, call_next)")


_DEFAULTS: Final = HandlerOptions()
_read_list: Final = msgspec.json.Decoder(list[Raw]).decode


class Handler:
    """
    A function that takes tasks. Made by :func:`make_handler`.

    Attributes:
        function: As it was decorated.
        name: Module and qualified name.
        pattern: The task types that it takes, as text.
        route: The same, taken apart.
        kind: ``async`` runs on the event loop, ``thread`` in a thread, ``process`` in a process.
        options: What it says about its tasks.
        takes_context: Its first parameter is the context.
        hands_on: To what kind of program the function hands the whole task on, so that its context needs the document:
            ``remote``, ``command``; empty for a function that runs it.
        bind: Returns what the function is called with, after its context, for a payload and a task type; raises
            InvalidPayloadError. The binding's own method, since every task calls it.
        filled: Returns a payload with further arguments in it; see `Binding`.
    """

    __slots__ = (
        "_binding",
        "_result",
        "_returns",
        "bind",
        "filled",
        "function",
        "hands_on",
        "kind",
        "name",
        "options",
        "pattern",
        "route",
        "takes_context",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        route: Pattern,
        options: HandlerOptions,
        kind: Kind,
        *,
        hands_on: str = "",
    ) -> None:
        signature = Signature(function)
        self.function = function
        self.name = function_name(function)
        self.pattern = route.text
        self.route = route
        self.kind: Kind = kind
        self.options = options
        self.takes_context = signature.context is not None
        self.hands_on = hands_on
        binding = AnyPayload(self.name) if hands_on else signature.binding
        self._binding = binding
        self.bind: Callable[[bytes | None, str], Arguments] = binding.bind
        self.filled: Callable[[bytes | None, Mapping[str, Raw], str], bytes | None] = binding.filled
        self._returns = _storable(signature.returns)
        self._result: Validator | None = None

    def __repr__(self) -> str:
        return f"<Handler {self.pattern} {self.name}>"

    @property
    def place(self) -> str:
        """The function's name, file and line; of one that hands on, its name: its lines are jetq's own."""
        return self.name if self.hands_on else function_place(self.function)

    def prepare(self) -> None:
        """
        Compile what the first task would compile.

        Raises:
            HandlerSignatureError: A parameter's annotation cannot be read from JSON.
        """
        self._binding.prepare()

    def encode_call(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> bytes:
        """
        Return the payload for a call, as JSON, after the check that the worker will make.

        Raises:
            InvalidPayloadError: An argument is missing, unknown, of the wrong type, or not JSON; it is named.
            HandlerSignatureError: A parameter's annotation cannot be read from JSON.
        """
        payload, given = self.encode_some(args, kwargs, task_type)
        if missing := self.missing(given):
            raise missing_arguments(task_type, missing)
        return payload

    def encode_some(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> tuple[bytes, Names]:
        """
        Return the payload for the beginning of a call, and which parameters are given in it.

        What is left out will come from elsewhere; what is there is checked as the worker will check it.

        Raises:
            InvalidPayloadError: An argument is unknown, given twice, of the wrong type, or not JSON; it is named.
            HandlerSignatureError: A parameter's annotation cannot be read from JSON.
        """
        binding = self._binding
        given = binding.collect(args, kwargs, task_type)
        payload = encode(binding.value(given), task_type, named=binding.named)
        binding.check(payload, given, task_type)
        return payload, tuple(given)

    def check_part(self, payload: bytes | None, task_type: str) -> None:
        """
        Check a payload in which arguments may be missing, since they will come from elsewhere.

        Raises:
            InvalidPayloadError: What is there is not what the handler takes.
        """
        self._binding.check(self.filled(payload, {}, task_type) or b"null", {}, task_type)

    def missing(self, given: Container[str]) -> Names:
        """Return the required parameters that are not among those that are given."""
        required = self._binding.required
        return tuple([name for name in required if name not in given]) if required else ()

    def free(self, given: Container[str]) -> str | None:
        """Return the first parameter that is not among those that are given; None if there is none."""
        return next((name for name in self._binding.names if name not in given), None)

    def takes(self, name: str) -> bool:
        """Whether an argument may have this name."""
        return self._binding.takes(name)

    @property
    def takes_data(self) -> bool:
        """Whether its function takes any argument at all; one that hands its task on does not."""
        return not self.hands_on and not isinstance(self._binding, NoArguments)

    def encode_payload(self, payload: Any, task_type: str) -> bytes:
        """
        Return a whole payload as JSON, after the check that the worker will make.

        Raises:
            InvalidPayloadError: It is not what the handler takes, or not JSON.
            HandlerSignatureError: A parameter's annotation cannot be read from JSON.
        """
        data = encode(payload, task_type, named=self._binding.named)
        self.bind(data, task_type)
        return data

    def decode_result(self, raw: bytes) -> Any:
        """
        Return a result as the return annotation says.

        Without one, and with None or one that JSON cannot be read as, it is the plain JSON value.

        Raises:
            ResultTypeError: The result does not fit; it was stored by another version of the function.
        """
        if self._returns is NOTHING:
            return decode_value(raw)
        if self._result is None:
            try:
                self._result = compile_value(self._returns, self.name, "the return value")
            except HandlerSignatureError:
                self._returns = NOTHING
                return decode_value(raw)
        try:
            return self._result(bytes(raw))
        except NotValid as error:
            raise ResultTypeError(self.name, error.sentence()) from None

    def decode_results(self, raw: bytes) -> list[Any]:
        """
        Return the results of many calls, which are the result of one task, each as the return annotation says.

        Raises:
            ResultTypeError: One does not fit, or they are no list.
        """
        try:
            results = _read_list(raw)
        except UNREADABLE:
            raise ResultTypeError(self.name, "it is no list of results") from None
        return [self.decode_result(bytes(each)) for each in results]


def missing_arguments(task_type: str, names: Sequence[str]) -> InvalidPayloadError:
    """Return the error that says which arguments are missing."""
    return InvalidPayloadError(task_type, "; ".join(f"argument {name!r} is missing" for name in names))


def _storable(annotation: Any) -> Any:
    """Return the part of a return annotation that can be in a record: signals are not, and None says nothing."""
    if get_origin(annotation) in {Union, UnionType}:
        kept = [part for part in get_args(annotation) if not _is_signal(part)]
        annotation = Union[tuple(kept)] if kept else NOTHING  # noqa: UP007 - built at run time
    if annotation is None or annotation is NoneType or annotation is Any or _is_signal(annotation):
        return NOTHING
    return annotation


def _is_signal(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Signal)


def make_handler(
    function: Callable[..., Any],
    pattern: str,
    options: HandlerOptions = _DEFAULTS,
    *,
    pool: str | None = None,
) -> Handler:
    """
    Make a handler.

    Args:
        function: ``async def`` runs on the worker's event loop, ``def`` in a thread.
        pattern: A task type, or a pattern with ``*``.
        options: What the handler says about its tasks.
        pool: ``thread`` or ``process`` for a sync function; None decides by the function.

    Raises:
        InvalidPatternError: The pattern cannot be used.
        HandlerSignatureError: The function cannot be a handler.
        InvalidSettingError: The pool does not exist, or not for this function.
    """
    route = parse(pattern)
    checked = check_function(function)
    return Handler(checked, route, options, _kind(checked, pool))


def make_delegate(
    function: Callable[..., Any], pattern: str, options: HandlerOptions = _DEFAULTS, *, name: str
) -> Handler:
    """
    Make a handler that hands its tasks on to another program, whatever their payload is.

    Args:
        function: An async function of the context; it is given *name* as its own.
        pattern: A task type, or a pattern with ``*``.
        options: What the handler says about its tasks.
        name: What runs them: its kind, a colon, and which; it stands where the name of a function does.

    Raises:
        InvalidPatternError: The pattern cannot be used.
    """
    route = parse(pattern)
    function.__module__, _, function.__qualname__ = name.partition(":")
    function.__name__, function.__doc__ = function.__qualname__, None
    return Handler(function, route, options, "async", hands_on=function.__module__)


def _kind(function: Callable[..., Any], pool: str | None) -> Kind:
    if pool not in {None, "thread", "process"}:
        raise InvalidSettingError("pool", pool, "'thread' or 'process'")
    if inspect.iscoroutinefunction(function):
        if pool is not None:
            raise InvalidSettingError("pool", pool, "absent: an async def runs on the event loop")
        return "async"
    if pool == "process":
        _check_place(function)
        return "process"
    if pool is None and inspect.iscoroutinefunction(inspect.unwrap(function)):
        return "async"
    return "thread"


def _check_place(function: Callable[..., Any]) -> None:
    """
    Refuse for a process what another process cannot find.

    Raises:
        HandlerSignatureError: It is no function at the top of a module.
    """
    if "<lambda>" in function.__qualname__:
        raise HandlerSignatureError(function_name(function), "a lambda cannot be found by another process; write a def")
    if "<locals>" in function.__qualname__:
        reason = "another process cannot find a function inside of a function; move it to the top of a module"
        raise HandlerSignatureError(function_name(function), reason)

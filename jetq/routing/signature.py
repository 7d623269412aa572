"""
signature: what a function takes, read once when it is registered.

The context is the parameter annotated ``Context``, optional and first; everything else is data. What cannot be called
by name is refused here, so that no task finds out.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from inspect import Parameter as Given
from types import FunctionType, MethodType
from typing import Any, Final, TypeVar, Unpack, cast, get_args, get_origin, get_type_hints

from jetq.errors import HandlerSignatureError
from jetq.routing.binding import Binding, NamedArguments, NoArguments, WholePayload
from jetq.routing.payload import is_payload, mentions_payload, without_mark
from jetq.routing.validation import Parameter

NOTHING: Final = inspect.Signature.empty
"""What stands for an annotation that is not there."""


class ContextMark:
    """What every class of contexts derives from; a parameter annotated with one takes the context, not data."""

    __slots__ = ()


def function_name(function: Callable[..., Any]) -> str:
    """Name a function as ``module:qualified.name``."""
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', repr(function))}"


def function_place(function: Callable[..., Any]) -> str:
    """Name a function and say where it is written."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    name = function_name(function)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def check_function(function: Any) -> Callable[..., Any]:
    """
    Return *function* if it is one.

    Raises:
        HandlerSignatureError: It is a class, an object, a partial, a method, or a generator function.
    """
    if isinstance(function, FunctionType):
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise HandlerSignatureError(function_name(function), "it yields; a handler returns its result once")
        return function
    if isinstance(function, (functools.partial, functools.partialmethod)):
        reason = "a functools.partial has no name of its own; write a function that calls it"
    elif isinstance(function, type):
        reason = "it is a class; write a function"
    elif isinstance(function, (staticmethod, classmethod, MethodType)):
        reason = "it is a method; write a function at the top of a module"
    else:
        reason = "it is no Python function; write one with def or async def"
    raise HandlerSignatureError(repr(cast("object", function)), reason)


class Signature:
    """
    What a function takes and returns.

    Attributes:
        binding: How a payload becomes its arguments.
        context: The name of the parameter that takes the context; None when there is none.
        returns: The return annotation; :data:`NOTHING` when there is none.

    Raises:
        HandlerSignatureError: The function cannot be a handler.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = function_name(function)
        self._hints = self._resolved(function)
        self.returns: Any = self._hints.get("return", NOTHING)
        data = list(inspect.signature(function).parameters.values())
        self.context: str | None = None
        if data and self._is_context(data[0]) and data[0].kind not in {Given.VAR_POSITIONAL, Given.VAR_KEYWORD}:
            if data[0].kind is Given.KEYWORD_ONLY:
                raise self._refusal(f"the context {data[0].name!r} is passed by position; move it before the *")
            self.context = data.pop(0).name
        for parameter in data:
            self._check(parameter)
        self.binding = self._bound(data)

    def _refusal(self, reason: str) -> HandlerSignatureError:
        return HandlerSignatureError(self._name, reason)

    def _resolved(self, function: Callable[..., Any]) -> dict[str, Any]:
        try:
            return get_type_hints(function, include_extras=True)
        except Exception as error:
            reason = (
                f"its annotations cannot be resolved ({error}); import or define these names at the top of the module"
            )
            raise self._refusal(reason) from error

    def _annotation(self, parameter: Given) -> Any:
        return self._hints.get(parameter.name, NOTHING)

    def _is_context(self, parameter: Given) -> bool:
        annotation = self._annotation(parameter)
        return isinstance(annotation, type) and issubclass(annotation, ContextMark)

    def _check(self, parameter: Given) -> None:
        """Refuse a parameter that can be no data."""
        name, annotation = parameter.name, self._annotation(parameter)
        if parameter.kind is Given.VAR_POSITIONAL:
            raise self._refusal(
                f"*{name} cannot be filled, since arguments travel by name; take a list "
                "(a decorator without functools.wraps hides the function's own parameters)"
            )
        if self._is_context(parameter):
            raise self._refusal(f"the context {name!r} must be the first parameter")
        if any(isinstance(part, type) and issubclass(part, ContextMark) for part in _parts(annotation)):
            raise self._refusal(f"annotate {name!r} as Context alone")
        if parameter.kind is Given.POSITIONAL_ONLY:
            raise self._refusal(f"{name!r} is positional-only, and arguments travel by name; remove the /")
        if name == "ctx" and annotation is NOTHING:
            raise self._refusal("'ctx' has no annotation: write ctx: Context, or choose another name for an argument")
        if parameter.kind is Given.VAR_KEYWORD and get_origin(annotation) is Unpack:
            raise self._refusal(f"**{name} cannot be an Unpack[...]; name the parameters")

    def _bound(self, data: list[Given]) -> Binding:
        if not data:
            return NoArguments()
        whole = [parameter for parameter in data if mentions_payload(self._annotation(parameter))]
        if whole:
            return WholePayload(self._whole(whole[0], data), self._name)
        named = [
            Parameter(
                parameter.name,
                Any if (hint := self._annotation(parameter)) is NOTHING else hint,
                parameter.default is NOTHING,
                parameter.kind is Given.KEYWORD_ONLY,
            )
            for parameter in data
            if parameter.kind is not Given.VAR_KEYWORD
        ]
        others = [parameter for parameter in data if parameter.kind is Given.VAR_KEYWORD]
        unknown = None
        if others:
            unknown = Any if (hint := self._annotation(others[0])) is NOTHING else hint
        return NamedArguments(named, unknown, self.context, self._name)

    def _whole(self, parameter: Given, data: list[Given]) -> Parameter:
        name, annotation = parameter.name, self._annotation(parameter)
        if len(data) > 1:
            raise self._refusal(f"{name!r} takes the whole payload, so there can be no other data parameter")
        if not is_payload(annotation) or parameter.kind is Given.VAR_KEYWORD:
            raise self._refusal(f"Payload[...] must be the whole annotation of {name!r}: Payload[Order | None]")
        inner = without_mark(annotation)
        if any(mentions_payload(part) for part in _parts(inner)):
            raise self._refusal(f"{name!r} has a Payload within a Payload")
        if isinstance(inner, TypeVar):
            raise self._refusal(f"{name!r} says Payload and not of what; write Payload[Order]")
        return Parameter(name, inner, parameter.default is NOTHING, keyword_only=parameter.kind is Given.KEYWORD_ONLY)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and everything between its brackets."""
    yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)

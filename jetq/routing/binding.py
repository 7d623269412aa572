"""
binding: what a handler takes as payload, in both directions.

Three shapes: nothing, an object of arguments, or the whole payload as one value (``Payload[T]``). Each writes what a
caller gives, and reads what a worker gets. The caller's side runs the worker's check over the bytes that it wrote, so
the two cannot disagree. A caller may leave out what will come from elsewhere: what a parent returned is put into the
bytes by the worker, before it reads them.

An object in a string (`routing.wrapping`) is unwrapped, unless the handler takes one ``str``, which then is the string
itself. No payload, ``null`` and an empty string are a call without arguments.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Protocol, get_args, get_origin

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from jetq.errors import InvalidPayloadError, ValueNotJsonError
from jetq.routing.validation import (
    NotValid,
    Parameter,
    Path,
    Validator,
    at,
    compile_arguments,
    compile_value,
    plain_phrase,
)
from jetq.routing.values import encode_value
from jetq.routing.wrapping import read_object, unwrapped
from jetq.wire.unreadable import UNREADABLE

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""What a function is called with, after its context."""

_NOTHING: Final = frozenset({b"", b"null", b'""'})


class Binding(Protocol):
    """How the payload becomes what the function is called with."""

    named: ClassVar[bool]
    """The payload is an object of arguments."""
    names: tuple[str, ...]
    """The parameters that data can be for, in their order."""
    required: tuple[str, ...]
    """Those of them without a default."""

    def takes(self, name: str) -> bool:
        """Whether an argument may have this name."""
        ...

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> dict[str, Any]:
        """
        Return what is given, by parameter.

        Raises:
            InvalidPayloadError: The function could not be called so, whatever else is given.
        """
        ...

    def value(self, given: dict[str, Any]) -> Any:
        """Return the payload's value for what is given."""
        ...

    def check(self, payload: bytes, given: Mapping[str, Any], task_type: str) -> None:
        """
        Check the payload of a call as the worker will; what is left out may be given by then.

        Raises:
            InvalidPayloadError: The payload is not what the function takes.
        """
        ...

    def filled(self, payload: bytes | None, values: Mapping[str, Raw], task_type: str) -> bytes | None:
        """
        Return a payload with further arguments in it, as JSON by parameter.

        Raises:
            InvalidPayloadError: There is no room for them in the payload.
        """
        ...

    def bind(self, payload: bytes | None, task_type: str) -> Arguments:
        """
        Return what the function is called with for a payload.

        Raises:
            InvalidPayloadError: The payload is not what the function takes.
        """
        ...

    def prepare(self) -> None:
        """
        Compile what the first task would compile.

        Raises:
            HandlerSignatureError: An annotation cannot be read from JSON.
        """
        ...


class NoArguments:
    """The handler takes no data: every payload will do, and is not read."""

    named: ClassVar[bool] = False
    names: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:  # noqa: ARG002 - none will do
        """Say no."""
        return False

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> dict[str, Any]:
        """Refuse arguments."""
        if args or kwargs:
            given = f"unknown argument {next(iter(kwargs))!r}" if kwargs else "an argument was given"
            raise InvalidPayloadError(
                task_type, f"{given}; the handler takes none (app.enqueue(type, payload) sends any payload)"
            )
        return {}

    def value(self, given: dict[str, Any]) -> Any:
        """Return an empty object."""
        return given

    def check(self, payload: bytes, given: Mapping[str, Any], task_type: str) -> None:
        """Every payload will do."""

    def filled(self, payload: bytes | None, values: Mapping[str, Raw], task_type: str) -> bytes | None:  # noqa: ARG002 - nobody reads it
        """Return the payload."""
        return payload

    def bind(self, payload: bytes | None, task_type: str) -> Arguments:  # noqa: ARG002 - every payload will do
        """Return a call without arguments."""
        return (), {}

    def prepare(self) -> None:
        """Nothing is to be compiled."""


class NamedArguments:
    """
    The payload is an object of arguments.

    Args:
        parameters: What the function takes.
        unknown: The annotation of ``**kwargs``; None when there are none.
        context: The name of the context parameter, which no argument may have.
        where: The handler, for errors.
    """

    named: ClassVar[bool] = True

    def __init__(self, parameters: Sequence[Parameter], unknown: Any | None, context: str | None, where: str) -> None:
        self._parameters = tuple(parameters)
        self.names = tuple(parameter.name for parameter in parameters)
        self.required = tuple(parameter.name for parameter in parameters if parameter.required)
        self._needed = frozenset(self.required)
        self._positional = tuple(parameter.name for parameter in parameters if not parameter.keyword_only)
        self._unknown = unknown
        self._context = context
        self._where = where
        self._only_text = unknown is None and len(parameters) == 1 and is_text(parameters[0].annotation)
        self._validator: Validator | None = None
        self._partial: Validator | None = None

    def prepare(self) -> None:
        """Compile the schema of all arguments."""
        self._compiled()

    def _compiled(self) -> Validator:
        self._validator = compile_arguments(self._parameters, self._unknown, self._where)
        return self._validator

    def _compiled_partial(self) -> Validator:
        optional = [replace(parameter, required=False) for parameter in self._parameters]
        self._partial = compile_arguments(optional, self._unknown, self._where)
        return self._partial

    def takes(self, name: str) -> bool:
        """Whether an argument may have this name."""
        return name in self.names or (self._unknown is not None and name != self._context)

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> dict[str, Any]:
        """Return the arguments by name."""
        if not args:
            return kwargs
        if len(args) > len(self._positional):
            most = len(self._positional)
            reason = f"{len(args)} arguments by position, and the handler takes {most or 'none'} so"
            raise InvalidPayloadError(task_type, reason)
        given = dict(zip(self._positional, args, strict=False))
        for name in kwargs:
            if name in given:
                raise InvalidPayloadError(task_type, f"argument {name!r} is given twice")
        return given | kwargs

    def value(self, given: dict[str, Any]) -> Any:
        """Return the arguments by name."""
        return given

    def check(self, payload: bytes, given: Mapping[str, Any], task_type: str) -> None:
        """Check the arguments that are there."""
        if self._needed <= given.keys():
            self.bind(payload, task_type)
            return
        validator = self._partial or self._compiled_partial()
        try:
            validator(payload)
        except NotValid as error:
            raise self._refusal(error, task_type) from None
        if self._context in given:
            raise self._taken(task_type)

    def filled(self, payload: bytes | None, values: Mapping[str, Raw], task_type: str) -> bytes | None:
        """Return the arguments with others among them."""
        try:
            given = read_object(self._object(payload))
        except UNREADABLE:
            raise InvalidPayloadError(task_type, "it is no object of arguments") from None
        return msgspec.json.encode({**given, **values})

    def bind(self, payload: bytes | None, task_type: str) -> Arguments:
        """Return the arguments by name, checked and converted."""
        validator = self._validator or self._compiled()
        data = payload if payload is not None and payload.startswith(b"{") else self._object(payload)
        try:
            kwargs = validator(data)
        except NotValid as error:
            raise self._refusal(error, task_type) from None
        if self._context in kwargs:
            raise self._taken(task_type)
        return (), kwargs

    def _refusal(self, error: NotValid, task_type: str) -> InvalidPayloadError:
        return InvalidPayloadError(task_type, error.sentence(self._phrase))

    def _taken(self, task_type: str) -> InvalidPayloadError:
        return InvalidPayloadError(task_type, f"argument {self._context!r}: the handler's context has this name")

    def _object(self, payload: bytes | None) -> bytes:
        """Return the object that *payload* holds, however it is wrapped, or *payload* for the error."""
        data = b"" if payload is None else payload.strip()
        if self._only_text and data.startswith(b'"'):
            return b'{"%b":%b}' % (self.names[0].encode(), data)
        if data in _NOTHING:
            return b"{}"
        return unwrapped(data)

    def _phrase(self, path: Path, kind: str, message: str) -> str:
        if not path:
            return plain_phrase(path, kind, message if kind == "json_invalid" else "it is no object of arguments")
        name, *rest = path
        if kind == "missing" and not rest:
            return f"argument {name!r} is missing"
        if kind == "extra_forbidden" and not rest:
            return f"unknown argument {name!r} (the handler takes {', '.join(self.names) or 'none'})"
        return f"argument {name!r}: {message}{at(rest)}"


class WholePayload:
    """
    The payload is one value.

    Args:
        parameter: The parameter that takes it, annotated with what stands in the brackets of ``Payload[...]``.
        where: The handler, for errors.
    """

    named: ClassVar[bool] = False

    def __init__(self, parameter: Parameter, where: str) -> None:
        self._parameter = parameter
        self.names: tuple[str, ...] = (parameter.name,)
        self.required: tuple[str, ...] = self.names if parameter.required else ()
        self._where = where
        self._is_text = is_text(parameter.annotation)
        self._validator: Validator | None = None

    def prepare(self) -> None:
        """Compile the schema of the value."""
        self._compiled()

    def _compiled(self) -> Validator:
        what = f"parameter {self._parameter.name!r}"
        self._validator = compile_value(self._parameter.annotation, self._where, what)
        return self._validator

    def takes(self, name: str) -> bool:
        """Whether this is the name of the one parameter."""
        return name in self.names

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> dict[str, Any]:
        """Return the one argument, if it is given."""
        name = self._parameter.name
        if self._parameter.keyword_only and args:
            raise InvalidPayloadError(task_type, f"argument {name!r} is given by position; give it by name")
        unknown = next((given for given in kwargs if given != name), None)
        if unknown is not None:
            raise InvalidPayloadError(task_type, f"unknown argument {unknown!r} (the handler takes {name})")
        if len(args) + len(kwargs) > 1:
            raise InvalidPayloadError(
                task_type, f"the handler takes one argument and {len(args) + len(kwargs)} were given"
            )
        return {name: args[0]} if args else kwargs

    def value(self, given: dict[str, Any]) -> Any:
        """Return the one argument; None for none."""
        return given.get(self._parameter.name)

    def check(self, payload: bytes, given: Mapping[str, Any], task_type: str) -> None:
        """Check the argument, if it is there."""
        if given:
            self.bind(payload, task_type)

    def filled(self, payload: bytes | None, values: Mapping[str, Raw], task_type: str) -> bytes | None:  # noqa: ARG002 - any value will do
        """Return the value that is for the one parameter."""
        value = values.get(self._parameter.name)
        return payload if value is None else bytes(value)

    def bind(self, payload: bytes | None, task_type: str) -> Arguments:
        """Return the value, checked and converted."""
        data = b"null" if payload is None else payload.strip()
        if data == b"null" and not self._parameter.required:
            return (), {}
        if data.startswith(b'"') and not self._is_text:
            data = unwrapped(data)
        validator = self._validator or self._compiled()
        try:
            value = validator(data)
        except NotValid as error:
            raise InvalidPayloadError(task_type, error.sentence()) from None
        if self._parameter.keyword_only:
            return (), {self._parameter.name: value}
        return (value,), {}


def encode(value: Any, task_type: str, *, named: bool) -> bytes:
    """
    Write a payload.

    Args:
        value: The payload, or the arguments by name.
        task_type: For the error.
        named: *value* is the arguments by name.

    Raises:
        InvalidPayloadError: It is not JSON.
    """
    try:
        return encode_value(value)
    except ValueNotJsonError as error:
        path = error.path
        if named and path:
            reason = f"argument {path[0]!r}: {error.what} cannot be written as JSON{at(path[1:])}"
        else:
            reason = str(error)
        raise InvalidPayloadError(task_type, reason) from None


def is_text(annotation: Any) -> bool:
    """Whether *annotation* is ``str``, with or without constraints."""
    if get_origin(annotation) is Annotated:
        return is_text(get_args(annotation)[0])
    return annotation is str

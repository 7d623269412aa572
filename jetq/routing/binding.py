"""
binding: what a handler takes as payload, in both directions.

Three shapes: nothing, an object of arguments, or the whole payload as one value (``Payload[T]``). Each writes what a
caller gives, and reads what a worker gets. The caller's side runs the worker's check over the bytes that it wrote, so
the two cannot disagree.

Go programs wrap objects into strings: ``ajc tasks add`` sends a JSON string that holds JSON, Go's scheduler a JSON
string that holds base64 of any payload. Such a string is unwrapped unless the handler takes one ``str``, which then
is the string itself. No payload, ``null`` and an empty string are a call without arguments.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Protocol, get_args, get_origin

import msgspec
from msgspec import Raw

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

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""What a function is called with, after its context."""

_MAX_WRAPS: Final = 5
_NOTHING: Final = frozenset({b"", b"null", b'""'})

_read_text: Final = msgspec.json.Decoder(str).decode
_read_object: Final = msgspec.json.Decoder(dict[str, Raw]).decode


class Binding(Protocol):
    """How the payload becomes what the function is called with."""

    named: ClassVar[bool]
    """The payload is an object of arguments."""

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> Any:
        """
        Return the payload's value for a call.

        Raises:
            InvalidPayloadError: The function could not be called so.
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

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> Any:
        """Return an empty object; refuse arguments."""
        if args or kwargs:
            given = f"unknown argument {next(iter(kwargs))!r}" if kwargs else "an argument was given"
            raise InvalidPayloadError(
                task_type, f"{given}; the handler takes none (app.enqueue(type, payload) sends any payload)"
            )
        return {}

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
        self._names = tuple(parameter.name for parameter in parameters)
        self._positional = tuple(parameter.name for parameter in parameters if not parameter.keyword_only)
        self._unknown = unknown
        self._context = context
        self._where = where
        self._only_text = unknown is None and len(parameters) == 1 and is_text(parameters[0].annotation)
        self._validator: Validator | None = None

    def prepare(self) -> None:
        """Compile the schema of all arguments."""
        self._compiled()

    def _compiled(self) -> Validator:
        self._validator = compile_arguments(self._parameters, self._unknown, self._where)
        return self._validator

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> Any:
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

    def bind(self, payload: bytes | None, task_type: str) -> Arguments:
        """Return the arguments by name, checked and converted."""
        validator = self._validator or self._compiled()
        data = payload if payload is not None and payload.startswith(b"{") else self._object(payload)
        try:
            kwargs = validator(data)
        except NotValid as error:
            raise InvalidPayloadError(task_type, error.sentence(self._phrase)) from None
        if self._context in kwargs:
            raise InvalidPayloadError(task_type, f"argument {self._context!r}: the handler's context has this name")
        return (), kwargs

    def _object(self, payload: bytes | None) -> bytes:
        """Return the object that *payload* holds, however it is wrapped, or *payload* for the error."""
        data = b"" if payload is None else payload.strip()
        if self._only_text and data.startswith(b'"'):
            return b'{"%b":%b}' % (self._names[0].encode(), data)
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
            return f"unknown argument {name!r} (the handler takes {', '.join(self._names) or 'none'})"
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

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> Any:
        """Return the one argument."""
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
        if args:
            return args[0]
        if kwargs:
            return kwargs[name]
        if self._parameter.required:
            raise InvalidPayloadError(task_type, f"argument {name!r} is missing")
        return None

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


def unwrapped(data: bytes) -> bytes:
    """
    Return the JSON object that is wrapped into the JSON string *data*, or *data* if there is none.

    A string holds JSON, or base64 of JSON; what it holds may be a string again: a payload of ``ajc tasks cron add``
    is wrapped twice when it arrives.
    """
    found = data
    for _ in range(_MAX_WRAPS):
        if found.startswith(b"{"):
            return found if _is_object(found) else data
        if not found.startswith(b'"'):
            return data
        try:
            text = _read_text(found).strip().encode()
        except (msgspec.MsgspecError, UnicodeError):
            return data
        found = text if text.startswith((b"{", b'"')) else _from_base64(text)
    return data


def _is_object(data: bytes) -> bool:
    try:
        _read_object(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True).strip()
    except binascii.Error:
        return b""

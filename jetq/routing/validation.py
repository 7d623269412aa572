"""
validation: JSON against annotations, by pydantic.

One compiled schema for all arguments of a handler reads, checks and converts the payload's bytes in a single call:
about a third of a microsecond for two plain arguments. Python mode would be stricter than JSON (a list is no set), so
the caller's check, too, runs over the encoded bytes, and what it accepts the worker accepts.

What pydantic has no schema for (msgspec Structs, attrs classes, and on Python 3.11 ``typing.TypedDict``) is converted
by msgspec.

This is the one place of pydantic. It is imported when the first handler is used, since that takes longer than all
the rest of jetq.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Final, TypeGuard

import msgspec
from msgspec import Struct

from jetq.errors import HandlerSignatureError, format_path

_MAX_PROBLEMS: Final = 3
_BYTES_AS_BASE64: Final = {"val_json_bytes": "base64", "ser_json_bytes": "base64"}
"""As msgspec writes them."""


Path = tuple[str | int, ...]
"""Where a problem stands: keys, field names and indexes."""

Phrase = Callable[[Path, str, str], str]
"""Says one problem from its path, its kind and pydantic's message."""


class Parameter(Struct, frozen=True):
    """
    A parameter that takes data.

    Attributes:
        annotation: ``Any`` where there is none.
        required: There is no default.
        keyword_only: It stands behind a ``*``.
    """

    name: str
    annotation: Any
    required: bool
    keyword_only: bool = False


class NotValid(Exception):  # noqa: N818 - never leaves the room
    """Data does not fit; *problems* are (path, kind, message), by pydantic's words for kinds."""

    def __init__(self, problems: Sequence[tuple[Path, str, str]]) -> None:
        self.problems = problems
        super().__init__(problems)

    def sentence(self, phrase: Phrase | None = None) -> str:
        """Say the first problems, each as *phrase* does."""
        say = phrase or plain_phrase
        said = [say(*problem) for problem in self.problems[:_MAX_PROBLEMS]]
        more = len(self.problems) - len(said)
        return "; ".join(said) + (f"; and {more} more" if more else "")


def plain_phrase(path: Path, kind: str, message: str) -> str:
    """Say one problem of a value."""
    if kind == "json_invalid":
        return f"it is no JSON ({message.removeprefix('Invalid JSON: ')})"
    if kind == "missing":
        return f"{format_path(path)} is missing"
    return f"{message}{at(path)}"


def at(path: Sequence[str | int]) -> str:
    """Say where, in brackets, if there is anything to say."""
    return f" (at {format_path(path)})" if path else ""


class Validator:
    """Reads JSON as what an annotation, or all annotations of a handler, want."""

    __slots__ = ("_read", "_refused")

    def __init__(self, source: type, pydantic: ModuleType) -> None:
        adapter = pydantic.TypeAdapter(source, config=pydantic.ConfigDict(**_BYTES_AS_BASE64))
        self._read: Callable[[bytes], Any] = adapter.validator.validate_json
        self._refused: type[Exception] = pydantic.ValidationError

    def __call__(self, data: bytes) -> Any:
        """
        Return the value.

        Raises:
            NotValid: The data does not fit.
        """
        try:
            return self._read(data)
        except self._refused as error:
            listed: Any = error
            problems: list[dict[str, Any]] = listed.errors(
                include_url=False, include_context=False, include_input=False
            )
        raise NotValid([(problem["loc"], problem["type"], _worded(problem["msg"])) for problem in problems])


def _worded(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"input{message[5:]}" if message.startswith("Input ") else message


def _libraries() -> tuple[ModuleType, ModuleType]:
    import pydantic  # noqa: PLC0415 - see the module's docstring
    import pydantic_core  # noqa: PLC0415 - see the module's docstring

    return pydantic, pydantic_core


def is_deep(data: bytes) -> bool:
    """Whether JSON is nested beyond 200 levels, where pydantic's reader stops on every platform."""
    _, core = _libraries()
    try:
        core.from_json(data)
    except ValueError:
        return True
    return False


def compile_value(annotation: Any, where: str, what: str) -> Validator:
    """
    Return what reads one value.

    Args:
        annotation: What the value shall be.
        where: The handler, for the error.
        what: The parameter or the return value, for the error.

    Raises:
        HandlerSignatureError: Neither pydantic nor msgspec can read the annotation.
    """
    pydantic, _ = libraries = _libraries()

    class Value:
        @classmethod
        def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
            return _schema(annotation, handler, libraries, where, what)

    return Validator(Value, pydantic)


def compile_arguments(parameters: Sequence[Parameter], unknown: Any | None, where: str) -> Validator:
    """
    Return what reads an object of arguments as a dict; absent ones stay absent, for Python's own defaults.

    Args:
        parameters: What the handler takes.
        unknown: The annotation of ``**kwargs``; None forbids unknown arguments.
        where: The handler, for the error.

    Raises:
        HandlerSignatureError: Neither pydantic nor msgspec can read an annotation.
    """
    pydantic, core = libraries = _libraries()
    core_schema = core.core_schema

    class Arguments:
        @classmethod
        def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
            return core_schema.typed_dict_schema(
                {
                    each.name: core_schema.typed_dict_field(
                        _schema(each.annotation, handler, libraries, where, f"parameter {each.name!r}"),
                        required=each.required,
                    )
                    for each in parameters
                },
                extra_behavior="forbid" if unknown is None else "allow",
                extras_schema=None
                if unknown is None
                else _schema(unknown, handler, libraries, where, "the ** parameter"),
                config=core_schema.CoreConfig(**_BYTES_AS_BASE64),
            )

    return Validator(Arguments, pydantic)


def _schema(annotation: Any, handler: Any, libraries: tuple[ModuleType, ModuleType], where: str, what: str) -> Any:
    """Return pydantic's schema of an annotation, or one that asks msgspec."""
    pydantic, core = libraries
    try:
        pydantic.TypeAdapter(annotation)
    except (pydantic.PydanticUserError, pydantic.PydanticUndefinedAnnotation, TypeError) as error:
        convert = _msgspec_converter(annotation, pydantic)
        if convert is None:
            reason = f"{what} cannot be read from JSON as {annotation!r}: {str(error).partition(chr(10))[0]}"
            raise HandlerSignatureError(where, reason) from error
        return core.core_schema.no_info_plain_validator_function(convert)
    return handler.generate_schema(annotation)


def _msgspec_converter(annotation: Any, pydantic: ModuleType) -> Callable[[Any], Any] | None:
    """Return a function that converts plain values by msgspec; None if some type in *annotation* is beyond it."""
    try:
        foreign = {kind: pydantic.TypeAdapter(kind) for kind in _foreign_types(annotation)}
    except (pydantic.PydanticUserError, pydantic.PydanticUndefinedAnnotation, TypeError):
        return None

    def by_pydantic(kind: type, value: Any) -> Any:
        return foreign[kind].validate_python(value)

    def convert(value: Any) -> Any:
        try:
            return msgspec.convert(value, annotation, strict=False, dec_hook=by_pydantic)
        except msgspec.ValidationError as error:
            said, _, path = str(error).partition(" - at `$")
            place = path[:-1].lstrip(".")
            raise ValueError(said.replace("`", "") + (f" (at {place})" if place else "")) from None

    return convert


def _foreign_types(annotation: Any) -> set[type]:
    """
    Return the classes within *annotation* that msgspec does not know.

    Raises:
        TypeError: msgspec refuses the annotation.
    """
    found: set[type] = set()
    seen: set[int] = set()
    rest: list[Any] = [msgspec.inspect.type_info(annotation)]
    while rest:
        node = rest.pop()
        if id(node) in seen or not isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)):
            continue
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.CustomType):
            found.add(node.cls)
        for name in node.__struct_fields__:
            value: Any = getattr(node, name)
            rest.extend(value if _is_tuple(value) else (value,))
    return found


def _is_tuple(value: Any) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)

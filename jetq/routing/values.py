"""
values: Python values as JSON, for arguments and results.

msgspec writes what it knows: JSON types, dataclasses, Structs, attrs classes, enums, dates, UUID, Decimal, sets, and
bytes as base64. One hook adds pydantic models, paths and the rest. What JSON has no form for is refused here, in the
caller or right after the handler, and never reaches a record:

- NaN and infinities, which msgspec would write as ``null``. They can only be where the text says ``null``, so other
  values do not pay for the search.
- Nesting beyond 200 levels: how deep a reader gets depends on its Python and its stack, and a record that cannot be
  read is lost.
- A ``msgspec.Raw`` that holds something else than JSON.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from math import isfinite
from pathlib import PurePath
from typing import Any, Final, TypeGuard, cast

import msgspec
from msgspec import Raw, Struct

from jetq.errors import ValueNotJsonError
from jetq.routing.validation import is_deep

_TEXTS: Final = (PurePath, IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
"""Types whose str() is their one form, and which pydantic reads from it."""

_MAX_LEVELS: Final = 200
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"\\'))
"""Bytes that say nothing of nesting."""


def _plain(value: Any) -> Any:
    """Say what msgspec shall write in place of *value*."""
    if isinstance(value, (str, int, float)):
        return _builtin(value)
    serializer = getattr(value, "__pydantic_serializer__", None)
    if serializer is not None and not isinstance(value, type):
        return serializer.to_python(value, mode="json", by_alias=True, round_trip=True)
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if _is_mapping(value):
        return dict(value)
    if isinstance(value, (deque, AbstractSet)):
        return list(cast("Iterable[Any]", value))
    raise NotImplementedError


def _builtin(value: str | float) -> str | float:
    """Return a value of a subclass as its builtin, whatever the subclass's own conversions say."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bool):
        raise NotImplementedError
    return int.__index__(value)


_encode: Final = msgspec.json.Encoder(enc_hook=_plain).encode
_check: Final = msgspec.json.Decoder(Raw).decode
_decode: Final = msgspec.json.Decoder().decode


def encode_value(value: Any) -> bytes:
    """
    Write *value* as JSON.

    Raises:
        ValueNotJsonError: JSON cannot hold it, or something in it; says what and where.
    """
    if value is None:
        return b"null"
    try:
        data = _encode(value)
        _check(data)
        if data.count(b"[") + data.count(b"{") > _MAX_LEVELS and _is_deep(data):
            raise RecursionError  # noqa: TRY301 - as the encoder's own
        if b"null" in data:
            _refuse_non_finite(value)
    except RecursionError:
        raise ValueNotJsonError("a value that holds itself, or is nested too deeply,") from None
    except ValueNotJsonError:
        raise
    except Exception as error:  # noqa: BLE001 - a model's own serializer may raise anything
        raise _culprit(value, error) from None
    return data


def _is_deep(data: bytes) -> bool:
    """
    Whether JSON is nested beyond the limit.

    Long lists of small objects are the usual case and are told quickly: without what is no structure, strings are pairs
    of quotes, and each round takes at most two levels from within. Where a string holds brackets or escapes, quotes or
    backslashes remain, and pydantic's reader decides.
    """
    rest = data.translate(None, _NO_STRUCTURE).replace(b'""', b"")
    for _ in range(_MAX_LEVELS // 2):
        if not rest:
            return False
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    return is_deep(data)


def decode_value(data: bytes | Raw) -> Any:
    """
    Read JSON as plain values.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return _decode(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_non_finite(value: Any) -> None:
    if isinstance(value, Raw):
        return  # it was JSON before, which has no form for them
    plain = msgspec.to_builtins(value, enc_hook=_plain, str_keys=True)
    rest: list[tuple[Any, tuple[str | int, ...]]] = [(plain, ())]
    while rest:
        part, path = rest.pop()
        if isinstance(part, float) and not isfinite(part):
            raise ValueNotJsonError(f"the number {part}", path)
        if isinstance(part, (dict, list, tuple)):
            rest.extend((inner, (*path, step)) for step, inner in _parts(part))


def _culprit(value: Any, error: Exception) -> ValueNotJsonError:
    """Find the innermost part of *value* that cannot be written."""
    path: tuple[str | int, ...] = ()
    while (found := _bad_part(value)) is not None:
        step, value, error = found
        path = (*path, step)
    return ValueNotJsonError(_describe(value, error), path)


def _bad_part(value: Any) -> tuple[str | int, Any, Exception] | None:
    for step, inner in _parts(value):
        try:
            _check(_encode(inner))
        except Exception as error:  # noqa: BLE001 - see encode_value
            return step, inner, error
    return None


def _parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, type):
        return
    if _is_mapping(value):
        yield from ((key if isinstance(key, int) else str(key), inner) for key, inner in value.items())
    elif isinstance(value, (list, tuple, deque, AbstractSet)):
        yield from enumerate(cast("Iterable[Any]", value))
    elif isinstance(value, Struct):
        yield from ((name, getattr(value, name)) for name in value.__struct_fields__)
    elif is_dataclass(value):
        yield from ((field.name, getattr(value, field.name, None)) for field in fields(value))
    elif hasattr(value, "__attrs_attrs__") or hasattr(value, "__pydantic_serializer__"):
        yield from getattr(value, "__dict__", {}).items()


def _describe(value: Any, error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "a text with a lone surrogate"
    for key in value if _is_mapping(value) else ():
        try:
            _encode({key: None})
        except Exception:  # noqa: BLE001 - see encode_value
            return f"a key of type {_name(key)}"
    if isinstance(value, Raw):
        return "a Raw that is no JSON"
    if str(error) and not isinstance(error, NotImplementedError):
        return f"a value of type {_name(value)} ({error})"
    return f"a value of type {_name(value)}"


def _name(value: Any) -> str:
    kind = value.__class__
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)

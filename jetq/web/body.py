"""
body: what a request carries, read strictly.

A body must say that it is JSON, must not be larger than the limit, and may hold known fields only: what is misspelled
is refused and not ignored. Because a browser asks the server first before it sends a page's JSON elsewhere, and this
server never agrees, that it must say so keeps other sites' pages out as well.
"""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from jetq.model.go_duration import NANOSECONDS, parse_go_duration
from jetq.web.problem import Code, Problem, ProblemError, invalid
from jetq.wire.unreadable import UNREADABLE

MAX_BODY: Final = 512 * 1024
"""Bytes, as in asyncjobs."""
JSON: Final = "application/json"

_T = TypeVar("_T")
_UNKNOWN: Final = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING: Final = re.compile(r"required field `(?P<field>[^`]*)`")
_PLACE: Final = re.compile(r"`\$\.(?P<field>\w+)")


async def read_body(request: Request, kind: type[_T], limit: int, *, may_lack: bool = False) -> _T:
    """
    Return the body of a request.

    Args:
        request: It.
        kind: A struct that forbids unknown fields.
        limit: Bytes that it may have.
        may_lack: No body at all is one that says nothing.

    Raises:
        ProblemError: It is too large, does not say that it is JSON, or is something else.
    """
    said = request.headers.get("content-type", "")
    if may_lack and not said and not await _bytes_of(request, limit):
        return kind()
    if said.partition(";")[0].strip().lower() != JSON or request.headers.get("content-encoding"):
        message = f"the body must be plain JSON: send it with the header Content-Type: {JSON}"
        raise ProblemError(
            Problem(code=Code.INVALID_ARGUMENT, reason="content_type_invalid", message=message, status=415)
        )
    data = await _bytes_of(request, limit)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None
    except UNREADABLE as error:
        raise invalid("", "invalid_json", f"the body is not JSON: {error}") from None


async def _bytes_of(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > limit:
            raise _too_large(limit)
    return bytes(parts)


def _too_large(limit: int) -> ProblemError:
    message = f"the body is larger than {limit:,} bytes; store the data elsewhere and pass a reference"
    return ProblemError(Problem(code=Code.PAYLOAD_TOO_LARGE, reason="body_too_large", message=message))


def _refused(complaint: str) -> ProblemError:
    """Return what is wrong with JSON of another shape; msgspec tells the field within its sentence."""
    if found := _UNKNOWN.search(complaint):
        return invalid(found["field"], "invalid_json", f"there is no field {found['field']!r}")
    if found := _MISSING.search(complaint):
        return invalid(found["field"], "required", f"the field {found['field']!r} is required")
    found = _PLACE.search(complaint)
    return invalid(found["field"] if found else "", "invalid_json", f"the body is not as it must be: {complaint}")


def payload_of(payload: msgspec.Raw, encoded: str | None) -> bytes | None:
    """
    Return the payload of a task, which is given as JSON (empty if absent) or as the base64 of its bytes; None for none.

    Raises:
        ProblemError: It is given in both ways, or is not what it should be.
    """
    data = bytes(payload).strip()
    if encoded is not None:
        if data:
            raise invalid("payload", "payload_both_set", "payload and payload_base64 exclude each other")
        try:
            return base64.b64decode(encoded, validate=True) or None
        except (binascii.Error, ValueError):
            raise invalid("payload_base64", "invalid_base64", "payload_base64 is not base64") from None
    if data in (b"", b"null"):
        return None
    try:
        msgspec.json.decode(data)
    except UNREADABLE as error:
        raise invalid("payload", "invalid_json", f"the payload cannot be read: {error}") from None
    return data


def seconds_of(field: str, text: str) -> float:
    """
    Return the seconds of a duration, which is spelled as Go does: ``90s``, ``1h30m``.

    Raises:
        ProblemError: It is none, or negative.
    """
    nanoseconds = parse_go_duration(text)
    if nanoseconds is None or nanoseconds < 0:
        message = f"expected {field} to be a duration such as 90s or 1h30m, got: {text[:80]!r}"
        raise invalid(field, "invalid_duration", message)
    return nanoseconds / NANOSECONDS


def moment_of(field: str, moment: datetime | None) -> datetime | None:
    """
    Return a time in UTC.

    Raises:
        ProblemError: It has no time zone.
    """
    if moment is None:
        return None
    try:
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except OverflowError:
        pass
    message = f"expected {field} to be a time with its zone, such as 2026-11-24T03:00:00Z, got: {moment.isoformat()}"
    raise invalid(field, "invalid_time", message)


def number_of(request: Request, name: str, default: int, most: int, *, clamp: bool = False) -> int:
    """
    Return a number from the query.

    Args:
        request: Whose query.
        name: The parameter's.
        default: Where it is absent.
        most: The largest one.
        clamp: A larger one is taken for that, and not refused.

    Raises:
        ProblemError: It is none of 1 to *most*.
    """

    def read(text: str) -> int | None:
        number = int(text) if text.isdecimal() and text.isascii() else 0
        return min(number, most) if number and (clamp or number <= most) else None

    return parameter(request, name, read, f"a whole number from 1 to {most:,}", default)


def parameter(request: Request, name: str, read: Callable[[str], _T | None], wanted: str, default: _T) -> _T:
    """
    Return what *read* makes of a parameter of the query.

    Raises:
        ProblemError: It makes nothing of it.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    found = read(text)
    if found is None:
        raise invalid(name, f"{name}_invalid", f"expected {name} to be {wanted}, got: {text[:80]!r}")
    return found


def flag(request: Request, name: str) -> bool:
    """
    Return a yes or no of the query; absent is no.

    Raises:
        ProblemError: It is neither.
    """
    return parameter(request, name, {"true": True, "false": False}.get, "true or false", default=False)

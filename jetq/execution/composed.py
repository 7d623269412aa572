"""
composed: what a handler is called with that is more than its task's payload.

A task may take results of its parents into its arguments: they are put into the payload's bytes, and the whole is read
and checked as any payload. And a task may stand for many calls of its handler (``Task.starmap``): its payload is a list
of payloads, each of which is read and checked before the first call; then the context's only argument is the list of
what to call the handler with. Plain tasks never come here.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec import Raw

from jetq.errors import InvalidPayloadError, Signal
from jetq.execution.context import Context
from jetq.model.record import ABSENT, TaskRecord
from jetq.routing.binding import Arguments
from jetq.routing.handler import Handler
from jetq.wire.into import parent_values
from jetq.wire.unreadable import UNREADABLE

_list: Final = msgspec.json.Decoder(list[Raw]).decode


def arguments_of(handler: Handler, record: TaskRecord) -> Arguments:
    """
    Return what a handler is called with for a task, composed or plain.

    Raises:
        InvalidPayloadError: An argument is not what the handler takes.
    """
    options = record.options
    if options is None or (options.into is ABSENT and not options.each):
        return handler.bind(record.payload, record.type)
    return bound(handler, record)


def bound(handler: Handler, record: TaskRecord) -> Arguments:
    """
    Return what a handler is called with for a task that is composed.

    Raises:
        InvalidPayloadError: An argument is not what the handler takes; of many calls, it says of which.
    """
    if record.options is not None and record.options.each:
        return (_all(handler, record),), {}
    return handler.bind(handler.filled(record.payload, parent_values(record), record.type), record.type)


def check_payload(handler: Handler, record: TaskRecord) -> None:
    """
    Check the payload of a task that has not run as the worker will; what results of its parents fill may be missing.

    Raises:
        InvalidPayloadError: It is not what the handler takes.
    """
    options = record.options
    if options is not None and options.each:
        _all(handler, record)
    elif options is not None and options.into is not ABSENT:
        handler.check_part(record.payload, record.type)
    else:
        handler.bind(record.payload, record.type)


def _all(handler: Handler, record: TaskRecord) -> list[Arguments]:
    _refuse_delegate(handler, record.type)
    try:
        payloads = _list(record.payload or b"null")
    except UNREADABLE:
        raise InvalidPayloadError(record.type, "it is no list of calls") from None
    return [_one(handler, record.type, number, bytes(payload)) for number, payload in enumerate(payloads)]


def _refuse_delegate(handler: Handler, task_type: str) -> None:
    """Refuse many calls of a handler that hands its task on: another program would get all of them at each."""
    if handler.hands_on:
        raise InvalidPayloadError(task_type, "its handler is another program; enqueue a task for each call")


def _one(handler: Handler, task_type: str, number: int, payload: bytes) -> Arguments:
    try:
        return handler.bind(payload, task_type)
    except InvalidPayloadError as error:
        raise in_call(error, number) from None


def encode_calls(handler: Handler, calls: Iterable[Iterable[Any]], task_type: str) -> bytes:
    """
    Return the payload of a task that stands for many calls, after the check that the worker will make.

    Args:
        handler: What is called.
        calls: For each call, its arguments by position.
        task_type: Of the task.

    Raises:
        InvalidPayloadError: There are no calls, or one is not what the handler takes; it says which. Or the handler is
            another program.
    """
    _refuse_delegate(handler, task_type)
    payloads: list[bytes] = []
    for number, arguments in enumerate(calls):
        if not _is_arguments(arguments):
            reason = f"{arguments!r:.80} is no tuple of arguments; for one argument a call, give tuples of one: (x,)"
            raise in_call(InvalidPayloadError(task_type, reason), number)
        try:
            payloads.append(handler.encode_call(tuple(arguments), {}, task_type))
        except InvalidPayloadError as error:
            raise in_call(error, number) from None
    if not payloads:
        raise InvalidPayloadError(task_type, "there are no calls; give the arguments of at least one")
    return b"[%b]" % b",".join(payloads)


def _is_arguments(given: object) -> bool:
    """Whether *given* can be the arguments of a call: a string would be one a character."""
    return isinstance(given, Iterable) and not isinstance(given, str | bytes)


def in_call(error: InvalidPayloadError, number: int) -> InvalidPayloadError:
    """Return an error that says of which call it is, counted from 0."""
    return InvalidPayloadError(error.task_type, f"call [{number}]: {error.reason}")


def calls_of(ctx: Context) -> list[Arguments]:
    """Return what a handler is called with, one call after the other."""
    calls: list[Arguments] = ctx.arguments[0][0]
    return calls


@contextmanager
def place(number: int) -> Generator[None, None, None]:
    """Note in an exception during which call it came."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, Signal):
            error.add_note(f"(in call [{number}])")
        raise

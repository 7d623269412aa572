"""
writing: write a record that must be written, whatever its size.

A claim or an end that is too large for the server would loop for ever. So what does not fit is dropped, least needed
first: dependency results (of a task that runs or will run again they become references, since each run is to see the
same), progress, the traceback, the text of the last error, the result (and then the task ends ``terminated``, since a
result that is lost is no success), the payload, and at last what other programs put there. The last form always fits.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from jetq.errors import MessageTooLargeError
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.record import ABSENT, ErrorInfo, TaskRecord
from jetq.model.state import End, State
from jetq.wire.codec import Document, new_document
from jetq.wire.dependencies import with_references

_KEPT_TEXT: Final = 1000


def _without_dependency_results(record: TaskRecord, _refused: MessageTooLargeError) -> TaskRecord:
    return replace(record, dependency_results=ABSENT) if record.is_final else with_references(record)


def _without_traceback(record: TaskRecord, _refused: MessageTooLargeError) -> TaskRecord:
    error = record.error
    return record if error is None else replace(record, error=ErrorInfo(error.type, error.message))


def _without_error_text(record: TaskRecord, _refused: MessageTooLargeError) -> TaskRecord:
    error = record.error
    short = error and ErrorInfo(error.type[:_KEPT_TEXT], error.message[:_KEPT_TEXT])
    return replace(record, error=short, last_err=record.last_err[:_KEPT_TEXT])


def _without_result(record: TaskRecord, refused: MessageTooLargeError) -> TaskRecord:
    if record.result is None:
        return record
    result = len(bytes(record.result.payload))
    reason = (
        f"the result has {result:,} bytes, and with it the record {refused.size:,}, more than the server's limit of"
        f" {refused.limit:,} bytes; store it elsewhere and return a reference"
    )
    return replace(record, result=None, state=State.TERMINATED, end=End.TOO_LARGE, last_err=reason)


_DROPS: Final[tuple[Callable[[TaskRecord, MessageTooLargeError], TaskRecord], ...]] = (
    _without_dependency_results,
    lambda record, _: replace(record, progress=ABSENT),
    _without_traceback,
    _without_error_text,
    _without_result,
    lambda record, _: replace(record, payload=None),
)


async def write_fitting(
    store: TaskStore, document: Document, expect: int, *, ttl: Callable[[TaskRecord], float | None]
) -> Stored:
    """
    Write *document*, dropping from it what does not fit.

    Args:
        store: Where to.
        document: What to write.
        expect: Sequence of the record that it replaces.
        ttl: Says how long the record is kept, since dropping may change how the task ends.

    Raises:
        SequenceConflictError, ServerTimeoutError: As :meth:`TaskStore.write`.
    """
    for drop in _DROPS:
        try:
            return await store.write(document, expect, ttl=ttl(document.record))
        except MessageTooLargeError as refused:
            document = document.updated(drop(document.record, refused))
    try:
        return await store.write(document, expect, ttl=ttl(document.record))
    except MessageTooLargeError:
        return await store.write(new_document(document.record), expect, ttl=ttl(document.record))

"""
failure: an exception as text, for the record.

Bounded in size, without local variables, without the frames of this room, and always valid UTF-8. Making the text
never raises, whatever the exception's own methods do.
"""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from jetq.model.record import ErrorInfo

MAX_TRACEBACK: Final = 16 * 1024
"""Bytes."""
MAX_MESSAGE: Final = 4 * 1024
"""Bytes."""
MAX_KIND: Final = 256
"""Bytes of the exception's class."""
_HEAD: Final = 2 * 1024
"""Bytes of a long traceback's beginning that are kept; the rest of what is kept is its end, which says more. The same
holds for a long message in it."""
_MAX_PARTS: Final = 3
"""Exceptions of a group that its message names."""

_ROOM: Final = str(Path(__file__).parent)


def describe(error: BaseException) -> ErrorInfo:
    """Return *error* as text."""
    kind = shorten(_kind(error), MAX_KIND)
    return ErrorInfo(type=kind, message=shorten(_message(error), MAX_MESSAGE), traceback=_traceback(error))


def shorten(text: str, limit: int, head: int = 0) -> str:
    """
    Return *text* as valid UTF-8 of at most *limit* bytes.

    Args:
        text: Anything, also with surrogates, which are escaped.
        limit: Bytes.
        head: Bytes that are kept of the beginning, if the end is to be kept rather than the beginning; 0 cuts the end.
    """
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    left_out = f"\n[... {len(data) - limit:,} bytes left out ...]\n".encode()
    tail = limit - head - len(left_out) if head else 0
    kept = [data[:head], left_out, data[-tail:]] if head else [data[: limit - 3], b"..."]
    return b"".join(part.decode(errors="ignore").encode() for part in kept).decode()


def _kind(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ in {"builtins", "__main__"}:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def text_of(value: object) -> str:
    """Return ``str(value)``, or a stand-in where that raises."""
    try:
        return str(value)
    except BaseException:  # noqa: BLE001 - the user's own __str__
        return f"<{type(value).__qualname__} without a readable text>"


def _message(error: BaseException) -> str:
    text = text_of(error)
    if isinstance(error, BaseExceptionGroup):
        parts = [f"{_kind(part)}: {text_of(part)}" for part in leaves(cast("BaseException", error))]
        more = f"; and {len(parts) - _MAX_PARTS} more" if len(parts) > _MAX_PARTS else ""
        text = f"{text}: {'; '.join(parts[:_MAX_PARTS])}{more}"
    return text


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group and of the groups within; of any other exception, itself."""
    parts: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if parts is None or not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in parts for leaf in leaves(part)]


def _traceback(error: BaseException) -> str:
    """Return the traceback, in which a long message does not take the room of the frames."""
    try:
        whole = traceback.TracebackException.from_exception(error, lookup_lines=False)
        for part in _chained(whole):
            kept = [frame for frame in part.stack if not frame.filename.startswith(_ROOM)]
            part.stack = traceback.StackSummary.from_list(kept)
        parts = (shorten(part, MAX_MESSAGE, head=_HEAD) for part in whole.format())
        return shorten("".join(parts), MAX_TRACEBACK, head=_HEAD)
    except Exception:  # noqa: BLE001 - an exception may lie about its causes
        return ""


def _chained(first: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield an exception, its causes and contexts, and the parts of groups."""
    rest: list[traceback.TracebackException | None] = [first]
    while rest:
        part = rest.pop()
        if part is None:
            continue
        yield part
        rest += [part.__cause__, part.__context__, *(part.exceptions or ())]

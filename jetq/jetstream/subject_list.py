"""
subject_list: which subjects of a stream hold a message.

The only way to look into a queue without taking anything out of it. The server answers in pages of 100,000, sorted, and
counts anew for each: what is removed between two pages shifts the rest, so that a subject may be passed over. So a
subject that is not listed is perhaps there all the same, and whoever concludes something from that looks again.
"""

from collections.abc import Callable
from typing import Any

from jetq.errors import RequestRefusedError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import STREAM_NOT_FOUND

_PATIENCE = 30.0
"""Seconds for a page; with a million subjects the server takes one or two."""


async def list_subjects(connection: Connection, stream: str, subjects: str, take: Callable[[str], None]) -> None:
    """
    Hand over the subjects that hold a message; none if there is no such stream.

    Args:
        connection: To the server.
        stream: Its name.
        subjects: Which, with wildcards.
        take: Takes each.

    Raises:
        ServerError: No answer, or a refusal.
    """
    offset, total = 0, 1
    while offset < total:
        body = {"subjects_filter": subjects, "offset": offset}
        try:
            answer = await connection.api(f"STREAM.INFO.{stream}", body, timeout=_PATIENCE)
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return
            raise
        page: dict[str, Any] = answer["state"].get("subjects") or {}
        for subject in page:
            take(subject)
        if not page:
            return
        offset, total = offset + len(page), int(answer.get("total", 0))

"""
stream_message: read single messages of a stream, from its leader.
"""

from datetime import datetime

import msgspec
from msgspec import Struct

from jetq.errors import RequestRefusedError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import NO_MESSAGE, STREAM_NOT_FOUND


class StreamMessage(Struct, frozen=True):
    """A stored message; *hdrs* as they stand on the wire, *time* by the server's clock."""

    subject: str
    seq: int
    time: datetime
    data: bytes = b""
    hdrs: bytes = b""


async def last_message(
    connection: Connection, stream: str, subject: str, *, timeout: float | None = None
) -> StreamMessage | None:
    """
    Read the last message of a subject; None if there is none.

    Raises:
        ServerTimeoutError: No answer.
        RequestRefusedError: The server refuses to read, for example since the stream does not exist.
    """
    try:
        answer = await connection.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject}, timeout=timeout)
    except RequestRefusedError as refused:
        if refused.code == NO_MESSAGE:
            return None
        raise
    return msgspec.convert(answer["message"], StreamMessage)


async def find_message(connection: Connection, stream: str, subject: str) -> StreamMessage | None:
    """
    Read the last message of a subject; None also if the stream does not exist.

    Raises:
        ServerTimeoutError: No answer.
        RequestRefusedError: The server refuses to read.
    """
    try:
        return await last_message(connection, stream, subject)
    except RequestRefusedError as refused:
        if refused.code == STREAM_NOT_FOUND:
            return None
        raise


async def purge_subject(connection: Connection, stream: str, subject: str, *, through: int | None = None) -> int:
    """Remove the messages of a subject, those after the sequence *through* excepted, and return their number."""
    body: dict[str, object] = {"filter": subject}
    if through is not None:
        body["seq"] = through + 1
    answer = await connection.api(f"STREAM.PURGE.{stream}", body)
    return int(answer.get("purged", 0))

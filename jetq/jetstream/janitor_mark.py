"""
janitor_mark: when the last complete pass of a janitor began, whoever made it.

It stands in the bucket of the configuration, so that it outlives the janitor: what was written before it was judged by
a pass. It only ever moves forward. A pass that was frozen for an hour and completes then may say so truthfully, since
it did publish all that was missing when it began; but not in the place of a later one.
"""

import asyncio
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from jetq.errors import SequenceConflictError
from jetq.jetstream.connection import Connection
from jetq.jetstream.publisher import Publication, Publisher, expecting
from jetq.jetstream.stream_message import last_message
from jetq.model.record import Moment
from jetq.wire.names import Names
from jetq.wire.unreadable import UNREADABLE

_TRIES: Final = 5
_encode: Final = msgspec.json.Encoder().encode


class JanitorMark(Struct, frozen=True):
    """
    The last complete pass. See docs/reference/protocol.md.

    Attributes:
        started: When it began, by the server's clock.
        by: Who made it.
    """

    started: Moment
    by: str = ""


_decode: Final = msgspec.json.Decoder(JanitorMark).decode


class JanitorMarks:
    """
    Reads and writes the mark.

    Args:
        connection: For reading.
        publisher: For writing.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, publisher: Publisher, names: Names) -> None:
        self._connection = connection
        self._publisher = publisher
        self._subject = names.janitor_state
        self._stream = names.bucket_stream(names.configuration)

    async def read(self) -> datetime | None:
        """
        Return when the last complete pass began; None if that is not known.

        Raises:
            ServerError: No answer, or a refusal.
        """
        return (await self._read())[0]

    async def write(self, started: datetime, by: str) -> None:
        """
        Say that a pass is complete that began then.

        Raises:
            ServerError: No answer, or a refusal; the pass counts as none.
        """
        for _ in range(_TRIES):
            found, sequence = await self._read()
            if found is not None and found >= started:
                return
            data = _encode(JanitorMark(started, by))
            try:
                await self._publisher.publish(Publication(self._subject, data, expecting(sequence)))
            except SequenceConflictError:
                await asyncio.sleep(0)
            else:
                return

    async def _read(self) -> tuple[datetime | None, int]:
        found = await last_message(self._connection, self._stream, self._subject)
        if found is None:
            return None, 0
        try:
            return _decode(found.data).started, found.seq
        except UNREADABLE:
            return None, found.seq

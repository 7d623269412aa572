"""
pausing: queues that give no items for a while; the server keeps that, over its restarts too.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetq.errors import RequestRefusedError, ServerError, TopologyError, UnknownQueueError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import CONSUMER_NOT_FOUND, STREAM_NOT_FOUND
from jetq.jetstream.lookup import find_consumer
from jetq.jetstream.message import Incoming
from jetq.wire.names import WORKERS, Names

OnPause = Callable[[str, datetime | None], None]
"""Hears that a queue is paused until then; or, with None, that it is not."""

_FAR: Final = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


class _Advisory(Struct):
    """What the server tells of a pause."""

    paused: bool = False
    pause_until: str = ""


_read_advisory: Final = msgspec.json.Decoder(_Advisory).decode


def read_pause(consumer: dict[str, Any]) -> datetime | None:
    """Return until when a queue is paused, from what the server says of its consumer; None if it is not."""
    return _moment(consumer["config"].get("pause_until", "")) if consumer.get("paused") else None


def _moment(text: str) -> datetime:
    """Read a time of the server; one that Python cannot hold is far away."""
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return _FAR


async def set_pause(connection: Connection, names: Names, queue: str, until: datetime | None) -> None:
    """
    Pause a queue until a time, or let it go on.

    Raises:
        UnknownQueueError: There is none.
        TopologyError: It has no consumer.
        ServerError: No answer, or another refusal.
    """
    stream = names.queue(queue)
    try:
        await connection.api(f"CONSUMER.PAUSE.{stream}.{WORKERS}", {} if until is None else {"pause_until": until})
    except RequestRefusedError as refused:
        if refused.code == STREAM_NOT_FOUND:
            raise UnknownQueueError(queue) from refused
        if refused.code == CONSUMER_NOT_FOUND:
            reason = "the queue has no consumer; jetq queues add creates it"
            raise TopologyError(f"{stream}.{WORKERS}", reason) from refused
        raise


async def follow_pauses(connection: Connection, names: Names, queue: str, on_pause: OnPause) -> None:
    """Tell how it stands with a queue, and whenever the server tells of a change."""

    def hear(message: Incoming) -> None:
        try:
            advisory = _read_advisory(message.data)
        except msgspec.MsgspecError:
            return
        on_pause(queue, _moment(advisory.pause_until) if advisory.paused else None)

    await connection.subscribe(names.pauses(queue), hear)
    try:
        found = await find_consumer(connection, names.queue(queue))
    except ServerError:
        return
    if found is not None:
        on_pause(queue, read_pause(found))

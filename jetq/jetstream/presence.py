"""
presence: which workers live, as entries of a bucket that expire.

A worker's entry is written with each renewal of its leases and lives as long as its shortest lease, so that an entry
that is gone says: this worker did not renew either.
"""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from jetq.jetstream.connection import Connection
from jetq.jetstream.stream_message import last_message, purge_subject
from jetq.wire.names import TTL, Names


class WorkerPresence(Struct, frozen=True, omit_defaults=True):
    """
    What a worker says of itself.

    Attributes:
        worker: Its id, new with each process start.
        slots: How many tasks it may run at one time; *running* how many it does.
    """

    worker: str
    host: str = ""
    pid: int = 0
    version: str = ""
    started: datetime | None = None
    queues: list[str] = []
    patterns: list[str] = []
    slots: int = 0
    running: int = 0


_encoder: Final = msgspec.json.Encoder()


class Presences:
    """
    Reads and writes presence.

    Args:
        connection: Where the bucket is.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._stream = names.bucket_stream(names.workers)

    def write(self, presence: WorkerPresence, ttl: float) -> None:
        """Write an entry that lives *ttl* seconds (whole ones, at least one); nobody waits for an answer."""
        headers = {TTL: f"{max(1, round(ttl))}s"}
        self._connection.send(self._names.presence(presence.worker), _encoder.encode(presence), headers=headers)

    async def exists(self, worker: str, *, timeout: float | None = None) -> bool:
        """
        Whether a worker's entry is there.

        Raises:
            ServerTimeoutError: No answer.
        """
        found = await last_message(self._connection, self._stream, self._names.presence(worker), timeout=timeout)
        return found is not None and bool(found.data)

    async def remove(self, worker: str) -> None:
        """Remove a worker's entry."""
        await purge_subject(self._connection, self._stream, self._names.presence(worker))

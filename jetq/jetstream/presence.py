"""
presence: which workers live, as entries of a bucket that expire.

A worker's entry is written with each renewal of its leases and lives as long as its shortest lease, so that an entry
that is gone says: this worker did not renew either.
"""

import asyncio
import contextlib
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from jetq.jetstream.connection import Connection
from jetq.jetstream.stream_message import find_message, last_message, purge_subject
from jetq.jetstream.subject_list import list_subjects
from jetq.model.running import RunningTask, WorkerState
from jetq.wire.names import TTL, Names
from jetq.wire.unreadable import UNREADABLE


class WorkerPresence(Struct, frozen=True, omit_defaults=True):
    """
    What a worker says of itself.

    Attributes:
        worker: Its id, new with each process start.
        slots: How many tasks it may run at one time; *running* how many it does.
        state: What it does with its queues, one of `model.running.WorkerState`; a worker that does not say it is at
            work.
        tasks: Those that run, the oldest ones; up to `MOST_TOLD`.
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
    state: str = WorkerState.WORKING
    tasks: list[RunningTask] = []


class SeenPresence(Struct, frozen=True):
    """A presence, and when it was written, by the server's clock."""

    presence: WorkerPresence
    written: datetime


MOST_TOLD: Final = 50
"""Tasks that a presence names; it is written several times a lease, so it must stay small."""
_AT_ONCE: Final = 100
"""Entries that are asked for at one time."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(WorkerPresence)


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

    async def read_all(self) -> list[SeenPresence]:
        """
        Return all entries, in the order of the workers' starts; what is none is passed over.

        Raises:
            ServerError: No answer, or a refusal.
        """
        subjects: list[str] = []
        await list_subjects(self._connection, self._stream, self._names.presence("*"), subjects.append)
        found: list[SeenPresence] = []
        for start in range(0, len(subjects), _AT_ONCE):
            asked = (
                find_message(self._connection, self._stream, subject) for subject in subjects[start : start + _AT_ONCE]
            )
            for message in await asyncio.gather(*asked):
                with contextlib.suppress(*UNREADABLE):
                    if message is not None and message.data:
                        found.append(SeenPresence(_decoder.decode(message.data), message.time))
        return sorted(found, key=lambda seen: seen.presence.worker)

    async def remove(self, worker: str) -> None:
        """Remove a worker's entry."""
        await purge_subject(self._connection, self._stream, self._names.presence(worker))

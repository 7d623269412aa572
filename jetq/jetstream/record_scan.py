"""
record_scan: read many records, all unique keys, or keys of a bucket, in the order in which they were last written.

Through an ephemeral pull consumer, since that works with any store, also one that Go made (direct reads do not), reads
over a hundred thousand records a second, and lets the reader set the pace: a batch is asked for when the one before is
taken. A batch is bounded in bytes as well, since all of it is in memory at one time.

Nothing is locked, so what is read is not one moment: a record that is written meanwhile moves to the end. When the
consumer is lost, or a delivery is, a new consumer goes on behind the last record that was read; none is read twice.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetq.errors import NoResponderError, ServerError, ServerTimeoutError
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.message import STATUS
from jetq.wire.ids import new_id
from jetq.wire.names import TTL, Names

_BATCH: Final = 1000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_PATIENCE: Final = 5.0
"""Seconds without a message until a consumer counts as lost."""
_RESTARTS: Final = 3
"""New consumers in a row that bring nothing, until the scan gives up."""
_NO_MESSAGES: Final = "404"
_V1_TOKENS: Final = 9

_encode: Final = msgspec.json.Encoder().encode


class ScannedRecord(Struct, frozen=True):
    """
    A record as read, not looked into.

    Attributes:
        task_id: From its subject.
        sequence: Of its message; whatever is written later has a higher one.
        written: When, in nanoseconds since the epoch by the server's clock.
        data: The bytes.
        expires: It carries a time to live.
    """

    task_id: str
    sequence: int
    written: int
    data: bytes
    expires: bool = False


class StoreExtent(Struct, frozen=True):
    """
    How much the store holds: its first and last sequence, and messages and bytes between them.

    Attributes:
        at: When that was so, by the clock of the server that stamps the records; None if it does not say.
    """

    first: int
    last: int
    messages: int
    size: int
    at: datetime | None = None


async def measure_store(connection: Connection, names: Names) -> StoreExtent:
    """
    Return how much the store holds; nothing if there is none.

    Raises:
        ServerError: No answer, or a refusal.
    """
    found = await find_stream(connection, names.tasks)
    if found is None:
        return StoreExtent(0, 0, 0, 0)
    state: dict[str, Any] = found["state"]
    at = msgspec.convert(found["ts"], datetime) if "ts" in found else None
    return StoreExtent(
        state.get("first_seq", 0), state.get("last_seq", 0), state.get("messages", 0), state.get("bytes", 0), at
    )


async def scan_records(
    connection: Connection, names: Names, visit: Callable[[ScannedRecord], bool | None], *, first: int, last: int
) -> int:
    """
    Visit the records whose sequences are from *first* to *last*, in that order.

    Args:
        connection: To the server.
        names: Of the namespace.
        visit: Takes each record; True ends the scan behind it.
        first: The least sequence.
        last: The greatest sequence.

    Returns:
        Where another scan goes on; beyond *last* if all was read.

    Raises:
        ServerTimeoutError: The server stopped answering.
        ServerError: No connection, or a refusal.
    """
    return await _scan(connection, _Source(names.tasks, names.records_subject), visit, first=first, last=last)


async def scan_keys(connection: Connection, names: Names, visit: Callable[[int, bytes], None]) -> None:
    """
    Visit the entries of all unique keys, each with the sequence of its message.

    Raises:
        ServerTimeoutError: The server stopped answering.
        ServerError: No connection, or a refusal.
    """
    found = await find_stream(connection, names.keys)
    last = 0 if found is None else int(found["state"].get("last_seq", 0))

    def visit_key(scanned: ScannedRecord) -> None:
        visit(scanned.sequence, scanned.data)

    await _scan(connection, _Source(names.keys, names.keys_subject), visit_key, first=1, last=last)


async def scan_bucket(
    connection: Connection, bucket_stream: str, subjects: str, visit: Callable[[ScannedRecord], bool | None]
) -> None:
    """
    Visit the keys of a bucket, each with the last token of its subject; one that was removed has no bytes.

    Raises:
        ServerTimeoutError: The server stopped answering.
        ServerError: No connection, or a refusal.
    """
    found = await find_stream(connection, bucket_stream)
    last = 0 if found is None else int(found["state"].get("last_seq", 0))
    await _scan(connection, _Source(bucket_stream, subjects), visit, first=1, last=last)


class _Source(Struct, frozen=True):
    """A stream, and which of its subjects are read, whose last token varies."""

    stream: str
    subjects: str


async def _scan(
    connection: Connection, source: _Source, visit: Callable[[ScannedRecord], bool | None], *, first: int, last: int
) -> int:
    failures = 0
    while first <= last:
        scan = _Scan(connection, source, first, last)
        try:
            if await scan.run(visit):
                return scan.next
        except (ServerTimeoutError, NoResponderError):
            failures = failures + 1 if scan.next == first else 0
            if failures > _RESTARTS:
                raise
        else:
            return last + 1
        first = scan.next
    return last + 1


class _Scan:
    """One consumer's life."""

    def __init__(self, connection: Connection, source: _Source, first: int, last: int) -> None:
        self.next = first
        """The first sequence that was not visited yet."""
        self._connection = connection
        self._source = source
        self._last = last
        self._consumer = f"jetq-scan-{new_id()}"
        self._inbox = connection.new_inbox()
        self._size = len(source.subjects) - 1
        self._delivered = 0
        self._pending = 0
        self._batch: list[Incoming] = []
        self._arrived = asyncio.Event()
        self._status = ""
        """Of a message that says that the batch will not become fuller; empty if none came."""

    async def run(self, visit: Callable[[ScannedRecord], bool | None]) -> bool:
        """Visit what there is; True if a visit ended it."""
        subscription = await self._connection.subscribe(self._inbox, self._take)
        try:
            self._pending = await self._create()
            while self._pending and self.next <= self._last:
                await self._pull()
                if self._hand_over(visit):
                    return True
        finally:
            await subscription.unsubscribe()
            await self._delete()
        return False

    def _take(self, message: Incoming) -> None:
        if message.reply:
            self._batch.append(message)
        else:
            self._status = (message.headers or {}).get(STATUS, "")
        self._arrived.set()

    async def _create(self) -> int:
        config = {
            "name": self._consumer,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.next,
            "filter_subject": self._source.subjects,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 60 * NANOSECONDS,
        }
        body = {"stream_name": self._source.stream, "config": config, "action": "create"}
        answer = await self._connection.api(f"CONSUMER.CREATE.{self._source.stream}.{self._consumer}", body)
        return int(answer["num_pending"])

    async def _delete(self) -> None:
        """Remove the consumer; the server does so by itself if we do not."""
        with contextlib.suppress(ServerError):
            await self._connection.api(f"CONSUMER.DELETE.{self._source.stream}.{self._consumer}", timeout=1.0)

    async def _pull(self) -> None:
        """Ask for a batch and wait until all of it is there."""
        size = max(_BATCH_BYTES, 2 * self._connection.max_payload)
        count = min(_BATCH, self._pending)
        self._batch, self._status = [], ""
        subject = f"{self._connection.api_prefix}.CONSUMER.MSG.NEXT.{self._source.stream}.{self._consumer}"
        body = _encode({"batch": count, "max_bytes": size, "no_wait": True})
        if not self._connection.send(subject, body, reply=self._inbox):
            raise self._lost()
        while len(self._batch) < count and not self._status:
            self._arrived.clear()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._arrived.wait()
            except TimeoutError:
                raise self._lost() from None

    def _hand_over(self, visit: Callable[[ScannedRecord], bool | None]) -> bool:
        if not self._batch:
            if self._status != _NO_MESSAGES:
                raise self._lost()
            self._pending = 0  # what was still to come was removed meanwhile
        for message in self._batch:
            sequence, delivered, written, self._pending = delivery_numbers(message.reply)
            self._delivered += 1
            if delivered != self._delivered:
                raise self._lost()
            if sequence > self._last:
                self.next = sequence
                return False
            self.next = sequence + 1
            expires = message.has_header(TTL)
            if visit(ScannedRecord(message.subject[self._size :], sequence, written, message.data, expires)):
                return True
        return False

    def _lost(self) -> ServerTimeoutError:
        return ServerTimeoutError(f"the reading of {self._source.stream}", _PATIENCE)


def delivery_numbers(reply: str) -> tuple[int, int, int, int]:
    """Read stream sequence, consumer sequence, time and pending from the reply subject of a delivery."""
    tokens = reply.split(".")
    start = 5 if len(tokens) == _V1_TOKENS else 7
    sequence, delivered, written, pending = tokens[start : start + 4]
    return int(sequence), int(delivered), int(written), int(pending)

"""
key_watch: the keys of a bucket, and every change of them, in order.

An ephemeral push consumer brings the last message of each key and then whatever is written. It is made anew when a
delivery is missing, when its heartbeats stay away and after each reconnect, and begins with all keys again; what is not
among them was removed meanwhile, so whoever watches is told which ones there are.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from jetq.errors import PermissionDeniedError, RequestRefusedError, ServerError
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.message import STATUS
from jetq.jetstream.record_scan import delivery_numbers
from jetq.wire.ids import new_id

_HEARTBEAT: Final = 5.0
_AGAIN: Final = 1.0
_INACTIVE: Final = 30.0
_LAST_CONSUMER: Final = "Nats-Last-Consumer"


class WatchedKey(Struct, frozen=True, gc=False):
    """
    A key as it stands now.

    Attributes:
        name: The last token of its subject.
        data: The bytes; empty for one that was removed.
        sequence: Of its message.
        written: When, by the server's clock.
    """

    name: str
    data: bytes
    sequence: int
    written: datetime


class KeyWatch:
    """
    Watches keys of a bucket.

    Args:
        connection: To the server.
        stream: The one behind the bucket.
        subjects: Which keys, with a wildcard as the last token.
        on_key: Takes each key, and each change.
        on_complete: Takes the names of all keys there are, when all have been handed over: at first, and again whenever
            changes may have been missed.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        subjects: str,
        *,
        on_key: Callable[[WatchedKey], None],
        on_complete: Callable[[set[str]], None],
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._subjects = subjects
        self._size = len(subjects) - 1
        self._on_key = on_key
        self._on_complete = on_complete
        self._broken = asyncio.Event()
        self._consumer = ""
        self._inbox = ""
        self._delivered = 0
        self._expected = 0
        self._seen: set[str] | None = None
        self._heard = 0.0

    async def run(self) -> None:
        """
        Watch until cancelled.

        Raises:
            PermissionDeniedError: This user may not.
            RequestRefusedError: The server does not make such a consumer, for example since there is no bucket.
        """
        forget = self._connection.on_connected(lambda _generation: self._broken.set())
        try:
            while True:
                try:
                    await self._follow()
                except (PermissionDeniedError, RequestRefusedError):
                    raise
                except ServerError:
                    await asyncio.sleep(_AGAIN)
        finally:
            forget()

    async def _follow(self) -> None:
        """Make a consumer and take what it brings, until something of it may be missing."""
        self._consumer, self._inbox = f"jetq-watch-{new_id()}", self._connection.new_inbox()
        self._broken.clear()
        self._delivered, self._seen = 0, set()
        loop = asyncio.get_running_loop()
        subscription = await self._connection.subscribe(self._inbox, self._take)
        try:
            self._expected = await self._create()
            if not self._expected:
                self._complete()
            self._heard = loop.time()
            while not self._broken.is_set() and loop.time() - self._heard < 2 * _HEARTBEAT:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_HEARTBEAT):
                        await self._broken.wait()
        finally:
            await subscription.unsubscribe()
            self._connection.send(f"{self._connection.api_prefix}.CONSUMER.DELETE.{self._stream}.{self._consumer}")

    async def _create(self) -> int:
        config = {
            "name": self._consumer,
            "deliver_policy": "last_per_subject",
            "deliver_subject": self._inbox,
            "filter_subject": self._subjects,
            "ack_policy": "none",
            "idle_heartbeat": round(_HEARTBEAT * NANOSECONDS),
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": round(_INACTIVE * NANOSECONDS),
        }
        body = {"stream_name": self._stream, "config": config, "action": "create"}
        answer = await self._connection.api(f"CONSUMER.CREATE.{self._stream}.{self._consumer}", body)
        return int(answer["num_pending"]) + int(answer["delivered"]["consumer_seq"])

    def _take(self, message: Incoming) -> None:
        self._heard = asyncio.get_running_loop().time()
        if not message.reply or message.subject == self._inbox:
            headers = message.headers or {}
            if headers.get(STATUS) and int(headers.get(_LAST_CONSUMER, 0)) != self._delivered:
                self._broken.set()
            return
        sequence, delivered, written, pending = delivery_numbers(message.reply)
        if delivered != self._delivered + 1:
            self._broken.set()
            return
        self._delivered = delivered
        name = message.subject[self._size :]
        moment = datetime.fromtimestamp(written / NANOSECONDS, UTC)
        if self._seen is not None and message.data:
            self._seen.add(name)
        self._on_key(WatchedKey(name, message.data, sequence, moment))
        if not pending:
            self._complete()

    def _complete(self) -> None:
        if self._seen is not None:
            seen, self._seen = self._seen, None
            self._on_complete(seen)

"""
publisher: publish to streams and await the acknowledgement, many at a time.

nats-py's own ways cost three to four times the processor time, and one of them never resolves a refused message
(nats.py issue 985). Here one inbox takes all acknowledgements, one sweep watches all deadlines, and a window bounds
what is under way. Every message ends: acknowledged, refused, or timed out.

Messages are sent again when the connection was renewed, when the stream had no leader, and when no answer came for a
while. That is safe because of what jetq publishes: records and items carry the sequence that they expect, so a second
copy is refused and the caller reads who wrote (`task_store`, `queue_store`); schedules replace themselves.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from jetq.errors import MessageTooLargeError, ServerError, ServerTimeoutError
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.faults import NO_RESPONDERS, refusal_of
from jetq.jetstream.message import STATUS, encode_headers
from jetq.wire.names import EXPECT_SUBJECT_SEQUENCE, TTL

WINDOW: Final = 2000
"""Messages under way at one time; beyond that a stream's ingest queue only grows."""
_SWEEP: Final = 0.05
_RESEND: Final = 2.0
_NO_LEADER_WAIT: Final = 0.1

_EXPECT: Final = encode_headers({EXPECT_SUBJECT_SEQUENCE: "%d"})
_EXPECT_AND_EXPIRE: Final = encode_headers({EXPECT_SUBJECT_SEQUENCE: "%d", TTL: "%ds"})


def expecting(sequence: int, ttl: float | None = None) -> bytes:
    """
    Return the headers of a compare-and-swap, as bytes, since every write of a task needs some.

    Args:
        sequence: Of the message that must be the subject's last; 0 if there must be none.
        ttl: Seconds until the new message is removed, a whole number in the end; None keeps it.
    """
    return _EXPECT % sequence if ttl is None else _EXPECT_AND_EXPIRE % (sequence, max(1, round(ttl)))


class Publication(Struct, gc=False):
    """A message for a stream; *headers* as a mapping, or as :func:`expecting` or :func:`encode_headers` made them."""

    subject: str
    data: bytes
    headers: dict[str, str] | bytes | None = None


class _Ack(Struct, gc=False):
    seq: int = 0
    error: dict[str, object] | None = None


class _Batch:
    """Collects the answers of messages that one caller awaits together."""

    __slots__ = ("answers", "done", "missing")

    def __init__(self, count: int, done: "asyncio.Future[None]") -> None:
        self.answers: list[int | ServerError] = [0] * count
        self.missing = count
        self.done = done


class _Pending(Struct):
    publication: Publication
    batch: _Batch
    index: int
    timeout: float
    deadline: float
    resend_at: float


_decode_ack: Final = msgspec.json.Decoder(_Ack).decode


class Publisher:
    """
    Publishes over one connection. Use it in the connection's loop.

    Args:
        connection: Where to.
        timeout: Seconds until a message must be acknowledged, unless a call says otherwise.
    """

    def __init__(self, connection: Connection, *, timeout: float = 5.0) -> None:
        self._connection = connection
        self._timeout = timeout
        self._inbox = connection.new_inbox()
        self._prefix_length = len(self._inbox) + 1
        self._pending: dict[str, _Pending] = {}
        self._token = 0
        self._room = asyncio.Event()
        self._room.set()
        self._loop = asyncio.get_running_loop()
        self._sweeping: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, connection: Connection, *, timeout: float = 5.0) -> "Publisher":
        """Return a publisher that is ready."""
        publisher = cls(connection, timeout=timeout)
        await connection.subscribe(f"{publisher._inbox}.*", publisher._on_answer)
        connection.on_connected(publisher._on_connected)
        return publisher

    async def publish(self, publication: Publication, *, timeout: float | None = None) -> int:
        """
        Publish one message and return its sequence in the stream.

        Raises:
            SequenceConflictError: The expected sequence is not the subject's.
            LimitReachedError: The stream is full.
            RequestRefusedError: Another refusal.
            ServerTimeoutError: No acknowledgement in time; the message may have been stored.
            MessageTooLargeError: The server would refuse it.
        """
        batch = _Batch(1, self._loop.create_future())
        if len(self._pending) >= WINDOW:
            await self._wait_for_room()
        wait, now = self._timeout if timeout is None else timeout, self._loop.time()
        self._send(_Pending(publication, batch, 0, wait, now + wait, now + _RESEND))
        await batch.done
        answer = batch.answers[0]
        if isinstance(answer, int):
            return answer
        raise answer

    async def publish_many(
        self, publications: Sequence[Publication], *, timeout: float | None = None
    ) -> list[int | ServerError]:
        """
        Publish messages together.

        Args:
            publications: What to publish; sent in this order.
            timeout: Seconds until each must be acknowledged, from when it is sent.

        Returns:
            For each message its sequence in the stream, or what :meth:`publish` would raise.
        """
        if not publications:
            return []
        batch = _Batch(len(publications), self._loop.create_future())
        wait, now = self._timeout if timeout is None else timeout, self._loop.time()
        for index, publication in enumerate(publications):
            if len(self._pending) >= WINDOW:
                await self._wait_for_room()
                now = self._loop.time()
            self._send(_Pending(publication, batch, index, wait, now + wait, now + _RESEND))
        await batch.done
        return batch.answers

    async def _wait_for_room(self) -> None:
        while len(self._pending) >= WINDOW:
            self._room.clear()
            await self._room.wait()

    def _send(self, pending: _Pending) -> None:
        """Send a message; one that the server would not take ends here."""
        self._token += 1
        token = str(self._token)
        self._pending[token] = pending
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP, self._sweep)
        self._transmit(token, pending)

    def _transmit(self, token: str, pending: _Pending) -> None:
        publication = pending.publication
        try:
            self._connection.send(
                publication.subject, publication.data, reply=f"{self._inbox}.{token}", headers=publication.headers
            )
        except MessageTooLargeError as error:
            self._resolve(token, pending, error)

    def _on_answer(self, message: Incoming) -> None:
        token = message.subject[self._prefix_length :]
        pending = self._pending.get(token)
        if pending is None:
            return
        data = message.data
        if not data:
            if message.headers and message.headers.get(STATUS) == NO_RESPONDERS:
                pending.resend_at = self._loop.time() + _NO_LEADER_WAIT
            return
        try:
            ack = _decode_ack(data)
        except msgspec.MsgspecError:
            return
        answer = ack.seq if ack.error is None else refusal_of(f"publishing on {pending.publication.subject}", ack.error)
        self._resolve(token, pending, answer)

    def _resolve(self, token: str, pending: _Pending, answer: int | ServerError) -> None:
        del self._pending[token]
        if len(self._pending) < WINDOW:
            self._room.set()
        batch = pending.batch
        batch.answers[pending.index] = answer
        batch.missing -= 1
        if not batch.missing and not batch.done.done():
            batch.done.set_result(None)

    def _sweep(self) -> None:
        now = self._loop.time()
        for token, pending in list(self._pending.items()):
            if now >= pending.deadline:
                what = f"publishing on {pending.publication.subject}"
                self._resolve(token, pending, ServerTimeoutError(what, pending.timeout))
            elif pending.batch.done.cancelled():
                self._resolve(token, pending, 0)
            elif now >= pending.resend_at:
                pending.resend_at = now + _RESEND
                self._transmit(token, pending)
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep) if self._pending else None

    def _on_connected(self, _generation: int) -> None:
        for token, pending in list(self._pending.items()):
            self._transmit(token, pending)

    def close(self) -> None:
        """Stop watching; what is under way is told to have timed out."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for token, pending in list(self._pending.items()):
            what = f"publishing on {pending.publication.subject}"
            self._resolve(token, pending, ServerTimeoutError(what, pending.timeout))

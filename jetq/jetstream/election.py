"""
election: who, of all processes that could, does what one of them should do.

Candidates campaign for a key of the elections bucket, which forgets a key that nobody writes for a while (its TTL, 10 s
by default). Whoever creates the key leads; the leader writes it again every third of the TTL, by a compare-and-swap on
its own last writing; the others try to create it as often. That is asyncjobs' protocol, so Go's candidates for the same
component take part.

Why two do not lead at one time:

* The server stores a writing not before it was sent, so the key is there at least until the TTL after that. The leader
  counts from *before* it sent the writing, and acts until a margin before the TTL is over (:attr:`Election.is_leader`).
  It does not wait to learn that a renewal failed.
* Its clock counts the time that the machine sleeps, so that one that was suspended or stopped finds its lease over when
  it wakes.
* A renewal without an answer is not taken for granted. The key is read from its leader; if it is ours, the sequence is
  taken from there and the key is written once more, and only that writing, whose time of sending is known, counts.
* Whoever steps down removes the key by a compare-and-swap on its own last writing, and so never another leader's.

What this does not give: between looking at :attr:`Election.is_leader` and the effect of what is done then, any time may
pass, and a server whose clock is set forward forgets too early. So whatever a leader does must be harmless when two do
it: all of it is a compare-and-swap, or expects that there is nothing, and the election only saves work.

A key is taken over as soon as it is forgotten, so a TTL after its leader died, and at once after one that stepped down:
what is written there is heard on the key's subject. A user who may not listen there tries every third of the TTL.
"""

import asyncio
import contextlib
import random
from typing import Final, Self

import msgspec
from msgspec import Struct

from jetq.errors import (
    NoResponderError,
    PermissionDeniedError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
    TopologyError,
)
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.faults import refusal_of
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.message import encode_headers
from jetq.jetstream.steady_clock import steady_clock
from jetq.jetstream.stream_message import last_message
from jetq.model.events import LeaderElected, LeadershipEnded
from jetq.observe.bus import Bus
from jetq.wire.names import EXPECT_SUBJECT_SEQUENCE, KV_DELETED, KV_OPERATION, Names

RENEWALS: Final = 3
"""Writings of the key within one TTL."""
MARGIN: Final = 0.1
"""Part of the TTL at whose end a leader acts no more."""
_ROUNDS: Final = 3
"""Writings in one attempt, where each was refused in favour of an older one of our own, or of nobody."""
_RESIGN_SECONDS: Final = 1.0
_EAGER: Final = 0.2
"""Seconds between two attempts when the key must be forgotten by now; a server looks for what is over now and then."""


class _Ack(Struct):
    seq: int = 0
    error: dict[str, object] | None = None


_decode_ack: Final = msgspec.json.Decoder(_Ack).decode


class Election:
    """
    A candidate for one component. Use it with ``async with``, in the connection's loop.

    Args:
        connection: To the server.
        names: Of the namespace.
        component: What it is about: ``janitor``, ``task_scheduler``.
        name: Of this candidate; no other one may have it.
        bus: Hears when this candidate leads, and when no more.

    Attributes:
        ttl: Seconds until a leader that does not renew is followed by another; known once it has begun.
        term: Grows with each leadership, whoever leads; 0 before this candidate's first.
        followed: The name of the last leader that was seen before this candidate led; empty if there was none.
    """

    def __init__(self, connection: Connection, names: Names, component: str, name: str, *, bus: Bus) -> None:
        self.component = component
        self.name = name
        self.ttl = 0.0
        self.term = 0
        self.followed = ""
        self._connection = connection
        self._stream = names.bucket_stream(names.elections)
        self._subject = names.election(component)
        self._bus = bus
        self._revision = 0
        """Of our last writing that may still stand; 0 without one."""
        self._until = 0.0
        self._heard = 0.0
        """When another leader was last heard to write."""
        self._leading = asyncio.Event()
        self._wake = asyncio.Event()
        self._ends = contextlib.AsyncExitStack()

    @property
    def is_leader(self) -> bool:
        """Whether this candidate may act as the leader now. Cheap; ask before each act."""
        return self._leading.is_set() and steady_clock() < self._until

    async def elected(self) -> None:
        """Wait until this candidate leads."""
        while not self.is_leader:
            if self._leading.is_set():  # its lease is over, which the next attempt will notice
                await asyncio.sleep(self.ttl / RENEWALS)
            else:
                await self._leading.wait()

    async def __aenter__(self) -> Self:
        """
        Begin to campaign.

        Raises:
            PermissionDeniedError: This user may not be a candidate.
            TopologyError: There is no bucket, or it forgets nothing.
            ServerError: No answer, or another refusal.
        """
        found = await find_stream(self._connection, self._stream)
        self.ttl = 0.0 if found is None else found["config"].get("max_age", 0) / NANOSECONDS
        if not self.ttl:
            raise TopologyError(self._stream, "there is no bucket of elections that forgets its keys")
        subscription = await self._connection.subscribe(self._subject, self._on_written)
        self._ends.push_async_callback(subscription.unsubscribe)
        self._ends.callback(self._connection.on_connected(lambda _generation: self._wake.set()))
        try:
            await self._attempt()
        except (ServerTimeoutError, NoResponderError):
            pass
        except BaseException:
            await self._ends.aclose()
            raise
        campaign = asyncio.get_running_loop().create_task(self._campaign())
        self._ends.push_async_callback(_ended, campaign)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Step down, if it leads, and campaign no more."""
        await self._ends.aclose()
        if self._revision:
            with contextlib.suppress(ServerError):
                await self._write(b"", self._revision, timeout=_RESIGN_SECONDS)
        self._lose("it stepped down")

    def _on_written(self, message: Incoming) -> None:
        if not message.data:
            self._wake.set()
        elif message.data != self.name.encode():
            self._heard = steady_clock()
            self.followed = message.data.decode(errors="replace")

    async def _campaign(self) -> None:
        interval = self.ttl / RENEWALS
        pause = interval
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._attempt()
            except ServerError as error:
                pause = interval if isinstance(error, PermissionDeniedError) else interval / 4
                if steady_clock() >= self._until:
                    self._lose(str(error))
            else:
                pause = interval if self._leading.is_set() else self._patience_of_follower()

    def _patience_of_follower(self) -> float:
        """Return the seconds until another attempt: until the key of who was heard is forgotten, if that is sooner."""
        interval = self.ttl / RENEWALS * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        left = self._heard + self.ttl - steady_clock()
        if -interval < left < interval:
            return min(interval, max(left, 0.0) + _EAGER * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        return interval

    async def _attempt(self) -> None:
        """
        Renew or campaign once.

        Raises:
            ServerError: Nothing is known; who leads does so until its lease is over.
        """
        for _ in range(_ROUNDS):
            began = steady_clock()
            try:
                revision = await self._write(self.name.encode(), self._revision)
            except (SequenceConflictError, ServerTimeoutError):
                if not await self._look():
                    return
            else:
                self._win(revision, began)
                return

    async def _look(self) -> bool:
        """Read whose the key is, and take its sequence if it is ours or nobody's; say whether to write again."""
        found = await last_message(self._connection, self._stream, self._subject, timeout=self._patience)
        if found is None or not found.data:
            self._lose("its lease was over")
            self._revision = 0 if found is None else found.seq
            return True
        if found.data == self.name.encode():
            self._revision = found.seq
            return True
        self.followed = found.data.decode(errors="replace")
        age = (self._connection.clock.now() - found.time).total_seconds()
        self._heard = max(self._heard, steady_clock() - max(age, 0.0))
        self._lose(f"{self.followed} leads")
        self._revision = 0
        return False

    @property
    def _patience(self) -> float:
        """Seconds until a request must be answered; two of them fit between two renewals."""
        return self.ttl / RENEWALS / 2

    async def _write(self, data: bytes, expect: int, *, timeout: float | None = None) -> int:
        """Write the key over the sequence *expect*, or remove it if *data* is empty; return the new sequence."""
        headers = {EXPECT_SUBJECT_SEQUENCE: str(expect)} | ({} if data else {KV_OPERATION: KV_DELETED})
        answer = await self._connection.request(
            self._subject, data, headers=encode_headers(headers), timeout=timeout or self._patience
        )
        ack = _decode_ack(answer.data)
        if ack.error is not None:
            raise refusal_of(f"publishing on {self._subject}", ack.error)
        return ack.seq

    def _win(self, revision: int, began: float) -> None:
        self._revision = revision
        self._until = began + self.ttl * (1 - MARGIN)
        if not self._leading.is_set():
            self.term = revision
            self._leading.set()
            now = self._connection.clock.now()
            self._bus.emit(LeaderElected(component=self.component, name=self.name, at=now))

    def _lose(self, reason: str) -> None:
        if self._leading.is_set():
            self._leading.clear()
            self._bus.emit(LeadershipEnded(component=self.component, name=self.name, reason=reason))


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

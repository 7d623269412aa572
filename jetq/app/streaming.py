"""
streaming: a stream of tasks of any length, enqueued with bounded memory.

What the user's iterable gives is cut into chunks, and a few of these are under way at one time: so a stream is as fast
as one list, and no more than that is in memory. Outcomes come out in the order in which entries went in.

Whatever ends a stream early (its reader closes it, a task is refused, the iterable itself raises), what was sent is
settled first: each of these tasks is in its queue or known not to be. Only a cancellation does not wait for that.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from typing import Any, Final

from jetq.app.submission import EnqueueOutcome, Entry, OnErrors, Submission
from jetq.client.blocking import bridge, forbid_in_loop
from jetq.client.clients import Clients
from jetq.errors import BlockingCallError, EnqueueManyError, JetqError

CHUNK: Final = 250
"""Entries that are sent together."""
ABREAST: Final = 6
"""Chunks under way at one time."""
PATIENCE: Final = 0.1
"""Seconds after which a chunk is filled no further, since its iterable is slow."""


class Streaming:
    """
    Enqueues streams.

    Args:
        submission: Sends chunks.
        clients: Ways to the server.
    """

    def __init__(self, submission: Submission, clients: Clients) -> None:
        self._submission = submission
        self._clients = clients

    def stream(self, entries: Iterable[Entry], errors: OnErrors) -> Generator[Any, None, None]:
        """Enqueue from sync code: the iterable runs in the caller's thread, the sending in the background."""
        call, window, cutter = bridge().call, Window(self._send, errors), Cutter()
        call(self._clients.current())  # before anything is read from an iterable that could not be sent
        try:
            for chunk in cutter.cut(entries):
                yield from call(window.push(chunk))
                if window.refused:
                    break
            yield from call(window.finish())
        finally:
            _settle(window)
        _raise(window, cutter)

    async def astream(
        self, entries: Iterable[Entry] | AsyncIterable[Entry], errors: OnErrors
    ) -> AsyncGenerator[Any, None]:
        """Enqueue from async code."""
        window, cutter = Window(self._send, errors), Cutter()
        await self._clients.current()
        try:
            async with contextlib.aclosing(cutter.acut(entries)) as chunks:
                async for chunk in chunks:
                    for outcome in await window.push(chunk):
                        yield outcome
                    if window.refused:
                        break
            for outcome in await window.finish():
                yield outcome
        except asyncio.CancelledError:
            window.cancel()
            raise
        finally:
            await window.settle()
        _raise(window, cutter)

    async def _send(self, chunk: list[Entry]) -> list[EnqueueOutcome]:
        return await self._submission.send_each(await self._clients.current(), chunk)


def _settle(window: "Window") -> None:
    """Wait until nothing is under way; a loop that collects a forgotten stream as garbage must not wait for itself."""
    with contextlib.suppress(BlockingCallError):
        forbid_in_loop("enqueue_iter", "aenqueue_iter")
        bridge().call(window.settle())


def _raise(window: "Window", cutter: "Cutter") -> None:
    """
    Raise what ended a stream early, if anything did.

    Raises:
        EnqueueManyError: A task was refused.
    """
    if window.refused:
        raise EnqueueManyError(window.refused) from cutter.failure
    if cutter.failure is not None:
        raise cutter.failure


class Window:
    """
    Chunks under way, oldest first. Use it in one event loop.

    Args:
        send: Sends a chunk and returns the outcome of each entry.
        errors: Whether outcomes that are errors end the stream.

    Attributes:
        refused: Where errors end the stream: the first of them, and the outcomes of whatever was sent after it.
    """

    def __init__(self, send: Callable[[list[Entry]], Awaitable[list[EnqueueOutcome]]], errors: OnErrors) -> None:
        self.refused: list[EnqueueOutcome] = []
        self._send = send
        self._errors = errors
        self._flying: deque[asyncio.Future[list[EnqueueOutcome]]] = deque()

    async def push(self, chunk: list[Entry]) -> list[EnqueueOutcome]:
        """Send a chunk; return the outcomes that are known by then, waiting for some if many chunks are under way."""
        self._flying.append(asyncio.ensure_future(self._send(chunk)))
        known: list[EnqueueOutcome] = []
        while self._flying and (len(self._flying) >= ABREAST or self._flying[0].done()):
            known += self._passed(await self._flying.popleft())
        return known

    async def finish(self) -> list[EnqueueOutcome]:
        """Return the outcomes of all chunks that are under way."""
        known: list[EnqueueOutcome] = []
        while self._flying:
            known += self._passed(await self._flying.popleft())
        return known

    def _passed(self, outcomes: list[EnqueueOutcome]) -> list[EnqueueOutcome]:
        """Return the outcomes that the reader gets, and keep those from the first error on, if that ends the stream."""
        if self._errors == "return":
            return outcomes
        if self.refused:
            self.refused += outcomes
            return []
        bad = next((place for place, outcome in enumerate(outcomes) if isinstance(outcome, JetqError)), len(outcomes))
        self.refused = outcomes[bad:]
        return outcomes[:bad]

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._flying, return_exceptions=True)

    def cancel(self) -> None:
        """Stop what is under way."""
        for chunk in self._flying:
            chunk.cancel()


class Cutter:
    """
    Cuts what an iterable gives into chunks.

    Attributes:
        failure: What the iterable raised; all that it gave before is in the chunks.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._chunk: list[Entry] = []
        self._since = 0.0

    def _add(self, entry: Entry) -> list[Entry]:
        """Take an entry; return the chunk if it is to be sent, else nothing."""
        now = time.monotonic()
        if not self._chunk:
            self._since = now
        self._chunk.append(entry)
        if len(self._chunk) < CHUNK and now - self._since < PATIENCE:
            return []
        return self._rest()

    def _rest(self) -> list[Entry]:
        chunk, self._chunk = self._chunk, []
        return chunk

    def cut(self, entries: Iterable[Entry]) -> Generator[list[Entry], None, None]:
        """Yield chunks."""
        giving = iter(entries)
        while True:
            try:
                entry = next(giving)
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 - raised again once all that came before is settled
                self.failure = error
                break
            if full := self._add(entry):
                yield full
        if rest := self._rest():
            yield rest

    async def acut(self, entries: Iterable[Entry] | AsyncIterable[Entry]) -> AsyncGenerator[list[Entry], None]:
        """Yield chunks, of an async iterable too."""
        if not isinstance(entries, AsyncIterable):
            for chunk in self.cut(entries):
                yield chunk
            return
        giving = aiter(entries)
        while True:
            try:
                entry = await anext(giving)
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001 - as in cut()
                self.failure = error
                break
            if full := self._add(entry):
                yield full
        if rest := self._rest():
            yield rest
